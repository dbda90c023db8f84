//! The claim on a thread's end.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::thread::ThreadId;
use std::time::Duration;

use super::info::Current;
use super::panic::{Panic, PanicPlace};
use crate::sync::Event;

/// What a thread and its handle share.
#[derive(Debug, Default)]
pub(super) struct ThreadShared {
    pub(super) ended: Event,
    pub(super) place: OnceLock<PanicPlace>,
}

impl ThreadShared {
    pub(super) fn panicked(&self, info: &Current, payload: Box<dyn Any + Send>) -> JoinError {
        let place = self.place.get().cloned();
        JoinError::Panicked(Panic::new(Arc::clone(&info.name), place, payload))
    }
}

/// Why a thread's value cannot be had.
#[non_exhaustive]
pub enum JoinError {
    /// A thread cannot wait for its own end.
    Itself,
    /// It panicked.
    Panicked(Panic),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Itself => f.write_str("a thread cannot join itself: it would never end"),
            JoinError::Panicked(panic) => panic.fmt(f),
        }
    }
}

impl Error for JoinError {}

/// A thread that was started: to be joined, or dropped. Dropping it lets the thread run on.
#[derive(Debug)]
pub struct JoinHandle<T> {
    pub(super) thread: std::thread::JoinHandle<T>,
    pub(super) shared: Arc<ThreadShared>,
    pub(super) info: Current,
}

impl<T> JoinHandle<T> {
    /// Waits until the thread has ended, and returns its value.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`], with message and place; [`JoinError::Itself`] at once, when the
    /// thread has got hold of its own handle.
    pub fn join(self) -> Result<T, JoinError> {
        if self.info.id == std::thread::current().id() {
            return Err(JoinError::Itself);
        }
        let thread = self.thread.join();
        thread.map_err(|payload| self.shared.panicked(&self.info, payload))
    }

    /// [`join`](Self::join) for no longer than `timeout`: then the handle comes back, and the
    /// thread runs on.
    ///
    /// # Errors
    ///
    /// The handle, when the time is up.
    pub fn join_timeout(self, timeout: Duration) -> Result<Result<T, JoinError>, JoinHandle<T>> {
        let is_own = self.info.id == std::thread::current().id();
        if is_own || self.shared.ended.wait_timeout(timeout) {
            Ok(self.join())
        } else {
            Err(self)
        }
    }

    /// Whether the thread has ended: joining it would not wait.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// The thread's name.
    pub fn name(&self) -> &str {
        self.info.name()
    }

    /// The thread's number.
    pub fn id(&self) -> ThreadId {
        self.info.id()
    }

    /// Whether the program may end without it.
    pub fn is_daemon(&self) -> bool {
        self.info.is_daemon()
    }
}

debug_is_sentence!(JoinError);
