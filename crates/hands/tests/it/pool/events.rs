//! What a pool tells those who listen, beyond what every pool tells.

use std::collections::BTreeMap;

use hands::event::{EventKind, Listener, Parting, TaskEnd};
use hands::pool::{Pool, ProcessPool, ThreadPool};
use hands::task::TaskError;

use crate::support::in_time;

fn kinds(listener: &mut Listener) -> Vec<EventKind> {
    listener.map(|event| event.kind).collect()
}

fn abort_at_two(n: u64) -> u64 {
    if n == 2 {
        std::process::abort();
    }
    n
}

#[test]
fn a_task_whose_worker_dies_is_told_and_so_are_the_worker_and_its_successor() {
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        let mut listener = pool.events().listen().unwrap();
        let handles: Vec<_> = (0..5).map(|n| pool.submit(abort_at_two, n)).collect();
        let outcomes: Vec<_> = handles.into_iter().map(|handle| handle.join()).collect();
        let Err(TaskError::Died(died)) = &outcomes[2] else {
            panic!("{outcomes:?}");
        };
        drop(pool);
        let (mut ends, mut deaths, mut births) = (BTreeMap::new(), Vec::new(), Vec::new());
        for kind in kinds(&mut listener) {
            match kind {
                EventKind::Finished { how, worker, .. } if how != TaskEnd::Retried => {
                    assert_eq!(worker, Some(0));
                    *ends.entry(format!("{how:?}")).or_insert(0) += 1;
                }
                EventKind::WorkerDied { pid, why, .. } => deaths.push((pid, why)),
                EventKind::WorkerBorn { pid, .. } => births.push(pid),
                _ => {}
            }
        }
        let expected = [("Died".to_owned(), 1), ("Well".to_owned(), 4)];
        assert_eq!(ends, BTreeMap::from(expected));
        assert_eq!(deaths[0], (Some(died.pid), Parting::Killed(6)));
        assert!(
            births.iter().any(|pid| *pid != Some(died.pid)),
            "{births:?}"
        );
    });
}

#[test]
fn a_change_of_size_is_told() {
    let pool = ThreadPool::with_workers(1).unwrap();
    let mut listener = pool.events().listen().unwrap();
    pool.resize(3).unwrap();
    let sized = EventKind::Sized { from: 1, to: 3 };
    assert!(kinds(&mut listener).contains(&sized));
}

#[test]
fn a_listener_that_does_not_look_holds_nobody_up() {
    in_time(|| {
        let pool = ThreadPool::with_workers(2).unwrap();
        let mut listener = pool.events().listen().unwrap();
        let sum: u64 = pool
            .map(|n: u64| n, 0..60_000)
            .chunk(1)
            .map(|n| n.unwrap())
            .sum();
        assert_eq!(sum, 60_000 * 59_999 / 2);
        pool.join();
        let kept = listener.by_ref().count() as u64;
        assert_eq!(kept, 65_536);
        // A few for the workers' births, too, if they were not born before.
        assert!(
            listener.lost() >= 3 * 60_000 - 65_536,
            "{}",
            listener.lost()
        );
    });
}
