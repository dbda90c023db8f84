//! Waiting until a number of things have been done.

use std::future::poll_fn;
use std::task::Poll;

use super::blocking::{self, GaveUp};
use crate::foreign::wake_each;
use crate::primitive::{AtomicU64, Mutex, Ordering};
use crate::sync::park;
use crate::sync::waiters::{Waiters, in_line};

/// Counts down to the moment when all is done. Who counts up holds one count itself, so it never
/// rises from zero.
#[derive(Debug)]
pub(crate) struct Latch {
    left: AtomicU64,
    waiters: Mutex<Waiters>,
}

impl Latch {
    pub(crate) fn new(left: u64) -> Latch {
        Latch {
            left: AtomicU64::new(left),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    pub(crate) fn add_one(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn done(&self) {
        // Release: who sees zero sees all that was done. Acquire: the last one passes on what the
        // others did.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let woken = self.waiters.lock().all();
            wake_each(woken);
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }

    /// Waits for zero; a worker steps aside meanwhile, if it can.
    pub(crate) fn wait(&self) {
        let mut ticket = None;
        let mut waiting = poll_fn(|context| {
            in_line(context.waker(), |caller| {
                let mut waiters = self.waiters.lock();
                if self.is_done() {
                    return Some(Poll::Ready(()));
                }
                waiters.enlist(&mut ticket, caller, ())
            })
        });
        if let Err(GaveUp::AtBound(_)) = blocking::block_on(&mut waiting, None, None, || ()) {
            park::wait(waiting);
        }
    }
}
