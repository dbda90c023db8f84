//! What a worker has run for others: a log as that of `hands run`, for the machine's owner.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use hands_batch::joblog::{JobLog, JobLogEntry};

use super::job::{JobEnd, JobSpec};

static LOG: OnceLock<Mutex<JobLog>> = OnceLock::new();

/// From now on what ends is written there.
pub(super) fn open(path: &Path) -> Result<(), String> {
    let log = JobLog::append(path).map_err(|error| error.to_string())?;
    let _ = LOG.set(Mutex::new(log));
    Ok(())
}

pub(super) fn ended(job: &JobSpec, end: &JobEnd) {
    let Some(log) = LOG.get() else { return };
    let status = end.status.map(ExitStatus::from_raw);
    let written: usize = end.output.iter().map(|(_, bytes)| bytes.len()).sum();
    let fed = end.feed.as_ref().map_or(0, |(_, fed)| *fed);
    let command = job.argv.join(&b' ');
    let entry = JobLogEntry {
        seq: job.number,
        host: ":",
        start: SystemTime::UNIX_EPOCH + end.at,
        runtime: end.wall,
        sent: job.stdin.as_ref().map_or(0, |bytes| bytes.len() as u64),
        received: written as u64 + fed,
        exit: match end.timed_out {
            true => -1,
            false => status.and_then(|status| status.code()).unwrap_or(0),
        },
        signal: status.and_then(|status| status.signal()).unwrap_or(0),
        command: &command,
    };
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = log.record(&entry) {
        super::say(&format!("hands worker: {error}"));
    }
}
