//! The same few inputs, over and over.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use hands_batch::input::{Pull, Row};
use hands_batch::{Job, JobPlace, Work, WorkError};

use crate::run::item::RunItem;
use crate::run::work::Jobs;

/// Inputs that are kept; a longer list is a sample of itself up to here.
const KEPT: usize = 10_000;

/// Inputs to try the command on: read once, when first needed, and then used again and again.
pub(super) struct TuneSample {
    jobs: Jobs,
    kept: Vec<Vec<Row>>,
    all_read: bool,
    number: u64,
}

impl TuneSample {
    pub(super) fn new(jobs: Jobs) -> TuneSample {
        TuneSample {
            jobs,
            kept: Vec::new(),
            all_read: false,
            number: 0,
        }
    }

    /// Whether there turned out to be none.
    pub(super) fn is_empty(&self) -> bool {
        self.all_read && self.kept.is_empty()
    }

    fn next(&mut self) -> Result<Pull<(u64, RunItem)>, WorkError> {
        let at = self.number;
        if !self.all_read && self.kept.len() < KEPT {
            match self.jobs.next()? {
                Pull::Item((_, RunItem::Rows(rows))) => self.kept.push(rows),
                // Only `--pipe` has blocks.
                Pull::Item(_) | Pull::End => self.all_read = true,
                Pull::Pending => return Ok(Pull::Pending),
            }
        }
        if self.kept.is_empty() {
            return Ok(Pull::End);
        }
        self.number += 1;
        let rows = &self.kept[usize::try_from(at).unwrap_or(0) % self.kept.len()];
        Ok(Pull::Item((self.number, RunItem::Rows(rows.clone()))))
    }
}

/// One trial: as many jobs as are started in a given time, and at least `least`.
pub(super) struct TuneRound<'a> {
    sample: &'a mut TuneSample,
    least: usize,
    started: usize,
    until: Instant,
}

impl TuneRound<'_> {
    pub(super) fn new(sample: &mut TuneSample, least: usize, time: Duration) -> TuneRound<'_> {
        let now = Instant::now();
        TuneRound {
            sample,
            least,
            started: 0,
            // As good as never.
            until: now
                .checked_add(time)
                .unwrap_or_else(|| now + Duration::from_secs(1 << 30)),
        }
    }
}

impl Work for TuneRound<'_> {
    type Item = RunItem;

    fn next(&mut self) -> Result<Pull<(u64, RunItem)>, WorkError> {
        if self.started >= self.least && Instant::now() >= self.until {
            return Ok(Pull::End);
        }
        let next = self.sample.next()?;
        if matches!(next, Pull::Item(_)) {
            self.started += 1;
        }
        Ok(next)
    }

    fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        self.sample.jobs.ready_fd()
    }

    fn job(&mut self, item: &mut RunItem, place: JobPlace) -> Result<Job, WorkError> {
        self.sample.jobs.job(item, place)
    }
}
