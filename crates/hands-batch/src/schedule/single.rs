//! What is asked for single jobs while the batch runs: to end one, to try failed ones again.

use std::collections::VecDeque;
use std::time::Instant;

use super::{PendingItem, Scheduler};
use crate::control::{JobRequest, Stop};
use crate::observer::Notice;
use crate::work::Work;
use hands::command::engine::Cause;
use hands::event::TaskEnd;

/// Failed items that are kept, so that they can be tried again; the oldest are forgotten first.
const KEPT: usize = 10_000;

/// Items that have failed for good, as far as nobody asks for more.
pub(super) struct FailedItems<I>(VecDeque<PendingItem<I>>);

impl<I> Default for FailedItems<I> {
    fn default() -> FailedItems<I> {
        FailedItems(VecDeque::new())
    }
}

impl<I> FailedItems<I> {
    pub(super) fn keep(&mut self, pending: PendingItem<I>) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(pending);
    }
}

impl<W: Work> Scheduler<'_, W> {
    pub(super) fn answer_requests(&mut self) {
        for request in self.control.take_requests() {
            match request {
                JobRequest::End(number) => self.end_one(number),
                JobRequest::Retry(number) => self.retry(|item| item.number == number),
                JobRequest::RetryFailed => self.retry(|_| true),
            }
        }
    }

    /// One that has just ended by itself is past that.
    fn end_one(&mut self, number: u64) {
        let mut running = self.running.iter();
        let found = running.find(|(_, job)| job.place.number == number);
        let Some((&key, _)) = found else { return };
        if !self.end_elsewhere_one(key) {
            self.engine.terminate(key, Cause::Asked);
        }
    }

    fn retry(&mut self, which: impl Fn(&PendingItem<W::Item>) -> bool) {
        if self.stop > Stop::No {
            return;
        }
        let kept = std::mem::take(&mut self.failed.0);
        let now = Instant::now();
        for item in kept {
            let number = item.number;
            if !which(&item) {
                self.failed.0.push_back(item);
                continue;
            }
            let is_free = self.collator.as_mut().is_none_or(|all| all.reopen(number));
            if !is_free {
                // Its reader is slow: when the rest has been written.
                self.failed.0.push_back(item);
                self.control.ask_again(JobRequest::Retry(number));
                continue;
            }
            self.tally.take_back(TaskEnd::Failed, 1);
            self.halt.forget_failure();
            self.observer.notice(&Notice::TriedAgain { number });
            self.waiting.retry(now, item);
        }
    }
}
