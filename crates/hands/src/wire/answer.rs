//! How a function ended in another process, as it travels.

use serde::{Deserialize, Serialize};

use super::codec;
use crate::task::{Panicked, TaskError};
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
