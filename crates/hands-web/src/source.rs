//! [`Source`]: what a page watches and steers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;

/// What is behind a page.
///
/// Its methods are called on a thread of the page, one at a time.
pub trait Source: Send + 'static {
    /// Brings the ledger up to date. Called twenty times a second.
    fn update(&mut self, ledger: &mut Ledger);

    /// What can be done with it now: the page has buttons for these.
    fn verbs(&self) -> Vec<Verb> {
        Vec::new()
    }

    /// Does something, and says what that was.
    ///
    /// # Errors
    ///
    /// When it cannot be done.
    fn act(&mut self, action: Action, ledger: &mut Ledger) -> Result<String, Refused> {
        let _ = (action, ledger);
        Err(Refused::new("this page only shows"))
    }
}

/// What a user wants to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// Start no further task until it is resumed.
    Pause,
    /// Go on.
    Resume,
    /// Start no further task; with `now`, end those that run.
    Stop {
        /// Those that run are ended.
        #[serde(default)]
        now: bool,
    },
    /// End this task.
    Cancel {
        /// Its number.
        id: u64,
    },
    /// Try this one again, which has failed.
    Retry {
        /// Its number.
        id: u64,
    },
    /// Try all again that have failed.
    RetryFailed,
    /// End it if it runs, and list it no more.
    Remove {
        /// Its number.
        id: u64,
    },
    /// Take up what this text names: links, one on a line.
    Add {
        /// The text.
        links: String,
    },
}

/// The kind of an [`Action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verb {
    /// [`Action::Pause`] and [`Action::Resume`].
    Pause,
    /// [`Action::Stop`].
    Stop,
    /// [`Action::Cancel`].
    Cancel,
    /// [`Action::Retry`].
    Retry,
    /// [`Action::RetryFailed`].
    RetryFailed,
    /// [`Action::Remove`].
    Remove,
    /// [`Action::Add`].
    Add,
}

/// Why something is not done: a sentence.
#[derive(Clone, PartialEq, Eq)]
pub struct Refused(String);

impl Refused {
    /// For this reason.
    pub fn new(why: impl Into<String>) -> Refused {
        Refused(why.into())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

hands::debug_is_sentence!(Refused);
