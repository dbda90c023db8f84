//! What an order of handing out must be able to do; the waiting, the time-outs and the counting are
//! built on it.

use std::task::Waker;

use super::error::GetError;
use crate::sync::waiters::Ticket;

/// How a queue is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Nothing more can be put; what is in the queue can still be got.
    Drain,
    /// Nothing more can be put, and what is in the queue is discarded. The discarded items count as
    /// done.
    Now,
}

/// Why an item was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Full,
    ShutDown,
}

/// Items between those who put and those who get.
///
/// A put wakes one who awaits an item, a get one who awaits space, a shutdown wakes all. See
/// [`waiters`](crate::sync::waiters) for how no wake-up is lost.
pub trait Core<T> {
    #[doc(hidden)]
    fn with_capacity(capacity: Option<usize>) -> Self;
    #[doc(hidden)]
    fn capacity(&self) -> Option<usize>;
    #[doc(hidden)]
    fn try_put(&self, item: T) -> Result<(), (Refusal, T)>;
    /// Takes up to `most` items that are there, and appends them.
    #[doc(hidden)]
    fn get_ready(&self, most: usize, items: &mut Vec<T>) {
        while items.len() < most
            && let Ok(item) = self.try_get()
        {
            items.push(item);
        }
    }
    /// [`GetError::Empty`] or [`GetError::ShutDown`]. The caller's own result, so that large items
    /// are not moved twice.
    #[doc(hidden)]
    fn try_get(&self) -> Result<T, GetError>;
    /// Enlists the waker for space. False: there is space, or there will never be any.
    #[doc(hidden)]
    fn await_space(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> bool;
    /// Enlists the waker for an item. False: there is one, or there will never be one.
    #[doc(hidden)]
    fn await_item(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> bool;
    #[doc(hidden)]
    fn leave_space(&self, ticket: Ticket);
    #[doc(hidden)]
    fn leave_item(&self, ticket: Ticket);
    #[doc(hidden)]
    fn len(&self) -> usize;
    /// Items put so far.
    #[doc(hidden)]
    fn put_so_far(&self) -> u64;
    /// Returns the items that were discarded.
    #[doc(hidden)]
    fn shut_down(&self, how: Shutdown) -> Vec<T>;
    #[doc(hidden)]
    fn is_shut_down(&self) -> bool;
}
