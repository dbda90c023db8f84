//! How many jobs run at once, where that is for the batch to find out.
//!
//! Jobs are measured when they end: the kernel then tells what they used. So there is something to
//! decide only when some have ended, and not more often than every [`LOOK`].

use std::time::{Duration, Instant};

use hands::command::engine::ChildEnd;
use hands::machine::IdleCores;
use hands::sizing::{Controller, Decision, Limits, Sample};

const LOOK: Duration = Duration::from_millis(50);

/// Finds out how many jobs at once are of use, by what those that ended took.
pub struct BatchSizer {
    controller: Controller,
    idle: IdleCores,
    since: Instant,
    /// What the jobs that ended since then took.
    sample: Sample,
}

impl BatchSizer {
    /// Begins with one for each core, within the limits.
    pub fn new(limits: Limits) -> BatchSizer {
        let mut idle = IdleCores::new();
        let _ = idle.share(LOOK);
        BatchSizer {
            controller: Controller::new(limits),
            idle,
            since: Instant::now(),
            sample: Sample::default(),
        }
    }

    /// How many there should be now.
    pub fn size(&self) -> usize {
        self.controller.size()
    }

    /// The same, and why.
    pub fn decision(&self) -> Decision {
        *self.controller.decision()
    }

    /// A job has ended.
    pub fn ended(&mut self, ended: &ChildEnd) {
        let cpu = ended.usage.cpu_user + ended.usage.cpu_system;
        let delay = ended.delay.unwrap_or_default();
        let sample = &mut self.sample;
        sample.cpu += cpu;
        sample.delay += delay;
        sample.wait += ended.wall.saturating_sub(cpu + delay);
        sample.done += 1;
    }

    /// How many there should be from now on. `queued`: more could be started at once.
    pub fn decide(&mut self, queued: bool) -> usize {
        let elapsed = self.since.elapsed();
        if elapsed >= LOOK && self.sample.done > 0 {
            let sample = Sample {
                elapsed,
                queued: usize::from(queued),
                machine_idle: self.idle.share(elapsed),
                ..std::mem::take(&mut self.sample)
            };
            self.since = Instant::now();
            self.controller.observe(&sample);
        }
        self.controller.size()
    }
}

impl std::fmt::Debug for BatchSizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchSizer")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}
