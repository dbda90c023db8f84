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

    /// For workers with this label alone.
    pub(crate) fn labelled(mut self, label: Option<&str>) -> SentTask {
        self.hash = crate::names::labelled(self.hash, label);
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
        if !self.remote.finish(&|_| ()) {
            self.remote.call_back();
        }
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// It has this for as long as it runs, and no other has.
    pub id: String,
    /// What people call it: its machine's name unless it was given another.
    #[serde(default)]
    pub name: String,
    /// Its machine.
    pub host: String,
    /// That of its program.
    pub version: String,
    /// The number of tasks that it runs at a time; 0: it is ending.
    pub slots: usize,
    /// The number that it runs now.
    pub busy: usize,
    /// It finishes what it runs, and takes nothing more.
    #[serde(default)]
    pub is_draining: bool,
    /// See [`WorkerBuilder::label`](crate::WorkerBuilder::label).
    #[serde(default)]
    pub labels: Vec<String>,
    /// What it runs now, in words; empty unless it [says](crate::WorkerBuilder::tells).
    #[serde(default)]
    pub running: Vec<String>,
    /// Its machine's load, as `uptime` has it, in hundredths.
    #[serde(default)]
    pub load: u64,
}

/// What a worker may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerOrder {
    /// To finish what it runs, however long that takes, and then to end.
    Drain,
    /// To end, as SIGTERM tells it.
    End,
}

impl WorkerOrder {
    pub(crate) fn word(self) -> &'static str {
        match self {
            WorkerOrder::Drain => "drain",
            WorkerOrder::End => "end",
        }
    }
}
