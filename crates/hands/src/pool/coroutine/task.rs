//! One coroutine: in one piece of memory its future, who may poll it, and what its handle shares.
//!
//! Whose turn it is with it says [`Turn`].

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

use super::crew::CoroutineCrew;
use super::driver::Driver;
use super::polled::Polled;
use crate::event::{AtomicBegun, PLACES, TaskEnd};
use crate::sync::CancelToken;
use crate::sync::cancel::{Owner, Owners};
use crate::sync::waiters::Ticket;
use crate::task::blocking::in_coroutine;
use crate::task::cell::{Callback, Claim, TaskCell};
use crate::task::turn::Turn;
use crate::task::{Options, Outcome, TaskError};
use crate::thread::panic::caught;

const NOWHERE: u32 = u32::MAX;

pub(super) struct Coroutine<Fut: Future> {
    cell: TaskCell<(), Fut::Output>,
    class: &'static str,
    crew: Arc<CoroutineCrew>,
    /// Among those that were admitted; [`NOWHERE`] before that.
    place: AtomicU32,
    has_begun: AtomicBool,
    turn: Turn,
    /// [`WANTED`], or why it is not.
    wanted: AtomicU8,
    /// It awaits a task of its own pool, and another one has its place meanwhile.
    has_lent: AtomicBool,
    /// What the events say of it: from when it was queued, and from when it began.
    begun: AtomicBegun,
    /// `None` when it is over. Locked by the one thread that polls or drops it, and never waited
    /// for.
    future: Mutex<Option<Fut>>,
}

const WANTED: u8 = 0;
const CANCELLED: u8 = 1;
const LATE: u8 = 2;

thread_local! {
    /// The coroutine that this thread polls has found a task of its own pool unfinished.
    static AWAITS_OWN: Cell<bool> = const { Cell::new(false) };
}

impl<Fut> Coroutine<Fut>
where
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    pub(super) fn new(
        class: &'static str,
        options: Options,
        future: Fut,
        crew: &Arc<CoroutineCrew>,
    ) -> (Arc<Coroutine<Fut>>, io::Result<()>) {
        let coroutine = Arc::new(Coroutine {
            cell: TaskCell::new(class, ()),
            class,
            crew: Arc::clone(crew),
            place: AtomicU32::new(NOWHERE),
            has_begun: AtomicBool::new(false),
            turn: Turn::new(),
            wanted: AtomicU8::new(WANTED),
            has_lent: AtomicBool::new(false),
            begun: AtomicBegun::new(crew.events.queued(class)),
            future: Mutex::new(Some(future)),
        });
        let mut limited = Ok(());
        if options.is_limited() {
            let expiry = Waker::from(Arc::new(Expiry(Arc::downgrade(&coroutine))));
            let cell = &coroutine.cell;
            limited = cell.limit(options.timeout, options.deadline, expiry);
        }
        (coroutine, limited)
    }

    /// It is not wanted any more; the first reason counts.
    fn renounce(&self, why: u8) {
        let (set, got) = (Ordering::AcqRel, Ordering::Acquire);
        let _ = self.wanted.compare_exchange(WANTED, why, set, got);
    }

    fn line_up(self: &Arc<Self>) {
        if self.turn.wake() {
            self.crew.line_up(Arc::clone(self) as _);
        }
    }

    /// Drops the future, unless it is being polled or dropped just now, perhaps by a caller of the
    /// caller.
    fn strip(&self) {
        if let Some(mut future) = self.future.try_lock() {
            drop_in_place(&mut future);
        }
    }

    /// Why it is not to be polled any more.
    fn unwanted(&self) -> Option<TaskError> {
        match self.wanted.load(Ordering::Acquire) {
            WANTED => None,
            LATE => Some(TaskError::TimedOut {
                after: self.cell.time_given(),
            }),
            _ => Some(TaskError::Cancelled),
        }
    }

    fn poll_once(self: &Arc<Self>, owners: &Owners) -> Poll<Outcome<Fut::Output>> {
        let owner = Arc::clone(self) as Arc<dyn Owner>;
        let waker = Waker::from(Arc::clone(self));
        // Only a thread that has its turn locks it for long; others try.
        let mut future = self.future.lock();
        let poll = |future: &mut Option<Fut>| {
            if let Some(why) = self.unwanted() {
                return Poll::Ready(Err(why));
            }
            let Some(polled) = future else {
                return Poll::Ready(Err(TaskError::Cancelled));
            };
            // SAFETY: it stays where it is until it is dropped there: it lies in an `Arc`, this
            // field is private, and all that is ever done to it is to poll it here, and to write
            // `None` over it, which drops it in place; also after a panic.
            let polled = unsafe { Pin::new_unchecked(polled) };
            match caught(|| polled.poll(&mut Context::from_waker(&waker))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
                Err(panic) => Poll::Ready(Err(panic.into())),
            }
        };
        let poll_and_drop = || {
            let polled = poll(&mut future);
            if polled.is_ready() {
                // What it keeps is dropped before anybody hears that it has ended.
                drop_in_place(&mut future);
            }
            polled
        };
        let context = self.cell.context();
        context.run(|| owners.run(Some(owner), poll_and_drop))
    }

    fn take_turn(self: &Arc<Self>, owners: &Owners) {
        if !self.has_begun.swap(true, Ordering::Relaxed) {
            if self.cell.begin(|| self.strip()).is_err() {
                // It has an outcome, from while it waited.
                self.strip();
                return self.end(Err(TaskError::Cancelled), false);
            }
            let events = &self.crew.events;
            let begun = events.started(self.begun.task(), self.class, self.worker());
            self.begun.set(begun);
        }
        AWAITS_OWN.set(false);
        match self.poll_once(owners) {
            Poll::Ready(outcome) => self.end(outcome, true),
            Poll::Pending => {
                // Before it rests: from then on another thread may have its turn.
                if AWAITS_OWN.take() {
                    self.has_lent.store(true, Ordering::Relaxed);
                    self.crew.lend();
                }
                if self.turn.rest() {
                    self.crew.line_up(Arc::clone(self) as _);
                }
            }
        }
    }

    /// Its place is what the events call its worker; threads are numbered from 0.
    fn worker(&self) -> u32 {
        PLACES | self.place.load(Ordering::Relaxed)
    }

    /// A coroutine of the same pool has found this one unfinished.
    fn note_awaited(&self) {
        if self.crew.is_within() {
            AWAITS_OWN.set(true);
        }
    }

    fn end(&self, outcome: Outcome<Fut::Output>, has_run: bool) {
        self.turn.end();
        let how = match &outcome {
            _ if !has_run => TaskEnd::NotRun,
            Ok(_) => TaskEnd::Well,
            Err(TaskError::Panicked(_)) => TaskEnd::Panicked,
            Err(TaskError::TimedOut { .. }) => TaskEnd::TimedOut,
            Err(_) => TaskEnd::Cancelled,
        };
        self.crew.count(how);
        let events = &self.crew.events;
        match has_run {
            true => events.finished(self.begun.get(), self.class, self.worker(), how),
            false => events.not_run(self.begun.task(), self.class),
        }
        self.cell.resolve(outcome);
        self.crew.leave(self.place.load(Ordering::Relaxed));
    }
}

impl<Fut> Polled for Coroutine<Fut>
where
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    fn turn(self: Arc<Self>, driver: &Arc<Driver>, owners: &Owners) {
        self.turn.begin();
        if self.has_lent.swap(false, Ordering::Relaxed) {
            self.crew.take_back();
        }
        // Callbacks that run at its end may block as well as its polls.
        driver.occupied(self.class, || in_coroutine(|| self.take_turn(owners)));
    }

    fn admit(self: Arc<Self>, place: u32) {
        self.place.store(place, Ordering::Release);
        self.line_up();
    }

    fn refuse(&self, why: TaskError) {
        self.strip();
        self.cell.resolve(Err(why));
    }

    fn give_up(self: Arc<Self>) {
        self.cell.cancel(|| self.strip());
        self.renounce(CANCELLED);
        self.line_up();
    }

    fn rouse(self: Arc<Self>) {
        self.line_up();
    }

    fn is_over(&self) -> bool {
        self.cell.is_finished()
    }

    fn number(&self) -> u64 {
        self.begun.task()
    }

    fn class(&self) -> &'static str {
        self.class
    }

    fn abandon(&self) {
        self.strip();
        if self.turn.end() {
            self.crew.count(TaskEnd::NotRun);
            self.crew.events.not_run(self.begun.task(), self.class);
            self.cell.resolve(Err(TaskError::Cancelled));
        }
    }
}

impl<Fut> Wake for Coroutine<Fut>
where
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    fn wake(self: Arc<Self>) {
        self.line_up();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.line_up();
    }
}

impl<Fut> Owner for Coroutine<Fut>
where
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    fn token(&self, outer: Option<&CancelToken>) -> CancelToken {
        self.cell.token(outer)
    }
}

impl<Fut> Claim<Fut::Output> for Coroutine<Fut>
where
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    fn poll(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<Outcome<Fut::Output>> {
        let polled = self.cell.poll(ticket, waker);
        if polled.is_pending() {
            self.note_awaited();
        }
        polled
    }

    fn peek(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<bool> {
        let polled = self.cell.peek(ticket, waker);
        if polled.is_pending() {
            self.note_awaited();
        }
        polled
    }

    fn leave(&self, ticket: Ticket) {
        self.cell.leave(ticket);
    }

    fn is_finished(&self) -> bool {
        self.cell.is_finished()
    }

    fn cancel(&self) -> bool {
        if self.cell.cancel(|| self.strip()) {
            self.crew.note_cancelled();
            return true;
        }
        if !self.is_finished() {
            self.renounce(CANCELLED);
            self.crew.rouse(self.place.load(Ordering::Acquire));
        }
        false
    }

    fn on_done(&self, callback: Callback<Fut::Output>) {
        self.cell.on_done(callback);
    }

    fn refuse_to_block(&self) {
        assert!(
            !self.crew.would_hang(),
            "this thread drives the runtime that is to run the coroutine, so it would wait for itself; write `handle.await` instead of `handle.join()`"
        );
    }
}

/// What the alarm of a limited one wakes.
struct Expiry<Fut: Future>(Weak<Coroutine<Fut>>);

impl<Fut> Wake for Expiry<Fut>
where
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    fn wake(self: Arc<Self>) {
        let Some(coroutine) = self.0.upgrade() else {
            return;
        };
        // One that has begun has its outcome when its future has been dropped, by the thread that
        // has its turn.
        coroutine.renounce(LATE);
        coroutine.cell.expire_unless_running(|| coroutine.strip());
        // One that is not admitted yet ends when it is.
        if coroutine.place.load(Ordering::Acquire) != NOWHERE {
            coroutine.line_up();
        }
    }
}

/// Drops a future where it is; its destructor may panic.
fn drop_in_place<Fut>(future: &mut Option<Fut>) {
    // A panic leaves `None` there, too.
    if let Err(caught) = caught(|| *future = None) {
        drop(caught);
    }
}
