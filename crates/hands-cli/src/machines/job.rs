//! What travels between who runs a batch and the machines that run its jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What all jobs of a run have in common, as far as a machine has to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct JobConditions {
    /// Where jobs start: a folder that the machine has, too.
    pub(crate) directory: Vec<u8>,
    /// Variables that they get beside the machine's own.
    pub(crate) variables: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) cpu_limit: Option<Duration>,
    pub(crate) nice: i32,
    pub(crate) grace: Duration,
    pub(crate) linger: Option<Duration>,
    /// What a job writes is wanted while it runs.
    pub(crate) live: bool,
    /// Each job has a folder of its own, with what was sent there and nothing else.
    pub(crate) apart: bool,
}

/// Some jobs of a run, one after the other in one slot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobBatch {
    pub(crate) run: String,
    pub(crate) batch: u64,
    pub(crate) conditions: JobConditions,
    pub(crate) jobs: Vec<JobSpec>,
}

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JobSpec {
    pub(crate) number: u64,
    pub(crate) slot: u64,
    pub(crate) argv: Vec<Vec<u8>>,
    pub(crate) stdin: Option<Vec<u8>>,
    pub(crate) timeout: Option<Duration>,
    /// Files that it gets, by their names, and where they are stored.
    pub(crate) send: BTreeMap<Vec<u8>, String>,
    /// Files that are wanted of it.
    pub(crate) fetch: Vec<Vec<u8>>,
}

/// How a job ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct JobEnd {
    /// As `wait` has it; `None` if it never started.
    pub(crate) status: Option<i32>,
    /// Why it never started, and the exit code that a shell would give.
    pub(crate) why: Option<(String, i32)>,
    pub(crate) timed_out: bool,
    pub(crate) was_asked: bool,
    /// Since 1970.
    pub(crate) at: Duration,
    pub(crate) wall: Duration,
    pub(crate) cpu_user: Duration,
    pub(crate) cpu_system: Duration,
    pub(crate) max_rss: u64,
    /// What it wrote, in order: 1 for its stdout, 2 for its stderr.
    pub(crate) output: Vec<(u8, Vec<u8>)>,
    /// The feed that has the rest of its output, and how many bytes that is.
    pub(crate) feed: Option<(String, u64)>,
    /// Who began it, one after the other.
    pub(crate) hosts: Vec<String>,
    /// Files that it made, and where they are stored.
    pub(crate) made: BTreeMap<Vec<u8>, String>,
}

impl JobEnd {
    /// It was not started, for this reason.
    pub(crate) fn refused(why: impl Into<String>, code: i32) -> JobEnd {
        JobEnd {
            why: Some((why.into(), code)),
            at: now(),
            ..JobEnd::default()
        }
    }
}

/// Since 1970.
pub(crate) fn now() -> Duration {
    std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
}
