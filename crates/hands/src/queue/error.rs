//! Why an item was not put, or not got. What was to be put comes back.

use std::error::Error;
use std::fmt;

/// An item was not put. It is in here: [`into_item`](Self::into_item).
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutError<T> {
    /// The queue is full, and the caller did not want to wait.
    Full(T),
    /// The queue was full until the time was up.
    TimedOut(T),
    /// The queue has been shut down; it will take nothing any more.
    ShutDown(T),
    /// The queue cannot hold this item: it cannot be written down, or takes more bytes than there
    /// is room for one.
    Refused(T),
}

impl<T> PutError<T> {
    /// The item that was not put.
    pub fn into_item(self) -> T {
        match self {
            PutError::Full(item)
            | PutError::TimedOut(item)
            | PutError::ShutDown(item)
            | PutError::Refused(item) => item,
        }
    }

    fn text(&self) -> &'static str {
        match self {
            PutError::Full(_) => "the queue is full",
            PutError::TimedOut(_) => "the queue was still full when the time was up",
            PutError::ShutDown(_) => "the queue has been shut down and takes no more items",
            PutError::Refused(_) => {
                "the item cannot be written down, or takes more bytes than a place of the queue has"
            }
        }
    }
}

/// Without the item, which need not be printable.
impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::Full(_) => "Full(..)",
            PutError::TimedOut(_) => "TimedOut(..)",
            PutError::ShutDown(_) => "ShutDown(..)",
            PutError::Refused(_) => "Refused(..)",
        })
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl<T> Error for PutError<T> {}

/// No item was got.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GetError {
    /// The queue is empty, and the caller did not want to wait.
    Empty,
    /// The queue was empty until the time was up.
    TimedOut,
    /// The queue has been shut down, and what was in it has been got or discarded.
    ShutDown,
    /// What was got is no item: somebody has written into the memory of the queue. It is gone.
    Unreadable,
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GetError::Empty => "the queue is empty",
            GetError::TimedOut => "the queue was still empty when the time was up",
            GetError::ShutDown => "the queue has been shut down and holds no more items",
            GetError::Unreadable => "what was in the queue cannot be read as an item",
        })
    }
}

impl Error for GetError {}

/// [`task_done`](super::OrderedQueue::task_done) was called more often than items had been put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TaskDoneError;

impl fmt::Display for TaskDoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "`task_done` was called more often than items were put; call it once for each item got",
        )
    }
}

impl Error for TaskDoneError {}

debug_is_sentence!(GetError);

debug_is_sentence!(TaskDoneError);
