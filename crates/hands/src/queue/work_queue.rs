//! [`WorkQueue`]: what a function may count on that takes any queue.

use std::future::Future;
use std::time::Duration;

use super::{GetError, Order, OrderedQueue, PutError, Shutdown, TaskDoneError};

/// A queue of work, wherever its items are kept: in this process, in memory that processes share,
/// or on other machines.
///
/// ```
/// use hands::queue::{GetError, Queue, WorkQueue};
///
/// fn drain(queue: &impl WorkQueue<String>) -> Result<usize, Box<dyn std::error::Error>> {
///     let mut done = 0;
///     loop {
///         match queue.try_get() {
///             Ok(word) => println!("{word}"),
///             Err(GetError::Empty | GetError::ShutDown) => return Ok(done),
///             Err(error) => return Err(error.into()),
///         }
///         queue.task_done()?;
///         done += 1;
///     }
/// }
///
/// let queue = Queue::unbounded();
/// queue.put("one".to_owned())?;
/// assert_eq!(drain(&queue)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The methods are those of [`OrderedQueue`]; it says more of each. All but the asynchronous ones
/// can be called on a `dyn WorkQueue<T>`:
///
/// ```
/// use hands::queue::{LifoQueue, Queue, WorkQueue};
///
/// let queues: [Box<dyn WorkQueue<u32>>; 2] = [Box::new(Queue::bounded(1)), Box::new(LifoQueue::bounded(1))];
/// for queue in &queues {
///     queue.put(1)?;
///     assert_eq!(queue.get()?, 1);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait WorkQueue<T>: Send + Sync {
    /// Puts an item; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// [`PutError::ShutDown`], with the item.
    fn put(&self, item: T) -> Result<(), PutError<T>>;

    /// Puts an item if there is room.
    ///
    /// # Errors
    ///
    /// [`PutError::Full`] or [`PutError::ShutDown`], with the item.
    fn try_put(&self, item: T) -> Result<(), PutError<T>>;

    /// Puts an item; waits for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`PutError::TimedOut`] or [`PutError::ShutDown`], with the item.
    fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>>;

    /// Puts an item; the task waits while the queue is full. Dropped half-way, it has put nothing.
    fn put_async(&self, item: T) -> impl Future<Output = Result<(), PutError<T>>> + Send
    where
        Self: Sized;

    /// Gets an item; waits while the queue is empty.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`], once the queue has been shut down and is empty.
    fn get(&self) -> Result<T, GetError>;

    /// Gets an item if there is one.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`] or [`GetError::ShutDown`].
    fn try_get(&self) -> Result<T, GetError>;

    /// Gets an item; waits for one no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`GetError::TimedOut`] or [`GetError::ShutDown`].
    fn get_timeout(&self, timeout: Duration) -> Result<T, GetError>;

    /// Gets an item; the task waits while the queue is empty. Dropped half-way, it has taken
    /// nothing.
    fn get_async(&self) -> impl Future<Output = Result<T, GetError>> + Send
    where
        Self: Sized;

    /// How many items are in the queue just now.
    fn len(&self) -> usize;

    /// Whether nothing is in the queue just now.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a put would wait just now.
    fn is_full(&self) -> bool {
        self.capacity()
            .is_some_and(|capacity| self.len() >= capacity)
    }

    /// How many items have room; `None` if there is no bound.
    fn capacity(&self) -> Option<usize>;

    /// Says that an item that was got has been worked on.
    ///
    /// # Errors
    ///
    /// [`TaskDoneError`] if there were more calls than items put.
    fn task_done(&self) -> Result<(), TaskDoneError>;

    /// How many items have been put and not been done.
    fn unfinished(&self) -> u64;

    /// Waits until each item that was put has been done.
    fn join(&self);

    /// [`join`](Self::join) for no longer than `timeout`; says whether all was done.
    fn join_timeout(&self, timeout: Duration) -> bool;

    /// [`join`](Self::join) for a coroutine.
    fn join_async(&self) -> impl Future<Output = ()> + Send
    where
        Self: Sized;

    /// Takes nothing in any more, and wakes everybody who waits to put or to get.
    fn shutdown(&self, how: Shutdown);

    /// Whether the queue has been shut down.
    fn is_shut_down(&self) -> bool;
}

impl<T, O> WorkQueue<T> for OrderedQueue<T, O>
where
    T: Send,
    O: Order<T>,
    O::Core: Send + Sync,
{
    fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put(item)
    }

    fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.try_put(item)
    }

    fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_timeout(item, timeout)
    }

    fn put_async(&self, item: T) -> impl Future<Output = Result<(), PutError<T>>> + Send {
        self.put_async(item)
    }

    fn get(&self) -> Result<T, GetError> {
        self.get()
    }

    fn try_get(&self) -> Result<T, GetError> {
        self.try_get()
    }

    fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_timeout(timeout)
    }

    fn get_async(&self) -> impl Future<Output = Result<T, GetError>> + Send {
        self.get_async()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn capacity(&self) -> Option<usize> {
        self.capacity()
    }

    fn task_done(&self) -> Result<(), TaskDoneError> {
        self.task_done()
    }

    fn unfinished(&self) -> u64 {
        self.unfinished()
    }

    fn join(&self) {
        self.join();
    }

    fn join_timeout(&self, timeout: Duration) -> bool {
        self.join_timeout(timeout)
    }

    fn join_async(&self) -> impl Future<Output = ()> + Send {
        self.join_async()
    }

    fn shutdown(&self, how: Shutdown) {
        self.shutdown(how);
    }

    fn is_shut_down(&self) -> bool {
        self.is_shut_down()
    }
}
