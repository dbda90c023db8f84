//! The job log: one row for each finished job, in GNU parallel's columns, and resuming from it.
//!
//! ```text
//! Seq  Host  Starttime       JobRuntime  Send  Receive  Exitval  Signal  Command
//! 1    :     1795418470.102       0.003     0        2        0       0  echo a
//! ```
//!
//! Columns are separated by one tab. A row is appended with one `write` when its job has been
//! reaped, so:
//!
//! * a program killed at any moment leaves whole rows and at most one unfinished last line, which
//!   [`Resume::read`] does not count and [`JobLog::append`] cuts off;
//! * a full disk is an [error](JobLogError) that names the file, and what had been written of that
//!   row is cut off again;
//! * a job without a row runs again on resuming: each input is completed at least once, and one
//!   that was logged is not run twice.
//!
//! [`JobLog`] writes; [`Resume`] reads a log back and decides for each job of the new run whether
//! it still has to run, or is no longer the job that was logged under its number.
//!
//! # The Command column
//!
//! A command without control characters stands in the log as it is. In others:
//!
//! | byte in the command | in the log |
//! |---|---|
//! | newline | NUL, as GNU parallel writes it |
//! | tab | `0x01` `t` |
//! | carriage return | `0x01` `r` |
//! | NUL | `0x01` `0` |
//! | `0x01` | `0x01` `1` |
//!
//! So a row is always one line of exactly nine columns, two different commands never look the same,
//! and every byte comes back. A log written by GNU parallel is read as well; its raw tabs are taken
//! as they stand.

mod error;
mod header;
mod resume;
mod row;
mod writer;

pub use error::JobLogError;
pub use resume::{Resume, ResumeDecision, ResumeMode, commands_to_retry};
pub use row::JobLogEntry;
pub use writer::JobLog;

#[cfg(test)]
mod full_disk_tests;
