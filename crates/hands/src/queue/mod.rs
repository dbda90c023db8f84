//! Queues between producers and consumers: first in first out, last in first out, lowest first.
//!
//! ```
//! use std::thread;
//! use hands::queue::{Queue, Shutdown};
//!
//! let queue = Queue::bounded(16);
//! let sum = thread::scope(|scope| {
//!     let consumer = scope.spawn(|| {
//!         // Ends when the queue has been shut down and is empty.
//!         queue.iter().map(|n: u64| { queue.task_done().unwrap(); n }).sum::<u64>()
//!     });
//!     for n in 1..=100 {
//!         queue.put(n).unwrap(); // waits while there are 16
//!     }
//!     queue.join(); // all 100 are done
//!     queue.shutdown(Shutdown::Drain);
//!     consumer.join().unwrap()
//! });
//! assert_eq!(sum, 5050);
//! ```
//!
//! # Promises
//!
//! - An item that was put is got exactly once, or discarded by [`Shutdown::Now`], or dropped with
//!   the queue. Nothing is lost when a wait times out or its future is dropped half-way.
//! - Nothing waits for ever that need not: a shutdown wakes everybody, and each wait has a form
//!   with a time-out.
//! - Threads and coroutines may wait for the same queue, on any runtime. They are served in the
//!   order in which they came, except that one who comes just when an item does may be quicker than
//!   one who has yet to wake up.
//! - What producers have put is got in their order ([`Queue`]), and seen by who gets it: a put
//!   *happens before* its get.
//!
//! # Which one
//!
//! [`Queue`] unless there is a reason: it is also the fastest, with a lock at each end.
//! [`LifoQueue`] gets what is still warm in the cache first. [`PriorityQueue`] gets the lowest
//! first, and among equals the one put first; [`Prioritized`] gives a priority to items that have
//! no order of their own.
//!
//! A capacity of 0 is refused: such a queue could never hold what `put` has promised to keep, and
//! `task_done` would have nothing to count. To hand an item over and wait until it is done, put it
//! and [`join`](OrderedQueue::join).
//!
//! The functions that take a [`WorkQueue`] run on any of them, and on the queues between processes
//! and machines.
#![forbid(unsafe_code)]

pub(crate) mod core;
mod error;
mod fifo;
mod future;
mod ledger;
#[cfg(all(test, hands_loom))]
mod model;
mod patience;
mod pile;
mod prioritized;
mod work_queue;

use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::thread;
use std::time::{Duration, Instant};

pub use self::core::Shutdown;
use self::core::{Core, Refusal};
pub use self::error::{GetError, PutError, TaskDoneError};
use self::fifo::FifoCore;
pub use self::future::{Get, Join, Put};
use self::ledger::TaskLedger;
use self::patience::Patience;
use self::pile::{Heap, PileCore};
pub use self::prioritized::Prioritized;
pub use self::work_queue::WorkQueue;
use crate::foreign::dispose_each;
use crate::primitive::Padded;
use crate::sync::park::{TimedOut, block_on, deadline, wait};

/// First in, first out.
#[doc(alias("channel", "mpmc"))]
pub type Queue<T> = OrderedQueue<T, Fifo>;

/// Last in, first out.
pub type LifoQueue<T> = OrderedQueue<T, Lifo>;

/// Lowest first; among equals, first in, first out.
///
/// `T`'s order must be a total one, and comparing must neither panic nor use the queue: it happens
/// inside its lock.
///
/// ```
/// use hands::queue::PriorityQueue;
///
/// let queue = PriorityQueue::unbounded();
/// for word in ["pear", "fig", "apple"] {
///     queue.put(word)?;
/// }
/// assert_eq!(queue.get(), Ok("apple"));
/// # Ok::<(), hands::queue::PutError<&str>>(())
/// ```
pub type PriorityQueue<T> = OrderedQueue<T, Priority>;

/// The order of [`Queue`].
#[derive(Debug)]
pub enum Fifo {}

/// The order of [`LifoQueue`].
#[derive(Debug)]
pub enum Lifo {}

/// The order of [`PriorityQueue`].
#[derive(Debug)]
pub enum Priority {}

/// In which order items are handed out: [`Fifo`], [`Lifo`] or [`Priority`].
pub trait Order<T>: sealed::Sealed {
    #[doc(hidden)]
    type Core: Core<T>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Fifo {}
    impl Sealed for super::Lifo {}
    impl Sealed for super::Priority {}
}

impl<T> Order<T> for Fifo {
    type Core = FifoCore<T>;
}

impl<T> Order<T> for Lifo {
    type Core = PileCore<Vec<T>>;
}

impl<T: Ord> Order<T> for Priority {
    type Core = PileCore<Heap<T>>;
}

/// What [`Queue`], [`LifoQueue`] and [`PriorityQueue`] have in common, which is all but their
/// order.
///
/// A queue is shared by reference (`thread::scope`) or in an `Arc`.
pub struct OrderedQueue<T, O: Order<T>> {
    core: O::Core,
    ledger: Padded<TaskLedger>,
    patience: Patience,
    order: PhantomData<fn() -> (T, O)>,
}

impl<T, O: Order<T>> OrderedQueue<T, O> {
    /// A queue with room for `capacity` items; a put waits while the queue is full.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn bounded(capacity: usize) -> OrderedQueue<T, O> {
        assert!(
            capacity > 0,
            "a queue with room for 0 items could hold none; use a capacity of at least 1, or `unbounded`"
        );
        OrderedQueue::new(Some(capacity))
    }

    fn new(capacity: Option<usize>) -> OrderedQueue<T, O> {
        OrderedQueue {
            core: O::Core::with_capacity(capacity),
            ledger: Padded::default(),
            patience: Patience::default(),
            order: PhantomData,
        }
    }

    /// Puts an item; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`], with the item.
    #[inline]
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        match self.try_put(item) {
            Err(PutError::Full(item)) => self.put_into_full(item),
            result => result,
        }
    }

    fn put_into_full(&self, mut item: T) -> Result<(), PutError<T>> {
        for _ in 0..self.patience.yields(self.core.put_so_far()) {
            thread::yield_now();
            match self.try_put(item) {
                Err(PutError::Full(back)) => item = back,
                result => return result,
            }
        }
        wait(self.put_async(item))
    }

    /// Puts an item if there is room.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`] or [`PutError::ShutDown`], with the item.
    #[inline]
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.core.try_put(item).map_err(|(why, item)| match why {
            Refusal::Full => PutError::Full(item),
            Refusal::ShutDown => PutError::ShutDown(item),
        })
    }

    /// Puts an item; waits for room no longer than `timeout`. Zero does not wait at all, and a time
    /// beyond what the clock can say is for ever.
    ///
    /// # Errors
    ///
    /// [`PutError::TimedOut`] or [`PutError::ShutDown`], with the item.
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        let item = match self.try_put(item) {
            Err(PutError::Full(item)) => item,
            result => return result,
        };
        let mut put = self.put_async(item);
        match block_on(&mut put, deadline(timeout)) {
            Ok(result) => result,
            Err(TimedOut) => match put.into_item() {
                Some(item) => Err(PutError::TimedOut(item)),
                None => unreachable!("a put that is not ready has its item"),
            },
        }
    }

    /// Puts an item; the task waits while the queue is full. See [`Put`] for cancel safety.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`], with the item.
    pub fn put_async(&self, item: T) -> Put<'_, T, O> {
        Put::new(self, item)
    }

    /// Gets an item; waits while the queue is empty.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`], once the queue has been shut down and is empty.
    #[inline]
    pub fn get(&self) -> Result<T, GetError> {
        let result = self.core.try_get();
        if matches!(result, Err(GetError::Empty)) {
            return wait(self.get_async());
        }
        result
    }

    /// Gets an item if there is one.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`] or [`GetError::ShutDown`].
    #[inline]
    pub fn try_get(&self) -> Result<T, GetError> {
        self.core.try_get()
    }

    /// Gets an item; waits for one no longer than `timeout`. Zero does not wait at all, and a time
    /// beyond what the clock can say is for ever.
    ///
    /// # Errors
    ///
    /// [`GetError::TimedOut`] or [`GetError::ShutDown`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        match self.try_get() {
            Err(GetError::Empty) => {
                block_on(self.get_async(), deadline(timeout)).unwrap_or(Err(GetError::TimedOut))
            }
            result => result,
        }
    }

    /// [`get_timeout`](Self::get_timeout) until a moment.
    ///
    /// # Errors
    ///
    /// [`GetError::TimedOut`] or [`GetError::ShutDown`].
    pub fn get_deadline(&self, deadline: Instant) -> Result<T, GetError> {
        match self.try_get() {
            Err(GetError::Empty) => {
                block_on(self.get_async(), Some(deadline)).unwrap_or(Err(GetError::TimedOut))
            }
            result => result,
        }
    }

    /// [`put_timeout`](Self::put_timeout) until a moment.
    ///
    /// # Errors
    ///
    /// [`PutError::TimedOut`] or [`PutError::ShutDown`], with the item.
    pub fn put_deadline(&self, item: T, deadline: Instant) -> Result<(), PutError<T>> {
        self.put_timeout(item, deadline.saturating_duration_since(Instant::now()))
    }

    /// Gets up to `most` items at once: waits for the first, and takes what else is there.
    ///
    /// ```
    /// let queue: hands::queue::Queue<u32> = (0..5).collect();
    /// assert_eq!(queue.get_many(3)?, [0, 1, 2]);
    /// assert_eq!(queue.get_many(3)?, [3, 4]);
    /// # Ok::<(), hands::queue::GetError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`], once the queue has been shut down and is empty.
    pub fn get_many(&self, most: usize) -> Result<Vec<T>, GetError> {
        let mut items = Vec::new();
        if most > 0 {
            items.push(self.get()?);
            self.core.get_ready(most, &mut items);
        }
        Ok(items)
    }

    /// Gets the items that are there, and waits for none.
    pub fn try_iter(&self) -> TryIter<'_, T, O> {
        TryIter { queue: self }
    }

    /// Gets items as a `Stream`, waiting for each, until the queue has been shut down and is empty.
    /// Dropped between two items it has taken none.
    #[cfg(feature = "async")]
    pub fn stream(&self) -> Stream<'_, T, O> {
        Stream {
            get: self.get_async(),
        }
    }

    /// Gets an item; the task waits while the queue is empty. See [`Get`] for cancel safety.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`], once the queue has been shut down and is empty.
    pub fn get_async(&self) -> Get<'_, T, O> {
        Get::new(self)
    }

    /// Gets items, waiting for each, until the queue has been shut down and is empty.
    pub fn iter(&self) -> Iter<'_, T, O> {
        Iter { queue: self }
    }

    /// How many items are in the queue. Others may put and get meanwhile: a figure to show, not to
    /// decide by.
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Whether nothing is in the queue, for as long as nobody puts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items have been put in all.
    pub(crate) fn put_so_far(&self) -> u64 {
        self.core.put_so_far()
    }

    /// Whether a put would wait, for as long as nobody gets.
    pub fn is_full(&self) -> bool {
        self.capacity()
            .is_some_and(|capacity| self.len() >= capacity)
    }

    /// How many items have room; `None` if there is no bound.
    pub fn capacity(&self) -> Option<usize> {
        self.core.capacity()
    }

    /// Says that an item that was got has been worked on. A thread that calls [`join`](Self::join)
    /// counts on one call for each.
    ///
    /// # Errors
    ///
    /// [`TaskDoneError`] if there were more calls than items put.
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        self.ledger.finish_one(|| self.core.put_so_far())
    }

    /// How many items have been put and not been [done](Self::task_done).
    pub fn unfinished(&self) -> u64 {
        self.ledger.unfinished(|| self.core.put_so_far())
    }

    /// Waits until each item that was put has been [done](Self::task_done), those that are put
    /// meanwhile included.
    pub fn join(&self) {
        wait(self.join_async());
    }

    /// [`join`](Self::join) for no longer than `timeout`; says whether all was done.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        block_on(self.join_async(), deadline(timeout)).is_ok()
    }

    /// [`join`](Self::join) for a coroutine.
    pub fn join_async(&self) -> Join<'_, T, O> {
        Join::new(self)
    }

    /// Shuts the queue down, and wakes everybody who waits to put or to get. Puts fail from now on;
    /// gets go on until the queue is empty with [`Shutdown::Drain`], and fail at once with
    /// [`Shutdown::Now`], which may follow the former.
    ///
    /// [`join`](Self::join) still waits for what has been got and is not done. What is discarded
    /// counts as done.
    pub fn shutdown(&self, how: Shutdown) {
        let discarded = self.core.shut_down(how);
        let count = discarded.len() as u64;
        dispose_each(discarded);
        self.ledger.discard(count, || self.core.put_so_far());
    }

    /// Whether the queue has been shut down.
    pub fn is_shut_down(&self) -> bool {
        self.core.is_shut_down()
    }
}

#[cfg(not(hands_loom))]
macro_rules! unbounded {
    ($order:ty, $item:ident: $($bound:path)?, $core:expr) => {
        impl<$item: $($bound)?> OrderedQueue<$item, $order> {
            /// A queue that takes in whatever comes, until memory ends. With a producer that is
            /// quicker than the consumers, it will: prefer [`bounded`](Self::bounded). It may be a
            /// `static`.
            ///
            /// ```
            /// static LINES: hands::queue::Queue<String> = hands::queue::Queue::unbounded();
            /// assert!(LINES.is_empty());
            /// ```
            pub const fn unbounded() -> Self {
                OrderedQueue {
                    core: $core,
                    ledger: Padded(TaskLedger::new()),
                    patience: Patience::new(),
                    order: PhantomData,
                }
            }
        }
    };
}

#[cfg(not(hands_loom))]
unbounded!(Fifo, T:, FifoCore::unbounded());
#[cfg(not(hands_loom))]
unbounded!(Lifo, T:, PileCore::unbounded(Vec::new()));
#[cfg(not(hands_loom))]
unbounded!(Priority, T: Ord, PileCore::unbounded(Heap::new()));

#[cfg(hands_loom)]
impl<T, O: Order<T>> OrderedQueue<T, O> {
    pub(crate) fn unbounded() -> OrderedQueue<T, O> {
        OrderedQueue::new(None)
    }
}

/// One without a bound.
impl<T, O: Order<T>> Default for OrderedQueue<T, O> {
    fn default() -> OrderedQueue<T, O> {
        OrderedQueue::new(None)
    }
}

/// One without a bound, with these items in it.
impl<T, O: Order<T>> FromIterator<T> for OrderedQueue<T, O> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> OrderedQueue<T, O> {
        let queue = OrderedQueue::default();
        for item in items {
            // It is open, and has no bound.
            let _ = queue.try_put(item);
        }
        queue
    }
}

// A panic leaves a queue as it was: items and waiters are moved in one step.
impl<T, O: Order<T>> std::panic::UnwindSafe for OrderedQueue<T, O> {}
impl<T, O: Order<T>> std::panic::RefUnwindSafe for OrderedQueue<T, O> {}

impl<T> OrderedQueue<T, Fifo> {
    /// Takes the items out that are not to be kept, and counts them as done; returns how many.
    /// `keeps` runs under the queue's locks.
    pub(crate) fn sweep(&self, keeps: impl FnMut(&T) -> bool) -> usize {
        let swept = self.core.sweep(keeps);
        let count = swept.len();
        dispose_each(swept);
        self.ledger.discard(count as u64, || self.core.put_so_far());
        count
    }

    /// [`is_empty`](Self::is_empty) for one who looks again and again: no lock is taken.
    pub(crate) fn seems_empty(&self) -> bool {
        self.core.seems_empty()
    }
}

impl<T, O: Order<T>> fmt::Debug for OrderedQueue<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("OrderedQueue");
        shown.field("len", &self.len());
        shown.field("capacity", &self.capacity());
        shown.field("unfinished", &self.unfinished());
        shown.field("is_shut_down", &self.is_shut_down());
        shown.finish()
    }
}

/// Gets items until the queue has been shut down and is empty: what [`iter`](OrderedQueue::iter)
/// returns.
#[derive(Debug)]
pub struct Iter<'a, T, O: Order<T>> {
    queue: &'a OrderedQueue<T, O>,
}

impl<T, O: Order<T>> Iterator for Iter<'_, T, O> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.queue.get().ok()
    }

    /// What is there now, and no end in sight: `Map` takes it for what it is, and does not wait for
    /// more while outcomes are ready.
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.queue.len(), Some(usize::MAX))
    }
}

/// Gets items that are there: what [`try_iter`](OrderedQueue::try_iter) returns.
#[derive(Debug)]
pub struct TryIter<'a, T, O: Order<T>> {
    queue: &'a OrderedQueue<T, O>,
}

impl<T, O: Order<T>> Iterator for TryIter<'_, T, O> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.queue.try_get().ok()
    }
}

/// Gets items as they come: what [`stream`](OrderedQueue::stream) returns.
#[cfg(feature = "async")]
#[derive(Debug)]
#[must_use = "nothing is got before it is polled"]
pub struct Stream<'a, T, O: Order<T>> {
    get: Get<'a, T, O>,
}

#[cfg(feature = "async")]
impl<T, O: Order<T>> futures_core::Stream for Stream<'_, T, O> {
    type Item = T;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T>> {
        // A `Get` that is ready begins anew when it is polled again.
        let get = std::pin::Pin::new(&mut self.get_mut().get);
        std::future::Future::poll(get, context).map(Result::ok)
    }
}

/// A queue that has been shut down stays so.
impl<T, O: Order<T>> FusedIterator for Iter<'_, T, O> {}

impl<'a, T, O: Order<T>> IntoIterator for &'a OrderedQueue<T, O> {
    type Item = T;
    type IntoIter = Iter<'a, T, O>;

    fn into_iter(self) -> Iter<'a, T, O> {
        self.iter()
    }
}
