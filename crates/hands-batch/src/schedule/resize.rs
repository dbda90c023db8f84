//! How many jobs run at once, where that is for the batch to find out.

use super::{Input, Scheduler, Stop};
use crate::work::Work;
use hands::event::EventKind;

impl<W: Work> Scheduler<'_, W> {
    /// Asks the sizer, if there is one.
    pub(super) fn resize(&mut self) {
        // While a rule or the input holds jobs back, more at once would change nothing.
        let queued = self.stop == Stop::No
            && !self.control.is_paused()
            && self.waiting.not_before.is_none()
            && (self.waiting.has_put_off() || self.input == Input::Open);
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
