//! Waiting for a future on a plain thread: how every blocking call here waits.
//!
//! Each operation that can wait is written once, as a future. Its blocking form polls that future
//! and parks in between; its form with a time-out drops the future when time is up, and so gives
//! back its place in the line exactly as a coroutine does that is dropped.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::primitive::{self, Thread};

/// The time was up before the future was ready.
#[derive(Debug)]
pub(crate) struct TimedOut;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

fn waker() -> Waker {
    Waker::from(Arc::new(Unpark(primitive::current())))
}

#[cfg(not(hands_loom))]
thread_local! {
    static WAKER: Waker = waker();
}

#[cfg(not(hands_loom))]
pub(crate) fn own_waker() -> Waker {
    // Not there any more while the thread's own values are being dropped, and they may well use a
    // queue.
    WAKER.try_with(Waker::clone).unwrap_or_else(|_| waker())
}

#[cfg(hands_loom)]
pub(crate) fn own_waker() -> Waker {
    waker()
}

/// Time that a thread spends in some way, as others may see it.
#[derive(Debug)]
pub(crate) struct Stretch {
    from: Instant,
    /// Nanoseconds of those that are over.
    total: AtomicU64,
    /// When the present one began, in nanoseconds since `from`, and one more; 0 if there is none.
    since: AtomicU64,
}

impl Default for Stretch {
    fn default() -> Stretch {
        Stretch {
            from: Instant::now(),
            total: AtomicU64::new(0),
            since: AtomicU64::new(0),
        }
    }
}

impl Stretch {
    fn now(&self) -> u64 {
        u64::try_from(self.from.elapsed().as_nanos()).unwrap_or(u64::MAX - 1) + 1
    }

    pub(crate) fn begin(&self) {
        self.since.store(self.now(), Ordering::SeqCst);
    }

    pub(crate) fn end(&self) {
        let since = self.since.swap(0, Ordering::SeqCst);
        if since > 0 {
            let spent = self.now().saturating_sub(since);
            self.total.fetch_add(spent, Ordering::Relaxed);
        }
    }

    /// Whether one is going on.
    pub(crate) fn is_on(&self) -> bool {
        self.since.load(Ordering::SeqCst) != 0
    }

    /// The present one included. Seen from another thread it may be off by one stretch for a
    /// moment.
    pub(crate) fn so_far(&self) -> u64 {
        let total = self.total.load(Ordering::Relaxed);
        match self.since.load(Ordering::Relaxed) {
            0 => total,
            since => total + self.now().saturating_sub(since),
        }
    }
}

thread_local! {
    /// Where a worker that is measured notes how long it waits here.
    static WAITED: RefCell<Option<Arc<Stretch>>> = const { RefCell::new(None) };
}

/// From now on the waits of this thread are noted; `None`: no more. Returns what was there.
pub(crate) fn note_waits(stretch: Option<Arc<Stretch>>) -> Option<Arc<Stretch>> {
    WAITED
        .try_with(|waited| waited.replace(stretch))
        .ok()
        .flatten()
}

/// Ends the stretch also when unwinding.
pub(crate) struct NotedWaits(Option<Arc<Stretch>>);

impl Drop for NotedWaits {
    fn drop(&mut self) {
        if let Some(stretch) = &self.0 {
            stretch.end();
        }
    }
}

pub(crate) fn noted() -> NotedWaits {
    let stretch = WAITED
        .try_with(|waited| waited.borrow().clone())
        .ok()
        .flatten();
    if let Some(stretch) = &stretch {
        stretch.begin();
    }
    NotedWaits(stretch)
}

/// Waits on this thread until `future` is ready, or until `deadline`. A future that becomes ready
/// at the last moment is not missed: it is polled once more when time is up.
pub(crate) fn block_on<F: Future>(
    future: F,
    deadline: Option<Instant>,
) -> Result<F::Output, TimedOut> {
    let mut future = pin!(future);
    let waker = own_waker();
    let mut context = Context::from_waker(&waker);
    let mut waits = None;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
        waits.get_or_insert_with(noted);
        let Some(deadline) = deadline else {
            primitive::park();
            continue;
        };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => return Err(TimedOut),
            left => primitive::park_timeout(left),
        }
    }
}

/// Polls a few times, `pause` turns of an idle loop apart.
pub(crate) fn look<F: Future>(
    mut future: Pin<&mut F>,
    looks: usize,
    pause: usize,
) -> Option<F::Output> {
    let waker = own_waker();
    let mut context = Context::from_waker(&waker);
    for _ in 0..looks {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        (0..pause).for_each(|_| primitive::spin_loop());
    }
    None
}

/// Polls once, so that the future enlists; a thread that wakes it wakes this thread. True: it was
/// ready at once.
pub(crate) fn enlist<F: Future + Unpin>(future: &mut F) -> bool {
    let waker = own_waker();
    let mut context = Context::from_waker(&waker);
    pin!(future).poll(&mut context).is_ready()
}

/// Waits without an end.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    match block_on(future, None) {
        Ok(output) => output,
        Err(TimedOut) => unreachable!("there was no deadline"),
    }
}

/// When a wait of `timeout` is over: never, if that is beyond what the clock can say.
pub(crate) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
