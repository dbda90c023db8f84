//! From an input to a running job.

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::end::worker;
use super::terminal::Terminal;
use super::{
    Attempt, GATE_PAUSE, INPUT, Input, MOST_WAITING, PendingItem, RunningJob, SHORTAGE_PAUSE,
    SHORTAGE_TRIES, Scheduler,
};
use crate::builder::Grouping;
use crate::control::Stop;
use crate::error::BatchError;
use crate::input::Pull;
use crate::observer::{Finished, Notice, Outcome, Started};
use crate::policy::{TimeLimit, Verdict};
use crate::results::Results;
use crate::work::{Job, JobPlace, Work, WorkError};
use hands::command::engine::ArgBlock;
use hands::command::engine::{JobStart, Key, OutputTarget, StdinSource};
use hands::command::{CommandError, SpawnReason};
use hands::event::{EventKind, Name};

impl<W: Work> Scheduler<'_, W> {
    /// Whether nothing but the clock and the input stands against another job.
    pub(super) fn has_room(&self) -> bool {
        self.stop == Stop::No
            && !self.control.is_paused()
            && (self.running.len() < self.jobs || self.waits_for_a_retry())
    }

    /// Whether all that run are held back until a job has ended that is to be tried again: it gets
    /// a slot of its own.
    fn waits_for_a_retry(&self) -> bool {
        self.collator
            .as_ref()
            .is_some_and(|collator| collator.is_stuck(self.running.len()))
    }

    /// Whether a new input may be taken up.
    fn takes_inputs(&self) -> bool {
        self.input == Input::Open
            && self.running.len() < self.jobs
            && self
                .collator
                .as_ref()
                .is_none_or(|collator| collator.len() < MOST_WAITING)
    }

    pub(super) fn may_start(&mut self) -> bool {
        if self
            .waiting
            .not_before
            .is_some_and(|at| at <= Instant::now())
        {
            self.waiting.not_before = None;
        }
        // While it is too early one input is taken up all the same: if there is none, nothing is to
        // be waited for.
        self.has_room() && (self.waiting.not_before.is_none() || !self.waiting.has_put_off())
    }

    /// Whether load and memory allow another job; asked only when there is one.
    pub(super) fn gates_allow(&mut self) -> bool {
        let load = self.batch.load.as_ref().map(|gate| gate.allows());
        let memory = self.batch.memfree.as_ref().map(|gate| gate.allows());
        for verdict in [load, memory].into_iter().flatten() {
            let why = match verdict {
                Ok(Verdict::Start) => continue,
                Ok(Verdict::Wait { why }) => why,
                // What cannot be measured cannot be kept; say so once and go on.
                Err(error) => {
                    if !std::mem::replace(&mut self.waiting_told, true) {
                        self.observer.notice(&Notice::Waiting(error.to_string()));
                    }
                    continue;
                }
            };
            // With nothing running, waiting would be for others' processes: that is what was asked
            // for.
            if !std::mem::replace(&mut self.waiting_told, true) {
                self.observer.notice(&Notice::Waiting(why));
            }
            self.waiting.not_before = Some(Instant::now() + GATE_PAUSE);
            return false;
        }
        self.waiting_told = false;
        true
    }

    /// Takes up the next item and starts it.
    pub(super) fn start_next(&mut self) -> Result<Attempt, BatchError> {
        let Some(pending) = self.next_pending()? else {
            return Ok(Attempt::Nothing);
        };
        let is_gated = self.batch.load.is_some() || self.batch.memfree.is_some();
        if self.waiting.not_before.is_some() || (is_gated && !self.gates_allow()) {
            self.waiting.hold_back(pending);
            return Ok(Attempt::Nothing);
        }
        self.start(pending)
    }

    pub(super) fn next_pending(&mut self) -> Result<Option<PendingItem<W::Item>>, BatchError> {
        if self.running.len() < self.jobs
            && let Some(pending) = self.waiting.take_put_off()
        {
            return Ok(Some(pending));
        }
        if let Some(pending) = self.waiting.take_due() {
            return Ok(Some(pending));
        }
        if !self.takes_inputs() {
            return Ok(None);
        }
        let next = match self.work.next() {
            Ok(next) => next,
            Err(error) => {
                self.given_up = true;
                self.fail(BatchError::Work(error), Stop::Drain);
                return Ok(None);
            }
        };
        match next {
            Pull::Item((number, item)) => {
                self.started += 1;
                Ok(Some(PendingItem {
                    number,
                    item,
                    attempt: 1,
                    made: None,
                }))
            }
            Pull::End => {
                self.input = Input::Ended;
                // A rule in percent can be judged only now.
                if let Some(when) = self.halt.total_is_known(self.started) {
                    self.halt(when);
                }
                Ok(None)
            }
            Pull::Pending => {
                if let Some(fd) = self.work.ready_fd() {
                    self.engine
                        .watch(fd, INPUT, false)
                        .map_err(CommandError::system("wait for input"))?;
                    self.input = Input::Watched;
                }
                Ok(None)
            }
        }
    }

    pub(super) fn unwatch_input(&mut self) {
        if self.input == Input::Watched {
            if let Some(fd) = self.work.ready_fd() {
                self.engine.unwatch(fd);
            }
            self.input = Input::Open;
        }
    }

    pub(super) fn start(
        &mut self,
        mut pending: PendingItem<W::Item>,
    ) -> Result<Attempt, BatchError> {
        let slot = self.slots.lowest();
        let place = JobPlace {
            number: pending.number,
            slot,
            attempt: pending.attempt,
        };
        let mut job = match self.job(&mut pending, place) {
            Ok(job) => job,
            Err(error) => {
                self.refused(place, &[], &*error);
                self.keep_refused(pending);
                return Ok(Attempt::Begun);
            }
        };
        let sent = job.stdin.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let at = SystemTime::now();
        let launched = match self.is_elsewhere() {
            true => Ok(self.send(place, &mut job)),
            false => {
                self.start_watchdog();
                self.launch(place, &mut job)
            }
        };
        let key = match launched {
            Ok(key) => key,
            Err(error) if error.is_shortage() && self.wait_out(&error) => {
                pending.made = Some((place, job));
                self.waiting.hold_back(pending);
                return Ok(Attempt::Nothing);
            }
            Err(error) if error.is_shortage() => return Err(error.into()),
            Err(error) => {
                self.refused(place, &job.display, &error);
                self.keep_refused(pending);
                return Ok(Attempt::Begun);
            }
        };
        self.shortages = 0;
        if self.terminal.as_ref().is_some_and(Terminal::is_for_all) {
            self.lend(key);
        }
        if !self.batch.delay.is_zero() {
            self.waiting.not_before = Some(Instant::now() + self.batch.delay);
        }
        self.slots.take(slot);
        self.begun(key, pending.item, place, job, at, sent);
        Ok(Attempt::Begun)
    }

    /// What is to be run for an item: as it was made before, if that start was refused.
    fn job(
        &mut self,
        pending: &mut PendingItem<W::Item>,
        place: JobPlace,
    ) -> Result<Job, WorkError> {
        match pending.made.take() {
            // Its placeholders may name the slot, which may be another one now; its stdin is there
            // once.
            Some((made_for, job)) if made_for == place => Ok(job),
            made => self
                .work
                .job(&mut pending.item, place)
                .map(|job| match made {
                    Some((_, made)) => Job {
                        stdin: made.stdin,
                        stdin_file: made.stdin_file,
                        ..job
                    },
                    None => job,
                }),
        }
    }

    /// A job runs from now on: its results, its output and those who watch know of it.
    fn begun(
        &mut self,
        key: Key,
        item: W::Item,
        place: JobPlace,
        job: Job,
        at: SystemTime,
        sent: u64,
    ) {
        let Job {
            display,
            tag,
            results,
            results_are_files,
            ..
        } = job;
        let results = results.and_then(|folder| self.results(folder, place, results_are_files));
        if let Some(collator) = &mut self.collator {
            collator.begin(place.number, key, tag);
        }
        let pid = self
            .engine
            .pid(key)
            .map_or(0, |pid| pid.as_raw_nonzero().get());
        let started = Started {
            place,
            pid,
            display: &display,
            at,
        };
        self.batch.events.tell(EventKind::Started {
            task: place.number,
            name: Name::NONE,
            worker: worker(place),
            waited: None,
        });
        self.observer.started(&started, self.sinks.stdout.queue());
        let limit = self.time_limit.as_ref().and_then(TimeLimit::limit);
        if let Some(limit) = limit {
            self.engine.limit(key, limit);
        }
        let job = RunningJob {
            item,
            place,
            display,
            at,
            since: Instant::now(),
            limit,
            sent,
            received: 0,
            tail: Vec::new(),
            results,
        };
        self.running.insert(key, job);
    }

    /// Where its results go; if there is no such place, the batch ends.
    fn results(&mut self, folder: PathBuf, place: JobPlace, are_files: bool) -> Option<Results> {
        let create = match are_files {
            true => Results::create_files,
            false => Results::create,
        };
        match create(&folder, place.number) {
            Ok(results) => Some(results),
            Err(error) => {
                self.fail(BatchError::Results { folder, error }, Stop::Terminate);
                None
            }
        }
    }

    pub(super) fn launch(&mut self, place: JobPlace, job: &mut Job) -> Result<Key, CommandError> {
        let argv = job.argv.as_slice();
        let name = argv.first().map_or(&[][..], Vec::as_slice);
        if argv.iter().any(|word| word.contains(&0)) {
            return Err(CommandError::spawn(name, SpawnReason::NulByte));
        }
        let variables = &self.batch.conditions.environment;
        (variables.check()).map_err(|reason| CommandError::spawn(name, reason))?;
        let more = self.around.entries(place);
        let program = self.around.resolver.resolve(name)?;
        let environ = self.around.environment.pointers(&more);
        let mut block = ArgBlock::new(argv);
        let size = block.size();
        let target = |fd| {
            if self.batch.grouping == Grouping::None {
                OutputTarget::Fd(fd)
            } else {
                OutputTarget::Capture
            }
        };
        let other = match (&job.stdin_file, &self.terminal) {
            (Some(file), _) => file.as_raw_fd(),
            (None, Some(terminal)) if terminal.is_for_all() => terminal.as_raw_fd(),
            (None, _) => self.around.null.as_raw_fd(),
        };
        let start = JobStart {
            program,
            argv: &mut block,
            environ: &environ,
            setting: &self.around.setting,
            stdin: job
                .stdin
                .as_mut()
                .map_or(StdinSource::Fd(other), StdinSource::Bytes),
            stdout: target(1),
            stderr: target(2),
            timeout: None,
            grace: self.batch.grace,
            linger: self.batch.linger,
            mark: &more[0],
        };
        self.engine.start(start).map_err(|failed| {
            let path = self.around.setting.seen_from_there(program);
            CommandError::from_failed(failed, name, &path, size)
        })
    }

    /// The system is short of something. True if it is worth waiting: a running job may give it
    /// back.
    pub(super) fn wait_out(&mut self, error: &CommandError) -> bool {
        if self.shortages == 0 {
            self.observer.notice(&Notice::Shortage(error.to_string()));
        }
        if self.running.is_empty() {
            self.shortages += 1;
        } else {
            self.shortages = self.shortages.max(1);
        }
        self.waiting.not_before = Some(Instant::now() + SHORTAGE_PAUSE);
        self.shortages <= SHORTAGE_TRIES
    }

    fn keep_refused(&mut self, mut pending: PendingItem<W::Item>) {
        if self.batch.keep_failed {
            pending.attempt += 1;
            self.failed.keep(pending);
        }
    }

    /// A job that could not be started. Trying again would not help: the program will not appear
    /// meanwhile.
    pub(super) fn refused(
        &mut self,
        place: JobPlace,
        display: &[u8],
        error: &(dyn std::error::Error + 'static),
    ) {
        let finished = Finished {
            place,
            display,
            outcome: Outcome::Failure { retry: None },
            status: None,
            error: Some(error),
            at: SystemTime::now(),
            wall: Duration::ZERO,
            cpu_user: Duration::ZERO,
            cpu_system: Duration::ZERO,
            delay: None,
            max_rss: 0,
            host: None,
            stderr_tail: &[],
            sent: 0,
            received: 0,
        };
        let exit = finished.exit();
        self.tell_finished(&finished);
        self.observer.finished(&finished, self.sinks.stdout.queue());
        if let Some(collator) = &mut self.collator {
            collator.complete(place.number);
        }
        self.count(false, u8::try_from(exit).unwrap_or(u8::MAX));
    }
}
