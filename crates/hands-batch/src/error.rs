//! [`BatchError`]: why a batch could not go on.

use std::fmt;
use std::io;

use super::work::WorkError;
use hands::command::CommandError;

/// Why a batch ended before its time. Single jobs' failures are not here.
#[non_exhaustive]
pub enum BatchError {
    /// Nobody reads what the jobs write: the reader of stdout or stderr has gone (`… | head`).
    OutputClosed,
    /// What the jobs write cannot be written.
    Output(io::Error),
    /// A job's result files cannot be written.
    Results {
        /// The job's folder.
        folder: std::path::PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The work could not say what comes next.
    Work(WorkError),
    /// The batch could not be set up, or its first job could not be started for want of a resource.
    Command(CommandError),
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchError::OutputClosed => f.write_str("nobody reads the output any more"),
            BatchError::Output(error) => write!(f, "cannot write the jobs' output: {error}"),
            BatchError::Results { folder, error } => {
                write!(f, "cannot write results to `{}`: {error}", folder.display())
            }
            BatchError::Work(error) => error.fmt(f),
            BatchError::Command(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BatchError::OutputClosed => None,
            BatchError::Output(error) | BatchError::Results { error, .. } => Some(error),
            BatchError::Work(error) => Some(&**error),
            BatchError::Command(error) => Some(error),
        }
    }
}

impl From<CommandError> for BatchError {
    fn from(error: CommandError) -> BatchError {
        BatchError::Command(error)
    }
}

hands::debug_is_sentence!(BatchError);
