//! Why a task has no result.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::thread::Place;
use crate::thread::panic::{Caught, message};

/// What became of a task: its result, or why there is none.
pub type Outcome<R> = Result<R, TaskError>;

/// Why a task has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// Its function panicked; the worker goes on with the next task.
    Panicked(Box<Panicked>),
    /// It had not finished in time. A function that runs on regardless has its result thrown away.
    TimedOut {
        /// The time it was given.
        after: Duration,
    },
    /// It was cancelled before it began, by its handle or by a shutdown of the pool.
    Cancelled,
    /// No worker could be made ready for it: the pool's initialiser failed, and all its tasks with it.
    Init {
        /// What the initialiser said.
        message: Arc<str>,
    },
    /// The pool took no more tasks.
    PoolClosed,
}

/// A panic that ended a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panicked {
    /// What it said; for a payload that is no text, that it is none.
    pub message: String,
    /// Where it happened; unknown for one that was thrown with `resume_unwind`.
    pub location: Option<Place>,
    /// How it came there, if `RUST_BACKTRACE` asks for it.
    pub backtrace: Option<String>,
}

impl From<Caught> for TaskError {
    fn from(caught: Caught) -> TaskError {
        TaskError::Panicked(Box::new(Panicked {
            message: message(&*caught.payload).to_owned(),
            location: caught.place,
            backtrace: caught.backtrace,
        }))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Panicked(panicked) => panicked.fmt(f),
            TaskError::TimedOut { after } => write!(
                f,
                "the task had not finished after {after:?}; give it more time, or let it do less"
            ),
            TaskError::Cancelled => f.write_str(
                "the task was cancelled before it began; submit it again if it is still wanted",
            ),
            TaskError::Init { message } => write!(
                f,
                "no worker could be made ready, so the task never began; mend the pool's initialiser, which said: {message}"
            ),
            TaskError::PoolClosed => f.write_str(
                "the pool takes no more tasks; submit before it is closed or shut down, or make another",
            ),
        }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task panicked")?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Error for TaskError {}
