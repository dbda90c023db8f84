//! [`Frame`]: all that a page shows at once, but for its lists.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::history::{Lines, Point};
use super::timeline::STEP;
use super::{Ledger, Phase};

/// A moment of a ledger, as it is sent to pages.
#[derive(Clone, Debug, Serialize)]
pub struct Frame {
    title: String,
    phase: Phase,
    /// Seconds since 1970.
    began: f64,
    /// Seconds since then.
    elapsed: f64,
    total: Option<u64>,
    waiting: u64,
    running: u64,
    finished: u64,
    failed: u64,
    retrying: u64,
    workers: usize,
    busy: usize,
    bytes: u64,
    /// Tasks a second: in the last second, and from the beginning.
    rate: [f64; 2],
    /// Which share of their time tasks are on a CPU.
    cpu: Option<f64>,
    sizing: String,
    /// Seconds that half, nine of ten, and 99 of 100 tasks took no longer than.
    ran: Option<[f64; 3]>,
    waited: Option<[f64; 3]>,
    /// Seconds of a column of the lanes.
    step: f64,
    /// Names of workers, and a letter for each column.
    lanes: Vec<(String, String)>,
    history: Lines,
    /// How many there are to be listed, and how many have ever been.
    lists: Lists,
    notes: Vec<String>,
    /// Events that came too fast to be looked at.
    lost: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Lists {
    running: usize,
    waiting: usize,
    failed: usize,
    finished: usize,
}

impl Ledger {
    fn point(&self) -> Point {
        Point {
            at: self.elapsed().as_secs_f64(),
            waiting: self.overview.waiting as f64,
            running: self.overview.busy as f64,
            finished: self.overview.finished as f64,
            bytes: self.overview.bytes as f64,
        }
    }

    /// Notes how things stand, for the history: to be called about each second.
    pub fn tick(&mut self) {
        self.figures.update();
        if self.over.is_none() {
            self.history.add(self.point());
        }
    }

    /// All that a page shows at once.
    pub fn frame(&mut self) -> Frame {
        self.tick();
        let now = Instant::now();
        let running = self.running.values().map(|task| (task.worker, task.since));
        let lanes = self.timeline.text(now, running);
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let [ran, waited] = [true, false].map(|is_run| {
            let at = |share| match is_run {
                true => self.figures.run_time(share),
                false => self.figures.wait_time(share),
            };
            Some([seconds(at(0.5))?, seconds(at(0.9))?, seconds(at(0.99))?])
        });
        let overview = &self.overview;
        let elapsed = self.elapsed().as_secs_f64();
        Frame {
            title: self.title.clone(),
            phase: overview.phase,
            began: self
                .began_at
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |at| at.as_secs_f64()),
            elapsed,
            total: overview.total,
            waiting: overview.waiting,
            running: overview.busy as u64,
            finished: overview.finished,
            failed: overview.failed,
            retrying: overview.retrying,
            workers: overview.workers,
            busy: overview.busy,
            bytes: overview.bytes,
            rate: [
                match overview.phase {
                    Phase::Done => 0.0,
                    _ => self.figures.recent_rate(),
                },
                overview.finished as f64 / elapsed.max(1e-3),
            ],
            cpu: self.figures.cpu_share(),
            sizing: overview.sizing.clone(),
            ran,
            waited,
            step: STEP.as_secs_f64(),
            lanes,
            history: self.history.lines(self.point()),
            lists: Lists {
                running: self.running.len(),
                waiting: self.waiting.len(),
                failed: self.failed.len(),
                finished: self.ended.len(),
            },
            notes: self.notes.iter().cloned().collect(),
            lost: self.lost,
        }
    }

    /// When it began.
    pub fn began(&self) -> SystemTime {
        self.began_at
    }
}
