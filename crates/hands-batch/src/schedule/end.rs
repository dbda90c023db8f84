//! From a job's end to what it counts for, or to its next try.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::{PendingItem, Scheduler};
use crate::control::Stop;
use crate::elsewhere::ElsewhereEnd;
use crate::observer::{Finished, Notice, Outcome};
use crate::work::{JobPlace, Work};
use hands::command::CommandError;
use hands::command::engine::{Cause, ChildEnd, Key};
use hands::event::{EventKind, Name, TaskEnd};

impl<W: Work> Scheduler<'_, W> {
    pub(super) fn finished(&mut self, key: Key, ended: &ChildEnd, there: Option<&ElsewhereEnd>) {
        let Some(job) = self.running.remove(&key) else {
            return;
        };
        self.slots.give(job.place.slot);
        self.take_terminal_back(key, ended);
        if ended.is_held && !std::mem::replace(&mut self.told_held, true) {
            let display = job.display.clone();
            self.observer.notice(&Notice::OutputHeld {
                number: job.place.number,
                display,
            });
        }
        if let Some(sizer) = &mut self.sizer {
            sizer.ended(ended);
        }
        let why = there.and_then(|there| there.why.as_ref());
        let is_lost = ended.status.is_none() && why.is_none();
        let lost = is_lost.then(|| CommandError::StatusLost {
            program: job.display.as_slice().into(),
        });
        let success = ended.cause.is_none() && ended.status.is_some_and(|status| status.success());
        let retry = if success || ended.cause == Some(Cause::Asked) || self.stop > Stop::No {
            None
        } else {
            self.batch.retries.delay_before(job.place.attempt + 1)
        };
        let outcome = match ended.cause {
            Some(Cause::Asked) => Outcome::Ended,
            Some(Cause::TimedOut) => Outcome::TimedOut {
                after: job.limit.unwrap_or_default(),
                retry,
            },
            None if success => Outcome::Success,
            None => Outcome::Failure { retry },
        };
        let finished = Finished {
            place: job.place,
            display: &job.display,
            outcome,
            status: ended.status,
            error: match why {
                Some(why) => Some(why as _),
                None => lost.as_ref().map(|error| error as _),
            },
            at: job.at,
            wall: ended.wall,
            cpu_user: ended.usage.cpu_user,
            cpu_system: ended.usage.cpu_system,
            delay: ended.delay,
            max_rss: ended.usage.max_rss,
            host: there.map(|there| there.host.as_str()),
            stderr_tail: &job.tail,
            sent: job.sent,
            received: job.received,
        };
        self.tell_finished(&finished);
        self.observer.finished(&finished, self.sinks.stdout.queue());
        if let Some(collator) = &mut self.collator {
            if retry.is_some() {
                collator.discard(job.place.number);
            } else {
                collator.complete(job.place.number);
            }
        }
        let pending = PendingItem {
            number: job.place.number,
            item: job.item,
            attempt: job.place.attempt + 1,
            made: None,
        };
        if let Some(delay) = retry {
            self.waiting.retry(Instant::now() + delay, pending);
        } else if outcome == Outcome::Ended {
            self.tally.add(TaskEnd::Cancelled, 1);
        } else {
            if success {
                self.learn(ended.wall);
            } else if self.batch.keep_failed {
                self.failed.keep(pending);
            }
            self.count(success, own_code(ended.status, ended.cause));
        }
    }

    /// For those who listen to the batch's events.
    pub(super) fn tell_finished(&self, finished: &Finished<'_>) {
        let task = finished.place.number;
        let events = &self.batch.events;
        if finished.received > 0 {
            events.tell(EventKind::Moved {
                task,
                bytes: finished.received,
                of: 0,
            });
        }
        events.tell(EventKind::Finished {
            task,
            name: Name::NONE,
            worker: finished.status.is_some().then(|| worker(finished.place)),
            how: finished.outcome.task_end(),
            wall: finished.wall,
            cpu: Some(finished.cpu_user + finished.cpu_system),
        });
    }

    /// A run time more for the median; the first few of them set the limit of jobs that run
    /// already.
    pub(super) fn learn(&mut self, wall: Duration) {
        let Some(time_limit) = &mut self.time_limit else {
            return;
        };
        time_limit.succeeded(wall);
        let Some(limit) = time_limit.limit() else {
            return;
        };
        for (&key, job) in self
            .running
            .iter_mut()
            .filter(|(_, job)| job.limit.is_none())
        {
            job.limit = Some(limit);
            self.engine.limit(key, limit);
        }
    }

    pub(super) fn count(&mut self, success: bool, code: u8) {
        let how = if success {
            TaskEnd::Well
        } else {
            TaskEnd::Failed
        };
        self.tally.add(how, 1);
        self.halt.have_started(self.started);
        if let Some(when) = self.halt.observe(success, self.total()) {
            self.own_code = code;
            self.halt(when);
        }
    }
}

/// The events' number of a job's worker: its slot.
pub(super) fn worker(place: JobPlace) -> u32 {
    u32::try_from(place.slot).unwrap_or(u32::MAX)
}

/// The code by which a shell would tell of this end; 124 for a time-out, as `timeout` does.
fn own_code(status: Option<ExitStatus>, cause: Option<Cause>) -> u8 {
    if cause == Some(Cause::TimedOut) {
        return 124;
    }
    let code = status
        .and_then(|status| status.code().or_else(|| Some(128 + status.signal()?)))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}
