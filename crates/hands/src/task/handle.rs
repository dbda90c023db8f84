//! The caller's claim on a task's outcome.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::blocking::{self, GaveUp, PoolId};
use super::cell::{Claim, Runnable};
use super::error::{Outcome, TaskError};
use super::worker_id::WorkerId;
use crate::primitive;
use crate::sync::park::deadline;
use crate::sync::waiters::Ticket;
use crate::thread::registry;

/// How often [`Handle::join`] looks before it parks: some microseconds, about what waking a thread
/// would cost.
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
/// As a future it gives the same outcome. Dropping the future, in a `select!` or by a time-out,
/// drops the handle unless it was awaited as `&mut handle`: then the outcome can still be had.
///
/// # Panics
///
/// When it is polled again after it has given the outcome.
#[must_use = "the outcome is lost with the handle; `execute` is for tasks whose outcome nobody wants"]
pub struct Handle<R> {
    task: Arc<dyn Claim<R>>,
    ticket: Option<Ticket>,
    /// That of the pool of threads whose workers may run the task while they wait for it.
    pool: PoolId,
    /// A worker was awake and without work when the task was submitted.
    soon: bool,
}

// A panic can leave neither a handle nor what it shares with a worker half changed.
impl<R> std::panic::UnwindSafe for Handle<R> {}
impl<R> std::panic::RefUnwindSafe for Handle<R> {}

impl<R> Handle<R> {
    pub(crate) fn new(task: Arc<dyn Claim<R>>) -> Handle<R> {
        Handle {
            task,
            ticket: None,
            pool: PoolId::default(),
            soon: false,
        }
    }

    /// If `soon`, the outcome may come before the caller could fall asleep.
    pub(crate) fn expected(mut self, soon: bool) -> Handle<R> {
        self.soon = soon;
        self
    }

    /// Workers of this pool may run the task while they wait for it.
    pub(crate) fn of(mut self, pool: PoolId) -> Handle<R> {
        self.pool = pool;
        self
    }

    /// Waits for the outcome.
    ///
    /// A worker may wait for a task of its own pool, even the only worker there is: if the task has
    /// not begun, the worker runs it, that one and no other; if it has, the worker blocks, and the
    /// pool has one more meanwhile. The number of tasks that wait so is
    /// [bounded](crate::pool::ThreadPoolBuilder::max_waiting).
    ///
    /// # Errors
    ///
    /// Why there is no result: [`TaskError`].
    ///
    /// # Panics
    ///
    /// In a coroutine of an `AsyncPool` or `ProcessPool`, whose thread it would block: there, write
    /// `handle.await`. The same in the `block_on` of a current-thread runtime that is to run the
    /// task.
    pub fn join(mut self) -> Outcome<R> {
        if self.soon {
            self.look();
        }
        self.refuse_to_block();
        let first = self.run_here();
        let task = Arc::clone(&self.task);
        match blocking::block_on(&mut self, None, first, || task.assist(None)) {
            Ok(outcome) => outcome,
            Err(GaveUp::AtBound(bound)) => Err(TaskError::TooManyWaiting {
                waiting: bound.waiting,
            }),
            Err(GaveUp::TimedOut) => unreachable!("there was no deadline"),
        }
    }

    /// Waits for the outcome no longer than `timeout`; then it gives the handle back. A worker
    /// blocks meanwhile, and its pool has one more.
    ///
    /// # Errors
    ///
    /// The handle, when there is no outcome yet.
    ///
    /// # Panics
    ///
    /// As [`join`](Self::join).
    pub fn join_timeout(mut self, timeout: Duration) -> Result<Outcome<R>, Handle<R>> {
        let deadline = deadline(timeout);
        self.refuse_to_block();
        let task = Arc::clone(&self.task);
        match blocking::block_on(&mut self, deadline, None, || task.assist(deadline)) {
            Ok(outcome) => Ok(outcome),
            Err(GaveUp::AtBound(bound)) => Ok(Err(TaskError::TooManyWaiting {
                waiting: bound.waiting,
            })),
            Err(GaveUp::TimedOut) => Err(self),
        }
    }

    /// On a worker of the task's pool: runs the task, if it has not begun. Returns it instead, if
    /// the stack has no room for it.
    pub(super) fn run_here(&self) -> Option<Arc<dyn Runnable>> {
        if self.is_finished() {
            return None;
        }
        let host = blocking::host().filter(|host| host.pool() == self.pool)?;
        let task = Arc::clone(&self.task).runnable()?;
        if !host.has_room() {
            return Some(task);
        }
        host.run_here(task);
        None
    }

    /// # Panics
    ///
    /// Where waiting would keep the task from ever ending, or hold up other coroutines.
    pub(super) fn refuse_to_block(&self) {
        if self.is_finished() {
            return;
        }
        assert!(
            !blocking::is_in_coroutine(),
            "a coroutine that waits for a handle by blocking holds up all others of its thread; write `handle.await` instead"
        );
        self.task.refuse_to_block();
    }

    /// The outcome, which is there.
    pub(super) fn take(mut self) -> Outcome<R> {
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut self).poll(&mut context) {
            Poll::Ready(outcome) => outcome,
            // Taken back by a callback that has just been set: it comes at once.
            Poll::Pending => crate::sync::park::wait(self),
        }
    }

    /// An outcome that comes at once need not cost two sleeps. Where a worker has to wake up first,
    /// looking would only slow it down.
    fn look(&self) {
        for _ in 0..LOOKS {
            if self.is_finished() {
                break;
            }
            primitive::spin_loop();
        }
    }

    /// Cancels the task if it has not begun. `true`: it will not begin, and its outcome is
    /// [`TaskError::Cancelled`]. `false`: it has an outcome already, or it runs: then its
    /// [`CancelToken`](crate::sync::CancelToken) is cancelled, and its outcome is whatever it makes
    /// of that.
    pub fn cancel(&self) -> bool {
        let never_begins = self.task.cancel();
        if never_begins && self.pool != PoolId::NONE {
            registry::note_cancelled(self.pool.number());
        }
        never_begins
    }

    /// Whether there is an outcome.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Who runs the task, or ran it last, if that is a worker of a
    /// [`ProcessPool`](crate::pool::ProcessPool), and it has begun.
    pub fn worker(&self) -> Option<WorkerId> {
        self.task.worker()
    }

    /// Has `callback` told of the outcome: by the worker, before it tells anybody else; by the
    /// caller, now, if there is one already. Callbacks run in the order in which they were set,
    /// each once. One that panics hurts nobody else.
    pub fn on_done(&self, callback: impl FnOnce(&Outcome<R>) + Send + 'static) {
        self.task.on_done(Box::new(callback));
    }

    /// Whether the outcome is an error, or wakes a thread that asks when there is one.
    pub(super) fn poll_peek(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.task.peek(&mut self.ticket, context.waker())
    }

    /// A thread that was to be woken need not be any more.
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
