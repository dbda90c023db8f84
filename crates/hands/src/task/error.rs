//! Why a task has no result.

use std::error::Error;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
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
    /// The process it ran in ended before it did.
    Died(Box<Died>),
    /// The process it ran in wanted more memory than it may have.
    MemoryLimit {
        /// Bytes that it may have.
        limit: u64,
    },
    /// Its result could not be sent.
    Encode {
        /// Why.
        what: String,
    },
    /// Its argument or its result could not be read where it had been sent.
    Decode {
        /// Which, and why.
        what: String,
    },
}

/// A process that ended before its task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Died {
    /// Its number.
    pub pid: u32,
    /// The exit code, if it exited.
    pub code: Option<i32>,
    /// The signal, if one killed it.
    pub signal: Option<i32>,
    /// The last of what it wrote to stderr, where that is kept.
    pub stderr_tail: String,
    /// The kernel seems to have killed it because the machine, or its part of it, had no more memory.
    pub out_of_memory: bool,
}

impl Died {
    pub(crate) fn new(pid: u32, status: Option<ExitStatus>) -> Died {
        Died {
            pid,
            code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            stderr_tail: String::new(),
            out_of_memory: false,
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ", self.pid)?;
        match (self.signal, self.code) {
            (Some(signal), _) => match signal_name(signal) {
                Some(name) => write!(f, "was killed by signal {signal} ({name})")?,
                None => write!(f, "was killed by signal {signal}")?,
            },
            (None, Some(code)) => write!(f, "exited with {code}")?,
            (None, None) => f.write_str("ended")?,
        }
        if self.out_of_memory {
            f.write_str(", as it seems because there was no more memory,")?;
        }
        f.write_str(" before its task had finished")?;
        if !self.stderr_tail.is_empty() {
            write!(f, "; the last it wrote: {}", self.stderr_tail.trim_end())?;
        }
        Ok(())
    }
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
            TaskError::Died(died) => died.fmt(f),
            TaskError::MemoryLimit { limit } => write!(
                f,
                "the task wanted more than the {limit} bytes of memory that its process may have; let it do with less, or give it more"
            ),
            TaskError::Encode { what } => write!(
                f,
                "the task's result cannot be sent to another process: {what}"
            ),
            TaskError::Decode { what } => write!(f, "cannot read {what}"),
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
