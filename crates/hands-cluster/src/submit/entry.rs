//! A task on its way, as the parts of the submitter hand it to each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use hands::remote::Remote;
use hands::task::TaskError;
use serde::{Deserialize, Serialize};

/// A task on its way.
pub(crate) struct SentTask {
    pub(super) name: &'static str,
    pub(super) hash: u64,
    pub(super) remote: Arc<dyn Remote>,
    pub(super) count: u64,
    pub(super) id: Option<String>,
}

impl SentTask {
    pub(crate) fn new(
        name: &'static str,
        hash: u64,
        remote: Arc<dyn Remote>,
        count: u64,
    ) -> SentTask {
        SentTask {
            name,
            hash,
            remote,
            count,
            id: None,
        }
    }

    /// The name by which another program can take it up.
    pub(crate) fn named(mut self, id: &str) -> SentTask {
        self.id = Some(id.to_owned());
        self
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn refuse(self, why: TaskError) {
        self.remote.refuse(why);
    }

    /// It has no arguments, and so all of its outcomes.
    pub(crate) fn finish(self) {
        self.remote.finish(&|_| ());
    }
}

/// A task without an outcome.
pub(super) struct PendingTask {
    pub(super) id: String,
    pub(super) remote: Arc<dyn Remote>,
    pub(super) name: &'static str,
    pub(super) hash: u64,
    pub(super) count: u64,
    /// Its number among the events.
    pub(super) number: u64,
    pub(super) submitted: Instant,
    /// Of its message; 0: the server has not said that it has it.
    pub(super) sequence: AtomicU64,
    /// How often it was looked for in vain, in a row.
    pub(super) missing: AtomicU32,
    /// How often its outcome was there and could not be read.
    pub(super) unread: AtomicU32,
    /// Another program has submitted it.
    pub(super) is_foreign: bool,
}

pub(super) struct Outgoing {
    pub(super) entry: Arc<PendingTask>,
    pub(super) bytes: Vec<u8>,
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
}

/// What came of a task.
pub(super) struct Delivery {
    pub(super) entry: Arc<PendingTask>,
    /// Its outcomes' bytes, who ran it, for how long.
    pub(super) outcome: Result<(Vec<u8>, String, Duration), TaskError>,
}

/// What a worker says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) version: String,
    /// 0: it is ending.
    pub(crate) slots: usize,
    pub(crate) busy: usize,
}
