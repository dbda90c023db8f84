//! A line of waiters, threads and coroutines alike, guarded by a lock of its owner.
//!
//! # Protocol
//!
//! - A waiter enlists under the owner's lock, after it has seen under that lock that it must wait.
//!   So nothing can happen in between, and no wake-up is lost.
//! - A thread that makes something happen takes the first of the line out, under the lock, and
//!   wakes it after the unlock.
//! - A woken waiter looks again. If somebody was quicker, it enlists once more *with its old
//!   ticket*, and so at its old place.
//! - A waiter that leaves (it was served, gave up, or its future was dropped) takes its ticket out.
//!   If the ticket is no longer there it has been woken for something it might not take: it passes
//!   that on to the next. This is what makes dropping a future safe.
//! - A waker is foreign code. It is cloned before the lock is taken ([`in_line`]), and woken or
//!   dropped after it is released.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use crate::foreign::dispose;

/// A place in the line. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

#[derive(Debug)]
struct Waiter<W> {
    ticket: Ticket,
    waker: Waker,
    wants: W,
}

/// The line, in the order of tickets; `W` is what each waiter wants.
#[derive(Debug)]
pub(crate) struct Waiters<W = ()> {
    line: VecDeque<Waiter<W>>,
    next: u64,
}

impl<W> Default for Waiters<W> {
    fn default() -> Waiters<W> {
        Waiters::new()
    }
}

/// The waker of someone who may have to enlist, and a clone of it once that is needed.
#[derive(Debug)]
pub(crate) struct Caller<'a> {
    waker: &'a Waker,
    /// Made while no lock is held. After enlisting: the waker that was replaced, if one was.
    clone: Option<Waker>,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(waker: &'a Waker) -> Caller<'a> {
        Caller { waker, clone: None }
    }

    /// Clones the waker, which is foreign code: to be called without a lock.
    pub(crate) fn prepare(&mut self) {
        if self.clone.is_none() {
            self.clone = Some(self.waker.clone());
        }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if let Some(clone) = self.clone.take() {
            dispose(clone);
        }
    }
}

/// [`in_line`] for a caller that has just looked in vain, and so will have to enlist: the waker is
/// cloned at once.
#[inline]
pub(crate) fn join_line<T>(
    waker: &Waker,
    look: impl FnOnce(&mut Caller<'_>) -> Option<Poll<T>>,
) -> Poll<T> {
    let mut caller = Caller::new(waker);
    caller.prepare();
    look(&mut caller).unwrap_or(Poll::Pending)
}

/// Calls `look`, which takes the lock and returns what it has found, or what [`Waiters::enlist`]
/// returns. That is `None` when the waker must be cloned first: then it is, without the lock, and
/// `look` is called again.
#[inline]
pub(crate) fn in_line<T>(
    waker: &Waker,
    mut look: impl FnMut(&mut Caller<'_>) -> Option<Poll<T>>,
) -> Poll<T> {
    let mut caller = Caller::new(waker);
    loop {
        if let Some(polled) = look(&mut caller) {
            return polled;
        }
        caller.prepare();
    }
}

impl<W> Waiters<W> {
    pub(crate) const fn new() -> Waiters<W> {
        Waiters {
            line: VecDeque::new(),
            next: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Enlists, or notes the waker of a caller that is in the line already. `None`: nothing was
    /// done, as the waker is to be [cloned](Caller::prepare) first.
    #[must_use]
    pub(crate) fn enlist<T>(
        &mut self,
        ticket: &mut Option<Ticket>,
        caller: &mut Caller<'_>,
        wants: W,
    ) -> Option<Poll<T>> {
        let place = ticket.map(|ticket| self.place(ticket));
        if let Some(Ok(at)) = place {
            let known = &mut self.line[at].waker;
            if !known.will_wake(caller.waker) {
                let clone = caller.clone.take()?;
                // The one that was there is dropped with the caller.
                caller.clone = Some(std::mem::replace(known, clone));
            }
            return Some(Poll::Pending);
        }
        let waker = caller.clone.take()?;
        let ticket = *ticket.get_or_insert_with(|| {
            self.next += 1;
            Ticket(self.next)
        });
        let at = match place {
            Some(Err(at)) => at,
            _ => self.line.len(),
        };
        self.line.insert(
            at,
            Waiter {
                ticket,
                waker,
                wants,
            },
        );
        Some(Poll::Pending)
    }

    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        self.place(ticket).is_ok()
    }

    /// What the first of the line wants.
    pub(crate) fn first_wants(&self) -> Option<&W> {
        self.line.front().map(|waiter| &waiter.wants)
    }

    /// Takes the first out, to be woken.
    #[inline]
    pub(crate) fn first(&mut self) -> Option<Waker> {
        // Nearly always empty, and asked for with each item that passes through a queue.
        if self.line.is_empty() {
            return None;
        }
        self.line.pop_front().map(|waiter| waiter.waker)
    }

    /// Takes all out, to be woken.
    pub(crate) fn all(&mut self) -> Vec<Waker> {
        self.line.drain(..).map(|waiter| waiter.waker).collect()
    }

    /// Takes a waiter out that waits no longer; its waker is to be [disposed](dispose) of after the
    /// unlock. `None`: it has been woken before.
    #[must_use]
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let at = self.place(ticket).ok()?;
        self.line.remove(at).map(|waiter| waiter.waker)
    }

    fn place(&self, ticket: Ticket) -> Result<usize, usize> {
        // A thread that is new goes to the end, and the first leave first.
        match self.line.back() {
            Some(last) if last.ticket < ticket => Err(self.line.len()),
            None => Err(0),
            _ => self
                .line
                .binary_search_by_key(&ticket, |waiter| waiter.ticket),
        }
    }
}
