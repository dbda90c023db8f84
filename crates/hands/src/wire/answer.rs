//! How a function ended in another process, as it travels.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::codec;
use crate::task::{Died, Panicked, TaskError};
use crate::thread::PanicPlace;
use crate::thread::panic::Caught;

/// How a function ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Result(#[serde(with = "codec::raw")] Vec<u8>),
    Panicked {
        message: String,
        location: Option<(String, u32, u32)>,
        backtrace: Option<String>,
    },
    /// Its argument could not be read.
    Decode(String),
    /// Its result could not be written down.
    Encode(String),
    /// It never ran.
    SetUp(String),
    /// It was dropped.
    Cancelled,
    /// Its time was up.
    TimedOut(Duration),
    /// Its process ended before it did.
    Died {
        pid: u32,
        code: Option<i32>,
        signal: Option<i32>,
        stderr_tail: String,
        out_of_memory: bool,
    },
    /// Its process wanted more memory than that.
    MemoryLimit(u64),
    /// It was begun this often, and each time its worker ended before it did.
    Poisoned(u32),
    /// It never ran, for this reason.
    Refused(String),
}

impl From<Panicked> for Answer {
    fn from(panicked: Panicked) -> Answer {
        let location = panicked.location;
        Answer::Panicked {
            message: panicked.message,
            location: location.map(|at| (at.file, at.line, at.column)),
            backtrace: panicked.backtrace,
        }
    }
}

impl Answer {
    /// What it comes to, for one that is no result.
    pub(crate) fn error(self) -> TaskError {
        match self {
            Answer::Result(_) => TaskError::Decode {
                what: "the result: it is out of place".to_owned(),
            },
            Answer::Panicked {
                message,
                location,
                backtrace,
            } => TaskError::Panicked(Box::new(Panicked {
                message,
                location: location.map(|(file, line, column)| PanicPlace { file, line, column }),
                backtrace,
                payload: Default::default(),
            })),
            Answer::Decode(what) => TaskError::Decode {
                what: format!("the argument: {what}"),
            },
            Answer::Encode(what) => TaskError::Encode { what },
            Answer::SetUp(what) => TaskError::Init {
                message: what.into(),
            },
            Answer::Cancelled => TaskError::Cancelled,
            Answer::TimedOut(after) => TaskError::TimedOut { after },
            Answer::Died {
                pid,
                code,
                signal,
                stderr_tail,
                out_of_memory,
            } => TaskError::Died(Box::new(Died {
                pid,
                code,
                signal,
                stderr_tail,
                out_of_memory,
            })),
            Answer::MemoryLimit(limit) => TaskError::MemoryLimit { limit },
            Answer::Poisoned(starts) => TaskError::Poisoned { starts },
            Answer::Refused(why) => TaskError::Refused { why: why.into() },
        }
    }
}

/// For a pool whose workers are pools themselves.
#[cfg(feature = "cluster")]
impl From<&TaskError> for Answer {
    fn from(error: &TaskError) -> Answer {
        match error.clone() {
            TaskError::Panicked(panicked) => (*panicked).into(),
            TaskError::TimedOut { after } => Answer::TimedOut(after),
            TaskError::Cancelled => Answer::Cancelled,
            TaskError::Died(died) => Answer::Died {
                pid: died.pid,
                code: died.code,
                signal: died.signal,
                stderr_tail: died.stderr_tail,
                out_of_memory: died.out_of_memory,
            },
            TaskError::MemoryLimit { limit } => Answer::MemoryLimit(limit),
            TaskError::Encode { what } => Answer::Encode(what),
            TaskError::Decode { what } => Answer::Decode(what),
            TaskError::Poisoned { starts } => Answer::Poisoned(starts),
            other => Answer::Refused(other.to_string()),
        }
    }
}

impl From<Caught> for Answer {
    fn from(caught: Caught) -> Answer {
        match TaskError::from(caught) {
            TaskError::Panicked(panicked) => (*panicked).into(),
            other => Answer::SetUp(other.to_string()),
        }
    }
}
