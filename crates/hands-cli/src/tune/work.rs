//! The same few inputs, over and over.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use hands_batch::input::{Pull, Row};
use hands_batch::{Job, Place, Work, WorkError};

use crate::run::item::Item;
use crate::run::work::Jobs;

/// Inputs that are kept; a longer list is a sample of itself up to here.
const KEPT: usize = 10_000;

/// Inputs to try the command on: read once, when first needed, and then used again and again.
pub(super) struct Sample {
    jobs: Jobs,
    kept: Vec<Vec<Row>>,
    all_read: bool,
    number: u64,
}

impl Sample {
    pub(super) fn new(jobs: Jobs) -> Sample {
        Sample {
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

    fn next(&mut self) -> Result<Pull<(u64, Item)>, WorkError> {
        let at = self.number;
        if !self.all_read && self.kept.len() < KEPT {
            match self.jobs.next()? {
                Pull::Item((_, Item::Rows(rows))) => self.kept.push(rows),
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
        Ok(Pull::Item((self.number, Item::Rows(rows.clone()))))
    }
}

/// One trial: as many jobs as are started in a given time, and at least `least`.
pub(super) struct Round<'a> {
    sample: &'a mut Sample,
    least: usize,
    started: usize,
    until: Instant,
}

impl Round<'_> {
    pub(super) fn new(sample: &mut Sample, least: usize, time: Duration) -> Round<'_> {
        let now = Instant::now();
        Round {
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

impl Work for Round<'_> {
    type Item = Item;

    fn next(&mut self) -> Result<Pull<(u64, Item)>, WorkError> {
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

    fn job(&mut self, item: &mut Item, place: Place) -> Result<Job, WorkError> {
        self.sample.jobs.job(item, place)
    }
}
