//! What a task, its worker and its handle share.
//!
//! # Protocol
//!
//! ```text
//!            worker: run            worker: settle                    handle: join
//!   Queued ───────────────▶ Running ───────────────▶ Settling ─▶ Finished ───────▶ Taken
//!     │ cancel, time-out, refusal    time-out ▲          ▲
//!     └───────────────────────────────────────┴──────────┘
//! ```
//!
//! - Every step is taken under the cell's lock, by whoever finds the stage it starts from; so a task is run at most once and
//!   has one outcome. Whoever comes late (a cancel after the start, a result after the time-out) changes nothing.
//! - *Settling* belongs to one thread, which runs the callbacks without the lock and then publishes the outcome. So
//!   whoever is told of the outcome knows that the callbacks have been run.
//! - The function and its captures are dropped by the worker before the outcome is published, or by whoever kept it from
//!   running. A result that nobody takes is dropped with the cell.
//! - Whoever waits enlists under the lock, having seen that there is no outcome yet: no wake-up is lost.

use std::mem;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::error::{Outcome, TaskError};
use crate::context::Context;
use crate::primitive::{AtomicBool, Mutex, Ordering};
use crate::sync::cancel::{CancelToken, Owner, Owners};
use crate::sync::timer::Alarm;
use crate::sync::waiters::{Ticket, Waiters};
use crate::thread::panic::caught;

/// Told of an outcome before anybody else.
pub(crate) type Callback<R> = Box<dyn FnOnce(&Outcome<R>) + Send>;

/// The worker's side of a task.
pub(crate) trait Runnable: Send + Sync {
    /// Runs it, if it has not been cancelled; tells how it went.
    fn run(self: Arc<Self>, owners: &Owners) -> Ran;
    /// What kind of task it is: the type of its function.
    fn class(&self) -> &'static str;
    /// Gives it this for an outcome, if it is still queued.
    fn refuse(&self, why: TaskError);
}

/// How a task went, for the pool's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// Its function returned.
    Well,
    Panicked,
    /// It had an outcome already.
    Not,
}

/// The handle's side of a task.
pub(crate) trait Claim<R>: Send + Sync {
    /// Takes the outcome, or enlists.
    fn poll(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<Outcome<R>>;
    /// Enlists, unless there is an outcome: then it tells whether that is an error.
    fn peek(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<bool>;
    fn leave(&self, ticket: Ticket);
    fn is_finished(&self) -> bool;
    /// True: it will never begin.
    fn cancel(&self) -> bool;
    fn on_done(&self, callback: Callback<R>);
    /// What the calling thread can do for the outcome to come sooner, until there is one, or there is nothing to do for it.
    fn assist(&self, _deadline: Option<Instant>) {}
}

pub(crate) struct TaskCell<F, R> {
    /// Whether there is an outcome, for those who look often.
    finished: AtomicBool,
    class: &'static str,
    inner: Mutex<Inner<F, R>>,
}

struct Inner<F, R> {
    stage: Stage<F, R>,
    /// What few tasks need.
    more: Option<Box<More<R>>>,
}

enum Stage<F, R> {
    Queued(F),
    Running,
    Settling,
    Finished(Outcome<R>),
    Taken,
}

struct More<R> {
    waiters: Waiters,
    callbacks: Vec<Callback<R>>,
    context: Context,
    token: Option<CancelToken>,
    /// So long from when it begins, and what the alarm is to wake then.
    timeout: Option<(Duration, Waker)>,
    /// Goes off at the deadline, or at the end of the time-out.
    alarm: Option<(Alarm, Duration)>,
}

impl<R> Default for More<R> {
    fn default() -> More<R> {
        More {
            waiters: Waiters::default(),
            callbacks: Vec::new(),
            context: Context::default(),
            token: None,
            timeout: None,
            alarm: None,
        }
    }
}

impl<F, R> Inner<F, R> {
    fn more(&mut self) -> &mut More<R> {
        self.more.get_or_insert_default()
    }

    fn enlist(&mut self, ticket: &mut Option<Ticket>, waker: &Waker) {
        self.more().waiters.enlist(ticket, waker, ());
    }
}

impl<F, R> TaskCell<F, R>
where
    F: Send + 'static,
    R: Send + 'static,
{
    /// A task that is queued, and whose function is run elsewhere: [`resolve`](Self::resolve) brings its outcome.
    pub(crate) fn remote(class: &'static str, run: F) -> TaskCell<F, R> {
        TaskCell {
            finished: AtomicBool::new(false),
            class,
            inner: Mutex::new(Inner {
                stage: Stage::Queued(run),
                more: None,
            }),
        }
    }

    /// Gives it this outcome, unless it has one.
    pub(crate) fn resolve(&self, outcome: Outcome<R>) -> bool {
        let mut inner = self.inner.lock();
        match mem::replace(&mut inner.stage, Stage::Settling) {
            Stage::Queued(_) | Stage::Running => {
                drop(inner);
                self.settle(outcome);
                true
            }
            other => {
                inner.stage = other;
                false
            }
        }
    }

    /// A task that is queued, with the context of the moment.
    pub(crate) fn new(class: &'static str, run: F) -> TaskCell<F, R> {
        let context = Context::current();
        let more = (!context.is_empty()).then(|| {
            Box::new(More {
                context,
                ..More::default()
            })
        });
        TaskCell {
            finished: AtomicBool::new(false),
            class,
            inner: Mutex::new(Inner {
                stage: Stage::Queued(run),
                more,
            }),
        }
    }

    /// It must end so long after it began, and in any case by the deadline; `alarm` is woken then, and is to call
    /// [`expire`](Self::expire).
    pub(crate) fn limit(&self, timeout: Option<Duration>, deadline: Option<Instant>, alarm: Waker) {
        let mut inner = self.inner.lock();
        let more = inner.more();
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            more.alarm = Some((Alarm::set(deadline, &alarm), left));
        }
        more.timeout = timeout.map(|timeout| (timeout, alarm));
    }

    /// From now on it runs: what is to be run, and in what context. `None`: it has an outcome, or somebody is about to give it one.
    pub(crate) fn begin(&self) -> Option<(F, Context)> {
        let mut inner = self.inner.lock();
        let run = match mem::replace(&mut inner.stage, Stage::Running) {
            Stage::Queued(run) => run,
            other => {
                inner.stage = other;
                return None;
            }
        };
        let Some(more) = inner.more.as_mut() else {
            return Some((run, Context::default()));
        };
        if let Some((timeout, waker)) = more.timeout.take()
            && let Some(at) = Instant::now().checked_add(timeout)
            // A deadline that comes first keeps its alarm.
            && more
                .alarm
                .as_ref()
                .is_none_or(|(before, _)| at < before.at())
        {
            more.alarm = Some((Alarm::set(at, &waker), timeout));
        }
        Some((run, more.context.clone()))
    }

    /// The values around whoever submitted it.
    #[cfg(feature = "async")]
    pub(crate) fn context(&self) -> Context {
        let inner = self.inner.lock();
        let context = inner.more.as_ref().map(|more| more.context.clone());
        context.unwrap_or_default()
    }

    /// Publishes an outcome. The caller has set the stage to `Settling`.
    fn settle(&self, outcome: Outcome<R>) {
        loop {
            let mut inner = self.inner.lock();
            let callbacks = inner
                .more
                .as_mut()
                .map(|more| mem::take(&mut more.callbacks));
            let Some(callbacks) = callbacks.filter(|callbacks| !callbacks.is_empty()) else {
                inner.stage = Stage::Finished(outcome);
                self.finished.store(true, Ordering::Release);
                let more = inner.more.take();
                drop(inner);
                // The alarm and the context may be the last of their kind: dropped without the lock.
                if let Some(mut more) = more {
                    more.waiters.all().into_iter().for_each(Waker::wake);
                }
                return;
            };
            drop(inner);
            for callback in callbacks {
                // A panic there is not the task's; the panic hook has reported it.
                let _ = caught(|| callback(&outcome));
            }
        }
    }

    /// Gives a task that has not begun this outcome instead.
    fn forestall(&self, why: TaskError) -> bool {
        let mut inner = self.inner.lock();
        match mem::replace(&mut inner.stage, Stage::Settling) {
            Stage::Queued(run) => {
                drop(inner);
                let _ = caught(|| drop(run));
                self.settle(Err(why));
                true
            }
            other => {
                inner.stage = other;
                false
            }
        }
    }

    /// Its time is up.
    pub(crate) fn expire(&self) {
        let mut inner = self.inner.lock();
        let Some(after) = inner
            .more
            .as_ref()
            .and_then(|more| Some(more.alarm.as_ref()?.1))
        else {
            return;
        };
        match mem::replace(&mut inner.stage, Stage::Settling) {
            Stage::Queued(run) => {
                drop(inner);
                let _ = caught(|| drop(run));
            }
            Stage::Running => {
                let token = inner.more().token.get_or_insert_default().clone();
                drop(inner);
                token.cancel();
            }
            other => {
                inner.stage = other;
                return;
            }
        }
        self.settle(Err(TaskError::TimedOut { after }));
    }
}

impl<F, R> Runnable for TaskCell<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    fn run(self: Arc<Self>, owners: &Owners) -> Ran {
        let Some((run, context)) = self.begin() else {
            return Ran::Not;
        };
        let owner = Arc::clone(&self) as Arc<dyn Owner>;
        let result = context.run(|| owners.run(Some(owner), || caught(run)));
        let ran = if result.is_ok() {
            Ran::Well
        } else {
            Ran::Panicked
        };
        let mut inner = self.inner.lock();
        if matches!(inner.stage, Stage::Running) {
            inner.stage = Stage::Settling;
            drop(inner);
            self.settle(result.map_err(TaskError::from));
        }
        ran
    }

    fn class(&self) -> &'static str {
        self.class
    }

    fn refuse(&self, why: TaskError) {
        self.forestall(why);
    }
}

impl<F, R> Claim<R> for TaskCell<F, R>
where
    F: Send + 'static,
    R: Send + 'static,
{
    fn poll(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<Outcome<R>> {
        let mut inner = self.inner.lock();
        match mem::replace(&mut inner.stage, Stage::Taken) {
            Stage::Finished(outcome) => Poll::Ready(outcome),
            Stage::Taken => panic!("the handle of a task was polled after it gave the outcome"),
            other => {
                inner.stage = other;
                inner.enlist(ticket, waker);
                Poll::Pending
            }
        }
    }

    fn peek(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<bool> {
        let mut inner = self.inner.lock();
        match &inner.stage {
            Stage::Finished(outcome) => Poll::Ready(outcome.is_err()),
            Stage::Taken => Poll::Ready(false),
            Stage::Queued(_) | Stage::Running | Stage::Settling => {
                inner.enlist(ticket, waker);
                Poll::Pending
            }
        }
    }

    fn leave(&self, ticket: Ticket) {
        // All who wait are woken together, so there is nobody to pass a wake-up on to.
        if let Some(more) = &mut self.inner.lock().more {
            more.waiters.leave(ticket);
        }
    }

    fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    fn cancel(&self) -> bool {
        if self.forestall(TaskError::Cancelled) {
            return true;
        }
        let mut inner = self.inner.lock();
        if matches!(inner.stage, Stage::Running) {
            let token = inner.more().token.get_or_insert_default().clone();
            drop(inner);
            token.cancel();
        }
        false
    }

    fn on_done(&self, callback: Callback<R>) {
        let mut inner = self.inner.lock();
        match mem::replace(&mut inner.stage, Stage::Settling) {
            Stage::Finished(outcome) => {
                drop(inner);
                let _ = caught(|| callback(&outcome));
                self.settle(outcome);
            }
            other => {
                inner.stage = other;
                inner.more().callbacks.push(callback);
            }
        }
    }
}

impl<F, R> Owner for TaskCell<F, R>
where
    F: Send + 'static,
    R: Send + 'static,
{
    fn token(&self, outer: Option<&CancelToken>) -> CancelToken {
        let mut inner = self.inner.lock();
        let running = matches!(inner.stage, Stage::Running);
        let token = inner.more().token.get_or_insert_with(|| {
            let token = outer.map_or_else(CancelToken::new, CancelToken::child);
            if !running {
                // Its time ran out before anybody asked for the token.
                token.cancel();
            }
            token
        });
        token.clone()
    }
}

/// What its alarm wakes.
impl<F, R> Wake for TaskCell<F, R>
where
    F: Send + 'static,
    R: Send + 'static,
{
    fn wake(self: Arc<Self>) {
        self.expire();
    }
}
