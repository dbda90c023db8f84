//! Locks and signals between threads and between coroutines.
//!
//! | to | use |
//! |---|---|
//! | let one at a time use data | [`Mutex`]; [`ReentrantMutex`] when the holder may come again |
//! | let many read or one write | [`RwLock`] |
//! | wait for a change of locked data | [`Condvar`] |
//! | let so many at once do something | [`Semaphore`] |
//! | wait until something has happened | [`Event`] |
//! | let a number of threads wait for each other | [`Barrier`] |
//! | say that work is no longer wanted | [`CancelToken`] |
//! | make something once, when it is first needed | [`OnceLock`], [`LazyLock`], [`Once`] |
//!
//! What `tokio::sync` has and composes with these is not here again: an asynchronous `Mutex`, whose
//! guard lives across an `await`; `Notify`; `watch`; and `tokio::select!`, in which each future of
//! this crate may be dropped half-way.
//!
//! Threads and coroutines may wait for the same semaphore, event or token. A wait with a time-out
//! of zero does not wait, and one beyond what the clock can say is for ever.

mod barrier;
pub(crate) mod cancel;
mod condvar;
#[cfg(feature = "diagnose")]
pub mod diagnose;
mod event;
mod lock;
#[cfg(all(test, hands_loom))]
mod model;
#[cfg(not(feature = "diagnose"))]
mod notes;
mod owner;
pub(crate) mod park;
mod raw;
mod semaphore;
pub(crate) mod timer;
pub(crate) mod waiters;

/// Runs something once, and says when it has run: a byte, where `std`'s has to remember a panic
/// too.
pub use parking_lot::Once;
/// A value that is written once. `std`'s is as good as any.
pub use std::sync::{LazyLock, OnceLock};

pub use barrier::{Barrier, Broken};
pub use cancel::{CancelToken, Cancelled, DropGuard, WaitCancelled};
pub use condvar::Condvar;
pub use event::{Event, Wait};
pub use lock::{
    Mutex, MutexGuard, ReentrantMutex, ReentrantMutexGuard, RwLock, RwLockReadGuard,
    RwLockWriteGuard,
};
pub use semaphore::{Acquire, AcquireOwned, OverRelease, OwnedPermit, Permit, Semaphore, TooMany};
