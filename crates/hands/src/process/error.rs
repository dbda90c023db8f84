//! Why no process was started.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// Why no process was started.
#[non_exhaustive]
pub enum SpawnError {
    /// Copies of this program would not become workers, but run its `main` once more.
    NoInit,
    /// The function lies in a shared library, where other processes may not have it.
    NotInExecutable,
    /// The argument could not be written down.
    Encode {
        /// Why.
        what: String,
    },
    /// A copy of the program was started and ended before it came to [`init`](crate::init).
    NoHello {
        /// How it ended, where the system tells.
        status: Option<ExitStatus>,
    },
    /// A copy of the program was started, and did not come to [`init`](crate::init) in time.
    HelloTimedOut {
        /// The time it was given.
        after: Duration,
    },
    /// The process had not been made within the time that
    /// [starting](super::ProcessBuilder::start_timeout) may take.
    TimedOut {
        /// The time it was given.
        after: Duration,
    },
    /// What answered is not this program.
    OtherProgram,
    /// What was to be [loaded before](super::preload) could not be, or a thread runs before
    /// [`init`](crate::init).
    Preload {
        /// Why.
        what: String,
    },
    /// The system refused something.
    System {
        /// What was to be done, as in "cannot ...".
        what: &'static str,
        /// Why it was refused.
        error: io::Error,
    },
}

impl SpawnError {
    pub(crate) fn system(what: &'static str) -> impl Fn(io::Error) -> SpawnError {
        move |error| SpawnError::System { what, error }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::NoInit => f.write_str(
                "this program cannot start copies of itself yet; begin `main` with `let _hands = hands::init();`, or, under `#[tokio::main]`, in tests and in libraries, write `hands::entry!();` once beside it",
            ),
            SpawnError::NotInExecutable => f.write_str(
                "the function lies in a shared library, where another process may not have it; call it from a function of the program itself",
            ),
            SpawnError::Encode { what } => {
                write!(f, "the argument cannot be sent to another process: {what}")
            }
            SpawnError::NoHello { status } => {
                f.write_str("a copy of this program ended before it came to `hands::init()`")?;
                if let Some(status) = status {
                    write!(f, " ({status})")?;
                }
                f.write_str("; let that be the first thing in `main`")
            }
            SpawnError::HelloTimedOut { after } => write!(
                f,
                "a copy of this program did not come to `hands::init()` within {after:?}; let that be the first thing in `main`"
            ),
            SpawnError::TimedOut { after } => write!(
                f,
                "the process had not started within {after:?}: the system is very busy, or somebody has stopped what starts it; try again, or allow it longer with `start_timeout`"
            ),
            SpawnError::OtherProgram => f.write_str(
                "what was started as a copy of this program is another one; do not change the program's file while it runs",
            ),
            SpawnError::Preload { what } => {
                write!(f, "copies of this program cannot be made: {what}")
            }
            SpawnError::System { what, error } => write!(f, "cannot {what}: {error}"),
        }
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SpawnError::System { error, .. } => Some(error),
            _ => None,
        }
    }
}

debug_is_sentence!(SpawnError);
