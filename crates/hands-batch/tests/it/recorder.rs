//! Recorders of what a batch does.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};

use hands_batch::{Finished, Notice, Observer, Outcome, Sink, Started};

/// Bytes written by many and read by one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(crate) fn sink(&self) -> Sink {
        Sink::writer(self.clone())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("nobody panicked").clone()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("nobody panicked")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Commands for `sh -c`.
pub(crate) fn shell<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Vec<Vec<OsString>> {
    let command = |line: S| ["sh", "-c", line.as_ref()].map(OsString::from).to_vec();
    lines.into_iter().map(command).collect()
}

/// One finished attempt of a job, kept.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) number: u64,
    pub(crate) attempt: u32,
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<ExitStatus>,
    pub(crate) exit: i32,
    pub(crate) error: Option<String>,
    pub(crate) received: u64,
}

type OnStart<'a> = Option<Box<dyn FnMut(&Started<'_>) + 'a>>;
type OnEnd<'a> = Option<Box<dyn FnMut(&Finished<'_>) + 'a>>;
type OnNotice<'a> = Option<Box<dyn FnMut(&Notice) + 'a>>;

/// An observer that keeps what it hears, checks the slots, and calls `on_start` and `on_end`.
#[derive(Default)]
pub(crate) struct Recorder<'a> {
    pub(crate) started: Vec<u64>,
    pub(crate) ends: Vec<End>,
    pub(crate) notices: Vec<String>,
    pub(crate) most_running: usize,
    pub(crate) busy: BTreeSet<usize>,
    pub(crate) on_start: OnStart<'a>,
    pub(crate) on_end: OnEnd<'a>,
    pub(crate) on_notice: OnNotice<'a>,
}

impl Recorder<'_> {
    /// How the job ended at last.
    pub(crate) fn end(&self, number: u64) -> &End {
        let end = self.ends.iter().rev().find(|end| end.number == number);
        end.expect("the job has ended")
    }

    pub(crate) fn noticed(&self, what: &str) -> usize {
        self.notices
            .iter()
            .filter(|notice| notice.contains(what))
            .count()
    }
}

impl Observer for Recorder<'_> {
    fn started(&mut self, job: &Started<'_>, _: &mut Vec<u8>) {
        let slot = job.place.slot;
        let lowest = (1..).find(|slot| !self.busy.contains(slot));
        assert_eq!(
            Some(slot),
            lowest,
            "the lowest free slot, with {:?} taken",
            self.busy
        );
        self.busy.insert(slot);
        self.most_running = self.most_running.max(self.busy.len());
        self.started.push(job.place.number);
        if let Some(on_start) = &mut self.on_start {
            on_start(job);
        }
    }

    fn finished(&mut self, job: &Finished<'_>, _: &mut Vec<u8>) {
        if job.error.is_none() {
            assert!(self.busy.remove(&job.place.slot), "it ran in its slot");
        }
        self.ends.push(End {
            number: job.place.number,
            attempt: job.place.attempt,
            outcome: job.outcome,
            status: job.status,
            exit: job.exit(),
            error: job.error.map(ToString::to_string),
            received: job.received,
        });
        if let Some(on_end) = &mut self.on_end {
            on_end(job);
        }
    }

    fn notice(&mut self, notice: &Notice) {
        self.notices.push(format!("{notice:?}"));
        if let Some(on_notice) = &mut self.on_notice {
            on_notice(notice);
        }
    }
}
