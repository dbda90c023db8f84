//! What one task is allowed.

use std::time::{Duration, Instant};

/// How long a task may take.
///
/// When its time is up a task that has not begun never does, and one that runs has its
/// [`CancelToken`](crate::sync::CancelToken) cancelled. Either has the outcome
/// [`TimedOut`](super::TaskError::TimedOut) at once: who joins it does not wait for a function that
/// does not look at its token.
///
/// ```
/// use std::time::Duration;
///
/// use hands::pool::{Pool, ThreadPool};
/// use hands::sync::CancelToken;
/// use hands::task::{Options, TaskError};
///
/// let pool = ThreadPool::new()?;
/// let options = Options::new().timeout(Duration::from_millis(20));
/// let handle = pool.submit_with(options, |()| {
///     CancelToken::current().expect("a task has one").wait();
/// }, ());
/// assert!(matches!(handle.join(), Err(TaskError::TimedOut { .. })));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "it is for `submit_with` or `spawn_with`"]
pub struct Options {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Instant>,
    /// It is not begun again, whatever its pool does.
    pub(crate) is_once: bool,
}

impl Options {
    /// All the time in the world.
    pub fn new() -> Options {
        Options::default()
    }

    /// So long from the moment when it begins.
    pub fn timeout(mut self, timeout: Duration) -> Options {
        self.timeout = Some(timeout);
        self
    }

    /// Until this moment, its time in the queue included.
    pub fn deadline(mut self, deadline: Instant) -> Options {
        self.deadline = Some(deadline);
        self
    }

    /// For a pool elsewhere.
    #[doc(hidden)]
    pub fn timeout_of(&self) -> Option<Duration> {
        self.timeout
    }

    /// For a pool elsewhere.
    #[doc(hidden)]
    pub fn deadline_at(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.timeout.is_some() || self.deadline.is_some()
    }
}
