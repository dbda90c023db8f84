//! [`ReentrantMutex`]: a lock that its owner may take again.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::lock::{self, Had};
use super::memory::Memory;
use super::mutex::LockError;
use super::signals::SignalWords;
use super::wait::deadline;
use crate::primitive::Ordering;
use crate::process::identity::{self, FREE_BIT};

/// Where its words are; the first is the lock. The others are written by who has that.
const LOCK: usize = 0;
const DIED: usize = 4;
const THREAD: usize = 8;
const DEPTH: usize = 12;
const PROCESS: usize = 16;

/// A lock for threads of several processes, which a thread that has it may take again. A clone is
/// the same lock.
///
/// It guards no value, as its owner may have it twice at the same time: use it around what is not
/// in the shared memory.
///
/// ```
/// let lock = hands::shared::ReentrantMutex::new()?;
/// let once = lock.lock().unwrap();
/// let twice = lock.lock().unwrap();
/// drop(once);
/// assert!(std::thread::scope(|scope| scope.spawn(|| lock.try_lock().is_err()).join().unwrap()));
/// drop(twice);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct ReentrantMutex(SignalWords);

/// A hold of a [`ReentrantMutex`]; the lock is left when the last one is dropped. It stays on its
/// thread.
#[must_use = "dropped at once, it leaves the lock at once"]
pub struct ReentrantGuard<'a> {
    memory: &'a Memory,
    stays: PhantomData<*const ()>,
}

thread_local! {
    /// The kernel's number of this thread, and the process for which that holds.
    static THREAD_ID: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

fn own_thread() -> u32 {
    let process = identity::own();
    match THREAD_ID.get() {
        (known, thread) if known == process => thread,
        _ => {
            let thread = rustix::thread::gettid()
                .as_raw_nonzero()
                .get()
                .unsigned_abs();
            THREAD_ID.set((process, thread));
            thread
        }
    }
}

impl ReentrantMutex {
    /// A new one.
    ///
    /// # Errors
    ///
    /// When the system has not enough memory or descriptors.
    pub fn new() -> io::Result<ReentrantMutex> {
        SignalWords::new(0).map(ReentrantMutex)
    }

    /// Waits until no other thread has it.
    ///
    /// # Errors
    ///
    /// [`Poisoned`](LockError::Poisoned).
    pub fn lock(&self) -> Result<ReentrantGuard<'_>, LockError> {
        self.lock_until(None)
    }

    /// Waits until no other thread has it, but no longer than this.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<ReentrantGuard<'_>, LockError> {
        self.lock_until(deadline(timeout))
    }

    fn lock_until(&self, deadline: Option<Instant>) -> Result<ReentrantGuard<'_>, LockError> {
        self.again()
            .or_else(|| lock::lock(self.word(LOCK), deadline).map(|had| self.first(had)))
            .unwrap_or(Err(LockError::TimedOut))
    }

    /// Does not wait.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn try_lock(&self) -> Result<ReentrantGuard<'_>, LockError> {
        self.again()
            .or_else(|| lock::try_lock(self.word(LOCK)).map(|had| self.first(had)))
            .unwrap_or(Err(LockError::TimedOut))
    }

    /// Waits for the lock and takes it, also after a process died with it; from then on nobody is
    /// told any more.
    pub fn recover(&self) -> ReentrantGuard<'_> {
        loop {
            if let Some(Ok(guard)) = self.again() {
                return guard;
            }
            if lock::lock(self.word(LOCK), None).is_some() {
                self.word(DIED).store(0, Ordering::Relaxed);
                return self.owned();
            }
        }
    }

    /// If the caller has it already.
    fn again(&self) -> Option<Result<ReentrantGuard<'_>, LockError>> {
        // Nobody else writes our numbers there, and we take both away before we leave; so if they
        // are there, we have it. The process is looked at twice: behind a lock that one of our
        // threads has just inherited, the dead owner's numbers may still be there, and that of its
        // thread may be one of ours by now.
        let own = identity::own();
        let is_ours = self.word(LOCK).load(Ordering::Relaxed) & !FREE_BIT == own
            && self.word(PROCESS).load(Ordering::Acquire) == own
            && self.word(THREAD).load(Ordering::Relaxed) == own_thread();
        is_ours.then(|| {
            self.word(DEPTH).fetch_add(1, Ordering::Relaxed);
            Ok(self.guard())
        })
    }

    /// The lock has been had by a thread that had it not.
    fn first(&self, had: Had) -> Result<ReentrantGuard<'_>, LockError> {
        if let Had::Inherited { pid } = had {
            self.word(DIED).store(pid, Ordering::Relaxed);
        }
        match self.word(DIED).load(Ordering::Relaxed) {
            0 => Ok(self.owned()),
            pid => {
                self.word(PROCESS).store(0, Ordering::Relaxed);
                self.word(THREAD).store(0, Ordering::Relaxed);
                lock::unlock(self.word(LOCK));
                Err(LockError::Poisoned { pid })
            }
        }
    }

    fn owned(&self) -> ReentrantGuard<'_> {
        self.word(DEPTH).store(1, Ordering::Relaxed);
        self.word(THREAD).store(own_thread(), Ordering::Relaxed);
        // A process that sees it sees the thread as well.
        self.word(PROCESS).store(identity::own(), Ordering::Release);
        self.guard()
    }

    fn guard(&self) -> ReentrantGuard<'_> {
        ReentrantGuard {
            memory: self.0.memory(),
            stays: PhantomData,
        }
    }

    fn word(&self, at: usize) -> &crate::primitive::AtomicU32 {
        self.0.memory().word(at)
    }
}

impl Drop for ReentrantGuard<'_> {
    fn drop(&mut self) {
        // A copy of the process that has it has nothing to leave.
        if !lock::is_own(self.memory.word(LOCK)) {
            return;
        }
        if self.memory.word(DEPTH).fetch_sub(1, Ordering::Relaxed) == 1 {
            // Both: should the next owner die before it has written its own, neither is taken for
            // ours.
            self.memory.word(PROCESS).store(0, Ordering::Relaxed);
            self.memory.word(THREAD).store(0, Ordering::Relaxed);
            lock::unlock(self.memory.word(LOCK));
        }
    }
}

impl fmt::Debug for ReentrantGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReentrantGuard").finish_non_exhaustive()
    }
}

impl fmt::Debug for ReentrantMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReentrantMutex").finish_non_exhaustive()
    }
}
