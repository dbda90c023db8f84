//! What every lock promises, in one process and between several: `lock_conformance!(name, Type)`
//! makes the tests for a [`Lock`].
//!
//! No test sleeps: who has to be waiting is given a time-out that passes, or is seen by what it has
//! not done.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// What the tests use of a lock.
pub(crate) trait Lock: Send + Sync {
    /// Gives the lock back when it is dropped.
    type Held<'a>
    where
        Self: 'a;
    fn make() -> Self;
    fn lock(&self) -> Self::Held<'_>;
    fn try_lock(&self) -> Option<Self::Held<'_>>;
    fn lock_timeout(&self, timeout: Duration) -> Option<Self::Held<'_>>;
}

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(60);

macro_rules! lock_conformance {
    ($name:ident, $lock:ty) => {
        lock_conformance!(@tests $name, $lock,
            two_steps_are_one
            a_held_lock_is_not_had
            a_free_lock_is_had_without_time
            who_waits_gets_it_when_it_is_left
            who_waits_with_a_time_out_gets_it_too
            the_longest_time_out_is_for_ever
            a_panic_leaves_it
            time_outs_lose_no_wake_up
            it_goes_back_and_forth
        );
    };
    (@tests $name:ident, $lock:ty, $($test:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $(#[test] fn $test() { $crate::conformance::lock::$test::<$lock>(); })*
        }
    };
}

/// Runs `act` in another thread, to its end.
fn elsewhere<R: Send>(act: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(act).join().unwrap())
}

/// Adds one in two steps, so that it shows when two do it at once.
fn add(number: &AtomicU64) {
    let seen = number.load(Ordering::Relaxed);
    std::hint::black_box(seen);
    number.store(seen + 1, Ordering::Relaxed);
}

pub(crate) fn two_steps_are_one<L: Lock>() {
    const EACH: u64 = if cfg!(feature = "diagnose") {
        200
    } else {
        20_000
    };
    let (lock, number) = (L::make(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let _held = lock.lock();
                    add(&number);
                }
            });
        }
    });
    assert_eq!(number.into_inner(), 4 * EACH);
}

pub(crate) fn a_held_lock_is_not_had<L: Lock>() {
    let lock = L::make();
    let held = lock.lock();
    assert!(elsewhere(|| lock.try_lock().is_none()));
    assert!(elsewhere(|| lock.lock_timeout(Duration::ZERO).is_none()));
    assert!(elsewhere(|| lock.lock_timeout(SHORT).is_none()));
    drop(held);
    assert!(elsewhere(|| lock.try_lock().is_some()));
}

pub(crate) fn a_free_lock_is_had_without_time<L: Lock>() {
    let lock = L::make();
    drop(lock.try_lock().unwrap());
    drop(lock.lock_timeout(Duration::ZERO).unwrap());
    drop(lock.lock());
}

/// One holds the lock until the other has said that it is about to wait.
fn left_while_waited_for<L: Lock>(wait: impl FnOnce(&L) -> bool + Send) {
    let (lock, is_left) = (L::make(), AtomicBool::new(false));
    let (about, told) = mpsc::channel();
    thread::scope(|scope| {
        let held = lock.lock();
        let waiter = scope.spawn(|| {
            about.send(()).unwrap();
            let is_had = wait(&lock);
            assert!(is_left.load(Ordering::SeqCst), "had before it was left");
            is_had
        });
        told.recv().unwrap();
        // It has the time to go to sleep, and may or may not have.
        assert!(elsewhere(|| lock.lock_timeout(SHORT).is_none()));
        is_left.store(true, Ordering::SeqCst);
        drop(held);
        assert!(waiter.join().unwrap());
    });
}

pub(crate) fn who_waits_gets_it_when_it_is_left<L: Lock>() {
    left_while_waited_for(|lock: &L| {
        drop(lock.lock());
        true
    });
}

pub(crate) fn who_waits_with_a_time_out_gets_it_too<L: Lock>() {
    left_while_waited_for(|lock: &L| lock.lock_timeout(LONG).is_some());
}

pub(crate) fn the_longest_time_out_is_for_ever<L: Lock>() {
    left_while_waited_for(|lock: &L| lock.lock_timeout(Duration::MAX).is_some());
}

pub(crate) fn a_panic_leaves_it<L: Lock>() {
    let lock = L::make();
    let panicked = thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let _held = lock.lock();
            std::panic::resume_unwind(Box::new(()));
        });
        holder.join()
    });
    assert!(panicked.is_err());
    drop(lock.lock_timeout(LONG).unwrap());
}

pub(crate) fn time_outs_lose_no_wake_up<L: Lock>() {
    let (lock, number) = (L::make(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut had = 0;
                while had < 300 {
                    if let Some(_held) = lock.lock_timeout(Duration::from_nanos(1)) {
                        add(&number);
                        had += 1;
                    }
                }
            });
        }
        // Waits with them, for as long as it takes.
        for _ in 0..300 {
            let _held = lock.lock();
            add(&number);
        }
    });
    assert_eq!(number.into_inner(), 1200);
}

pub(crate) fn it_goes_back_and_forth<L: Lock>() {
    let (lock, turn) = (L::make(), AtomicU64::new(0));
    thread::scope(|scope| {
        for own in 0..2 {
            let (lock, turn) = (&lock, &turn);
            scope.spawn(move || {
                loop {
                    let _held = lock.lock();
                    let now = turn.load(Ordering::Relaxed);
                    if now >= 200 {
                        return;
                    }
                    if now % 2 == own {
                        turn.store(now + 1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(turn.into_inner(), 200);
}
