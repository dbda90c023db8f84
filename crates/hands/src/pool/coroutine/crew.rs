//! The coroutines of a pool, and the drivers that poll them.
//!
//! ```text
//!  spawn ─▶ waiting ──admitted, as long as fewer than the limit are in flight──▶ in flight
//!                                                                               │ wake        ▲ not ready
//!                                                                               ▼             │
//!                                                                              line ─▶ driver: poll
//! ```
//!
//! A driver is a task of the `tokio` runtime, one for each of its threads, and takes from one line.
//! A thread that adds to the line wakes a driver that idles; a driver that adds to an empty line
//! does not, as it will take it itself. If it does not come to that, because what it polls blocks,
//! a thread that watches for that wakes another one; and if all of them are blocked, it starts a
//! *substitute*: a thread of its own that polls what is in the line until one of them goes on.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::runtime::{Handle as Runtime, RuntimeFlavor};
use tokio::task::coop::has_budget_remaining;

use super::driver::{Driver, StallWatch};
use super::polled::Polled;
use crate::event::{Events, Tally, TaskEnd};
use crate::foreign::{dispose, wake, wake_each};
use crate::sync::cancel::Owners;
use crate::sync::park;
use crate::sync::waiters::{Ticket, Waiters, in_line};
use crate::task::TaskError;
use crate::thread::panic::{caught, watch_this_thread};
use crate::thread::registry::Unfinished;

/// Fewer cancelled coroutines than this stay where they wait until it is their turn.
const SWEPT: usize = 1024;
/// The number of polls after which the runtime may do something else.
const TURNS: usize = 64;

pub(super) struct CoroutineCrew {
    limit: usize,
    registry: Mutex<Registry>,
    line: Mutex<Line>,
    /// How many that were submitted have not ended.
    unfinished: AtomicUsize,
    runtime: Runtime,
    /// Pollers that are blocked, and so substitutes that may be.
    blocked: AtomicUsize,
    idle: Mutex<Waiters>,
    /// Of coroutines; functions have their own.
    pub(super) tally: Tally,
    /// Also of the pool's functions.
    pub(super) events: Events,
}

/// Who is there.
#[derive(Default)]
struct Registry {
    waiting: VecDeque<Arc<dyn Polled>>,
    in_flight: Vec<Option<Arc<dyn Polled>>>,
    free: Vec<u32>,
    is_closed: bool,
    /// Cancelled before they began, since `waiting` was last swept.
    cancelled: usize,
    /// Of those in flight: how many await others of this pool, and have lent their places.
    lent: usize,
    /// Pollers that there are, without substitutes.
    drivers: usize,
    substitutes: usize,
}

impl Registry {
    fn in_flight(&self) -> usize {
        self.in_flight.len() - self.free.len()
    }

    /// How many of them count against the limit.
    fn at_work(&self) -> usize {
        self.in_flight().saturating_sub(self.lent)
    }

    /// Admits the first of those that wait, if it may be in flight.
    fn admit_next(&mut self, limit: usize) -> Option<(Arc<dyn Polled>, u32)> {
        if self.at_work() >= limit {
            return None;
        }
        let next = self.waiting.pop_front()?;
        let place = self.admit(&next);
        Some((next, place))
    }

    fn admit(&mut self, coroutine: &Arc<dyn Polled>) -> u32 {
        let coroutine = Some(Arc::clone(coroutine));
        if let Some(place) = self.free.pop() {
            self.in_flight[place as usize] = coroutine;
            return place;
        }
        self.in_flight.push(coroutine);
        // The limit is less.
        (self.in_flight.len() - 1) as u32
    }
}

/// Those that want to be polled, and who is there to do it.
#[derive(Default)]
struct Line {
    coroutines: VecDeque<Arc<dyn Polled>>,
    /// By driver: how to wake it, if it idles.
    idle: Vec<Option<Waker>>,
    /// Numbers of substitutes that have ended.
    unused: Vec<usize>,
    is_over: bool,
}

impl Line {
    fn take_idle(&mut self) -> Option<Waker> {
        self.idle.iter_mut().find_map(Option::take)
    }
}

/// Figures of the moment.
pub(super) struct Figures {
    pub(super) in_flight: usize,
    pub(super) waiting: usize,
    pub(super) finished: u64,
    pub(super) panicked: u64,
    pub(super) not_run: u64,
    pub(super) timed_out: u64,
}

thread_local! {
    /// The pool one of whose coroutines this thread polls.
    static POLLS_FOR: Cell<usize> = const { Cell::new(0) };
}

impl CoroutineCrew {
    pub(super) fn new(limit: usize, drivers: usize, runtime: Runtime) -> CoroutineCrew {
        CoroutineCrew {
            limit,
            runtime,
            blocked: AtomicUsize::new(0),
            registry: Mutex::new(Registry {
                drivers,
                ..Registry::default()
            }),
            line: Mutex::new(Line {
                idle: vec![None; drivers],
                ..Line::default()
            }),
            unfinished: AtomicUsize::new(0),
            idle: Mutex::default(),
            tally: Tally::default(),
            events: Events::new(),
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether the caller is one of its coroutines.
    pub(super) fn is_within(&self) -> bool {
        POLLS_FOR.get() == std::ptr::from_ref(self).addr()
    }

    pub(super) fn figures(&self) -> Figures {
        let registry = self.registry.lock();
        Figures {
            in_flight: registry.in_flight(),
            waiting: registry.waiting.len(),
            finished: self.tally.finished(),
            panicked: self.tally.of(TaskEnd::Panicked),
            not_run: self.tally.of(TaskEnd::NotRun),
            timed_out: self.tally.of(TaskEnd::TimedOut),
        }
    }

    pub(super) fn submit(&self, coroutine: Arc<dyn Polled>) {
        let mut registry = self.registry.lock();
        if registry.is_closed {
            drop(registry);
            return coroutine.refuse(TaskError::PoolClosed);
        }
        self.unfinished.fetch_add(1, Ordering::SeqCst);
        if registry.at_work() < self.limit {
            let place = registry.admit(&coroutine);
            drop(registry);
            coroutine.admit(place);
        } else {
            registry.waiting.push_back(coroutine);
        }
    }

    /// One that was in flight is over.
    pub(super) fn leave(&self, place: u32) {
        let mut registry = self.registry.lock();
        let left = registry
            .in_flight
            .get_mut(place as usize)
            .and_then(Option::take);
        registry.free.push(place);
        let next = registry.admit_next(self.limit);
        drop(registry);
        dispose(left);
        if let Some((next, place)) = next {
            next.admit(place);
        }
        self.ended(1);
    }

    /// One has been cancelled before it began: those that wait no longer for anything are taken out
    /// when they are half of all.
    pub(super) fn note_cancelled(&self) {
        let mut registry = self.registry.lock();
        registry.cancelled += 1;
        if registry.cancelled < SWEPT || 2 * registry.cancelled < registry.waiting.len() {
            return;
        }
        registry.cancelled = 0;
        let mut swept = Vec::new();
        for coroutine in std::mem::take(&mut registry.waiting) {
            match coroutine.is_over() {
                true => swept.push(coroutine),
                false => registry.waiting.push_back(coroutine),
            }
        }
        drop(registry);
        let count = swept.len();
        for coroutine in swept {
            self.not_run(&*coroutine);
            dispose(coroutine);
        }
        if count > 0 {
            self.ended(count);
        }
    }

    /// One that is in flight awaits another one of this pool: others may have its place until it
    /// goes on.
    pub(super) fn lend(&self) {
        let mut registry = self.registry.lock();
        registry.lent += 1;
        while let Some((next, place)) = registry.admit_next(self.limit) {
            drop(registry);
            next.admit(place);
            registry = self.registry.lock();
        }
    }

    /// It goes on; until others end there may be more in flight than the limit.
    pub(super) fn take_back(&self) {
        self.registry.lock().lent -= 1;
    }

    /// One has an outcome without having been begun.
    fn not_run(&self, coroutine: &dyn Polled) {
        self.count(TaskEnd::NotRun);
        self.events.not_run(coroutine.number(), coroutine.class());
    }

    /// One has an outcome.
    pub(super) fn count(&self, how: TaskEnd) {
        self.tally.add(how, 1);
        self.tally.add_finished(1);
    }

    fn ended(&self, count: usize) {
        if self.unfinished.fetch_sub(count, Ordering::SeqCst) == count {
            let woken = self.idle.lock().all();
            wake_each(woken);
        }
    }

    /// Has one that was admitted look whether it is still wanted.
    pub(super) fn rouse(&self, place: u32) {
        let registry = self.registry.lock();
        let coroutine = registry.in_flight.get(place as usize).cloned().flatten();
        drop(registry);
        if let Some(coroutine) = coroutine {
            coroutine.rouse();
        }
    }

    /// It wants to be polled.
    pub(super) fn line_up(&self, coroutine: Arc<dyn Polled>) {
        let mut line = self.line.lock();
        if line.is_over {
            return;
        }
        let is_ours_alone = line.coroutines.is_empty() && self.is_within();
        line.coroutines.push_back(coroutine);
        let idle = if is_ours_alone {
            None
        } else {
            line.take_idle()
        };
        drop(line);
        if let Some(idle) = idle {
            wake(idle);
        }
    }

    /// The number of drivers that are blocked. If something waits in the line, a driver that idles
    /// is woken; if none does, a substitute is started.
    pub(super) fn rescue(self: &Arc<Self>, watch: &Arc<StallWatch>, blocked: usize) {
        self.blocked.store(blocked, Ordering::SeqCst);
        let mut line = self.line.lock();
        let waits = !line.coroutines.is_empty() && !line.is_over;
        let idle = if waits { line.take_idle() } else { None };
        drop(line);
        match idle {
            Some(idle) => wake(idle),
            None if waits => self.start_substitute(watch, blocked),
            None => {}
        }
        if self.registry.lock().substitutes > blocked {
            // One that idles finds that it is not needed any more.
            let mut line = self.line.lock();
            let idle: Vec<_> = line.idle.iter_mut().filter_map(Option::take).collect();
            drop(line);
            wake_each(idle);
        }
    }

    fn start_substitute(self: &Arc<Self>, watch: &Arc<StallWatch>, blocked: usize) {
        {
            let mut registry = self.registry.lock();
            if registry.substitutes >= blocked {
                return;
            }
            registry.substitutes += 1;
        }
        let number = {
            let mut line = self.line.lock();
            line.unused.pop().unwrap_or_else(|| {
                line.idle.push(None);
                line.idle.len() - 1
            })
        };
        let driver = watch.driver();
        let ends = Substitute {
            crew: Arc::clone(self),
            driver: Arc::clone(&driver),
            number,
        };
        let thread = std::thread::Builder::new().name("hands-substitute".to_owned());
        // Refused, it is tried again at the next look.
        let _ = thread.spawn(move || {
            let crew = Arc::clone(&ends.crew);
            let owners = Owners::default();
            let polls = poll_fn(|context| {
                if crew.is_needless() {
                    return Poll::Ready(());
                }
                owners.adopted(|| crew.poll_some(number, context, &driver, &owners))
            });
            // A runtime that has ended meanwhile may panic.
            drop(caught(|| crew.runtime.block_on(polls)));
            drop(ends);
        });
    }

    /// Whether there are more substitutes than blocked drivers.
    fn is_needless(&self) -> bool {
        self.registry.lock().substitutes > self.blocked.load(Ordering::SeqCst)
    }

    /// Whether the calling thread drives the runtime on which the coroutines run, and nobody else
    /// does.
    pub(super) fn would_hang(&self) -> bool {
        let own = Runtime::try_current();
        let is_own = own.is_ok_and(|own| own.id() == self.runtime.id());
        if !is_own || self.runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
            return false;
        }
        // Panics on the thread that drives it, and is nothing on those that may block.
        caught(|| tokio::task::block_in_place(|| ())).is_err()
    }

    /// The next to be polled. `Pending`: there is none, and this driver is woken when there is.
    fn next(&self, number: usize, context: &Context<'_>) -> Poll<Option<Arc<dyn Polled>>> {
        let (mut waker, drop_later);
        waker = None;
        let (next, mut line) = loop {
            let mut line = self.line.lock();
            let before = std::mem::replace(&mut line.idle[number], waker.take());
            if line.is_over {
                return Poll::Ready(None);
            }
            if let Some(next) = line.coroutines.pop_front() {
                waker = line.idle[number].take();
                drop_later = before;
                break (next, line);
            }
            let enlisted = line.idle[number].is_some();
            drop(line);
            dispose(before);
            if enlisted {
                return Poll::Pending;
            }
            waker = Some(context.waker().clone());
        };
        let helper = match line.coroutines.is_empty() {
            true => None,
            false => line.take_idle(),
        };
        drop(line);
        dispose(waker);
        dispose(drop_later);
        if let Some(helper) = helper {
            wake(helper);
        }
        Poll::Ready(Some(next))
    }

    /// Polls what wants to be polled, until the pool is over.
    pub(super) fn driver(
        self: &Arc<Self>,
        number: usize,
        driver: Arc<Driver>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let leave = DriverLeave(Arc::clone(self));
        let owners = Owners::default();
        async move {
            let crew = &leave.0;
            poll_fn(|context| owners.adopted(|| crew.poll_some(number, context, &driver, &owners)))
                .await;
        }
    }

    /// Polls what is in the line, until there is nothing or the runtime should do something else.
    fn poll_some(
        &self,
        number: usize,
        context: &Context<'_>,
        driver: &Arc<Driver>,
        owners: &Owners,
    ) -> Poll<()> {
        watch_this_thread();
        let before = POLLS_FOR.replace(std::ptr::from_ref(self).addr());
        let _restore = Restore(before);
        let mut turns = 0;
        // What tokio allows this task is for all that it polls.
        while turns < TURNS && has_budget_remaining() {
            match self.next(number, context) {
                // The last that holds it may be this: what it leaves behind is dropped inside the
                // catch.
                Poll::Ready(Some(next)) => drop(caught(|| next.turn(driver, owners))),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
            turns += 1;
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    pub(super) fn close(&self) {
        self.registry.lock().is_closed = true;
    }

    /// What has not begun never will, and what has is told.
    pub(super) fn give_up_all(&self) {
        let (waiting, in_flight) = {
            let mut registry = self.registry.lock();
            let waiting = std::mem::take(&mut registry.waiting);
            let in_flight: Vec<_> = registry.in_flight.iter().flatten().cloned().collect();
            (waiting, in_flight)
        };
        self.refuse(waiting);
        in_flight.into_iter().for_each(Polled::give_up);
    }

    fn refuse(&self, waiting: VecDeque<Arc<dyn Polled>>) {
        let count = waiting.len();
        for coroutine in waiting {
            self.not_run(&*coroutine);
            coroutine.refuse(TaskError::Cancelled);
        }
        if count > 0 {
            self.ended(count);
        }
    }

    /// Ends the drivers. Nothing is unfinished.
    pub(super) fn end(&self) {
        let mut line = self.line.lock();
        line.is_over = true;
        let idle: Vec<_> = line.idle.iter_mut().filter_map(Option::take).collect();
        drop(line);
        wake_each(idle);
    }

    /// The runtime has ended, and with it the last driver: nothing will be polled any more.
    fn abandon(&self) {
        self.close();
        let line = {
            let mut line = self.line.lock();
            line.is_over = true;
            std::mem::take(&mut line.coroutines)
        };
        drop(line);
        let (waiting, in_flight) = {
            let mut registry = self.registry.lock();
            let waiting = std::mem::take(&mut registry.waiting);
            registry.free.clear();
            (waiting, std::mem::take(&mut registry.in_flight))
        };
        self.refuse(waiting);
        let in_flight: Vec<_> = in_flight.into_iter().flatten().collect();
        let count = in_flight.len();
        for coroutine in in_flight {
            drop(caught(|| coroutine.abandon()));
        }
        if count > 0 {
            self.ended(count);
        }
    }

    /// Ready when nothing is unfinished.
    pub(super) fn idle(&self) -> Idle<'_> {
        Idle {
            crew: self,
            ticket: None,
        }
    }
}

impl Unfinished for CoroutineCrew {
    fn is_unfinished(&self) -> bool {
        self.unfinished.load(Ordering::SeqCst) > 0
    }

    fn finish(&self) {
        park::wait(self.idle());
    }
}

/// What [`CoroutineCrew::idle`] returns.
pub(super) struct Idle<'a> {
    crew: &'a CoroutineCrew,
    ticket: Option<Ticket>,
}

impl Future for Idle<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        in_line(context.waker(), |caller| {
            let mut idle = this.crew.idle.lock();
            if this.crew.unfinished.load(Ordering::SeqCst) == 0 {
                return Some(Poll::Ready(()));
            }
            idle.enlist(&mut this.ticket, caller, ())
        })
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let left = self.crew.idle.lock().leave(ticket);
            dispose(left);
        }
    }
}

/// A substitute is gone.
struct Substitute {
    crew: Arc<CoroutineCrew>,
    driver: Arc<Driver>,
    number: usize,
}

impl Drop for Substitute {
    fn drop(&mut self) {
        self.driver.leave();
        self.crew.registry.lock().substitutes -= 1;
        let mut line = self.crew.line.lock();
        let idle = line.idle[self.number].take();
        line.unused.push(self.number);
        drop(line);
        dispose(idle);
        // It may have been woken for something that it has not taken.
        let mut line = self.crew.line.lock();
        let other = if line.coroutines.is_empty() {
            None
        } else {
            line.take_idle()
        };
        drop(line);
        wake_each(other);
    }
}

/// A driver is gone, by its own end or with its runtime.
struct DriverLeave(Arc<CoroutineCrew>);

impl Drop for DriverLeave {
    fn drop(&mut self) {
        let left = {
            let mut registry = self.0.registry.lock();
            registry.drivers -= 1;
            registry.drivers
        };
        if left == 0 {
            self.0.abandon();
        }
    }
}

struct Restore(usize);

impl Drop for Restore {
    fn drop(&mut self) {
        POLLS_FOR.set(self.0);
    }
}
