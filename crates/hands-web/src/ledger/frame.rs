//! [`Frame`]: all that a page shows at once, but for its lists.

use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::history::{HistoryLines, Point};
use super::timeline::STEP;
use super::{Ledger, Phase};

/// A moment of a ledger, as it is sent to pages; times are in seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Frame {
    /// What it is about.
    pub title: String,
    /// Where it stands.
    pub phase: Phase,
    /// When it began, since 1970.
    pub began: f64,
    /// Since then.
    pub elapsed: f64,
    /// Tasks in all, if that is known.
    pub total: Option<u64>,
    /// Tasks that wait for a worker.
    pub waiting: u64,
    /// Tasks that run.
    pub running: u64,
    /// Tasks that have their outcome.
    pub finished: u64,
    /// Of these, the ones that did not end well.
    pub failed: u64,
    /// Tasks that wait to be tried again.
    pub retrying: u64,
    /// Workers there are.
    pub workers: usize,
    /// Workers that run a task.
    pub busy: usize,
    /// Bytes that have been moved.
    pub bytes: u64,
    /// Tasks a second: in the last second, and from the beginning.
    pub rate: [f64; 2],
    /// Which share of their time tasks are on a CPU.
    pub cpu: Option<f64>,
    /// Why there are so many workers, in words.
    pub sizing: String,
    /// Half, nine of ten, and 99 of 100 tasks ran no longer than that.
    pub ran: Option<[f64; 3]>,
    /// They waited no longer than that.
    pub waited: Option<[f64; 3]>,
    /// What a column of the lanes stands for.
    pub step: f64,
    /// Names of workers, and a letter for each column: `0` (idle) to `9` (busy all the time), `x`
    /// where something failed.
    pub lanes: Vec<(String, String)>,
    /// How it went from the beginning.
    pub history: HistoryLines,
    /// How many rows each list has.
    pub lists: ListSizes,
    /// What a user should know.
    pub notes: Vec<String>,
    /// Events that came too fast to be looked at.
    pub lost: u64,
}

/// How many rows each list has.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ListSizes {
    /// Those that run.
    pub running: usize,
    /// Those that wait, where these can be listed.
    pub waiting: usize,
    /// Those that failed, the last 10,000.
    pub failed: usize,
    /// The others that have ended, the last 10,000.
    pub finished: usize,
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
            lists: ListSizes {
                running: self.running.len(),
                waiting: self.waiting.len(),
                failed: self.failed.len(),
                finished: self.ended.len(),
            },
            notes: self.notes.iter().cloned().collect(),
            lost: self.lost,
        }
    }
}
