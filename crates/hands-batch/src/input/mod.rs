//! Where a batch's inputs come from, pulled one at a time, so that a million lines cost no memory.
//!
//! ```text
//! ::: a b     ┐
//! :::: file   ├─ rows of columns ─► combined (product, linked) ─► grouped (-n, -X) ─► one job's rows
//! stdin, CSV  ┘
//! ```
//!
//! A source never blocks its caller: what comes through a pipe is read when there is something to
//! read, and until then [`Pull::Pending`] is the answer. No descriptor is made non-blocking, as
//! others may share it.

mod args;
mod combine;
mod error;
mod group;
mod reader;
mod spec;
mod table;
#[cfg(test)]
mod testing;

use std::os::fd::BorrowedFd;

pub use self::args::split_args;
pub use self::error::InputError;
pub use self::group::{Cost, Group, Limit};
pub(crate) use self::reader::{Fill, Reader};
pub use self::spec::{Columns, InputKind, JobsSpec, SourceSpec, Spec};
pub use super::template::Row;

/// What a source has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pull<T> {
    /// The next one.
    Item(T),
    /// Nothing now: wait until [`InputSource::ready_fd`] is readable.
    Pending,
    /// Nothing more.
    End,
}

/// Something that is pulled from without blocking.
pub trait InputSource<T> {
    /// The next item.
    ///
    /// # Errors
    ///
    /// When the input cannot be read or is not of its form.
    fn pull(&mut self) -> Result<Pull<T>, InputError>;

    /// What to wait for after [`Pull::Pending`].
    fn ready_fd(&self) -> Option<BorrowedFd<'_>>;
}
