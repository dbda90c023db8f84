//! What the jobs of `hands run` are made of.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use hands_batch::input::Row;

/// What a job is made of.
pub(crate) enum RunItem {
    /// Inputs for the command's placeholders.
    Rows(Vec<Row>),
    /// A piece of stdin.
    Block(Vec<u8>),
    /// A piece of stdin as a file, and its name.
    File { _held: OwnedFd, name: Vec<Row> },
    /// What a job's stdin is. The job takes it: while this program had it, too, nobody would see
    /// that the job has closed it.
    Stdin(Option<Arc<OwnedFd>>),
}
