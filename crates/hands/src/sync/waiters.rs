//! A line of waiters, threads and coroutines alike, behind some lock of its owner.
//!
//! # Protocol
//!
//! - A waiter enlists under the owner's lock, after it has seen under that lock that it must wait. So nothing can happen in
//!   between, and no wake-up is lost.
//! - Whoever makes something happen takes the first of the line out, under the lock, and wakes it after the unlock.
//! - A woken waiter looks again. If somebody was quicker, it enlists once more *with its old ticket*, and so at its old
//!   place.
//! - A waiter that leaves (it was served, gave up, or its future was dropped) takes its ticket out. If the ticket is no
//!   longer there it has been woken for something it might not take: it passes that on to the next. This is what makes
//!   dropping a future safe.

use std::collections::VecDeque;
use std::task::Waker;

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
        Waiters {
            line: VecDeque::new(),
            next: 0,
        }
    }
}

impl<W> Waiters<W> {
    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Enlists, or notes the waker of somebody who is in the line already.
    pub(crate) fn enlist(&mut self, ticket: &mut Option<Ticket>, waker: &Waker, wants: W) {
        let ticket = *ticket.get_or_insert_with(|| {
            self.next += 1;
            Ticket(self.next)
        });
        match self.place(ticket) {
            Ok(at) => self.line[at].waker.clone_from(waker),
            Err(at) => self.line.insert(
                at,
                Waiter {
                    ticket,
                    waker: waker.clone(),
                    wants,
                },
            ),
        }
    }

    pub(crate) fn contains(&self, ticket: Ticket) -> bool {
        self.place(ticket).is_ok()
    }

    /// What the first of the line wants.
    pub(crate) fn first_wants(&self) -> Option<&W> {
        self.line.front().map(|waiter| &waiter.wants)
    }

    /// Takes the first out, to be woken.
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

    /// Takes somebody out who waits no longer. False: that one has been woken before.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> bool {
        match self.place(ticket) {
            Ok(at) => self.line.remove(at).is_some(),
            Err(_) => false,
        }
    }

    fn place(&self, ticket: Ticket) -> Result<usize, usize> {
        // Whoever is new goes to the end, and the first leave first.
        match self.line.back() {
            Some(last) if last.ticket < ticket => Err(self.line.len()),
            None => Err(0),
            _ => self
                .line
                .binary_search_by_key(&ticket, |waiter| waiter.ticket),
        }
    }
}
