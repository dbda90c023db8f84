//! A flag to wait for.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use super::park::{block_on, deadline, wait};
use super::waiters::{Ticket, Waiters, in_line};
use crate::foreign::{dispose, wake_each};
use crate::primitive::Mutex;

/// Something that has happened, or not yet; threads and coroutines wait until it has.
///
/// ```
/// use hands::sync::Event;
///
/// let ready = Event::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| ready.wait());
///     ready.set();
/// });
/// assert!(ready.is_set());
/// ```
#[derive(Debug, Default)]
pub struct Event {
    /// Written under the lock.
    set: AtomicBool,
    waiters: Mutex<Waiters>,
}

// A panic leaves it as it was.
impl std::panic::UnwindSafe for Event {}
impl std::panic::RefUnwindSafe for Event {}

impl Event {
    /// An event that has not happened.
    #[cfg(not(hands_loom))]
    pub const fn new() -> Event {
        Event {
            set: AtomicBool::new(false),
            waiters: Mutex::new(Waiters::new()),
        }
    }

    #[cfg(hands_loom)]
    pub(crate) fn new() -> Event {
        Event::default()
    }

    /// It has happened: everybody who waits goes on, also if it is [cleared](Self::clear) before
    /// they have woken up.
    pub fn set(&self) {
        let mut waiters = self.waiters.lock();
        self.set.store(true, Ordering::Release);
        let woken = waiters.all();
        drop(waiters);
        wake_each(woken);
    }

    /// It is to happen again: a waiter from now on waits for the next [`set`](Self::set).
    pub fn clear(&self) {
        let _waiters = self.waiters.lock();
        self.set.store(false, Ordering::Release);
    }

    /// Whether it has happened. What was done before `set` is seen by a thread that is told `true`.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// Waits until it has happened.
    pub fn wait(&self) {
        if !self.is_set() {
            wait(self.wait_async());
        }
    }

    /// Waits no longer than `timeout`; says whether it has happened.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.is_set() || block_on(self.wait_async(), deadline(timeout)).is_ok()
    }

    /// [`wait`](Self::wait) for a coroutine. Dropping the future changes nothing for others.
    pub fn wait_async(&self) -> Wait<'_> {
        Wait {
            event: self,
            ticket: None,
        }
    }
}

/// Waits for an event: what [`Event::wait_async`] returns.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Wait<'a> {
    event: &'a Event,
    ticket: Option<Ticket>,
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        in_line(context.waker(), |caller| {
            let mut waiters = this.event.waiters.lock();
            let happened = match this.ticket {
                // Taken out of the line: by a `set`, whatever came after it.
                Some(ticket) => !waiters.contains(ticket),
                None => this.event.is_set(),
            };
            if happened {
                this.ticket = None;
                return Some(Poll::Ready(()));
            }
            waiters.enlist(&mut this.ticket, caller, ())
        })
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let left = self.event.waiters.lock().leave(ticket);
            dispose(left);
        }
    }
}
