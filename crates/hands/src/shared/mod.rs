//! What several processes share: memory, and locks and signals in it.
//!
//! | to | use |
//! |---|---|
//! | hand over something large without copying it | [`Bytes`] |
//! | let processes fill parts of an array | [`Slice`] |
//! | have a number or a small record in common | [`Value`] |
//! | let them change something in several steps | [`Mutex`]; [`ReentrantMutex`] around what is elsewhere |
//! | hand items from process to process | [`Queue`] |
//! | wait for each other | [`Event`], [`Condvar`], [`Semaphore`], [`Barrier`] |
//! | anything else | [`Memory`] |
//!
//! All of these are handles, of which clones mean the same thing, and which can be sent: as the
//! argument of a [process](crate::process), as its result, through a [pipe](crate::process::pipe),
//! and on to processes of processes.
//!
//! # What is promised
//!
//! - **Nobody is hurt by what others write.** Other processes are treated as if they wrote anything
//!   at any time. What is read may then be nonsense; it is never undefined behaviour, and never a
//!   signal: memory is there in full from the start, and nobody can take it away.
//! - **A process that is killed leaves its locks to the next**, who is told. What it waited for it
//!   does not take along.
//! - **There are no names**, and so nothing is left when all processes are gone.
//!
//! What may be shared is [`Plain`]: values of which any bytes make one, so that reading what
//! somebody else wrote is always reading a value. Numbers and arrays of them are; `bool`, enums and
//! whatever has a pointer or a gap are not. For types of your own:
//!
//! ```
//! use bytemuck::{Pod, Zeroable};
//!
//! #[derive(Clone, Copy, Pod, Zeroable)]
//! #[repr(C)]
//! struct Account {
//!     number: u64,
//!     balance: i64,
//! }
//!
//! let account = hands::shared::Mutex::new(Account { number: 7, balance: 0 })?;
//! account.lock().unwrap().balance += 100;
//! # std::io::Result::Ok(())
//! ```
//!
//! ```compile_fail,E0277
//! hands::shared::Mutex::new("a pointer into the memory of one process");
//! ```
//!
//! # Platforms
//!
//! Linux, as [`process`](crate::process).

mod barrier;
mod bytes;
#[cfg(test)]
mod hostile;
mod lock;
mod memory;
#[cfg(all(test, hands_loom))]
mod model;
mod mutex;
mod queue;
mod reentrant;
mod signals;
mod slice;
mod value;
pub(crate) mod wait;

use std::io;

#[cfg(feature = "faults")]
use crate::fault::step;

pub use self::barrier::Barrier;
pub use self::bytes::Bytes;
pub use self::memory::Memory;
pub use self::mutex::{LockError, Mutex, SharedMutexGuard};
pub use self::queue::Queue;
pub use self::reentrant::{ReentrantGuard, ReentrantMutex};
pub use self::signals::{Condvar, Event, Semaphore};
pub use self::slice::Slice;
pub use self::value::Value;
/// What may be shared: see `bytemuck::Pod`, which it is, and its derive.
pub use bytemuck::Pod as Plain;

/// Where a test may kill the process.
#[cfg(not(feature = "faults"))]
#[inline(always)]
fn step() {}

/// More bytes than an address can count.
struct TooLarge;

impl From<TooLarge> for io::Error {
    fn from(_: TooLarge) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "that is more memory than there can be",
        )
    }
}
