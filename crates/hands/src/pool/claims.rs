//! How many workers are after the tasks of a scope.
//!
//! # Protocol
//!
//! A thread that puts a task on the list looks then whether there are fewer claims than workers,
//! and if so adds one. A thread that has a claim and finds the list empty takes it back, and then
//! looks at the list once more. All threads agree on the order of these four steps (each pair has a
//! fence between), so one of the two sees the other: no task stays on the list without a claim.

use crate::primitive::{AtomicUsize, Ordering, Padded, fence};

#[derive(Default)]
pub(super) struct Claims(Padded<AtomicUsize>);

impl Claims {
    /// Something is on the list. True: it has one more claim, which the caller is to put.
    pub(super) fn add(&self, workers: usize) -> bool {
        fence(Ordering::SeqCst);
        self.count(workers)
    }

    /// The list was found empty by the holder of a claim, which it gives back. True: it has it
    /// again, as something has come meanwhile.
    pub(super) fn give_back(&self, workers: usize, is_empty: impl FnOnce() -> bool) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        !is_empty() && self.count(workers)
    }

    /// A claim was refused. True: it was the last, so nobody else comes for what is on the list.
    pub(super) fn refuse(&self) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst) == 1
    }

    fn count(&self, workers: usize) -> bool {
        if self.0.load(Ordering::SeqCst) >= workers {
            return false;
        }
        let more = |claims| (claims < workers).then_some(claims + 1);
        let (set, got) = (Ordering::SeqCst, Ordering::SeqCst);
        self.0.fetch_update(set, got, more).is_ok()
    }
}
