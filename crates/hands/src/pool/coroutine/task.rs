//! One coroutine: in one piece of memory its future, who may poll it, and what its handle shares.
//!
//! Whose turn it is with it says [`Turn`].

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

use super::crew::Crew;
use super::seat::Seat;
use crate::sync::CancelToken;
use crate::sync::cancel::{Owner, Owners};
use crate::sync::waiters::Ticket;
use crate::task::cell::{Callback, Claim, TaskCell};
use crate::task::turn::Turn;
use crate::task::{Options, Outcome, TaskError};
use crate::thread::panic::caught;

const NOWHERE: u32 = u32::MAX;

/// A coroutine, to the pool.
pub(super) trait Polled: Send + Sync {
    /// Polls it once.
    fn turn(self: Arc<Self>, seat: &Arc<Seat>, owners: &Owners);
    /// It has been admitted, under this number: from now on it wants to be polled.
    fn admit(self: Arc<Self>, place: u32);
    /// It will not begin.
    fn refuse(&self, why: TaskError);
    /// It is no longer wanted: its token is cancelled, and it is dropped where it awaits.
    fn give_up(self: Arc<Self>);
    /// It is to look whether it is still wanted.
    fn rouse(self: Arc<Self>);
    /// Nobody will poll it any more.
    fn abandon(&self);
}

pub(super) struct Coroutine<Fut: Future> {
    cell: TaskCell<(), Fut::Output>,
    class: &'static str,
    crew: Arc<Crew>,
    /// Among those that were admitted; [`NOWHERE`] before that.
    place: AtomicU32,
    has_begun: AtomicBool,
    turn: Turn,
    is_unwanted: AtomicBool,
    /// `None` when it is over. Locked by whoever polls or drops it.
    future: Mutex<Option<Fut>>,
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
        crew: &Arc<Crew>,
    ) -> Arc<Coroutine<Fut>> {
        let coroutine = Arc::new(Coroutine {
            cell: TaskCell::new(class, ()),
            class,
            crew: Arc::clone(crew),
            place: AtomicU32::new(NOWHERE),
            has_begun: AtomicBool::new(false),
            turn: Turn::new(),
            is_unwanted: AtomicBool::new(false),
            future: Mutex::new(Some(future)),
        });
        if options.is_limited() {
            let expiry = Waker::from(Arc::new(Expiry(Arc::downgrade(&coroutine))));
            let cell = &coroutine.cell;
            cell.limit(options.timeout, options.deadline, expiry);
        }
        coroutine
    }

    fn line_up(self: &Arc<Self>) {
        if self.turn.wake() {
            self.crew.line_up(Arc::clone(self) as _);
        }
    }

    /// Drops the future. Not to be called by whoever polls it.
    fn strip(&self) {
        let mut future = self.future.lock();
        let _ = caught(|| *future = None);
    }

    fn poll_once(self: &Arc<Self>, owners: &Owners) -> Poll<Outcome<Fut::Output>> {
        let owner = Arc::clone(self) as Arc<dyn Owner>;
        let waker = Waker::from(Arc::clone(self));
        let is_unwanted = self.is_unwanted.load(Ordering::Acquire);
        let mut future = self.future.lock();
        let poll = |future: &mut Option<Fut>| {
            let Some(polled) = future.as_mut().filter(|_| !is_unwanted) else {
                return Poll::Ready(Err(TaskError::Cancelled));
            };
            // SAFETY: it stays where it is until it is dropped there: it lies in an `Arc`, this field is private, and all that is ever
            // done to it is to poll it here, and to write `None` over it, which drops it in place; also after a panic.
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
                // What it keeps is dropped before anybody hears that it has ended. The hook reports it if that panics.
                let _ = caught(|| *future = None);
            }
            polled
        };
        let context = self.cell.context();
        context.run(|| owners.run(Some(owner), poll_and_drop))
    }

    fn end(&self, outcome: Outcome<Fut::Output>, has_run: bool) {
        self.turn.end();
        let is_panic = matches!(outcome, Err(TaskError::Panicked(_)));
        self.crew.counts.ended(is_panic, has_run);
        self.cell.resolve(outcome);
        self.crew.leave(self.place.load(Ordering::Relaxed));
    }
}

impl<Fut> Polled for Coroutine<Fut>
where
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    fn turn(self: Arc<Self>, seat: &Arc<Seat>, owners: &Owners) {
        self.turn.begin();
        if !self.has_begun.swap(true, Ordering::Relaxed) && self.cell.begin().is_none() {
            // It has an outcome, from while it waited.
            self.strip();
            return self.end(Err(TaskError::Cancelled), false);
        }
        let polled = seat.occupied(self.class, || self.poll_once(owners));
        match polled {
            Poll::Ready(outcome) => self.end(outcome, true),
            Poll::Pending => {
                if self.turn.rest() {
                    let crew = Arc::clone(&self.crew);
                    crew.line_up(self);
                }
            }
        }
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
        self.cell.cancel();
        self.is_unwanted.store(true, Ordering::Release);
        self.line_up();
    }

    fn rouse(self: Arc<Self>) {
        self.line_up();
    }

    fn abandon(&self) {
        self.strip();
        if self.turn.end() {
            self.crew.counts.ended(false, false);
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
        self.cell.poll(ticket, waker)
    }

    fn peek(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<bool> {
        self.cell.peek(ticket, waker)
    }

    fn leave(&self, ticket: Ticket) {
        self.cell.leave(ticket);
    }

    fn is_finished(&self) -> bool {
        self.cell.is_finished()
    }

    fn cancel(&self) -> bool {
        if self.cell.cancel() {
            self.strip();
            return true;
        }
        if !self.is_finished() {
            self.is_unwanted.store(true, Ordering::Release);
            self.crew.rouse(self.place.load(Ordering::Acquire));
        }
        false
    }

    fn on_done(&self, callback: Callback<Fut::Output>) {
        self.cell.on_done(callback);
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
        if let Some(coroutine) = self.0.upgrade() {
            coroutine.cell.expire();
            coroutine.is_unwanted.store(true, Ordering::Release);
            // One that is not admitted yet ends when it is.
            if coroutine.place.load(Ordering::Acquire) != NOWHERE {
                coroutine.line_up();
            } else if let Some(mut future) = coroutine.future.try_lock() {
                let _ = caught(|| *future = None);
            }
        }
    }
}
