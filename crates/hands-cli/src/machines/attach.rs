//! What a run writes down on the server, so that another program can go on with it when this one
//! has ended: what it is, what was sent, what has been told.
//!
//! A note of what is sent is on its way before the task is; so whatever runs is known. A note of
//! what was told follows a moment later; so the output of a few jobs may be told twice, and none
//! is lost or run again.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use hands_cluster::RunNotes;
use serde::{Deserialize, Serialize};

/// The run as it was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    argv: Vec<Vec<u8>>,
    directory: Vec<u8>,
}

impl RunRecord {
    pub(crate) fn of_this_program() -> RunRecord {
        let directory = std::env::current_dir().unwrap_or_default();
        RunRecord {
            argv: std::env::args_os().map(OsStringExt::into_vec).collect(),
            directory: directory.as_os_str().as_bytes().to_vec(),
        }
    }

    pub(crate) fn argv(&self) -> Vec<OsString> {
        self.argv.iter().cloned().map(OsString::from_vec).collect()
    }

    pub(crate) fn directory(&self) -> OsString {
        OsString::from_vec(self.directory.clone())
    }
}

/// A task that was sent, and its jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SentNote {
    pub(crate) task: String,
    pub(crate) batch: u64,
    pub(crate) jobs: Vec<SentJob>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SentJob {
    pub(crate) number: u64,
}

/// What an earlier program of the run has written down.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    pub(crate) record: Option<RunRecord>,
    /// What it was given on its stdin, and whether that is all.
    pub(crate) input: Vec<u8>,
    pub(crate) input_is_whole: bool,
    pub(crate) reads_input: bool,
    /// Jobs that have ended and were told of.
    pub(crate) ended: HashSet<u64>,
    /// How many of them had failed.
    pub(crate) failed: u64,
    /// Tasks with jobs that were not.
    pub(crate) sent: Vec<SentNote>,
}

/// Where it is written down.
pub(crate) struct Journal {
    notes: RunNotes,
}

const RUN: &str = "run";
const SENT: &str = "sent";
const ENDED: &str = "ended";
const INPUT: &str = "input";
const INPUT_END: &str = "input-end";

impl Journal {
    pub(crate) fn new(notes: RunNotes) -> Journal {
        Journal { notes }
    }

    pub(crate) fn begun(&self, record: &RunRecord) -> Result<(), String> {
        let text = serde_json::to_vec(record).unwrap_or_default();
        self.notes.add(RUN, text).map_err(|error| error.to_string())
    }

    pub(super) fn sent(&self, note: &SentNote) {
        self.notes
            .add_soon(SENT, serde_json::to_vec(note).unwrap_or_default());
    }

    /// Which have ended, and whether well.
    pub(super) fn ended(&self, jobs: &[(u64, bool)]) {
        let note = serde_json::to_vec(jobs).unwrap_or_default();
        self.notes.add_soon(ENDED, note);
    }

    /// A piece of what comes from stdin.
    pub(crate) fn input(&self, piece: &[u8]) -> Result<(), String> {
        let kind = if piece.is_empty() { INPUT_END } else { INPUT };
        let added = self.notes.add(kind, piece.to_vec());
        added.map_err(|error| error.to_string())
    }

    pub(crate) fn read(&self) -> Result<Earlier, String> {
        let notes = self.notes.read().map_err(|error| error.to_string())?;
        let mut earlier = Earlier::default();
        for (kind, note) in notes {
            match kind.as_str() {
                RUN => earlier.record = serde_json::from_slice(&note).ok(),
                INPUT => {
                    earlier.reads_input = true;
                    earlier.input.extend_from_slice(&note);
                }
                INPUT_END => {
                    earlier.reads_input = true;
                    earlier.input_is_whole = true;
                }
                ENDED => {
                    let jobs: Vec<(u64, bool)> = serde_json::from_slice(&note).unwrap_or_default();
                    for (number, is_well) in jobs {
                        let is_new = earlier.ended.insert(number);
                        earlier.failed += u64::from(is_new && !is_well);
                    }
                }
                SENT => {
                    if let Ok(note) = serde_json::from_slice::<SentNote>(&note) {
                        earlier.sent.push(note);
                    }
                }
                _ => {}
            }
        }
        // Of a job that was sent more than once the last time counts.
        let mut seen = HashSet::new();
        earlier.sent.reverse();
        let ended = &earlier.ended;
        earlier.sent.retain_mut(|note| {
            let is_open = |job: &SentJob| !ended.contains(&job.number);
            let counts = note
                .jobs
                .iter()
                .any(|job| is_open(job) && !seen.contains(&job.number));
            seen.extend(note.jobs.iter().map(|job| job.number));
            counts
        });
        earlier.sent.reverse();
        Ok(earlier)
    }

    /// The run is over.
    pub(crate) fn remove(&self) {
        self.notes.remove();
    }

    pub(crate) fn again(&self) -> Journal {
        Journal {
            notes: self.notes.clone(),
        }
    }
}
