//! The operations that can wait, as futures; their blocking forms wait on these.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::core::{Core, Refusal};
use super::error::{GetError, PutError};
use super::{Order, OrderedQueue};
use crate::sync::waiters::Ticket;

/// Puts an item as soon as there is room: what [`put_async`](OrderedQueue::put_async) returns.
///
/// # Cancel safety
///
/// The item is in the queue when the future has returned `Ok`, and in the future until then. One
/// that is dropped half-way has put nothing; [`into_item`](Self::into_item) gives the item back.
#[must_use = "futures do nothing unless awaited"]
pub struct Put<'a, T, O: Order<T>> {
    queue: &'a OrderedQueue<T, O>,
    item: Option<T>,
    ticket: Option<Ticket>,
}

impl<'a, T, O: Order<T>> Put<'a, T, O> {
    pub(super) fn new(queue: &'a OrderedQueue<T, O>, item: T) -> Put<'a, T, O> {
        Put {
            queue,
            item: Some(item),
            ticket: None,
        }
    }

    /// Gives up and takes the item back; `None` if it has been put.
    pub fn into_item(mut self) -> Option<T> {
        self.item.take()
    }

    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.queue.core.leave_space(ticket);
        }
    }
}

/// Nothing in it is pinned: the item moves out of it.
impl<T, O: Order<T>> Unpin for Put<'_, T, O> {}

impl<T, O: Order<T>> Future for Put<'_, T, O> {
    type Output = Result<(), PutError<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut item = this.item.take().expect("not polled after it was ready");
        loop {
            let result = match this.queue.core.try_put(item) {
                Ok(()) => Ok(()),
                Err((Refusal::ShutDown, item)) => Err(PutError::ShutDown(item)),
                Err((Refusal::Full, refused)) => {
                    let core = &this.queue.core;
                    if core.await_space(&mut this.ticket, context.waker()) {
                        this.item = Some(refused);
                        return Poll::Pending;
                    }
                    item = refused;
                    continue;
                }
            };
            this.leave();
            return Poll::Ready(result);
        }
    }
}

impl<T, O: Order<T>> Drop for Put<'_, T, O> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T, O: Order<T>> fmt::Debug for Put<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Put");
        shown.field("is_waiting", &self.ticket.is_some());
        shown.finish_non_exhaustive()
    }
}

/// Gets an item as soon as there is one: what [`get_async`](OrderedQueue::get_async) returns.
///
/// # Cancel safety
///
/// An item is in the queue until the future returns it. A future that is dropped half-way has taken
/// none, and if it had been woken for one, the next in the line is woken instead.
#[must_use = "futures do nothing unless awaited"]
pub struct Get<'a, T, O: Order<T>> {
    queue: &'a OrderedQueue<T, O>,
    ticket: Option<Ticket>,
}

impl<'a, T, O: Order<T>> Get<'a, T, O> {
    pub(super) fn new(queue: &'a OrderedQueue<T, O>) -> Get<'a, T, O> {
        Get {
            queue,
            ticket: None,
        }
    }

    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.queue.core.leave_item(ticket);
        }
    }
}

impl<T, O: Order<T>> Future for Get<'_, T, O> {
    type Output = Result<T, GetError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let core = &this.queue.core;
            let result = core.try_get();
            if matches!(result, Err(GetError::Empty)) {
                if core.await_item(&mut this.ticket, context.waker()) {
                    return Poll::Pending;
                }
                continue;
            }
            this.leave();
            return Poll::Ready(result);
        }
    }
}

impl<T, O: Order<T>> Drop for Get<'_, T, O> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T, O: Order<T>> fmt::Debug for Get<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Get");
        shown.field("is_waiting", &self.ticket.is_some());
        shown.finish_non_exhaustive()
    }
}

/// Waits until all items are done: what [`join_async`](OrderedQueue::join_async) returns.
///
/// # Cancel safety
///
/// Dropping it changes nothing for others.
#[must_use = "futures do nothing unless awaited"]
pub struct Join<'a, T, O: Order<T>> {
    queue: &'a OrderedQueue<T, O>,
    ticket: Option<Ticket>,
}

impl<'a, T, O: Order<T>> Join<'a, T, O> {
    pub(super) fn new(queue: &'a OrderedQueue<T, O>) -> Join<'a, T, O> {
        Join {
            queue,
            ticket: None,
        }
    }
}

impl<T, O: Order<T>> Future for Join<'_, T, O> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let queue = this.queue;
        let put = || queue.core.put_so_far();
        match queue.ledger.join(&mut this.ticket, context.waker(), put) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl<T, O: Order<T>> Drop for Join<'_, T, O> {
    fn drop(&mut self) {
        self.queue.ledger.leave(&mut self.ticket);
    }
}

impl<T, O: Order<T>> fmt::Debug for Join<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Join");
        shown.field("is_waiting", &self.ticket.is_some());
        shown.finish_non_exhaustive()
    }
}
