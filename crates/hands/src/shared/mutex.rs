//! [`Mutex`]: a value that one process at a time may change.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::lock::{self, Had};
use super::memory::Memory;
use super::wait::deadline;
use super::{Plain, TooLarge, step};
use crate::primitive::Ordering;

/// Where in its memory it has what.
const WORD: usize = 0;
/// The number of a process that died with the lock, until somebody has recovered from it.
const DIED: usize = 4;
/// For what [`Barrier`](super::Barrier) has to say without the lock.
const SPARE: usize = 8;
const VALUE: usize = 64;

/// A plain value of which one thread of one process at a time has the use. A clone is the same
/// value, and so is one that was sent to a process.
///
/// A process that dies with the lock, killed in the middle of what it was doing, leaves it to the
/// next: who is told so, and may look whether the value still makes sense.
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hands::shared::Mutex;
///
/// fn deposit((account, times): (Mutex<u64>, u64)) {
///     for _ in 0..times {
///         *account.lock().expect("nobody was killed") += 1;
///     }
/// }
///
/// # let _hands = hands::init();
/// let account = Mutex::new(0_u64)?;
/// let processes = [(); 2].map(|()| hands::process::spawn(deposit, (account.clone(), 10_000)));
/// for process in processes {
///     process?.join()?;
/// }
/// assert_eq!(*account.lock()?, 20_000);
/// # Ok(())
/// # }
/// ```
pub struct Mutex<T> {
    memory: Memory,
    value: PhantomData<fn(T) -> T>,
}

/// Why a lock was not had, or not in order.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError {
    /// A process died with the lock, and nobody has [recovered](Mutex::recover) from it. The lock
    /// is not held.
    Poisoned {
        /// Its number.
        pid: u32,
    },
    /// Others had it for too long; for [`try_lock`](Mutex::try_lock), at all.
    TimedOut,
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Poisoned { pid } => write!(
                f,
                "process {pid} died while it had the lock; look whether the value makes sense, with `recover`"
            ),
            LockError::TimedOut => f.write_str("others had the lock for too long"),
        }
    }
}

impl std::error::Error for LockError {}

/// The use of a [`Mutex`]'s value, until this is dropped. What has been changed is then written to
/// the shared memory.
#[must_use = "dropped at once, it leaves the lock at once"]
pub struct SharedMutexGuard<'a, T: Plain> {
    mutex: &'a Mutex<T>,
    value: T,
    is_changed: bool,
}

impl<T: Plain> Mutex<T> {
    /// A new one with this value.
    ///
    /// # Errors
    ///
    /// When the system has not enough memory or descriptors.
    pub fn new(value: T) -> io::Result<Mutex<T>> {
        let length = size_of::<T>().checked_add(VALUE).ok_or(TooLarge)?;
        let memory = Memory::new(length)?;
        memory.write_whole(VALUE, bytemuck::bytes_of(&value));
        Ok(Mutex {
            memory,
            value: PhantomData,
        })
    }

    /// Waits until nobody else has it.
    ///
    /// # Errors
    ///
    /// [`Poisoned`](LockError::Poisoned).
    pub fn lock(&self) -> Result<SharedMutexGuard<'_, T>, LockError> {
        self.lock_until(None)
    }

    /// Waits until nobody else has it, but no longer than this.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<SharedMutexGuard<'_, T>, LockError> {
        self.lock_until(deadline(timeout))
    }

    /// Does not wait.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn try_lock(&self) -> Result<SharedMutexGuard<'_, T>, LockError> {
        let had = lock::try_lock(self.memory.word(WORD)).ok_or(LockError::TimedOut)?;
        self.guard_unless_poisoned(had)
    }

    pub(super) fn lock_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<SharedMutexGuard<'_, T>, LockError> {
        let had = lock::lock(self.memory.word(WORD), deadline).ok_or(LockError::TimedOut)?;
        self.guard_unless_poisoned(had)
    }

    fn guard_unless_poisoned(&self, had: Had) -> Result<SharedMutexGuard<'_, T>, LockError> {
        let died = self.memory.word(DIED);
        if let Had::Inherited { pid } = had {
            died.store(pid, Ordering::Relaxed);
        }
        match died.load(Ordering::Relaxed) {
            0 => Ok(self.guard()),
            pid => {
                lock::unlock(self.memory.word(WORD));
                Err(LockError::Poisoned { pid })
            }
        }
    }

    /// Waits for the lock and takes it as it is, also after a process died with it: whose value may
    /// be half changed. The guard is in the hands of who looks, and from then on nobody is told any
    /// more.
    pub fn recover(&self) -> SharedMutexGuard<'_, T> {
        let _ = lock::lock(self.memory.word(WORD), None);
        self.memory.word(DIED).store(0, Ordering::Relaxed);
        self.guard()
    }

    /// A word that others may write without the lock.
    pub(super) fn spare(&self) -> &crate::primitive::AtomicU32 {
        self.memory.word(SPARE)
    }

    /// The lock is held.
    fn guard(&self) -> SharedMutexGuard<'_, T> {
        let mut value = T::zeroed();
        self.memory.read(VALUE, bytemuck::bytes_of_mut(&mut value));
        SharedMutexGuard {
            mutex: self,
            value,
            is_changed: false,
        }
    }
}

impl<T: Plain> Deref for SharedMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Plain> DerefMut for SharedMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.is_changed = true;
        &mut self.value
    }
}

impl<'a, T: Plain> SharedMutexGuard<'a, T> {
    /// Leaves the lock, to be taken again.
    pub(super) fn release(self) -> &'a Mutex<T> {
        self.mutex
    }
}

impl<T: Plain> Drop for SharedMutexGuard<'_, T> {
    fn drop(&mut self) {
        let memory = &self.mutex.memory;
        // Not in a copy of the process that has it.
        if self.is_changed && lock::is_own(memory.word(WORD)) {
            step();
            memory.write_whole(VALUE, bytemuck::bytes_of(&self.value));
            step();
        }
        lock::unlock(memory.word(WORD));
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for SharedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> Clone for Mutex<T> {
    fn clone(&self) -> Mutex<T> {
        Mutex {
            memory: self.memory.clone(),
            value: PhantomData,
        }
    }
}

impl<T> Serialize for Mutex<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.memory.serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Mutex<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mutex<T>, D::Error> {
        let memory = Memory::deserialize(deserializer)?;
        if memory.len() < VALUE + size_of::<T>() {
            return Err(serde::de::Error::custom(
                "a shared mutex has less memory than its value takes",
            ));
        }
        Ok(Mutex {
            memory,
            value: PhantomData,
        })
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

debug_is_sentence!(LockError);
