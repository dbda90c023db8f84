//! Waiting for a future on a plain thread: how every blocking call here waits.
//!
//! Each operation that can wait is written once, as a future. Its blocking form polls that future and parks in between;
//! its form with a time-out drops the future when time is up, and so gives back its place in the line exactly as a
//! coroutine does that is dropped.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
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
fn own_waker() -> Waker {
    // Not there any more while the thread's own values are being dropped, and they may well use a queue.
    WAKER.try_with(Waker::clone).unwrap_or_else(|_| waker())
}

#[cfg(hands_loom)]
fn own_waker() -> Waker {
    waker()
}

/// Waits on this thread until `future` is ready, or until `deadline`. A future that becomes ready at the last moment is
/// not missed: it is polled once more when time is up.
pub(crate) fn block_on<F: Future>(
    future: F,
    deadline: Option<Instant>,
) -> Result<F::Output, TimedOut> {
    let mut future = pin!(future);
    let waker = own_waker();
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Ok(output);
        }
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

/// Polls once, so that the future enlists; whoever wakes it wakes this thread. True: it was ready at once.
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
