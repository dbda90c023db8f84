//! Tasks: a function and its argument, and what becomes of them.
//!
//! The submitter a task to a [pool](crate::pool) gets a [`Handle`], the claim on its outcome: the
//! result, or a [`TaskError`] that says why there is none. A handle is joined, awaited, watched or
//! cancelled; [`wait`] and [`as_completed`] take many.
//!
//! A task finds its own [`CancelToken`](crate::sync::CancelToken) with `CancelToken::current()`; it
//! is cancelled by [`Handle::cancel`], by a time-out set with [`Options`], and by a pool that is
//! shut down. Nothing is stopped by force.
#![forbid(unsafe_code)]

pub(crate) mod blocking;
pub(crate) mod cell;
mod chain;
mod data;
mod error;
mod handle;
pub(crate) mod latch;
#[cfg(all(test, hands_loom))]
mod model;
mod options;
pub(crate) mod remote;
#[cfg(any(feature = "async", all(test, hands_loom)))]
pub(crate) mod turn;
mod wait;
mod worker_id;

pub use chain::ErrorChain;
#[cfg(feature = "async")]
pub use data::AsyncTask;
pub use data::{Data, Task};
pub use error::{Died, Outcome, Panicked, TaskError};
pub use handle::Handle;
pub use options::Options;
pub use wait::{AsCompleted, Waited, When, as_completed, wait, wait_timeout};
pub use worker_id::WorkerId;
