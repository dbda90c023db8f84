//! How a thread waits that may be a worker of a pool.
//!
//! A task that submits to its own pool and waits for the outcome would wait for ever if all workers
//! did so. Hence:
//!
//! - If the awaited task has not begun, the waiting worker runs it, that one and no other, on top
//!   of the waiting task. Whatever that holds (a lock, a borrowed cell) only the awaited task can
//!   meet; without the pool it would have met it, too.
//! - If it has begun, or the stack has no more room, the worker *steps aside*: it blocks, and its
//!   pool has one more worker meanwhile. So as many are at work as were asked for, and the queue
//!   moves on.
//! - There is a bound to how many step aside. At the bound the pool goes on with fewer workers. The
//!   last one is refused: its wait is an error.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use super::cell::Runnable;
use crate::sync::cancel::Owners;
use crate::sync::park::{self, TimedOut};

/// Tells pools apart. Never used twice; 0 is that of no pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PoolId(u64);

impl PoolId {
    pub(crate) const NONE: PoolId = PoolId(0);

    pub(crate) fn number(self) -> u64 {
        self.0
    }

    pub(crate) fn next() -> PoolId {
        static LAST: AtomicU64 = AtomicU64::new(0);
        PoolId(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// A worker, to what waits on it.
pub(crate) trait Host {
    fn pool(&self) -> PoolId;
    /// Whether the stack has room for one more task.
    fn has_room(&self) -> bool;
    fn owners(&self) -> &Owners;
    /// Runs the task now, if it has not begun.
    fn run_here(&self, task: Arc<dyn Runnable>);
    /// What is called when the worker is to go on.
    fn aside(&self) -> Arc<dyn Aside>;
    /// The worker will block: the pool has another one from now on, which runs `first` before
    /// anything else.
    fn step_aside(&self, first: Option<Arc<dyn Runnable>>) -> Result<(), AtBound>;
}

/// The pool of a worker that has stepped aside.
pub(crate) trait Aside: Send + Sync {
    /// One that stepped aside counts as at work again.
    fn step_back(&self);
    /// One counts as at work twice.
    fn forget_one(&self);
}

/// The pool has as many waiting tasks as it may have, and no worker is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AtBound {
    pub(crate) waiting: usize,
}

/// Why a wait ended before what it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GaveUp {
    TimedOut,
    AtBound(AtBound),
}

thread_local! {
    static HOST: RefCell<Option<Rc<dyn Host>>> = const { RefCell::new(None) };
    /// Whether this thread is polling a coroutine of one of our pools.
    static IN_COROUTINE: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread is a worker; `None`: no more.
pub(crate) fn become_host(host: Option<Rc<dyn Host>>) {
    let before = HOST.replace(host);
    drop(before);
}

/// The worker that this thread is, if it is one.
pub(crate) fn host() -> Option<Rc<dyn Host>> {
    HOST.try_with(|host| host.borrow().clone()).ok().flatten()
}

/// Polls a coroutine: what would block this thread panics.
#[cfg(feature = "async")]
pub(crate) fn in_coroutine<T>(poll: impl FnOnce() -> T) -> T {
    struct Before(bool);

    impl Drop for Before {
        fn drop(&mut self) {
            IN_COROUTINE.set(self.0);
        }
    }

    let _before = Before(IN_COROUTINE.replace(true));
    poll()
}

/// Whether the caller is a coroutine of one of our pools.
pub(crate) fn is_in_coroutine() -> bool {
    IN_COROUTINE.try_with(Cell::get).unwrap_or(false)
}

/// How often a worker looks before it steps aside, and how long it takes from one look to the next:
/// some microseconds in all, less than another worker would take to wake up.
const LOOKS: usize = 16;
const PAUSE: usize = 16;

/// At work.
const PRESENT: u8 = 0;
/// It has stepped aside, or is about to.
const ASIDE: u8 = 1;
/// It was woken, and counts as at work.
const WOKEN: u8 = 2;

/// A worker that waits. A thread that wakes it puts it back among those at work: from then on the
/// pool needs nobody in its place, though it may take the worker a while to wake up.
///
/// It enlists before it steps aside, so at no moment is it neither counted nor sure to be woken:
/// others that look for somebody at work would find nobody, and start a thread each. For that the
/// pool may count it once too often for a moment.
struct Absent {
    pool: Arc<dyn Aside>,
    thread: Thread,
    state: AtomicU8,
}

impl Absent {
    fn of(host: &dyn Host) -> Arc<Absent> {
        Arc::new(Absent {
            pool: host.aside(),
            thread: std::thread::current(),
            state: AtomicU8::new(PRESENT),
        })
    }

    fn step_back(&self, to: u8) {
        if self.state.swap(to, Ordering::SeqCst) == ASIDE {
            self.pool.step_back();
        }
    }

    fn is_woken(&self) -> bool {
        self.state.load(Ordering::SeqCst) == WOKEN
    }

    /// False: it has been woken before.
    fn step_aside(
        &self,
        host: &dyn Host,
        first: Option<Arc<dyn Runnable>>,
    ) -> Result<bool, AtBound> {
        let (set, got) = (Ordering::SeqCst, Ordering::SeqCst);
        if self
            .state
            .compare_exchange(PRESENT, ASIDE, set, got)
            .is_err()
        {
            return Ok(false);
        }
        let stepped = host.step_aside(first);
        if stepped.is_err() && self.state.swap(PRESENT, Ordering::SeqCst) == WOKEN {
            // A thread that woke it has put it back, and so has the pool.
            self.pool.forget_one();
        }
        stepped.map(|()| true)
    }
}

impl Wake for Absent {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.step_back(WOKEN);
        self.thread.unpark();
    }
}

/// Steps back also when unwinding.
struct StepBack(Arc<Absent>);

impl Drop for StepBack {
    fn drop(&mut self) {
        self.0.step_back(PRESENT);
    }
}

/// Waits for `future`. A worker steps aside meanwhile, and the one that comes for it runs `first`;
/// `meanwhile` is called when it has.
pub(crate) fn block_on<F: Future>(
    future: F,
    deadline: Option<Instant>,
    first: Option<Arc<dyn Runnable>>,
    meanwhile: impl FnOnce(),
) -> Result<F::Output, GaveUp> {
    let timed_out = |TimedOut| GaveUp::TimedOut;
    let Some(host) = host() else {
        meanwhile();
        return park::block_on(future, deadline).map_err(timed_out);
    };
    let mut future = pin!(future);
    if first.is_none()
        && let Some(output) = park::look(future.as_mut(), LOOKS, PAUSE)
    {
        return Ok(output);
    }
    let (mut first, mut meanwhile) = (first, Some(meanwhile));
    let _noted = park::noted();
    loop {
        let absent = Absent::of(&*host);
        let waker = Waker::from(Arc::clone(&absent));
        let mut context = Context::from_waker(&waker);
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        let back = StepBack(Arc::clone(&absent));
        match absent.step_aside(&*host, first.take()) {
            Ok(true) => {}
            Ok(false) => continue,
            // Only where it is the first time; later it waits as it is.
            Err(bound) if meanwhile.is_some() => return Err(GaveUp::AtBound(bound)),
            Err(_) => {}
        }
        if let Some(meanwhile) = meanwhile.take() {
            meanwhile();
        }
        while !absent.is_woken() {
            let Some(deadline) = deadline else {
                std::thread::park();
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(back);
                // Perhaps it has just become ready.
                let polled = park::look(future.as_mut(), 1, 0);
                return polled.ok_or(GaveUp::TimedOut);
            }
            std::thread::park_timeout(left);
        }
    }
}

/// Runs what blocks. A worker steps aside meanwhile, if it can.
pub(crate) fn aside<T>(blocks: impl FnOnce() -> T) -> T {
    let _back = host().and_then(|host| {
        let absent = Absent::of(&*host);
        let stepped = absent.step_aside(&*host, None).ok()?;
        stepped.then(|| StepBack(absent))
    });
    blocks()
}
