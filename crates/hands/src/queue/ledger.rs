//! `task_done` and `join`: how many of the items that were put have been worked on.
//!
//! # Protocol
//!
//! One word holds the number of finished items, shifted left by one, and in its lowest bit whether
//! somebody is joining. Finishing an item is one compare-and-swap on that word, which therefore
//! cannot overlook a joiner; only with a joiner there does it look at the number of items put and
//! at the line of joiners.
//!
//! `finished <= put` always: an item is counted as put before anybody can get it. So when a reader
//! finds `finished` (read first) equal to `put` (read later), they were equal at the moment of the
//! first read.

use std::task::{Poll, Waker};

use super::error::TaskDoneError;
use crate::foreign::{dispose, wake_each};
use crate::primitive::{AtomicU64, Mutex, Ordering};
use crate::sync::waiters::{Ticket, Waiters, in_line};

const JOINING: u64 = 1;
const ONE: u64 = 2;

#[derive(Debug, Default)]
pub(crate) struct TaskLedger {
    /// Finished items × 2, and [`JOINING`].
    finished: AtomicU64,
    /// A number of items that have been put for certain: saves a look at the producers' cache line.
    put_seen: AtomicU64,
    joiners: Mutex<Waiters>,
}

impl TaskLedger {
    #[cfg(not(hands_loom))]
    pub(crate) const fn new() -> TaskLedger {
        TaskLedger {
            finished: AtomicU64::new(0),
            put_seen: AtomicU64::new(0),
            joiners: Mutex::new(Waiters::new()),
        }
    }

    /// Counts one item as finished. `put` tells how many have been put by now.
    pub(crate) fn finish_one(&self, put: impl Fn() -> u64) -> Result<(), TaskDoneError> {
        // Acquire, with the release below: a thread that sees somebody's finish sees what was put
        // before it, too.
        let mut word = self.finished.load(Ordering::Acquire);
        loop {
            let finished = word / ONE;
            if finished >= self.put_seen.load(Ordering::Relaxed) {
                let put = put();
                if finished >= put {
                    return Err(TaskDoneError);
                }
                self.put_seen.store(put, Ordering::Relaxed);
            }
            match self.finished.compare_exchange_weak(
                word,
                word + ONE,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        // A thread that finishes the last item sees here that it is the last: `finished` and `put`
        // were equal then.
        if word & JOINING != 0 && word / ONE + 1 == put() {
            self.settle(put);
        }
        Ok(())
    }

    /// Counts `items` that were thrown away as finished.
    pub(crate) fn discard(&self, items: u64, put: impl Fn() -> u64) {
        let word = self.finished.fetch_add(items * ONE, Ordering::AcqRel);
        if word & JOINING != 0 {
            self.settle(put);
        }
    }

    /// Items that were put and are not finished.
    pub(crate) fn unfinished(&self, put: impl Fn() -> u64) -> u64 {
        let finished = self.finished.load(Ordering::Acquire) / ONE;
        put().saturating_sub(finished)
    }

    /// True if nothing is unfinished; else enlists.
    pub(crate) fn join(
        &self,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
        put: impl Fn() -> u64,
    ) -> bool {
        if self.unfinished(&put) == 0 {
            self.leave(ticket);
            return true;
        }
        let polled = in_line(waker, |caller| {
            let mut joiners = self.joiners.lock();
            let _pending: Poll<()> = joiners.enlist(ticket, caller, ())?;
            // From here on every finish sees the bit; whatever came before is seen here.
            let finished = self.finished.fetch_or(JOINING, Ordering::AcqRel) / ONE;
            Some(match finished == put() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
        });
        if polled.is_ready() {
            self.leave(ticket);
        }
        polled.is_ready()
    }

    pub(crate) fn leave(&self, ticket: &mut Option<Ticket>) {
        let Some(ticket) = ticket.take() else {
            return;
        };
        let mut joiners = self.joiners.lock();
        let left = joiners.leave(ticket);
        if joiners.is_empty() {
            self.finished.fetch_and(!JOINING, Ordering::Relaxed);
        }
        drop(joiners);
        dispose(left);
    }

    /// Wakes the joiners if all is done.
    fn settle(&self, put: impl Fn() -> u64) {
        let mut joiners = self.joiners.lock();
        let finished = self.finished.load(Ordering::Acquire) / ONE;
        if finished != put() {
            return;
        }
        let woken = joiners.all();
        self.finished.fetch_and(!JOINING, Ordering::Relaxed);
        drop(joiners);
        wake_each(woken);
    }
}
