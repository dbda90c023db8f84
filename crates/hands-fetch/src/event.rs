//! What is told of downloads while they run, and why they cannot begin.

use std::path::PathBuf;
use std::time::Duration;

use hands::event::TaskEnd;

use super::state::FetchState;

/// What happens, as it happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FetchEvent {
    /// A URL is being asked for.
    Start {
        /// Its place in the list, from 1.
        number: u64,
        /// As it was written.
        url: String,
    },
    /// A try has failed, and there will be another.
    Retry {
        /// The place of its URL in the list, from 1.
        number: u64,
        /// As it was written.
        url: String,
        /// Why it has failed.
        why: String,
        /// How long the next one waits.
        wait: Duration,
    },
    /// It is known what has become of a URL. Each has exactly one.
    End {
        /// Its place in the list, from 1.
        number: u64,
        /// As it was written.
        url: String,
        /// The file, if there is one.
        path: Option<PathBuf>,
        /// What has become of it.
        state: FetchState,
        /// How long it took.
        time: Duration,
        /// If it has failed and the plan writes down what fails: its lines for a list.
        listed: Option<String>,
    },
    /// Status line and headers, where the plan asks for no more.
    Head {
        /// Its place in the list, from 1.
        number: u64,
        /// As it was written.
        url: String,
        /// The text, or why there is none.
        head: Result<Vec<u8>, String>,
    },
    /// A URL that had not come is tried again, as somebody has asked for that: what was told of
    /// its end does not count.
    Again {
        /// Its place in the list, from 1.
        number: u64,
        /// As it was written.
        url: String,
    },
    /// The list is at its end: it had this number of URLs.
    Total(u64),
    /// The list cannot be read any further.
    Broken(String),
}

impl FetchEvent {
    /// How the task of its URL has ended with it.
    pub(crate) fn how(&self) -> TaskEnd {
        match self {
            FetchEvent::End { state, .. } => match state {
                FetchState::Failed(_) => TaskEnd::Failed,
                FetchState::Skipped(_) => TaskEnd::Cancelled,
                _ => TaskEnd::Well,
            },
            FetchEvent::Head { head: Err(_), .. } => TaskEnd::Failed,
            _ => TaskEnd::Well,
        }
    }
}

/// Why a run of downloads cannot begin: a sentence, and perhaps a hint on what to do.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchError(String);

impl FetchError {
    pub(crate) fn new(why: String) -> FetchError {
        FetchError(why)
    }
}

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FetchError {}

hands::debug_is_sentence!(FetchError);
