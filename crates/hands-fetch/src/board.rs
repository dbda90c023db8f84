//! What is on its way: counted by those that receive it, read by the code that shows it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hands::event::{EventKind, Events};
use hands::sync::Mutex;

use super::pace::Rate;

/// Where all transfers stand.
#[derive(Clone, Debug, Default)]
pub struct FetchProgress {
    /// Bytes that have come in this run, of all files.
    pub bytes: u64,
    /// The files on their way, in the order of the list.
    pub files: Vec<FileProgress>,
}

/// Where the transfer of one file stands.
#[derive(Clone, Debug)]
pub struct FileProgress {
    /// The place of its URL in the list, from 1.
    pub number: u64,
    /// Its URL. It may have anything in it: to be cleaned before a terminal sees it.
    pub name: String,
    /// For how long it has been on its way.
    pub time: Duration,
    /// Bytes that are there.
    pub received: u64,
    /// Of these, bytes that came in an earlier run.
    pub resumed: u64,
    /// Bytes that there will be, if that is known.
    pub expected: Option<u64>,
}

impl FileProgress {
    /// How much of it is there, from 0 to 1; `None` while nobody knows how large it is.
    pub fn share(&self) -> Option<f64> {
        let expected = self.expected?;
        Some((self.received as f64 / expected as f64).min(1.0))
    }
}

/// A file on its way.
#[derive(Debug)]
pub(crate) struct RunningFile {
    name: String,
    since: Instant,
    received: AtomicU64,
    /// Of these, what came in an earlier run.
    resumed: AtomicU64,
    /// 0: nobody knows.
    expected: AtomicU64,
    pub(super) rate: Option<Rate>,
    number: u64,
    /// Bytes of all files are counted there.
    events: Events,
}

impl RunningFile {
    fn progress(&self) -> FileProgress {
        let expected = self.expected.load(Ordering::Relaxed);
        FileProgress {
            number: self.number,
            name: self.name.clone(),
            time: self.since.elapsed(),
            received: self.received.load(Ordering::Relaxed),
            resumed: self.resumed.load(Ordering::Relaxed),
            expected: (expected > 0).then_some(expected),
        }
    }

    pub(super) fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.events.tally().add_bytes(bytes);
        self.events.tell(EventKind::Moved {
            task: self.number,
            bytes,
            of: self.expected.load(Ordering::Relaxed),
        });
    }

    pub(super) fn resumed(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Relaxed);
        self.resumed.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn begin_again(&self) {
        self.resumed(0);
    }

    pub(super) fn expect(&self, bytes: u64) {
        self.expected.store(bytes, Ordering::Relaxed);
    }
}

/// All files on their way.
#[derive(Debug)]
pub(crate) struct Board {
    running: Mutex<BTreeMap<u64, Arc<RunningFile>>>,
    pub(super) events: Events,
    rate_each: Option<u64>,
}

impl Board {
    pub(super) fn new(rate_each: Option<u64>) -> Board {
        Board {
            running: Mutex::default(),
            events: Events::new(),
            rate_each,
        }
    }

    pub(super) fn begin(&self, number: u64, name: &str) -> Arc<RunningFile> {
        let running = Arc::new(RunningFile {
            name: name.to_owned(),
            since: Instant::now(),
            received: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            rate: self.rate_each.map(Rate::new),
            number,
            events: self.events.clone(),
        });
        self.running.lock().insert(number, Arc::clone(&running));
        running
    }

    pub(super) fn end(&self, number: u64) {
        self.running.lock().remove(&number);
    }

    /// Where things stand.
    pub(super) fn progress(&self) -> FetchProgress {
        FetchProgress {
            bytes: self.events.tally().bytes(),
            files: self
                .running
                .lock()
                .values()
                .map(|file| file.progress())
                .collect(),
        }
    }
}
