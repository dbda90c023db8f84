//! Waiting until something about locked data is so.
//!
//! # Why not `parking_lot`'s
//!
//! That one takes only `parking_lot`'s own mutex, not a [watched](super::diagnose) one. This one
//! takes any, from a line of [waiters](super::waiters): a waiter enlists before it unlocks, so that
//! a notice sent behind its unlock cannot miss it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::lock::MutexGuard;
use super::park::{self, deadline};
use super::waiters::{Ticket, Waiters, in_line};
use crate::foreign::{dispose, wake_each};
use crate::primitive::Mutex;

/// Lets threads wait for a change of the data behind a [`Mutex`](super::Mutex). Waiting takes the
/// lock's guard: waiting without the lock does not compile.
///
/// ```
/// use std::time::Duration;
/// use hands::sync::{Condvar, Mutex};
///
/// let stock = Mutex::new(0);
/// let delivered = Condvar::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         let mut stock = stock.lock();
///         delivered.wait_while(&mut stock, |stock| *stock < 3);
///         *stock -= 3;
///     });
///     for _ in 0..3 {
///         *stock.lock() += 1;
///         delivered.notify_one();
///     }
/// });
/// let mut stock = stock.lock();
/// assert!(!delivered.wait_for(&mut stock, |stock| *stock > 0, Some(Duration::ZERO)));
/// ```
#[derive(Debug, Default)]
pub struct Condvar {
    waiters: Mutex<Waiters>,
}

// A panic leaves it as it was.
impl std::panic::UnwindSafe for Condvar {}
impl std::panic::RefUnwindSafe for Condvar {}

impl Condvar {
    /// One that nobody waits for.
    #[cfg(not(hands_loom))]
    pub const fn new() -> Condvar {
        Condvar {
            waiters: Mutex::new(Waiters::new()),
        }
    }

    #[cfg(hands_loom)]
    pub(crate) fn new() -> Condvar {
        Condvar::default()
    }

    /// Unlocks, waits for a notice, and locks again. The data may be anything by then: wait in a
    /// loop, or by [`wait_while`](Self::wait_while). Nobody is woken without a notice.
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        self.notified(guard, None);
    }

    /// [`wait`](Self::wait) for no longer than `timeout`, the time to lock again not counted; says
    /// whether there was a notice.
    pub fn wait_timeout<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> bool {
        self.notified(guard, deadline(timeout))
    }

    /// Waits as long as `condition` is true of the data.
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        while condition(&mut *guard) {
            self.wait(guard);
        }
    }

    /// Waits until `predicate` is true of the data, or until `timeout` has passed, if there is one.
    /// Returns what the predicate said last.
    pub fn wait_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut predicate: impl FnMut(&mut T) -> bool,
        timeout: Option<Duration>,
    ) -> bool {
        let deadline = timeout.and_then(deadline);
        loop {
            if predicate(&mut *guard) {
                return true;
            }
            if !self.notified(guard, deadline) {
                return predicate(&mut *guard);
            }
        }
    }

    /// Lets one go on who waits, the one who has waited longest. Says whether there was one.
    pub fn notify_one(&self) -> bool {
        let woken = self.waiters.lock().first();
        let was_one = woken.is_some();
        wake_each(woken);
        was_one
    }

    /// Lets all go on who wait. Says how many there were.
    pub fn notify_all(&self) -> usize {
        let woken = self.waiters.lock().all();
        let number = woken.len();
        wake_each(woken);
        number
    }

    fn notified<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Option<Instant>,
    ) -> bool {
        let mut notice = Notification {
            condvar: self,
            ticket: None,
        };
        // In the line before the unlock; the unlock comes before the first look at whether it was
        // taken out.
        park::enlist(&mut notice);
        MutexGuard::unlocked(guard, || {
            let in_time = park::block_on(&mut notice, deadline).is_ok();
            let ticket = notice.ticket.take();
            // A notice that came just after the time was up is one all the same: it must not be
            // lost.
            let has_left = |ticket| {
                let left = self.waiters.lock().leave(ticket);
                left.map(dispose).is_some()
            };
            in_time || ticket.is_some_and(|ticket| !has_left(ticket))
        })
    }
}

/// Waits for a notice. The first poll enlists.
struct Notification<'a> {
    condvar: &'a Condvar,
    ticket: Option<Ticket>,
}

impl Future for Notification<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        in_line(context.waker(), |caller| {
            let mut waiters = this.condvar.waiters.lock();
            if this.ticket.is_some_and(|ticket| !waiters.contains(ticket)) {
                this.ticket = None;
                return Some(Poll::Ready(()));
            }
            waiters.enlist(&mut this.ticket, caller, ())
        })
    }
}

impl Drop for Notification<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let left = self.condvar.waiters.lock().leave(ticket);
            dispose(left);
        }
    }
}
