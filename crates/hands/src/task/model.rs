//! Every interleaving of the few who may touch a task at the same time. See
//! [`queue::model`](crate::queue) for the bounds.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;

use super::cell::{Ran, Runnable, TaskCell};
use super::latch::Latch;
use super::turn::Turn;
use super::{Handle, TaskError};
use crate::primitive::Mutex;
use crate::sync::cancel::Owners;

fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(if cfg!(debug_assertions) { 2 } else { 4 });
    model.check(body);
}

fn task() -> (StdArc<dyn Runnable>, Handle<u32>) {
    let task = StdArc::new(TaskCell::new("seven", || 7_u32));
    let handle = Handle::new(StdArc::clone(&task) as _);
    (task, handle)
}

#[test]
fn who_joins_is_told() {
    explore(|| {
        let (task, handle) = task();
        let worker = thread::spawn(move || task.run(&Owners::default(), &mut || ()));
        assert_eq!(handle.join(), Ok(7));
        assert_eq!(worker.join().unwrap(), Ran::Well);
    });
}

#[test]
fn a_task_is_run_or_cancelled_and_never_both() {
    explore(|| {
        let (task, handle) = task();
        let worker = thread::spawn(move || task.run(&Owners::default(), &mut || ()));
        let cancelled = handle.cancel();
        let outcome = handle.join();
        let ran = worker.join().unwrap();
        if cancelled {
            assert_eq!((outcome, ran), (Err(TaskError::Cancelled), Ran::Not));
        } else {
            assert_eq!((outcome, ran), (Ok(7), Ran::Well));
        }
    });
}

#[test]
fn a_callback_is_called_once_and_the_outcome_is_still_there() {
    explore(|| {
        let calls = StdArc::new(AtomicUsize::new(0));
        let (task, handle) = task();
        let worker = thread::spawn(move || task.run(&Owners::default(), &mut || ()));
        let called = StdArc::clone(&calls);
        handle.on_done(move |outcome| {
            assert_eq!(outcome, &Ok(7));
            called.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(handle.join(), Ok(7));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        worker.join().unwrap();
    });
}

#[test]
fn a_refusal_and_a_cancel_leave_one_outcome() {
    explore(|| {
        let (task, handle) = task();
        let pool = thread::spawn(move || task.refuse(TaskError::PoolClosed));
        let expected = if handle.cancel() {
            TaskError::Cancelled
        } else {
            TaskError::PoolClosed
        };
        assert_eq!(handle.join(), Err(expected));
        pool.join().unwrap();
    });
}

#[test]
fn as_completed_misses_nobody() {
    explore(|| {
        let ((first, one), (second, two)) = (task(), task());
        let worker = thread::spawn(move || {
            first.run(&Owners::default(), &mut || ());
            second.run(&Owners::default(), &mut || ());
        });
        assert_eq!(super::as_completed([one, two]).count(), 2);
        worker.join().unwrap();
    });
}

#[test]
fn a_latch_wakes_who_waits_for_the_last() {
    explore(|| {
        let latch = StdArc::new(Latch::new(2));
        let other = {
            let latch = StdArc::clone(&latch);
            thread::spawn(move || latch.done())
        };
        latch.done();
        latch.wait();
        assert!(latch.is_done());
        other.join().unwrap();
    });
}

/// Two wake a coroutine, each for something of its own, while it is polled: one of its polls sees
/// both.
#[test]
fn no_wake_of_a_coroutine_is_lost() {
    explore(|| {
        let turn = StdArc::new(Turn::new());
        let line = StdArc::new(Mutex::new(0));
        let done = StdArc::new([(); 2].map(|()| loom::sync::atomic::AtomicBool::new(false)));
        let wake = |turn: &Turn, line: &Mutex<u32>| {
            if turn.wake() {
                *line.lock() += 1;
            }
        };
        wake(&turn, &line);
        let wakers = [0, 1].map(|which| {
            let (turn, line, done) = (turn.clone(), line.clone(), done.clone());
            thread::spawn(move || {
                done[which].store(true, Ordering::Relaxed);
                wake(&turn, &line);
            })
        });
        let poll = || {
            if std::mem::replace(&mut *line.lock(), 0) == 0 {
                return None;
            }
            turn.begin();
            let seen = [0, 1].map(|which| done[which].load(Ordering::Relaxed));
            if turn.rest() {
                let mut line = line.lock();
                *line += 1;
                assert_eq!(*line, 1, "it is in the line once");
            }
            Some(seen)
        };
        let mut last = poll();
        last = poll().or(last);
        for waker in wakers {
            waker.join().unwrap();
        }
        while let Some(seen) = poll() {
            last = Some(seen);
        }
        assert_eq!(last, Some([true, true]));
        assert!(turn.end() && !turn.end() && !turn.wake());
    });
}
