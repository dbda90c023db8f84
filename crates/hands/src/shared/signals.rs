//! [`Semaphore`], [`Event`] and [`Condvar`]: waiting for other processes.

use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::mutex::{LockError, SharedMutexGuard};
use super::wait::{ALL, deadline, wait, wake};
use super::{Plain, step};
use crate::primitive::Ordering;

const FIRST: usize = 0;
const SLEEPERS: usize = 64;
const LENGTH: usize = 128;

/// So long a lock may be had by others, in passing, before a wait whose time is up goes on without
/// it.
const LOCKING: Duration = Duration::from_millis(50);

/// Memory that has the words of one of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Memory", into = "Memory")]
pub(super) struct SignalWords(Memory);

impl From<SignalWords> for Memory {
    fn from(words: SignalWords) -> Memory {
        words.0
    }
}

impl TryFrom<Memory> for SignalWords {
    type Error = &'static str;

    fn try_from(memory: Memory) -> Result<SignalWords, &'static str> {
        match memory.len() {
            LENGTH.. => Ok(SignalWords(memory)),
            _ => Err("a shared signal has less memory than it takes"),
        }
    }
}

impl SignalWords {
    pub(super) fn new(first: u32) -> io::Result<SignalWords> {
        let memory = Memory::new(LENGTH)?;
        memory.word(FIRST).store(first, Ordering::Relaxed);
        Ok(SignalWords(memory))
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.0
    }

    fn first(&self) -> &crate::primitive::AtomicU32 {
        self.0.word(FIRST)
    }

    /// Waits while the first word is `value`. False: `deadline` has passed.
    fn sleep(&self, value: u32, deadline: Option<Instant>) -> bool {
        let sleepers = self.0.word(SLEEPERS);
        // A process that changes the word looks here behind that; a process that changed it before
        // is seen by the kernel.
        sleepers.fetch_add(1, Ordering::SeqCst);
        step();
        let in_time = wait(self.first(), value, deadline);
        step();
        sleepers.fetch_sub(1, Ordering::SeqCst);
        in_time
    }

    /// Behind a change of the first word. A process that was killed in its sleep is counted for
    /// ever, which costs a system call each time and no more.
    fn rouse(&self, count: u32) {
        step();
        if self.0.word(SLEEPERS).load(Ordering::SeqCst) != 0 {
            wake(self.first(), count);
        }
    }
}

/// A semaphore for threads of several processes. A clone has the same permits.
///
/// A permit belongs to nobody: one that a process had when it was killed is gone until somebody
/// releases it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Semaphore(SignalWords);

impl Semaphore {
    /// A semaphore with `permits` permits.
    ///
    /// # Errors
    ///
    /// When the system has not enough memory or descriptors.
    pub fn new(permits: u32) -> io::Result<Semaphore> {
        SignalWords::new(permits).map(Semaphore)
    }

    /// Takes a permit; waits for it.
    pub fn acquire(&self) {
        while !self.acquire_until(None) {}
    }

    /// Takes a permit if there is one.
    pub fn try_acquire(&self) -> bool {
        let take = |permits: u32| permits.checked_sub(1);
        let (set, got) = (Ordering::SeqCst, Ordering::SeqCst);
        self.0.first().fetch_update(set, got, take).is_ok()
    }

    /// Takes a permit; waits for it no longer than this. False: there was none.
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        self.acquire_until(deadline(timeout))
    }

    fn acquire_until(&self, deadline: Option<Instant>) -> bool {
        loop {
            if self.try_acquire() {
                return true;
            }
            if !self.0.sleep(0, deadline) {
                return self.try_acquire();
            }
        }
    }

    /// Gives a permit back, or one more. There are never more than `u32::MAX`.
    pub fn release(&self) {
        let give = |permits: u32| permits.checked_add(1);
        let (set, got) = (Ordering::SeqCst, Ordering::SeqCst);
        let _ = self.0.first().fetch_update(set, got, give);
        self.0.rouse(1);
    }

    /// How many permits there are now.
    pub fn permits(&self) -> u32 {
        self.0.first().load(Ordering::SeqCst)
    }
}

/// Something that has happened or not, for threads of several processes. A clone is the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event(SignalWords);

impl Event {
    /// One that has not happened.
    ///
    /// # Errors
    ///
    /// When the system has not enough memory or descriptors.
    pub fn new() -> io::Result<Event> {
        SignalWords::new(0).map(Event)
    }

    /// It has happened: a waiter goes on.
    pub fn set(&self) {
        self.0.first().store(1, Ordering::SeqCst);
        self.0.rouse(ALL);
    }

    /// It is to happen again.
    pub fn clear(&self) {
        self.0.first().store(0, Ordering::SeqCst);
    }

    /// Whether it has happened.
    pub fn is_set(&self) -> bool {
        self.0.first().load(Ordering::SeqCst) != 0
    }

    /// Waits until it has happened.
    pub fn wait(&self) {
        while !self.is_set() {
            self.0.sleep(0, None);
        }
    }

    /// Waits until it has happened, but no longer than this; false if it has not.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = deadline(timeout);
        while !self.is_set() {
            if !self.0.sleep(0, deadline) {
                return self.is_set();
            }
        }
        true
    }
}

/// Waiting for a change of what a [`Mutex`](super::Mutex) guards, for threads of several processes.
/// A clone is the same.
///
/// As everywhere, a wait may end without a notice: look whether what was waited for is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Condvar(SignalWords);

impl Condvar {
    /// A new one.
    ///
    /// # Errors
    ///
    /// When the system has not enough memory or descriptors.
    pub fn new() -> io::Result<Condvar> {
        SignalWords::new(0).map(Condvar)
    }

    /// Leaves the lock, waits for a notice, and takes the lock again.
    ///
    /// # Errors
    ///
    /// [`Poisoned`](LockError::Poisoned), for the lock.
    pub fn wait<'a, T: Plain>(
        &self,
        guard: SharedMutexGuard<'a, T>,
    ) -> Result<SharedMutexGuard<'a, T>, LockError> {
        let notices = self.0.first().load(Ordering::SeqCst);
        let mutex = guard.release();
        while self.0.first().load(Ordering::SeqCst) == notices {
            self.0.sleep(notices, None);
        }
        mutex.lock()
    }

    /// Waits as long as `condition` holds.
    ///
    /// # Errors
    ///
    /// [`Poisoned`](LockError::Poisoned), for the lock.
    pub fn wait_while<'a, T: Plain>(
        &self,
        mut guard: SharedMutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<SharedMutexGuard<'a, T>, LockError> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Leaves the lock, waits for a notice, but no longer than this, and takes the lock again. The
    /// second of what is returned says whether there was a notice.
    ///
    /// # Errors
    ///
    /// [`LockError`], for the lock: it is not held then. It is [`TimedOut`](LockError::TimedOut) if
    /// somebody has it, and keeps it beyond the time by more than a twentieth of a second.
    pub fn wait_timeout<'a, T: Plain>(
        &self,
        guard: SharedMutexGuard<'a, T>,
        timeout: Duration,
    ) -> Result<(SharedMutexGuard<'a, T>, bool), LockError> {
        let deadline = deadline(timeout);
        let notices = self.0.first().load(Ordering::SeqCst);
        let mutex = guard.release();
        let is_noticed = loop {
            if self.0.first().load(Ordering::SeqCst) != notices {
                break true;
            }
            if !self.0.sleep(notices, deadline) {
                break self.0.first().load(Ordering::SeqCst) != notices;
            }
        };
        let by = deadline.map(|deadline| deadline.max(Instant::now()) + LOCKING);
        Ok((mutex.lock_until(by)?, is_noticed))
    }

    /// Wakes one of those who wait.
    pub fn notify_one(&self) {
        self.0.first().fetch_add(1, Ordering::SeqCst);
        self.0.rouse(1);
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.0.first().fetch_add(1, Ordering::SeqCst);
        self.0.rouse(ALL);
    }
}
