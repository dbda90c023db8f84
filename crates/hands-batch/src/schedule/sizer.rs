//! How many jobs run at once, where that is for the batch to find out.
//!
//! Jobs are measured when they end: the kernel then tells what they used. So there is something to
//! decide only when some have ended, and not more often than every [`LOOK`].

use std::time::{Duration, Instant};

use super::{Input, Scheduler, Stop};
use crate::work::Work;
use hands::command::engine::ChildEnd;
use hands::event::EventKind;
use hands::machine::IdleCores;
use hands::sizing::{Controller, Decision, Limits, Sample};

const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Sizer {
    controller: Controller,
    idle: IdleCores,
    since: Instant,
    /// What the jobs that ended since then took.
    sample: Sample,
}

impl Sizer {
    pub(super) fn new(limits: Limits) -> Sizer {
        let mut idle = IdleCores::new();
        let _ = idle.share(LOOK);
        Sizer {
            controller: Controller::new(limits),
            idle,
            since: Instant::now(),
            sample: Sample::default(),
        }
    }

    pub(super) fn size(&self) -> usize {
        self.controller.size()
    }

    pub(super) fn decision(&self) -> Decision {
        *self.controller.decision()
    }

    pub(super) fn ended(&mut self, ended: &ChildEnd) {
        let cpu = ended.usage.cpu_user + ended.usage.cpu_system;
        let delay = ended.delay.unwrap_or_default();
        let sample = &mut self.sample;
        sample.cpu += cpu;
        sample.delay += delay;
        sample.wait += ended.wall.saturating_sub(cpu + delay);
        sample.done += 1;
    }

    /// How many there should be from now on. `queued`: more could be started at once.
    fn decide(&mut self, queued: bool) -> usize {
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

impl<W: Work> Scheduler<'_, W> {
    /// Asks the sizer, if there is one.
    pub(super) fn resize(&mut self) {
        // While a rule or the input holds jobs back, more at once would change nothing.
        let queued = self.stop == Stop::No
            && !self.control.is_paused()
            && self.not_before.is_none()
            && (self.put_off.is_some() || self.input == Input::Open);
        if let Some(sizer) = &mut self.sizer {
            let before = self.jobs;
            self.jobs = sizer.decide(queued);
            if before != self.jobs {
                let size = |jobs| u32::try_from(jobs).unwrap_or(u32::MAX);
                let (from, to) = (size(before), size(self.jobs));
                self.batch.events.tell(EventKind::Sized { from, to });
            }
        }
    }
}
