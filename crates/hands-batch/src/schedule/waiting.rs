//! What has been taken up, and waits for its next start.
//!
//! **Invariants:** at most one item that has never started is here, put off; each of the others has
//! a time from which it may be tried again, and is started in the order of these times.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Instant;

use super::PendingItem;

pub(super) struct WaitingItems<I> {
    /// To be tried again; from when, and which.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    retries: HashMap<u64, PendingItem<I>>,
    put_off: Option<PendingItem<I>>,
    /// Before this nothing is started.
    pub(super) not_before: Option<Instant>,
}

impl<I> Default for WaitingItems<I> {
    fn default() -> WaitingItems<I> {
        WaitingItems {
            due: BinaryHeap::new(),
            retries: HashMap::new(),
            put_off: None,
            not_before: None,
        }
    }
}

impl<I> WaitingItems<I> {
    pub(super) fn is_empty(&self) -> bool {
        self.put_off.is_none() && self.retries.is_empty()
    }

    /// How many are to be tried again.
    pub(super) fn retries(&self) -> usize {
        self.retries.len()
    }

    pub(super) fn is_retried(&self, number: u64) -> bool {
        self.retries.contains_key(&number)
    }

    pub(super) fn has_put_off(&self) -> bool {
        self.put_off.is_some()
    }

    /// When the first may be tried again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// It may be tried again from then on.
    pub(super) fn retry(&mut self, at: Instant, pending: PendingItem<I>) {
        self.due.push(Reverse((at, pending.number)));
        self.retries.insert(pending.number, pending);
    }

    /// It may not start yet.
    pub(super) fn hold_back(&mut self, pending: PendingItem<I>) {
        if pending.attempt == 1 {
            self.put_off = Some(pending);
        } else {
            self.retry(self.not_before.unwrap_or_else(Instant::now), pending);
        }
    }

    pub(super) fn take_put_off(&mut self) -> Option<PendingItem<I>> {
        self.put_off.take()
    }

    /// One that may be tried again by now.
    pub(super) fn take_due(&mut self) -> Option<PendingItem<I>> {
        let at = self.next_retry()?;
        if at > Instant::now() {
            return None;
        }
        let Reverse((_, number)) = self.due.pop()?;
        self.retries.remove(&number)
    }

    /// Nothing of it will be started.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = PendingItem<I>> {
        self.due.clear();
        let retries = std::mem::take(&mut self.retries);
        retries.into_values().chain(self.put_off.take())
    }
}
