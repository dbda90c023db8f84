//! A number of permits, handed out in the order in which they were asked for.
//!
//! # Protocol
//!
//! Permits are *handed over*: a thread that releases takes the first waiters out of the line, as
//! many as there are permits for, and their permits out of the count. A waiter whose ticket is no
//! longer in the line owns its permits, and gives them back if it cannot use them any more. So one
//! who asks for many is not overtaken for ever by those who ask for one.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::park::{block_on, deadline, wait};
use super::waiters::{Ticket, Waiters, in_line};
use crate::foreign::{dispose, wake_each};
use crate::primitive::Mutex;

/// Bounds how many may do something at once: threads, coroutines, or both together.
///
/// First come, first served: nobody overtakes a waiter, however many permits it waits for.
///
/// ```
/// use hands::sync::Semaphore;
///
/// let connections = Semaphore::bounded(2);
/// let one = connections.acquire();
/// let two = connections.acquire();
/// assert!(connections.try_acquire().is_none());
/// drop(one);
/// assert!(connections.try_acquire().is_some());
/// # drop(two);
/// ```
#[derive(Debug)]
pub struct Semaphore {
    bound: Option<usize>,
    state: Mutex<SemaphoreState>,
}

#[derive(Debug)]
struct SemaphoreState {
    permits: usize,
    waiters: Waiters<usize>,
}

// A panic leaves it as it was.
impl std::panic::UnwindSafe for Semaphore {}
impl std::panic::RefUnwindSafe for Semaphore {}

impl Semaphore {
    /// A semaphore with `permits` to begin with, to which [`release`](Self::release) can add any
    /// number: a count of things that some make and others use up.
    #[cfg(not(hands_loom))]
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore::with(permits, None)
    }

    #[cfg(hands_loom)]
    pub(crate) fn new(permits: usize) -> Semaphore {
        Semaphore::with(permits, None)
    }

    /// A semaphore that never has more than its first `permits`: releasing more than was acquired
    /// is an error.
    #[cfg(not(hands_loom))]
    pub const fn bounded(permits: usize) -> Semaphore {
        Semaphore::with(permits, Some(permits))
    }

    #[cfg(not(hands_loom))]
    const fn with(permits: usize, bound: Option<usize>) -> Semaphore {
        let waiters = Waiters::new();
        Semaphore {
            bound,
            state: Mutex::new(SemaphoreState { permits, waiters }),
        }
    }

    #[cfg(hands_loom)]
    pub(crate) fn bounded(permits: usize) -> Semaphore {
        Semaphore::with(permits, Some(permits))
    }

    #[cfg(hands_loom)]
    fn with(permits: usize, bound: Option<usize>) -> Semaphore {
        let waiters = Waiters::new();
        Semaphore {
            bound,
            state: Mutex::new(SemaphoreState { permits, waiters }),
        }
    }

    /// Takes a permit; waits for it.
    pub fn acquire(&self) -> Permit<'_> {
        self.try_acquire()
            .unwrap_or_else(|| wait(self.acquire_async()))
    }

    /// Takes `permits` at once; waits until all are there. For 0 it waits its turn.
    ///
    /// # Errors
    ///
    /// [`TooMany`] if a bounded semaphore can never have that number of permits.
    pub fn acquire_many(&self, permits: usize) -> Result<Permit<'_>, TooMany> {
        Ok(wait(self.acquire_many_async(permits)?))
    }

    /// Takes a permit if there is one and nobody waits for it.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.try_acquire_many(1)
    }

    /// Takes `permits` if they are there and nobody waits for any.
    pub fn try_acquire_many(&self, permits: usize) -> Option<Permit<'_>> {
        let mut state = self.state.lock();
        if !state.waiters.is_empty() || state.permits < permits {
            return None;
        }
        state.permits -= permits;
        Some(Permit {
            semaphore: self,
            permits,
        })
    }

    /// Takes a permit; waits for it no longer than `timeout`. Zero does not wait, and a time beyond
    /// what the clock can say is for ever.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        block_on(self.acquire_async(), deadline(timeout)).ok()
    }

    /// [`acquire_many`](Self::acquire_many) for no longer than `timeout`; `None` when the time is
    /// up.
    ///
    /// # Errors
    ///
    /// [`TooMany`] if a bounded semaphore can never have that number of permits.
    pub fn acquire_many_timeout(
        &self,
        permits: usize,
        timeout: Duration,
    ) -> Result<Option<Permit<'_>>, TooMany> {
        Ok(block_on(self.acquire_many_async(permits)?, deadline(timeout)).ok())
    }

    /// [`acquire`](Self::acquire) for a coroutine. See [`Acquire`] for cancel safety.
    pub fn acquire_async(&self) -> Acquire<'_> {
        Acquire {
            semaphore: self,
            permits: 1,
            ticket: None,
        }
    }

    /// [`acquire_many`](Self::acquire_many) for a coroutine. See [`Acquire`] for cancel safety.
    ///
    /// # Errors
    ///
    /// [`TooMany`] if a bounded semaphore can never have that number of permits.
    pub fn acquire_many_async(&self, permits: usize) -> Result<Acquire<'_>, TooMany> {
        match self.bound {
            Some(bound) if permits > bound => Err(TooMany { permits, bound }),
            _ => Ok(Acquire {
                semaphore: self,
                permits,
                ticket: None,
            }),
        }
    }

    /// [`acquire`](Self::acquire) for a permit that keeps the semaphore alive, and so may go
    /// wherever its owner goes: into a task, a thread, a field.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use hands::sync::Semaphore;
    ///
    /// let connections = Arc::new(Semaphore::bounded(2));
    /// let permit = connections.acquire_owned();
    /// let thread = std::thread::spawn(move || drop(permit));
    /// thread.join().unwrap();
    /// assert_eq!(connections.available(), 2);
    /// ```
    pub fn acquire_owned(self: &Arc<Self>) -> OwnedPermit {
        OwnedPermit::of(self, self.acquire())
    }

    /// [`try_acquire_many`](Self::try_acquire_many) for a permit that keeps the semaphore alive.
    pub fn try_acquire_owned(self: &Arc<Self>, permits: usize) -> Option<OwnedPermit> {
        Some(OwnedPermit::of(self, self.try_acquire_many(permits)?))
    }

    /// [`acquire_many_timeout`](Self::acquire_many_timeout) for a permit that keeps the semaphore
    /// alive.
    ///
    /// # Errors
    ///
    /// [`TooMany`] if a bounded semaphore can never have that number of permits.
    pub fn acquire_owned_timeout(
        self: &Arc<Self>,
        permits: usize,
        timeout: Duration,
    ) -> Result<Option<OwnedPermit>, TooMany> {
        let permit = self.acquire_many_timeout(permits, timeout)?;
        Ok(permit.map(|permit| OwnedPermit::of(self, permit)))
    }

    /// [`acquire_owned`](Self::acquire_owned) for a coroutine. See [`AcquireOwned`] for cancel
    /// safety.
    pub fn acquire_owned_async(self: &Arc<Self>) -> AcquireOwned {
        AcquireOwned {
            semaphore: Arc::clone(self),
            ticket: None,
        }
    }

    /// Adds permits: those of a [forgotten](Permit::forget) permit, or new ones.
    ///
    /// # Errors
    ///
    /// [`OverRelease`] if a bounded semaphore would have more than at the beginning, if the count
    /// would overflow, or if `permits` is 0, which is a mistake somewhere. Then nothing has
    /// changed.
    pub fn release(&self, permits: usize) -> Result<(), OverRelease> {
        let mut state = self.state.lock();
        let most = self.bound.unwrap_or(usize::MAX);
        if permits == 0 || permits > most - state.permits.min(most) {
            return Err(OverRelease {
                permits,
                available: state.permits,
                bound: self.bound,
            });
        }
        state.permits += permits;
        let woken = state.hand_over();
        drop(state);
        wake_each(woken);
        Ok(())
    }

    /// Permits that nobody has. Others may take some meanwhile: a figure to show, not to decide by.
    pub fn available(&self) -> usize {
        self.state.lock().permits
    }

    /// Adds permits that somebody had. With somebody else's `release` in between that may be more
    /// than the bound: the rest is lost.
    fn add(&self, state: &mut SemaphoreState, permits: usize) {
        let most = self.bound.unwrap_or(usize::MAX);
        state.permits = state.permits.saturating_add(permits).min(most);
    }

    /// What a guard gives back.
    fn give_back(&self, permits: usize) {
        if permits == 0 {
            return;
        }
        let mut state = self.state.lock();
        self.add(&mut state, permits);
        let woken = state.hand_over();
        drop(state);
        wake_each(woken);
    }
}

impl SemaphoreState {
    /// Hands permits over to the first of the line, as far as they go.
    fn hand_over(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while let Some(&permits) = self.waiters.first_wants() {
            if permits > self.permits {
                break;
            }
            self.permits -= permits;
            woken.extend(self.waiters.first());
        }
        woken
    }
}

/// Acquires permits: what [`Semaphore::acquire_async`] returns.
///
/// # Cancel safety
///
/// A future that is dropped half-way has taken no permit, and loses its place in the line.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
    ticket: Option<Ticket>,
}

impl<'a> Future for Acquire<'a> {
    type Output = Permit<'a>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit<'a>> {
        let this = self.get_mut();
        let (semaphore, permits) = (this.semaphore, this.permits);
        in_line(context.waker(), |caller| {
            let mut state = semaphore.state.lock();
            match this.ticket {
                // Handed over.
                Some(ticket) if !state.waiters.contains(ticket) => {}
                None if state.waiters.is_empty() && state.permits >= permits => {
                    state.permits -= permits;
                }
                _ => return state.waiters.enlist(&mut this.ticket, caller, permits),
            }
            this.ticket = None;
            Some(Poll::Ready(Permit { semaphore, permits }))
        })
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else {
            return;
        };
        let mut state = self.semaphore.state.lock();
        let left = state.waiters.leave(ticket);
        if left.is_none() {
            // They had been handed over.
            self.semaphore.add(&mut state, self.permits);
        }
        // Those behind may have waited for this one only.
        let woken = state.hand_over();
        drop(state);
        dispose(left);
        wake_each(woken);
    }
}

/// Acquires a permit: what [`Semaphore::acquire_owned_async`] returns.
///
/// # Cancel safety
///
/// As that of [`Acquire`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct AcquireOwned {
    semaphore: Arc<Semaphore>,
    ticket: Option<Ticket>,
}

impl Future for AcquireOwned {
    type Output = OwnedPermit;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<OwnedPermit> {
        let this = self.get_mut();
        let mut acquire = Acquire {
            semaphore: &this.semaphore,
            permits: 1,
            ticket: this.ticket.take(),
        };
        let polled = Pin::new(&mut acquire).poll(context);
        // The place in the line is this one's.
        this.ticket = acquire.ticket.take();
        drop(acquire);
        polled.map(|permit| OwnedPermit::of(&this.semaphore, permit))
    }
}

impl Drop for AcquireOwned {
    fn drop(&mut self) {
        drop(Acquire {
            semaphore: &self.semaphore,
            permits: 1,
            ticket: self.ticket.take(),
        });
    }
}

/// Permits that are given back when this is dropped, and that keep their semaphore alive.
#[derive(Debug)]
#[must_use = "the permit is given back at once"]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    permits: usize,
}

impl OwnedPermit {
    fn of(semaphore: &Arc<Semaphore>, permit: Permit<'_>) -> OwnedPermit {
        let permits = permit.permits;
        permit.forget();
        OwnedPermit {
            semaphore: Arc::clone(semaphore),
            permits,
        }
    }

    /// How many these are.
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// Keeps them from being given back: they are used up, or somebody else will
    /// [`release`](Semaphore::release) them.
    pub fn forget(mut self) {
        self.permits = 0;
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        self.semaphore.give_back(self.permits);
    }
}

/// Permits that are given back when this is dropped.
#[derive(Debug)]
#[must_use = "the permit is given back at once"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

impl Permit<'_> {
    /// How many these are.
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// Keeps them from being given back: they are used up, or somebody else will
    /// [`release`](Semaphore::release) them.
    pub fn forget(mut self) {
        self.permits = 0;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.give_back(self.permits);
    }
}

/// More permits were released than fit, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverRelease {
    permits: usize,
    available: usize,
    bound: Option<usize>,
}

impl fmt::Display for OverRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OverRelease {
            permits, available, ..
        } = self;
        match self.bound {
            _ if *permits == 0 => f.write_str("0 permits were released; release at least 1"),
            Some(bound) => write!(
                f,
                "{permits} released to a semaphore that has {available} of {bound}; release only what was acquired"
            ),
            None => write!(
                f,
                "{permits} released to a semaphore that has {available}: more than it can count"
            ),
        }
    }
}

impl Error for OverRelease {}

/// More permits were asked for than a bounded semaphore can ever have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    permits: usize,
    bound: usize,
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} permits asked for, and the semaphore never has more than {}; waiting would never end",
            self.permits, self.bound
        )
    }
}

impl Error for TooMany {}
