//! `--trace FILE.json`: which job ran when, for <https://ui.perfetto.dev> and `chrome://tracing`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hands::event::{TraceFile, quoted};
use hands_batch::{Finished, Started};

/// Letters of a command line.
const LETTERS: usize = 300;

pub(super) struct BatchTrace {
    path: PathBuf,
    since: Instant,
    file: Option<TraceFile<File>>,
    error: Option<io::Error>,
}

impl BatchTrace {
    pub(super) fn create(path: &Path) -> Result<BatchTrace, String> {
        let file = File::create(path).and_then(TraceFile::new);
        let file = file.map_err(|error| format!("`--trace {}`: {error}", path.display()))?;
        Ok(BatchTrace {
            path: path.to_owned(),
            since: Instant::now(),
            file: Some(file),
            error: None,
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn started(&mut self, job: &Started<'_>) {
        let (now, task) = (self.now(), task(job.place));
        let (name, slot) = (name(job.display), slot(job.place));
        let Some(file) = &mut self.file else { return };
        let written = file
            .queued(now, task, &name)
            .and_then(|()| file.started(now, task, slot, &name));
        self.keep(written);
    }

    pub(super) fn finished(&mut self, job: &Finished<'_>) {
        let (now, task) = (self.now(), task(job.place));
        let name = name(job.display);
        let mut args = format!(
            "\"exit\":{},\"signal\":{},\"try\":{},\"command\":{}",
            job.exit(),
            job.signal(),
            job.place.attempt,
            quoted(&letters(job.display))
        );
        if let Some(host) = job.host {
            args += &format!(",\"host\":{}", quoted(host));
        }
        let Some(file) = &mut self.file else { return };
        let written = file.ran(
            now,
            task,
            slot(job.place),
            &name,
            job.wall.max(Duration::from_nanos(1)),
            &args,
        );
        self.keep(written);
    }

    /// What has gone wrong is told at the end: jobs do not suffer from it.
    fn keep(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.error.get_or_insert(error);
            self.file = None;
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), String> {
        let now = self.now();
        let ended = self.file.take().map_or(Ok(0), |file| file.finish(now));
        match self.error.take().map_or(ended, Err) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("`--trace {}`: {error}", self.path.display())),
        }
    }
}

/// Each try of a job is a task of its own.
fn task(place: hands_batch::JobPlace) -> u64 {
    place.number << 16 | u64::from(place.attempt & 0xffff)
}

fn slot(place: hands_batch::JobPlace) -> u32 {
    u32::try_from(place.slot).unwrap_or(u32::MAX)
}

/// The first word of the command, which is what a viewer has room for.
fn name(display: &[u8]) -> String {
    let text = letters(display);
    let first = text.split_whitespace().next().unwrap_or("job");
    first.chars().take(40).collect()
}

fn letters(display: &[u8]) -> String {
    String::from_utf8_lossy(display)
        .chars()
        .take(LETTERS)
        .collect()
}
