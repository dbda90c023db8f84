//! Permits: bounded, in order, and never lost.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use hands::sync::Semaphore;

use super::{Woken, poll};

#[test]
fn no_more_than_the_permits_are_inside_at_once() {
    let semaphore = Semaphore::bounded(3);
    let inside = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let _permit = semaphore.acquire();
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(semaphore.available(), 3);
}

#[test]
fn a_permit_is_given_back_when_it_is_dropped_even_by_a_panic() {
    let semaphore = Semaphore::bounded(1);
    thread::scope(|scope| {
        let visit = || {
            let _permit = semaphore.acquire();
            std::panic::resume_unwind(Box::new("leaves in a hurry"));
        };
        scope.spawn(visit).join().unwrap_err();
    });
    assert!(semaphore.try_acquire().is_some());
}

#[test]
fn over_releasing_a_bounded_semaphore_is_an_error_and_changes_nothing() {
    let semaphore = Semaphore::bounded(2);
    let error = semaphore.release(1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 released to a semaphore that has 2 of 2; release only what was acquired"
    );
    semaphore.acquire().forget();
    assert!(semaphore.release(2).is_err());
    assert_eq!(semaphore.available(), 1);
    semaphore.release(1).unwrap();
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn releasing_none_is_an_error() {
    let error = Semaphore::new(0).release(0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "0 permits were released; release at least 1"
    );
}

#[test]
fn an_unbounded_semaphore_counts_up_to_the_end() {
    let semaphore = Semaphore::new(0);
    semaphore.release(usize::MAX).unwrap();
    let error = semaphore.release(1).unwrap_err().to_string();
    assert!(error.ends_with("more than it can count"), "{error}");
    assert_eq!(
        semaphore.try_acquire_many(usize::MAX).unwrap().permits(),
        usize::MAX
    );
}

#[test]
fn more_than_there_will_ever_be_is_refused_at_once() {
    let semaphore = Semaphore::bounded(2);
    let error = semaphore.acquire_many(3).unwrap_err();
    assert_eq!(
        error.to_string(),
        "3 permits asked for, and the semaphore never has more than 2; waiting would never end"
    );
    assert!(semaphore.acquire_many_async(3).is_err());
    assert!(semaphore.acquire_many_timeout(3, Duration::MAX).is_err());
}

#[test]
fn who_asks_for_many_is_not_overtaken() {
    let semaphore = Semaphore::bounded(2);
    let one = semaphore.acquire();
    let mut many = semaphore.acquire_many_async(2).unwrap();
    let mut single = semaphore.acquire_async();
    assert!(poll(&mut many, Waker::noop()).is_pending());
    // There is one left, but somebody is first.
    assert!(poll(&mut single, Waker::noop()).is_pending());
    assert!(semaphore.try_acquire().is_none());
    drop(one);
    assert!(poll(&mut single, Waker::noop()).is_pending());
    let Poll::Ready(both) = poll(&mut many, Waker::noop()) else {
        panic!("both are free");
    };
    assert_eq!(both.permits(), 2);
    drop(both);
    assert!(poll(&mut single, Waker::noop()).is_ready());
}

#[test]
fn when_time_is_up_nothing_was_taken() {
    let semaphore = Semaphore::bounded(2);
    let permit = semaphore.acquire();
    assert!(semaphore.acquire_timeout(Duration::ZERO).is_some());
    let moment = Duration::from_millis(1);
    assert!(semaphore.acquire_many_timeout(2, moment).unwrap().is_none());
    drop(permit);
    assert_eq!(semaphore.available(), 2);
    assert!(semaphore.acquire_timeout(Duration::MAX).is_some());
}

#[test]
fn a_dropped_acquire_gives_back_what_it_was_handed_and_lets_the_next_go() {
    let semaphore = Semaphore::bounded(1);
    let permit = semaphore.acquire();
    let (_, waker) = Woken::waker();
    let (woken, second_waker) = Woken::waker();
    let mut first = semaphore.acquire_async();
    let mut second = semaphore.acquire_async();
    assert!(poll(&mut first, &waker).is_pending());
    assert!(poll(&mut second, &second_waker).is_pending());
    drop(permit);
    assert_eq!(semaphore.available(), 0, "handed over");
    drop(first);
    assert_eq!(woken.times(), 1);
    assert!(poll(&mut second, &second_waker).is_ready());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn one_who_gives_up_lets_those_behind_go() {
    let semaphore = Semaphore::bounded(2);
    let _one = semaphore.acquire();
    let mut many = semaphore.acquire_many_async(2).unwrap();
    let mut single = semaphore.acquire_async();
    assert!(poll(&mut many, Waker::noop()).is_pending());
    let (woken, waker) = Woken::waker();
    assert!(poll(&mut single, &waker).is_pending());
    drop(many);
    assert_eq!(woken.times(), 1);
    assert!(poll(&mut single, &waker).is_ready());
}

#[test]
fn forgotten_permits_count_things_made_and_used_up() {
    let made = Semaphore::new(0);
    thread::scope(|scope| {
        let used = scope.spawn(|| (0..100).for_each(|_| made.acquire().forget()));
        for _ in 0..50 {
            made.release(2).unwrap();
        }
        used.join().unwrap();
    });
    assert_eq!(made.available(), 0);
}

#[test]
fn asking_for_none_waits_only_its_turn() {
    let semaphore = Semaphore::bounded(1);
    let permit = semaphore.acquire();
    assert_eq!(semaphore.acquire_many(0).unwrap().permits(), 0);
    drop(permit);
    assert_eq!(semaphore.available(), 1);
}
