//! When a sleeping worker is woken for work that was split.
//!
//! # Protocol
//!
//! - `offers` counts the stacks with halves on them; it changes under the lock of the stack in
//!   question, and only when that gets its first half or loses its last, so that workers who split
//!   deeply do not fight over it.
//! - A thread that splits puts the half on its stack, counts it if it is the first
//!   ([`offer`](Calls::offer)), and then looks whether somebody sleeps ([`calls`](Calls::calls)). A
//!   worker says that it sleeps ([`doze`](Calls::doze)) before it looks whether there are halves.
//!   All threads agree on the order of these four, so one of the two sees the other: no half stays
//!   unseen while a worker sleeps.
//! - One call at a time: while a thief is on its way, nobody is woken. It [answers](Calls::answer)
//!   before it looks, so what was split before the answer is seen by it; and it calls the next if
//!   it leaves something.
//! - A half that is not the first of its stack need not be seen by who goes to sleep: the first
//!   was, or a thread that was called for that calls the next.

use crate::primitive::{AtomicBool, AtomicUsize, Ordering, Padded};

#[derive(Default)]
pub(super) struct Calls {
    offers: Padded<AtomicUsize>,
    /// Workers that sleep, or are about to: somebody to wake.
    asleep: Padded<AtomicUsize>,
    /// A thief is on its way.
    called: Padded<AtomicBool>,
}

impl Calls {
    /// An empty stack gets a half.
    pub(super) fn offer(&self) {
        self.offers.fetch_add(1, Ordering::SeqCst);
    }

    /// A stack has lost its last half.
    pub(super) fn withdraw(&self) {
        self.offers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether there is nothing to steal.
    pub(super) fn seem_empty(&self) -> bool {
        self.offers.load(Ordering::SeqCst) == 0
    }

    /// Until the end of what is returned the caller sleeps, if it finds no reason not to.
    pub(super) fn doze(&self) -> Doze<'_> {
        self.asleep.fetch_add(1, Ordering::SeqCst);
        Doze(self)
    }

    /// Whether the caller, who has offered something, is to wake a worker.
    pub(super) fn calls(&self) -> bool {
        self.asleep.load(Ordering::SeqCst) > 0 && !self.called.swap(true, Ordering::SeqCst)
    }

    /// For who was woken: what is split from now on needs another call.
    pub(super) fn answer(&self) {
        // Not a store: what a thread that saw it set had split before is to be seen here.
        self.called.swap(false, Ordering::SeqCst);
    }
}

/// A worker that sleeps.
pub(super) struct Doze<'a>(&'a Calls);

impl Drop for Doze<'_> {
    fn drop(&mut self) {
        self.0.asleep.fetch_sub(1, Ordering::SeqCst);
    }
}
