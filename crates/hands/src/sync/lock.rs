//! Locks around data.
//!
//! They are `parking_lot`'s: a word or less each, no poison to unwrap, fair where it matters, with
//! time-outs on each. With the feature `diagnose` they are watched; their types are the same.

use parking_lot::{RawThreadId, lock_api};

use super::raw::{RawMutex, RawRwLock};

/// One at a time. `std`'s poisons itself when a holder panics, and has no time-outs. For a lock
/// that is held across an `await`, use `tokio::sync::Mutex`.
///
/// ```
/// use hands::sync::Mutex;
///
/// static ACCOUNT: Mutex<u64> = Mutex::new(0);
/// *ACCOUNT.lock() += 100;
/// assert_eq!(*ACCOUNT.lock(), 100);
/// ```
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;

/// Holds a [`Mutex`].
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;

/// Many readers, or one writer. Writers are not kept waiting by readers that keep coming, as they
/// may be with `std`'s.
pub type RwLock<T> = lock_api::RwLock<RawRwLock, T>;

/// Holds a [`RwLock`] for reading.
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;

/// Holds a [`RwLock`] for writing.
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;

/// One thread at a time, as often as it likes: Python's `RLock`. Only its owner can release it,
/// which the guard, that cannot be sent, sees to. It gives shared access; put a `Cell` in it.
/// `std`'s is not stable.
pub type ReentrantMutex<T> = lock_api::ReentrantMutex<RawMutex, RawThreadId, T>;

/// Holds a [`ReentrantMutex`].
pub type ReentrantMutexGuard<'a, T> = lock_api::ReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;
