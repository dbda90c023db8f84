//! The caller's claim on a task's outcome.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::cell::Claim;
use super::error::{Outcome, TaskError};
use super::help;
use crate::primitive;
use crate::sync::park::{TimedOut, deadline};
use crate::sync::waiters::Ticket;

/// How often [`Handle::join`] looks before it parks: some microseconds, about what waking a thread would cost.
const LOOKS: u32 = 200;

/// The claim on one task's outcome: to be joined, awaited, watched or cancelled.
///
/// Dropping it lets the task run on; nobody will learn how it ends.
///
/// ```
/// use hands::pool::{Pool, ThreadPool};
///
/// let pool = ThreadPool::new()?;
/// let handle = pool.submit(|n: u64| n * n, 12);
/// assert_eq!(handle.join(), Ok(144));
/// # std::io::Result::Ok(())
/// ```
///
/// As a future it gives the same outcome. Dropping the future, in a `select!` or by a time-out, drops the handle unless
/// it was awaited as `&mut handle`: then the outcome can still be had.
///
/// # Panics
///
/// When it is polled again after it has given the outcome.
#[must_use = "the outcome is lost with the handle; `execute` is for tasks whose outcome nobody wants"]
pub struct Handle<R> {
    task: Arc<dyn Claim<R>>,
    ticket: Option<Ticket>,
    /// A worker was awake and without work when the task was submitted.
    soon: bool,
}

impl<R> Handle<R> {
    pub(crate) fn new(task: Arc<dyn Claim<R>>) -> Handle<R> {
        Handle {
            task,
            ticket: None,
            soon: false,
        }
    }

    /// If `soon`, the outcome may come before the caller could fall asleep.
    pub(crate) fn expected(mut self, soon: bool) -> Handle<R> {
        self.soon = soon;
        self
    }

    /// Waits for the outcome. On a worker of a pool it runs other tasks of that pool meanwhile, so waiting for a task of
    /// one's own pool is no deadlock, even with one worker. Hold no lock meanwhile that such a task could want.
    ///
    /// # Errors
    ///
    /// Why there is no result: [`TaskError`].
    pub fn join(mut self) -> Outcome<R> {
        if self.soon {
            self.look();
        }
        if !help::is_helper() {
            self.task.assist(None);
        }
        match help::block_on(&mut self, None) {
            Ok(outcome) => outcome,
            Err(TimedOut) => unreachable!("there was no deadline"),
        }
    }

    /// Waits for the outcome no longer than `timeout`; then it gives the handle back. A worker that runs another task
    /// meanwhile finishes that first.
    ///
    /// # Errors
    ///
    /// The handle, when there is no outcome yet.
    pub fn join_timeout(mut self, timeout: Duration) -> Result<Outcome<R>, Handle<R>> {
        let deadline = deadline(timeout);
        if !help::is_helper() {
            self.task.assist(deadline);
        }
        match help::block_on(&mut self, deadline) {
            Ok(outcome) => Ok(outcome),
            Err(TimedOut) => Err(self),
        }
    }

    /// An outcome that comes at once need not cost two sleeps. Where a worker has to wake up first, looking would only slow
    /// it down.
    fn look(&self) {
        for _ in 0..LOOKS {
            if self.is_finished() {
                break;
            }
            primitive::spin_loop();
        }
    }

    /// Sees to it that the task does not begin. `true`: it will not, and its outcome is [`TaskError::Cancelled`]. `false`:
    /// it has an outcome already, or it runs: then its [`CancelToken`](crate::sync::CancelToken) is cancelled, and its
    /// outcome is whatever it makes of that.
    pub fn cancel(&self) -> bool {
        self.task.cancel()
    }

    /// Whether there is an outcome.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Has `callback` told of the outcome: by the worker, before it tells anybody else; by the caller, now, if there is
    /// one already. Callbacks run in the order in which they were set, each once. One that panics hurts nobody else.
    pub fn on_done(&self, callback: impl FnOnce(&Outcome<R>) + Send + 'static) {
        self.task.on_done(Box::new(callback));
    }

    /// Whether the outcome is an error, or wakes whoever asks when there is one.
    pub(super) fn poll_peek(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.task.peek(&mut self.ticket, context.waker())
    }

    /// Whoever was to be woken need not be any more.
    pub(super) fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.task.leave(ticket);
        }
    }
}

impl<R> Future for Handle<R> {
    type Output = Result<R, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.task.poll(&mut this.ticket, context.waker())
    }
}

impl<R> Drop for Handle<R> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<R> fmt::Debug for Handle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Handle");
        shown.field("finished", &self.is_finished());
        shown.finish_non_exhaustive()
    }
}
