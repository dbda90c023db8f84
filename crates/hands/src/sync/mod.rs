//! Locks and signals between threads and between coroutines.

mod barrier;
mod cancel;
mod event;
#[cfg(all(test, hands_loom))]
mod model;
pub(crate) mod park;
mod semaphore;
mod timer;
pub(crate) mod waiters;

pub use barrier::{Barrier, Broken};
pub use cancel::{CancelToken, Cancelled, WaitCancelled};
pub use event::{Event, Wait};
pub use semaphore::{Acquire, OverRelease, Permit, Semaphore, TooMany};
