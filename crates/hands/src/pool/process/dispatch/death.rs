//! What becomes of the tasks of a worker that has ended, and whether another takes its place.

use std::sync::Arc;

use rustix::event::epoll;

use super::job::TaskEvent;
use super::service::{Service, memory_kills};
use crate::event::{EventKind, Parting, TaskEnd};
use crate::pool::process::dispatch::tail::{KEPT, wants_memory};
use crate::pool::process::dispatch::worker_handle::{SentTask, WorkerHandle};
use crate::task::{Died, TaskError};

/// A task that was next in line when this number of workers ended, none of which had taken it, can
/// be taken by none: it has failed as if it had begun.
const UNDELIVERABLE: u32 = 3;
/// The number of workers that may end in a row before they were ready for a task.
const BAD_STARTS: u32 = 5;

impl Service {
    /// A worker has ended: what it had finished counts, what it had begun has failed, what it had
    /// not is others'.
    pub(super) fn reap(&mut self, slot: usize) {
        let pool = Arc::clone(&self.pool);
        let mut events = Vec::new();
        let mut crew = pool.crew.lock();
        let Some(mut worker) = crew.slots[slot].take() else {
            return;
        };
        // Before it is closed: a copy of this process on its way to another program may still have
        // it.
        let _ = epoll::delete(self.starter.epoll(), worker.process.events());
        if !worker.is_damaged {
            let mut pace = crew.pace;
            worker.is_damaged = worker.collect(&mut events, &mut pace).is_err();
        }
        let is_sound = |sent: &SentTask| worker.control.is_sound(sent.number);
        if !worker.begun().all(is_sound) {
            worker.is_damaged = true;
        }
        let died = self.died(&worker);
        let back = self.left_behind(&mut worker, &died, &mut events);
        for job in back.into_iter().rev() {
            crew.queue.push_front(job);
        }
        if let Some(why) = self.no_more_starts(&mut worker, &died) {
            crew.broken = Some(why.into());
        }
        let is_replaced = !crew.is_ending && crew.broken.is_none() && slot < crew.wanted;
        if is_replaced {
            pool.events.tally().add_replaced();
            crew.starting.insert(slot);
        }
        // Places that are no longer wanted.
        while crew.slots.len() > crew.wanted && matches!(crew.slots.last(), Some(None)) {
            crew.slots.pop();
        }
        let pid = Some(worker.process.pid());
        pool.events.tell(EventKind::WorkerDied {
            worker: worker.number(),
            pid,
            why: match (died.signal, died.code) {
                (Some(signal), _) => Parting::Killed(signal),
                (None, Some(code)) if !worker.is_closing => Parting::Exited(code),
                _ => Parting::Dismissed,
            },
        });
        drop(worker);
        let turn = crew.turn(&events);
        drop(crew);
        pool.tell_elsewhere(events, turn);
        if is_replaced {
            self.starter.start_elsewhere(slot);
        }
        pool.refuse_if_broken();
        pool.wake_joiner();
        pool.calmed();
    }

    /// How a worker has ended, with the last that it wrote to stderr.
    fn died(&mut self, worker: &WorkerHandle) -> Died {
        let (mut last, rest) = worker.tail.last();
        let captured = worker.capture.last(KEPT);
        if !captured.is_empty() {
            last = String::from_utf8_lossy(&captured).into_owned();
        }
        if let Some(forwarder) = &self.pool.forwarder {
            forwarder.remove(&worker.tail, rest);
        }
        let mut died = Died::new(worker.process.pid(), worker.process.exit_status());
        died.stderr_tail = last;
        died.out_of_memory = self.is_out_of_memory(&died, worker.is_killed.get());
        died
    }

    /// What a worker that has ended was given and had not finished: returned is what goes on
    /// elsewhere.
    fn left_behind(
        &self,
        worker: &mut WorkerHandle,
        died: &Died,
        events: &mut Vec<TaskEvent>,
    ) -> Vec<super::job::ProcessJob> {
        let is_ready = worker.is_ready();
        let mut back = std::mem::take(&mut worker.back);
        for (nth, sent) in std::mem::take(&mut worker.sent).into_iter().enumerate() {
            // Where a worker has been at what is not its own, all are in doubt but those that
            // nobody has touched.
            let is_taken = match worker.is_damaged {
                true => !worker.control.is_offered(sent.number),
                false => worker.control.is_taken(sent.number),
            };
            let may_have_begun = nth == 0 || worker.doorbell.is_some() || worker.is_damaged;
            let mut sent = sent;
            if nth == 0 && !is_taken && is_ready {
                // What it died of may be that it tried to receive this one.
                sent.job.undelivered += 1;
                if sent.job.undelivered >= UNDELIVERABLE && !sent.job.remote.is_open() {
                    worker.tell_ended(&sent, TaskEnd::NotRun);
                    events.push(TaskEvent::Over);
                    continue;
                }
                if sent.job.undelivered >= UNDELIVERABLE {
                    self.pool.events.tally().add(TaskEnd::Died, 1);
                    sent.job.retries = 0;
                    back.extend(self.in_doubt(worker, sent, died, events));
                    continue;
                }
            }
            if may_have_begun && is_taken {
                self.pool.events.tally().add(TaskEnd::Died, 1);
                back.extend(self.in_doubt(worker, sent, died, events));
            } else {
                worker.tell_ended(&sent, TaskEnd::Retried);
                back.push(sent.job);
            }
        }
        back
    }

    /// Why no further worker is to be started, if this one has shown that none would be ready.
    fn no_more_starts(&mut self, worker: &mut WorkerHandle, died: &Died) -> Option<String> {
        self.bad_starts = if worker.is_ready() || worker.is_closing {
            0
        } else {
            self.bad_starts + 1
        };
        let slot = worker.slot;
        if let Some(why) = worker.bad_start.take() {
            return Some(format!("the initialiser of worker {slot} failed: {why}"));
        }
        (self.bad_starts >= BAD_STARTS).then(|| {
            format!(
                "{BAD_STARTS} workers in a row ended before they were ready; of the last, {died}"
            )
        })
    }

    /// The task that a worker was at when it died. Returned if it is to go on elsewhere.
    fn in_doubt(
        &self,
        worker: &mut WorkerHandle,
        sent: SentTask,
        died: &Died,
        events: &mut Vec<TaskEvent>,
    ) -> Option<super::job::ProcessJob> {
        let told = |how| worker.tell_ended(&sent, how);
        if !sent.job.remote.is_open() {
            told(sent.given_up.unwrap_or(TaskEnd::Cancelled));
            events.push(TaskEvent::Ended);
            return None;
        }
        told(
            match sent.job.retries > 0 && (sent.is_again || sent.until.is_none()) {
                true => TaskEnd::Retried,
                false => sent.given_up.unwrap_or(TaskEnd::Died),
            },
        );
        let mut job = sent.job;
        if !worker.is_damaged {
            let mut payload = Vec::new();
            match worker.replies.left(&mut payload) {
                Ok(count @ 1..) if count < sent.goal - job.done => {
                    let first = job.done;
                    job.done += count;
                    events.push(TaskEvent::Came {
                        remote: Arc::clone(&job.remote),
                        payload,
                        first,
                        count,
                        last: None,
                    });
                }
                Ok(0) => {}
                _ => worker.is_damaged = true,
            }
        }
        job.remote.runs_on(worker.id());
        if sent.is_again && job.retries > 0 {
            job.retries -= 1;
            events.push(TaskEvent::Again);
            return Some(job);
        }
        if sent.until.is_some() {
            events.push(TaskEvent::Refused {
                remote: job.remote,
                why: TaskError::Cancelled,
            });
            return None;
        }
        if job.retries > 0 {
            job.retries -= 1;
            events.push(TaskEvent::Again);
            return Some(job);
        }
        // Of a chunk the one that it was at; or all, if it cannot be said which that was.
        let doubtful = match worker.is_damaged {
            true => sent.goal.saturating_sub(job.done).max(1),
            false => 1,
        };
        let first = job.done;
        job.done += doubtful;
        let is_last = job.done >= job.count;
        let why = self.why(worker, died);
        events.extend((first..job.done).map(|number| TaskEvent::Failed {
            remote: Arc::clone(&job.remote),
            why: why.clone(),
            number,
        }));
        (!is_last).then_some(job)
    }

    /// Why the task that a worker was at has failed.
    fn why(&self, worker: &WorkerHandle, died: &Died) -> TaskError {
        let resident = self
            .pool
            .plan
            .resident_limit
            .filter(|_| worker.is_too_large);
        let limit = resident.or(self.pool.plan.memory_limit);
        match limit {
            Some(limit) if resident.is_some() => TaskError::MemoryLimit { limit },
            // Rust's allocator says so when it is refused memory, and aborts.
            Some(limit)
                if died.signal == Some(libc::SIGABRT)
                    && (worker.tail.wants_memory() || wants_memory(&died.stderr_tail)) =>
            {
                TaskError::MemoryLimit { limit }
            }
            _ => TaskError::Died(Box::new(died.clone())),
        }
    }

    /// Whether the kernel seems to have killed it for want of memory: it says only how often it has
    /// done so.
    fn is_out_of_memory(&mut self, died: &Died, is_ours: bool) -> bool {
        let before = std::mem::replace(&mut self.memory_kills, memory_kills());
        died.signal == Some(libc::SIGKILL) && !is_ours && self.memory_kills > before
    }
}
