//! Waiting until a number of things have been done.

use std::future::poll_fn;
use std::task::{Poll, Waker};

use super::help;
use crate::primitive::{AtomicU64, Mutex, Ordering};
use crate::sync::waiters::Waiters;

/// Counts down to the moment when all is done. Who counts up holds one count itself, so it never rises from zero.
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
        // Release: who sees zero sees all that was done. Acquire: the last one passes on what the others did.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let woken = self.waiters.lock().all();
            woken.into_iter().for_each(Waker::wake);
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }

    /// Waits for zero; a worker helps meanwhile.
    pub(crate) fn wait(&self) {
        let mut ticket = None;
        let waiting = poll_fn(|context| {
            let mut waiters = self.waiters.lock();
            if self.is_done() {
                return Poll::Ready(());
            }
            waiters.enlist(&mut ticket, context.waker(), ());
            Poll::Pending
        });
        // Without a deadline it ends with zero.
        let _ = help::block_on(waiting, None);
    }
}
