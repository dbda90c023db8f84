//! One trial: what the jobs took, and how many were done in a second.

use std::time::{Duration, Instant};

use hands::command::OutputStream;
use hands_batch::{Control, Finished, Notice, Observer, Outcome, Started};

use crate::run::failures::reason;
use crate::run::signals::Signals;

/// The number of bytes of stderr that are kept of a job that fails.
const HEARD: usize = 2000;

/// What a trial told. Times are means of its jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// How many ran at once.
    pub(super) size: usize,
    pub(super) jobs: u64,
    pub(super) failed: u64,
    /// Jobs a second.
    pub(super) rate: f64,
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
    /// Ready to run without a core.
    pub(super) delay: Duration,
    /// Neither of both.
    pub(super) wait: Duration,
}

/// Hears a trial.
pub(super) struct SizeProbe<'a> {
    size: usize,
    signals: &'a mut Signals,
    began: Instant,
    /// What is measured: from the beginning to when no more jobs are started.
    window: Duration,
    started: usize,
    /// When each job began and ended.
    spans: Vec<(Duration, Duration)>,
    wall: Duration,
    cpu: Duration,
    delay: Duration,
    wait: Duration,
    failed: u64,
    /// Of the first job that failed.
    pub(super) why: Option<String>,
    /// What the jobs wrote to stderr, up to a bound.
    pub(super) heard: Vec<u8>,
    pub(super) shortage: Option<String>,
}

impl<'a> SizeProbe<'a> {
    pub(super) fn new(size: usize, window: Duration, signals: &'a mut Signals) -> SizeProbe<'a> {
        SizeProbe {
            size,
            signals,
            began: Instant::now(),
            window,
            started: 0,
            spans: Vec::new(),
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            delay: Duration::ZERO,
            wait: Duration::ZERO,
            failed: 0,
            why: None,
            heard: Vec::new(),
            shortage: None,
        }
    }

    pub(super) fn result(&self) -> Measured {
        let jobs = self.spans.len() as u64;
        let mean = |sum: Duration| match jobs {
            0 => Duration::ZERO,
            jobs => Duration::from_secs_f64(sum.as_secs_f64() / jobs as f64),
        };
        Measured {
            size: self.size,
            jobs,
            failed: self.failed,
            rate: rate(&self.spans, self.window),
            wall: mean(self.wall),
            cpu: mean(self.cpu),
            delay: mean(self.delay),
            wait: mean(self.wait),
        }
    }
}

/// Jobs a second within `window`. A job that ends behind it counts by the part of its time that lay
/// within: otherwise long jobs would count as none, or the time in which the last ones run alone
/// would count as well.
fn rate(spans: &[(Duration, Duration)], window: Duration) -> f64 {
    let part = |&(from, to): &(Duration, Duration)| {
        if to <= window {
            return 1.0;
        }
        let within = window.saturating_sub(from);
        within.as_secs_f64() / (to - from).as_secs_f64()
    };
    let done: f64 = spans.iter().map(part).sum();
    if window.is_zero() {
        return 0.0;
    }
    done / window.as_secs_f64()
}

impl Observer for SizeProbe<'_> {
    fn started(&mut self, _: &Started<'_>, _: &mut Vec<u8>) {
        self.started += 1;
        // No size is judged by fewer jobs than it could run at once.
        if self.started <= self.size {
            self.window = self.window.max(self.began.elapsed());
        }
    }

    fn output(&mut self, _: u64, stream: OutputStream, bytes: &[u8], _: &mut Vec<u8>) {
        if stream == OutputStream::Stderr {
            let room = HEARD - self.heard.len();
            self.heard.extend(bytes.iter().take(room));
        }
    }

    fn finished(&mut self, job: &Finished<'_>, _: &mut Vec<u8>) {
        if job.outcome == Outcome::Ended {
            return;
        }
        let end = self.began.elapsed();
        self.spans.push((end.saturating_sub(job.wall), end));
        let cpu = job.cpu_user + job.cpu_system;
        let delay = job.delay.unwrap_or_default();
        self.wall += job.wall;
        self.cpu += cpu;
        self.delay += delay;
        self.wait += job.wall.saturating_sub(cpu + delay);
        if job.outcome.is_final_failure() {
            self.failed += 1;
            self.why.get_or_insert_with(|| reason(job));
        }
    }

    fn notice(&mut self, notice: &Notice) {
        if let Notice::Shortage(why) = notice {
            self.shortage.get_or_insert_with(|| why.clone());
        }
    }

    fn woken(&mut self, control: &Control) {
        self.signals.pass_on(control);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u64, to: u64) -> (Duration, Duration) {
        (Duration::from_millis(from), Duration::from_millis(to))
    }

    #[test]
    fn jobs_count_by_their_part_within_the_window() {
        let second = Duration::from_secs(1);
        assert_eq!(rate(&[], second), 0.0);
        assert_eq!(rate(&[span(0, 500), span(500, 1000)], second), 2.0);
        assert_eq!(rate(&[span(0, 500), span(500, 1500)], second), 1.5);
        assert_eq!(rate(&[span(0, 10_000); 4], second), 0.4);
        assert_eq!(rate(&[span(1100, 1200)], second), 0.0);
        assert_eq!(rate(&[span(0, 0)], Duration::ZERO), 0.0);
    }
}
