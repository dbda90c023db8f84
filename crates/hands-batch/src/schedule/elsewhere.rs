//! Jobs on other machines, as the loop sees them.

use super::{OutputTaker, RunningJob, Scheduler};
use crate::control::Stop;
use crate::elsewhere::{Elsewhere, ElsewhereEnd, ElsewhereEvent, ElsewhereJob};
use crate::error::BatchError;
use crate::observer::Notice;
use crate::work::{Job, JobPlace, Work};
use hands::command::CommandError;
use hands::command::engine::{Cause, ChildEnd, Flow, Key, Usage};

/// The keys of the engine's children are below.
const FIRST: u32 = 1 << 31;

/// The key of a job that runs elsewhere.
fn key(ticket: u64) -> Key {
    Key {
        index: FIRST | (ticket >> 32) as u32,
        generation: ticket as u32,
    }
}

/// The ticket of a job that runs elsewhere.
fn ticket(key: Key) -> Option<u64> {
    let high = key.index.checked_sub(FIRST)?;
    Some(u64::from(high) << 32 | u64::from(key.generation))
}

impl<W: Work> Scheduler<'_, W> {
    fn machines(&mut self) -> Option<&mut dyn Elsewhere> {
        match &mut self.batch.elsewhere {
            Some(machines) => Some(&mut *machines.0),
            None => None,
        }
    }

    pub(super) fn is_elsewhere(&self) -> bool {
        self.batch.elsewhere.is_some()
    }

    /// Has the loop woken by what happens there.
    pub(super) fn watch_elsewhere(&mut self) -> Result<(), BatchError> {
        if let Some(machines) = &self.batch.elsewhere {
            let watched = self
                .engine
                .watch(machines.0.ready_fd(), super::ELSEWHERE, false);
            watched.map_err(CommandError::system("wait for other machines"))?;
        }
        Ok(())
    }

    /// There may be more of them by now, or fewer.
    pub(super) fn resize_elsewhere(&mut self) {
        if let Some(machines) = self.machines() {
            self.jobs = machines.most().max(1);
        }
    }

    pub(super) fn flush_elsewhere(&mut self) {
        if let Some(machines) = self.machines() {
            machines.flush();
        }
    }

    /// Hands a job over.
    pub(super) fn send(&mut self, place: JobPlace, job: &mut Job) -> Key {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let timeout = self.time_limit.as_ref().and_then(|limit| limit.limit());
        let job = ElsewhereJob {
            ticket,
            place,
            argv: std::mem::take(&mut job.argv),
            stdin: job.stdin.take(),
            timeout,
            send: std::mem::take(&mut job.send),
            fetch: std::mem::take(&mut job.fetch),
        };
        if let Some(machines) = self.machines() {
            machines.start(job);
        }
        key(ticket)
    }

    /// Takes in what has happened there.
    pub(super) fn hear(&mut self) {
        while let Some(event) = self.machines().and_then(|machines| machines.next()) {
            match event {
                ElsewhereEvent::Output {
                    ticket,
                    stream,
                    bytes,
                } => {
                    let mut taker = OutputTaker::of(self);
                    let flow = taker.take(key(ticket), stream, &bytes);
                    let error = taker.results_error;
                    if flow == Flow::Pause
                        && let Some(machines) = self.machines()
                    {
                        machines.hold_up(ticket);
                    }
                    if let Some(error) = error {
                        self.fail(error, Stop::Terminate);
                    }
                }
                ElsewhereEvent::Anew { ticket, why } => self.begun_anew(key(ticket), why),
                ElsewhereEvent::Finished { ticket, end } => self.finished_elsewhere(ticket, &end),
            }
        }
    }

    fn begun_anew(&mut self, key: Key, why: String) {
        let Some(job) = self.running.get(&key) else {
            return;
        };
        let number = job.place.number;
        if let Some(collator) = &mut self.collator {
            collator.restart(number, key);
        }
        self.observer.notice(&Notice::BegunAnew { number, why });
    }

    fn finished_elsewhere(&mut self, ticket: u64, end: &ElsewhereEnd) {
        let key = key(ticket);
        if let Some(job) = self.running.get_mut(&key) {
            let RunningJob { at, .. } = job;
            *at = end.at;
        }
        let number = self.running.get(&key).map(|job| job.place.number);
        let ended = ChildEnd {
            status: end.status,
            usage: Usage {
                cpu_user: end.cpu_user,
                cpu_system: end.cpu_system,
                max_rss: end.max_rss,
            },
            delay: None,
            wall: end.wall,
            cause: match (end.was_asked, end.timed_out) {
                (true, _) => Some(Cause::Asked),
                (false, true) => Some(Cause::TimedOut),
                (false, false) => None,
            },
            cut_off: false,
            is_held: false,
        };
        self.finished(key, &ended, Some(end));
        self.untold.extend(number);
    }

    /// Says of which jobs nothing is left to be written.
    pub(super) fn tell_elsewhere(&mut self) {
        if self.untold.is_empty()
            || self.sinks.stdout.queued() > 0
            || self.sinks.stderr.queued() > 0
        {
            return;
        }
        let (waiting, collator) = (&self.waiting, &self.collator);
        let mut told = Vec::new();
        self.untold.retain(|number| {
            let waits = collator.as_ref().is_some_and(|all| all.has(*number));
            if !waits && !waiting.is_retried(*number) {
                told.push(*number);
            }
            waits
        });
        if let Some(machines) = self.machines() {
            told.into_iter().for_each(|number| machines.told(number));
        }
    }

    /// There is room for what these write.
    pub(super) fn go_on(&mut self, key: Key) {
        match ticket(key) {
            Some(ticket) => {
                if let Some(machines) = self.machines() {
                    machines.go_on(ticket);
                }
            }
            None => self.engine.resume(key),
        }
    }

    /// Has a job there end. False: it is not there.
    pub(super) fn end_elsewhere_one(&mut self, key: Key) -> bool {
        let ticket = ticket(key);
        if let Some(ticket) = ticket
            && let Some(machines) = self.machines()
        {
            machines.end(ticket);
        }
        ticket.is_some()
    }

    /// Has all jobs there end.
    pub(super) fn end_elsewhere(&mut self) {
        let tickets: Vec<u64> = self.running.keys().copied().filter_map(ticket).collect();
        if let Some(machines) = self.machines() {
            for ticket in tickets {
                machines.end(ticket);
            }
        }
    }

    pub(super) fn abandon_elsewhere(&mut self) {
        if let Some(machines) = self.machines() {
            machines.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_has_a_key_that_is_no_childs() {
        for number in [0, 1, u64::from(u32::MAX), 1 << 40] {
            assert_eq!(ticket(key(number)), Some(number));
        }
        let childs = Key {
            index: 5,
            generation: 1,
        };
        assert_eq!(ticket(childs), None);
    }
}
