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
//! - Every step is taken under the cell's lock, by a thread that finds the stage it starts from; so
//!   a task is run at most once and has one outcome. A thread that comes late (a cancel after the
//!   start, a result after the time-out) changes nothing.
//! - *Settling* belongs to one thread, which runs the callbacks without the lock and then publishes
//!   the outcome. So a thread that is told of the outcome knows that the callbacks have been run.
//! - The function and its captures are dropped by the worker before the outcome is published, or by
//!   a thread that kept it from running. A result that nobody takes is dropped with the cell.
//! - A waiter enlists under the lock, having seen that there is no outcome yet: no wake-up is
//!   lost.

use std::io;
use std::mem;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::error::{Outcome, TaskError};
use crate::context::Context;
use crate::foreign::{dispose, wake_each};
use crate::primitive::{AtomicBool, AtomicU64, Mutex, Ordering};
use crate::sync::cancel::{CancelToken, Owner, Owners};
use crate::sync::timer::Alarm;
use crate::sync::waiters::{Caller, Ticket, Waiters, in_line};
use crate::thread::panic::caught;

/// Told of an outcome before anybody else.
pub(crate) type Callback<R> = Box<dyn FnOnce(&Outcome<R>) + Send>;

/// The worker's side of a task.
pub(crate) trait Runnable: Send + Sync {
    /// Runs it, if it has not been cancelled; tells how it went. `begins` is called before it
    /// begins, and only if it does.
    fn run(self: Arc<Self>, owners: &Owners, begins: &mut dyn FnMut()) -> Ran;
    /// What kind of task it is: the type of its function.
    fn class(&self) -> &'static str;
    /// Gives it this for an outcome, if it is still queued.
    fn refuse(&self, why: TaskError);
    /// Whether it has an outcome without having begun: there is nothing to be done for it.
    fn is_over(&self) -> bool {
        false
    }
    /// Its number among the events; 0: nobody listened when it was queued.
    fn number(&self) -> u64 {
        0
    }
    /// It is queued, and has this number.
    fn set_number(&self, _number: u64) {}
}

/// How a task went, for the pool's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// Its function returned.
    Well,
    Panicked,
    /// It had an outcome already: it was cancelled, or its time was up.
    Not,
    /// Somebody who waits for it runs it, or has run it, and counts it.
    Elsewhere,
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
    /// The task itself, if it is one that a worker of its pool may run while it waits for it.
    fn runnable(self: Arc<Self>) -> Option<Arc<dyn Runnable>> {
        None
    }
    /// Who runs it, or ran it last.
    fn worker(&self) -> Option<super::WorkerId> {
        None
    }
    /// Panics where waiting for it by blocking could not end.
    fn refuse_to_block(&self) {}
    /// What the calling thread can do for the outcome to come sooner, until there is one, or there
    /// is nothing to do for it.
    fn assist(&self, _deadline: Option<Instant>) {}
}

pub(crate) struct TaskCell<F, R> {
    /// Whether there is an outcome, for those who look often.
    finished: AtomicBool,
    class: &'static str,
    /// Among the events; 0: nobody listened when it was queued.
    number: AtomicU64,
    inner: Mutex<Inner<F, R>>,
}

struct Inner<F, R> {
    stage: Stage<F, R>,
    /// It has been begun, whatever became of it.
    has_begun: bool,
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
    /// Its time from when it begins, and what the alarm is to wake at the end of it.
    timeout: Option<(Duration, Waker)>,
    /// Goes off at the deadline, or at the end of the time-out; with the time that the task had.
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

    fn enlist<T>(
        &mut self,
        ticket: &mut Option<Ticket>,
        caller: &mut Caller<'_>,
    ) -> Option<Poll<T>> {
        self.more().waiters.enlist(ticket, caller, ())
    }
}

impl<F, R> TaskCell<F, R>
where
    F: Send + 'static,
    R: Send + 'static,
{
    /// A task that is queued, and whose function is run elsewhere: [`resolve`](Self::resolve)
    /// brings its outcome.
    pub(crate) fn remote(class: &'static str, run: F) -> TaskCell<F, R> {
        TaskCell {
            finished: AtomicBool::new(false),
            class,
            number: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                stage: Stage::Queued(run),
                has_begun: false,
                more: None,
            }),
        }
    }

    /// What kind of task it is: the type of its function.
    pub(crate) fn kind(&self) -> &'static str {
        self.class
    }

    /// Gives it this outcome, unless it has one.
    pub(crate) fn resolve(&self, outcome: Outcome<R>) -> bool {
        let mut inner = self.inner.lock();
        match mem::replace(&mut inner.stage, Stage::Settling) {
            before @ (Stage::Queued(_) | Stage::Running) => {
                drop(inner);
                dispose(before);
                self.settle(outcome);
                true
            }
            other => {
                inner.stage = other;
                drop(inner);
                dispose(outcome);
                false
            }
        }
    }

    /// As [`resolve`](Self::resolve), where no callback may run. `Err`: it has callbacks, and the
    /// caller is to [`settle`](Self::settle) it with that outcome where they may.
    pub(crate) fn resolve_quietly(&self, outcome: Outcome<R>) -> Result<(), Outcome<R>> {
        let mut inner = self.inner.lock();
        match mem::replace(&mut inner.stage, Stage::Settling) {
            before @ (Stage::Queued(_) | Stage::Running) => {
                drop(inner);
                dispose(before);
                self.publish(outcome)
            }
            other => {
                inner.stage = other;
                drop(inner);
                dispose(outcome);
                Ok(())
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
            number: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                stage: Stage::Queued(run),
                has_begun: false,
                more,
            }),
        }
    }

    /// It must end within `timeout` after it began, and in any case by the deadline; `alarm` is
    /// woken then, and is to call [`expire`](Self::expire). For a task that nobody else has yet.
    ///
    /// # Errors
    ///
    /// When the system refuses the threads that keep the time.
    pub(crate) fn limit(
        &self,
        timeout: Option<Duration>,
        deadline: Option<Instant>,
        alarm: Waker,
    ) -> io::Result<()> {
        Alarm::prepare()?;
        let set = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Alarm::set(deadline, alarm.clone()).map(|alarm| (alarm, left))
        });
        let set = set.transpose()?;
        let mut inner = self.inner.lock();
        let more = inner.more();
        more.alarm = set;
        more.timeout = timeout.map(|timeout| (timeout, alarm));
        Ok(())
    }

    /// From now on it runs: what is to be run, and in what context. A task whose deadline has
    /// passed does not begin: then `discard`, which drops what it consists of elsewhere, is called
    /// before its outcome is published.
    ///
    /// `Err`: it does not begin. It has an outcome, or is about to be given one, or it has been
    /// begun before.
    pub(crate) fn begin(&self, discard: impl FnOnce()) -> Result<(F, Context), Ran> {
        let mut inner = self.inner.lock();
        let run = match mem::replace(&mut inner.stage, Stage::Running) {
            Stage::Queued(run) => run,
            other => {
                inner.stage = other;
                let ran = if inner.has_begun {
                    Ran::Elsewhere
                } else {
                    Ran::Not
                };
                return Err(ran);
            }
        };
        let Some(more) = inner.more.as_mut() else {
            inner.has_begun = true;
            return Ok((run, Context::default()));
        };
        if more.timeout.is_some() || more.alarm.is_some() {
            let now = Instant::now();
            if let Some(after) = more.late(now) {
                inner.stage = Stage::Settling;
                drop(inner);
                dispose(run);
                discard();
                self.settle(Err(TaskError::TimedOut { after }));
                return Err(Ran::Not);
            }
            more.start_timeout(now);
        }
        let context = more.context.clone();
        inner.has_begun = true;
        Ok((run, context))
    }

    /// The values around its submitter.
    #[cfg(feature = "async")]
    pub(crate) fn context(&self) -> Context {
        let inner = self.inner.lock();
        let context = inner.more.as_ref().map(|more| more.context.clone());
        context.unwrap_or_default()
    }

    /// Runs the callbacks, and publishes an outcome. The caller has set the stage to `Settling`.
    pub(crate) fn settle(&self, outcome: Outcome<R>) {
        let mut published = self.publish(outcome);
        while let Err(outcome) = published {
            let callbacks = mem::take(&mut self.inner.lock().more().callbacks);
            for callback in callbacks {
                // A panic there is not the task's; the panic hook has reported it.
                let _ = caught(|| callback(&outcome));
            }
            published = self.publish(outcome);
        }
    }

    /// Publishes an outcome, unless there are callbacks that are to be run before.
    fn publish(&self, outcome: Outcome<R>) -> Result<(), Outcome<R>> {
        let mut inner = self.inner.lock();
        let more = inner.more.as_ref();
        if more.is_some_and(|more| !more.callbacks.is_empty()) {
            return Err(outcome);
        }
        inner.stage = Stage::Finished(outcome);
        self.finished.store(true, Ordering::Release);
        let more = inner.more.take();
        drop(inner);
        // The alarm and the context may be the last of their kind: dropped without the lock.
        if let Some(mut more) = more {
            wake_each(more.waiters.all());
            dispose(more);
        }
        Ok(())
    }

    /// Gives a task that has not begun this outcome instead. `discard` drops what it consists of
    /// elsewhere, before anybody hears of it.
    pub(crate) fn forestall(&self, why: TaskError, discard: impl FnOnce()) -> bool {
        let mut inner = self.inner.lock();
        match mem::replace(&mut inner.stage, Stage::Settling) {
            Stage::Queued(run) => {
                drop(inner);
                dispose(run);
                discard();
                self.settle(Err(why));
                true
            }
            other => {
                inner.stage = other;
                false
            }
        }
    }

    /// The time that it was given.
    #[cfg(feature = "async")]
    pub(crate) fn time_given(&self) -> Duration {
        let inner = self.inner.lock();
        let alarm = inner.more.as_ref().and_then(|more| more.alarm.as_ref());
        alarm.map_or(Duration::ZERO, |(_, after)| *after)
    }

    /// Its time is up. A function that runs is not waited for: it has its outcome now.
    pub(crate) fn expire(&self) {
        self.end_time(true, || ());
    }

    /// Its time is up. One that has not begun has that for an outcome, once `discard` has dropped
    /// what it consists of elsewhere; the token of one that runs is cancelled, and its outcome is
    /// up to its worker.
    #[cfg(feature = "async")]
    pub(crate) fn expire_unless_running(&self, discard: impl FnOnce()) {
        self.end_time(false, discard);
    }

    fn end_time(&self, also_running: bool, discard: impl FnOnce()) {
        let mut inner = self.inner.lock();
        let alarm = inner.more.as_ref().and_then(|more| more.alarm.as_ref());
        let Some(&(_, after)) = alarm else {
            return;
        };
        let why = TaskError::TimedOut { after };
        match &inner.stage {
            Stage::Queued(_) => {
                drop(inner);
                self.forestall(why, discard);
            }
            Stage::Running => {
                if also_running {
                    // Before it hears of it, or its own result could come first.
                    inner.stage = Stage::Settling;
                }
                let token = inner.more().token.get_or_insert_default().clone();
                drop(inner);
                token.cancel();
                if also_running {
                    self.settle(Err(why));
                }
            }
            Stage::Settling | Stage::Finished(_) | Stage::Taken => {}
        }
    }
}

impl<R> More<R> {
    /// The time that it had, if its deadline has passed.
    fn late(&self, now: Instant) -> Option<Duration> {
        let (alarm, after) = self.alarm.as_ref()?;
        (alarm.at() <= now).then_some(*after)
    }

    /// Its time-out counts from now on.
    fn start_timeout(&mut self, now: Instant) {
        if let Some((timeout, waker)) = self.timeout.take()
            && let Some(at) = now.checked_add(timeout)
            // A deadline that comes first keeps its alarm.
            && self.alarm.as_ref().is_none_or(|(before, _)| at < before.at())
            // Prepared by `limit`, so it does not fail.
            && let Ok(alarm) = Alarm::set(at, waker)
        {
            self.alarm = Some((alarm, timeout));
        }
    }
}

impl<F, R> Runnable for TaskCell<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    fn run(self: Arc<Self>, owners: &Owners, begins: &mut dyn FnMut()) -> Ran {
        let (run, context) = match self.begin(|| ()) {
            Ok(begun) => begun,
            Err(ran) => return ran,
        };
        begins();
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
        } else {
            drop(inner);
            dispose(result);
        }
        ran
    }

    fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    fn set_number(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }

    fn class(&self) -> &'static str {
        self.class
    }

    fn refuse(&self, why: TaskError) {
        self.forestall(why, || ());
    }

    fn is_over(&self) -> bool {
        self.finished.load(Ordering::Acquire) && !self.inner.lock().has_begun
    }
}

/// What [`Claim`] asks for.
impl<F, R> TaskCell<F, R>
where
    F: Send + 'static,
    R: Send + 'static,
{
    pub(crate) fn poll(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<Outcome<R>> {
        in_line(waker, |caller| {
            let mut inner = self.inner.lock();
            match mem::replace(&mut inner.stage, Stage::Taken) {
                Stage::Finished(outcome) => Some(Poll::Ready(outcome)),
                Stage::Taken => panic!("the handle of a task was polled after it gave the outcome"),
                other => {
                    inner.stage = other;
                    inner.enlist(ticket, caller)
                }
            }
        })
    }

    pub(crate) fn peek(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<bool> {
        in_line(waker, |caller| {
            let mut inner = self.inner.lock();
            match &inner.stage {
                Stage::Finished(outcome) => Some(Poll::Ready(outcome.is_err())),
                Stage::Taken => Some(Poll::Ready(false)),
                Stage::Queued(_) | Stage::Running | Stage::Settling => inner.enlist(ticket, caller),
            }
        })
    }

    pub(crate) fn leave(&self, ticket: Ticket) {
        // All who wait are woken together, so there is nobody to pass a wake-up on to.
        let mut inner = self.inner.lock();
        let left = inner.more.as_mut().map(|more| more.waiters.leave(ticket));
        drop(inner);
        dispose(left);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// `discard` drops what a task that has not begun consists of elsewhere.
    pub(crate) fn cancel(&self, discard: impl FnOnce()) -> bool {
        if self.forestall(TaskError::Cancelled, discard) {
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

    pub(crate) fn on_done(&self, callback: Callback<R>) {
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

impl<F, R> Claim<R> for TaskCell<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    fn poll(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<Outcome<R>> {
        TaskCell::poll(self, ticket, waker)
    }

    fn peek(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<bool> {
        TaskCell::peek(self, ticket, waker)
    }

    fn leave(&self, ticket: Ticket) {
        TaskCell::leave(self, ticket);
    }

    fn is_finished(&self) -> bool {
        TaskCell::is_finished(self)
    }

    fn cancel(&self) -> bool {
        TaskCell::cancel(self, || ())
    }

    fn on_done(&self, callback: Callback<R>) {
        TaskCell::on_done(self, callback);
    }

    fn runnable(self: Arc<Self>) -> Option<Arc<dyn Runnable>> {
        // Looked at without claiming it: a thread that runs it finds out.
        let is_queued = matches!(self.inner.lock().stage, Stage::Queued(_));
        is_queued.then_some(self as _)
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
