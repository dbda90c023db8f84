//! What the kernel must be asked for directly. All `unsafe` of [`command`](super) is in this
//! folder.
//!
//! - [`spawn`]: start a program in the time that `posix_spawn` needs, with limits, its own process
//!   group and a pidfd.
//! - [`wait`]: reap one child through its pidfd, with its exact resource usage.
//! - [`watchdog`]: a tiny process that ends our jobs if we die without being able to.
//! - [`tree`]: find and end everything that a job has started.
//! - [`leftovers`]: what finished jobs left running in the background.
//! - [`host`]: what concerns the program itself: ignored signals, its limit on descriptors.
//!
//! Linux 5.4 or later (`waitid` on a pidfd).

pub(crate) mod host;
pub mod leftovers;
mod search;
pub(crate) mod spawn;
pub(crate) mod tree;
pub(crate) mod wait;
pub(crate) mod watchdog;
