//! Pools that find their own size. Whether they find the right one is simulated in the library and
//! measured in the benchmark; here, that they move, keep to their limits, and say why.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use hands::pool::{
    Class, Many, Pool, Progress, Shutdown, Sizing, Stats, TaskScope, ThreadPool, ThreadPoolBuilder,
};
use hands::task::{Handle, Options, TaskError};

use crate::support::in_time;

#[expect(clippy::disallowed_methods, reason = "a task that waits")]
fn nap(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Keeps `pool` busy with naps until `is_enough`.
fn keep_busy(pool: &ThreadPool, is_enough: impl Fn() -> bool) {
    while !is_enough() {
        for _ in pool.stats().queued..64 {
            drop(pool.submit(nap, 2));
        }
        nap(1);
    }
}

#[test]
fn tasks_that_wait_get_more_workers_than_cores() {
    in_time(|| {
        let cores = hands::cores().get();
        let pool = ThreadPool::auto().unwrap();
        // Whatever else this machine computes ends some time; then the cores are idle.
        keep_busy(&pool, || pool.workers() > 2 * cores);
        let stats = pool.stats();
        assert!(matches!(stats.sizing, Sizing::Auto(decision) if decision.size > cores));
        assert!(!stats.sizing.to_string().is_empty());
        let naps = stats
            .classes
            .iter()
            .find(|class| class.name.contains("nap"));
        assert!(
            naps.is_some_and(|naps| naps.measured > 0 && naps.wait > naps.cpu),
            "{naps:?}"
        );
        pool.shutdown(Shutdown::Now);
    });
}

#[test]
fn each_worker_that_comes_is_initialised() {
    in_time(|| {
        let cores = hands::cores().get();
        let numbers = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&numbers);
        let pool = ThreadPool::builder()
            .auto()
            .initializer(move |number| noted.lock().unwrap().push(number))
            .build()
            .unwrap();
        keep_busy(&pool, || numbers.lock().unwrap().len() > cores);
        pool.shutdown(Shutdown::Drain);
        pool.join();
        drop(pool);
        let mut numbers = numbers.lock().unwrap().clone();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..numbers.len()), "{numbers:?}");
    });
}

#[test]
fn the_limits_hold() {
    in_time(|| {
        let pool = ThreadPool::builder().auto().min_workers(3).max_workers(3);
        let pool = Arc::new(pool.build().unwrap());
        let most = Arc::new(AtomicUsize::new(0));
        // Three meet again and again, so that there are no fewer; and there are no more.
        let meeting = Arc::new(Barrier::new(3));
        let tasks = (0..30).map(|_| {
            let (at, most, meeting) = (Arc::clone(&pool), Arc::clone(&most), Arc::clone(&meeting));
            pool.spawn(move || {
                meeting.wait();
                most.fetch_max(at.workers(), Ordering::Relaxed);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.join().unwrap();
        }
        assert_eq!(most.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let built = ThreadPool::builder()
        .auto()
        .min_workers(5)
        .max_workers(4)
        .build();
    let told = built.err().map(|error| error.to_string());
    assert_eq!(
        told.as_deref(),
        Some("a pool cannot have at least 5 and at most 4 workers; let the minimum be the smaller")
    );
    let none = ThreadPool::builder()
        .auto()
        .min_workers(0)
        .max_workers(0)
        .build();
    assert!(none.is_err());
}

#[test]
fn a_pool_that_has_done_nothing_has_a_reason_too() {
    let pool = ThreadPool::auto().unwrap();
    let told = pool.stats().sizing.to_string();
    assert!(told.starts_with("one worker for each of "), "{told}");
    let fixed = ThreadPool::with_workers(2).unwrap();
    assert_eq!(fixed.stats().sizing.to_string(), "2 workers, as it was set");
}

#[test]
fn it_works_again_when_it_has_slept() {
    in_time(|| {
        let pool = ThreadPool::auto().unwrap();
        for round in 0..200_u64 {
            // Without a pause, and with pauses in which all have gone to sleep.
            if round % 20 == 0 {
                nap(30);
            }
            assert_eq!(pool.submit(|n: u64| n + 1, round).join(), Ok(round + 1));
        }
    });
}

#[test]
fn a_pool_and_what_it_hands_out_may_move() {
    fn moves<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    moves::<ThreadPool>();
    moves::<Stats>();
    moves::<Class>();
    moves::<Progress>();
    moves::<Options>();
    moves::<TaskError>();
    moves::<TaskScope<'_, '_>>();
    sent::<ThreadPoolBuilder>();
    sent::<Handle<u8>>();
    sent::<Many<u8>>();
}

#[test]
fn a_pool_whose_workers_all_block_starts_what_frees_them() {
    in_time(|| {
        let builder = ThreadPool::builder().auto();
        let pool = builder.max_workers(8).build().unwrap();
        let cores = hands::cores().get().min(6);
        // All of them meet the one more that is queued after them.
        let meeting = std::sync::Arc::new(std::sync::Barrier::new(cores + 1));
        let handles: Vec<_> = (0..=cores)
            .map(|_| {
                let meeting = std::sync::Arc::clone(&meeting);
                pool.spawn(move || meeting.wait().is_leader())
            })
            .collect();
        let leaders = handles.into_iter().filter(|_| true);
        assert_eq!(
            leaders
                .filter_map(|one| one.join().ok())
                .filter(|is| *is)
                .count(),
            1
        );
        #[cfg(feature = "async")]
        {
            let pool = hands::pool::AsyncPool::new().unwrap();
            let meeting = std::sync::Arc::new(std::sync::Barrier::new(cores + 3));
            let handles: Vec<_> = (0..cores + 3)
                .map(|_| {
                    let meeting = std::sync::Arc::clone(&meeting);
                    pool.spawn_blocking(move || {
                        meeting.wait();
                    })
                })
                .collect();
            handles.into_iter().for_each(|one| one.join().unwrap());
        }
    });
}
