//! Meetings, and what breaks them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use hands::sync::{Barrier, Broken};

/// Waits until somebody is waiting at the barrier.
fn until_waiting(barrier: &Barrier, number: usize) {
    while barrier.waiting() < number {
        thread::yield_now();
    }
}

#[test]
fn nobody_goes_on_before_all_have_come_in_any_round() {
    const PARTIES: usize = 4;
    let barrier = Barrier::new(PARTIES);
    let come = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..PARTIES {
            scope.spawn(|| {
                for round in 1..=200 {
                    come.fetch_add(1, Ordering::SeqCst);
                    barrier.wait().unwrap();
                    assert!(come.load(Ordering::SeqCst) >= round * PARTIES);
                }
            });
        }
    });
}

#[test]
fn each_place_is_given_once_a_round() {
    let barrier = Barrier::new(3);
    thread::scope(|scope| {
        let threads = [(); 3].map(|()| scope.spawn(|| barrier.wait().unwrap()));
        let mut places = threads.map(|thread| thread.join().unwrap());
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2]);
    });
}

#[test]
fn the_action_runs_once_a_round_before_anybody_goes_on() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let barrier = Barrier::with_action(3, move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 1..=50 {
                    barrier.wait().unwrap();
                    assert!(runs.load(Ordering::SeqCst) >= round);
                }
            });
        }
    });
    assert_eq!(runs.load(Ordering::SeqCst), 50);
}

#[test]
fn a_time_out_breaks_it_for_all_until_it_is_reset() {
    let barrier = Barrier::new(3);
    thread::scope(|scope| {
        let patient = scope.spawn(|| barrier.wait());
        until_waiting(&barrier, 1);
        assert_eq!(barrier.wait_timeout(Duration::from_millis(1)), Err(Broken));
        assert_eq!(patient.join().unwrap(), Err(Broken));
    });
    assert!(barrier.is_broken());
    assert_eq!(barrier.waiting(), 0);
    assert_eq!(barrier.wait(), Err(Broken));
    barrier.reset();
    assert!(!barrier.is_broken());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| barrier.wait_timeout(Duration::MAX).unwrap());
        }
    });
}

#[test]
fn an_abort_breaks_it_for_those_who_wait_and_those_who_come() {
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        until_waiting(&barrier, 1);
        barrier.abort();
        assert_eq!(waiter.join().unwrap(), Err(Broken));
    });
    assert_eq!(barrier.wait(), Err(Broken));
}

#[test]
fn a_reset_sends_those_who_wait_away_and_leaves_it_usable() {
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        until_waiting(&barrier, 1);
        barrier.reset();
        assert_eq!(waiter.join().unwrap(), Err(Broken));
        assert!(!barrier.is_broken());
        let waiter = scope.spawn(|| barrier.wait());
        barrier.wait().unwrap();
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn a_panicking_action_panics_in_its_own_thread_and_breaks_it_for_the_others() {
    let fails = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&fails);
    let barrier = Barrier::with_action(2, move || {
        if asked.load(Ordering::SeqCst) {
            std::panic::resume_unwind(Box::new("no"));
        }
    });
    let meet = || catch_unwind(AssertUnwindSafe(|| barrier.wait()));
    thread::scope(|scope| {
        let others = [scope.spawn(meet), scope.spawn(meet)];
        let [mut panicked, mut broken] = [0; 2];
        for other in others {
            match other.join().unwrap() {
                Err(panic) => {
                    assert_eq!(panic.downcast_ref(), Some(&"no"));
                    panicked += 1;
                }
                Ok(result) => {
                    assert_eq!(result, Err(Broken));
                    broken += 1;
                }
            }
        }
        assert_eq!((panicked, broken), (1, 1));
    });
    assert!(barrier.is_broken());
    fails.store(false, Ordering::SeqCst);
    barrier.reset();
    thread::scope(|scope| {
        scope.spawn(|| barrier.wait().unwrap());
        barrier.wait().unwrap();
    });
}

#[test]
fn a_barrier_for_one_never_waits() {
    let barrier = Barrier::new(1);
    assert_eq!(barrier.parties(), 1);
    assert_eq!([barrier.wait(), barrier.wait()], [Ok(0), Ok(0)]);
}

#[test]
#[should_panic(expected = "a barrier for 0 threads would never open")]
fn a_barrier_for_nobody_is_refused() {
    Barrier::new(0);
}
