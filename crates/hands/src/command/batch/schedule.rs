//! The batch's loop: fills free slots with jobs, lets the engine turn, hears what ended.
//!
//! ```text
//!            ┌── retry due ◄──────────── failed, may be tried again ──┐
//! slot free ─┼── put off for want of a resource ◄── start refused ──┐ │
//!            └── work.next() ── number, item ──► work.job() ──► engine.start() ──► running ──► finished
//! ```
//!
//! **Invariants:** at most one item is held that has not started (besides those waiting to be tried again); a job's end
//! is reported once per attempt and counted once per item; nothing is written to a sink but by [`Scheduler::write`].

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;

use super::builder::{Batch, Grouping, Summary};
use super::collate::{self, Collator, Sinks};
use super::control::{Control, Stop};
use super::error::BatchError;
use super::observer::{Finished, Notice, Observer, Outcome, Progress, Running, Started};
use super::policy::{HaltState, HaltWhen, TimeLimit, Verdict};
use super::results::Results;
use super::sink::Sink;
use super::work::{Job, Place, Work};
use crate::command::Stream;
use crate::command::engine::{Cause, Ended, Engine, Event, Flow, Key, Source, Start, Target};
use crate::command::environ::Environment;
use crate::command::error::{CommandError, SpawnReason};
use crate::command::input::Pull;
use crate::command::mark::Run;
use crate::command::resolve::Resolver;
use crate::command::run::open_null;
use crate::command::sys::leftovers;
use crate::command::sys::spawn::{ArgBlock, Setting};
use crate::command::sys::watchdog::{COOKIE, Watchdog};

/// Variables that each job gets, beside the cookie.
const NUMBER: &str = "HANDS_SEQ";
const SLOT: &str = "HANDS_SLOT";

/// Jobs that may wait for an earlier one's output before no more are started: some 20 MB of bookkeeping.
const MOST_WAITING: usize = 50_000;

/// How often a closed gate (load, memory) is tried again, and how soon a refused start.
const GATE_PAUSE: Duration = Duration::from_millis(500);
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// Refused starts in a row, with no job running that could give something back, before the batch gives up.
const SHORTAGE_TRIES: u32 = 20;

/// Numbers of the descriptors that the engine watches for us.
const WAKE: u32 = 0;
const INPUT: u32 = 1;
const STDOUT: u32 = 2;
const STDERR: u32 = 3;

/// Running jobs shown in [`Progress`].
const SHOWN: usize = 4;

pub(super) fn run<W: Work>(
    batch: Batch,
    work: W,
    observer: &mut dyn Observer,
) -> Result<Summary, BatchError> {
    let mut scheduler = Scheduler::new(batch, work, observer)?;
    let result = scheduler.run();
    if result.is_err() {
        scheduler.abandon();
    }
    result
}

/// An item that has been taken up, on its way to its next start.
struct Pending<I> {
    number: u64,
    item: I,
    attempt: u32,
}

struct RunningJob<I> {
    item: I,
    place: Place,
    display: Vec<u8>,
    at: SystemTime,
    since: Instant,
    limit: Option<Duration>,
    sent: u64,
    received: u64,
    results: Option<Results>,
}

struct Scheduler<'a, W: Work> {
    batch: Batch,
    work: W,
    observer: &'a mut dyn Observer,
    engine: Engine,
    control: Control,
    run: Run,
    environment: Environment,
    resolver: Resolver,
    setting: Setting,
    null: OwnedFd,
    collator: Option<Collator>,
    sinks: Sinks,
    watched: [bool; 2],
    running: HashMap<Key, RunningJob<W::Item>>,
    slots: Slots,
    retries: BinaryHeap<Reverse<(Instant, u64)>>,
    retrying: HashMap<u64, Pending<W::Item>>,
    put_off: Option<Pending<W::Item>>,
    shortages: u32,
    not_before: Option<Instant>,
    input: Input,
    halt: HaltState,
    time_limit: Option<TimeLimit>,
    stop: Stop,
    began: Instant,
    started: u64,
    next_tick: Option<Instant>,
    waiting_told: bool,
    summary: Summary,
    own_code: u8,
    /// Why the batch cannot go on; returned once the running jobs have ended and what they wrote is written.
    failure: Option<BatchError>,
    /// Items were given up although they could have been started.
    given_up: bool,
    raw_paused: Vec<Key>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    /// Nothing to read now; its descriptor is watched.
    Watched,
    Ended,
}

/// The lowest free number from 1 is the next job's slot.
#[derive(Default)]
struct Slots {
    free: BTreeSet<usize>,
    most: usize,
}

impl Slots {
    fn lowest(&mut self) -> usize {
        if self.free.is_empty() {
            self.most += 1;
            self.free.insert(self.most);
        }
        self.free.first().copied().unwrap_or(1)
    }

    fn take(&mut self, slot: usize) {
        self.free.remove(&slot);
    }

    fn give(&mut self, slot: usize) {
        self.free.insert(slot);
    }
}

/// What became of an attempt to start a job.
enum Attempt {
    Begun,
    Nothing,
}

impl<'a, W: Work> Scheduler<'a, W> {
    fn new(mut batch: Batch, work: W, observer: &'a mut dyn Observer) -> Result<Self, BatchError> {
        let run = Run::new();
        let watchdog = Watchdog::start(run.entry())
            .map_err(|error| observer.notice(&Notice::NoWatchdog(error.to_string())))
            .ok();
        let engine =
            Engine::new(watchdog).map_err(CommandError::system("set up the event loop"))?;
        let control = match batch.control.take() {
            Some(control) => control,
            None => Control::new().map_err(CommandError::system("set up the event loop"))?,
        };
        engine
            .watch(control.wakeable(), WAKE, false)
            .map_err(CommandError::system("set up the event loop"))?;
        let environment = Environment::new(&batch.conditions.environment, &[COOKIE, NUMBER, SLOT]);
        let resolver = Resolver::new(environment.get("PATH"));
        let sink = |given: Option<Sink>, own: fn() -> std::io::Result<Sink>| match given {
            Some(sink) => Ok(sink),
            None => own().map_err(BatchError::Output),
        };
        let sinks = Sinks {
            stdout: sink(batch.stdout.take(), Sink::stdout)?,
            stderr: sink(batch.stderr.take(), Sink::stderr)?,
        };
        let whole_only = batch.retries.tries().is_none_or(|tries| tries.get() > 1);
        let grouping = match batch.grouping {
            Grouping::Jobs => Some(collate::Grouping::Jobs { in_order: false }),
            Grouping::Ordered => Some(collate::Grouping::Jobs { in_order: true }),
            Grouping::Lines => Some(collate::Grouping::Lines),
            Grouping::None | Grouping::Raw => None,
        };
        let began = Instant::now();
        Ok(Scheduler {
            engine,
            control,
            run,
            environment,
            resolver,
            setting: batch.conditions.setting(b"the jobs")?,
            null: open_null()?,
            collator: grouping
                .map(|grouping| Collator::new(grouping, whole_only, &batch.spill_folder)),
            sinks,
            watched: [false; 2],
            running: HashMap::new(),
            slots: Slots::default(),
            retries: BinaryHeap::new(),
            retrying: HashMap::new(),
            put_off: None,
            shortages: 0,
            not_before: None,
            input: Input::Open,
            halt: HaltState::new(batch.halt),
            time_limit: batch.timeout.map(TimeLimit::new),
            stop: Stop::No,
            began,
            started: 0,
            next_tick: batch.tick.map(|every| began + every),
            waiting_told: false,
            summary: Summary::default(),
            own_code: 0,
            failure: None,
            given_up: false,
            raw_paused: Vec::new(),
            batch,
            work,
            observer,
        })
    }

    fn run(&mut self) -> Result<Summary, BatchError> {
        let mut events = Vec::new();
        loop {
            self.obey();
            while self.may_start() {
                match self.start_next()? {
                    Attempt::Begun => {}
                    Attempt::Nothing => break,
                }
            }
            self.write()?;
            self.tick(false);
            if self.running.is_empty() && self.no_more() && self.all_written() {
                break;
            }
            self.turn(&mut events)?;
            for event in events.drain(..) {
                match event {
                    Event::Finished(key, ended) => self.finished(key, &ended),
                    Event::Ready(WAKE) => {
                        self.control.clear();
                        self.observer.woken(&self.control);
                    }
                    Event::Ready(INPUT) => self.unwatch_input(),
                    Event::Ready(_) => {}
                }
            }
        }
        self.tick(true);
        let ended = leftovers::end(self.run.entry(), self.engine.leftovers());
        if ended > 0 {
            self.observer.notice(&Notice::Leftovers(ended));
        }
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.summary.exhausted = self.input == Input::Ended && !self.given_up;
        self.summary.halted = self.halt.halted();
        self.summary.exit_code = self.halt.exit_code(self.own_code, self.work.total());
        Ok(self.summary.clone())
    }

    /// Whether nothing is left to start.
    fn no_more(&self) -> bool {
        self.stop > Stop::No
            || (self.input == Input::Ended && self.put_off.is_none() && self.retrying.is_empty())
    }

    fn all_written(&self) -> bool {
        // Told to kill, we do not wait for a reader that does not read.
        self.stop >= Stop::Kill
            || (self.sinks.stdout.queued() == 0
                && self.sinks.stderr.queued() == 0
                && self
                    .collator
                    .as_ref()
                    .is_none_or(|collator| collator.len() == 0))
    }

    /// Passes on what the control says, a step at a time.
    fn obey(&mut self) {
        if self.control.take_suspend() {
            self.suspend();
        }
        let told = self.control.stopped();
        if told <= self.stop {
            return;
        }
        self.stop_at(told);
        let keys = self.engine.keys();
        match told {
            Stop::No | Stop::Drain => {}
            Stop::Terminate => {
                for key in keys {
                    self.engine.terminate(key, Cause::Asked, None);
                }
            }
            Stop::Kill => self.engine.kill_all(&keys),
        }
    }

    /// Starts nothing more; what waits to be tried (again) is given up.
    fn stop_at(&mut self, stop: Stop) {
        self.stop = self.stop.max(stop);
        let put_off = self.put_off.take().map(|pending| (pending.number, pending));
        for (number, pending) in self.retrying.drain().chain(put_off) {
            self.given_up = true;
            if pending.attempt > 1 {
                self.summary.ended += 1;
                if let Some(collator) = &mut self.collator {
                    collator.complete(number);
                }
            }
        }
        self.retries.clear();
    }

    /// The batch cannot go on: ends in order, as far as `stop` says, and then returns the first such error.
    fn fail(&mut self, error: BatchError, stop: Stop) {
        self.failure.get_or_insert(error);
        if stop >= Stop::Terminate {
            for key in self.engine.keys() {
                self.engine
                    .terminate(key, Cause::Asked, Some(self.batch.grace));
            }
        }
        self.stop_at(stop);
        self.control.stop(stop);
    }

    /// The halt rule has spoken.
    fn halt(&mut self, when: HaltWhen) {
        let now = when == HaltWhen::Now;
        self.observer.notice(&Notice::Halted { now });
        if now {
            for key in self.engine.keys() {
                self.engine
                    .terminate(key, Cause::Asked, Some(self.batch.grace));
            }
        }
        let stop = if now { Stop::Terminate } else { Stop::Drain };
        self.stop_at(stop);
        self.control.stop(stop);
    }

    /// Whether nothing but the clock and the input stands against another job.
    fn has_room(&self) -> bool {
        self.stop == Stop::No
            && !self.control.is_paused()
            && self.running.len() < self.batch.jobs.get()
            && self
                .collator
                .as_ref()
                .is_none_or(|collator| collator.len() < MOST_WAITING)
    }

    fn may_start(&mut self) -> bool {
        if !self.has_room() || self.not_before.is_some_and(|at| at > Instant::now()) {
            return false;
        }
        self.not_before = None;
        true
    }

    /// Whether load and memory allow another job; asked only when there is one.
    fn gates_allow(&mut self) -> bool {
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
            // With nothing running, waiting would be for others' processes: that is what was asked for.
            if !std::mem::replace(&mut self.waiting_told, true) {
                self.observer.notice(&Notice::Waiting(why));
            }
            self.not_before = Some(Instant::now() + GATE_PAUSE);
            return false;
        }
        self.waiting_told = false;
        true
    }

    /// Takes up the next item and starts it.
    fn start_next(&mut self) -> Result<Attempt, BatchError> {
        let Some(pending) = self.next_pending()? else {
            return Ok(Attempt::Nothing);
        };
        if (self.batch.load.is_some() || self.batch.memfree.is_some()) && !self.gates_allow() {
            self.put_off = Some(pending);
            return Ok(Attempt::Nothing);
        }
        self.start(pending)
    }

    fn next_pending(&mut self) -> Result<Option<Pending<W::Item>>, BatchError> {
        if let Some(pending) = self.put_off.take() {
            return Ok(Some(pending));
        }
        if let Some(&Reverse((at, number))) = self.retries.peek()
            && at <= Instant::now()
        {
            self.retries.pop();
            return Ok(self.retrying.remove(&number));
        }
        if self.input != Input::Open {
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
                Ok(Some(Pending {
                    number,
                    item,
                    attempt: 1,
                }))
            }
            Pull::End => {
                self.input = Input::Ended;
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

    fn unwatch_input(&mut self) {
        if self.input == Input::Watched {
            if let Some(fd) = self.work.ready_fd() {
                self.engine.unwatch(fd);
            }
            self.input = Input::Open;
        }
    }

    fn start(&mut self, mut pending: Pending<W::Item>) -> Result<Attempt, BatchError> {
        let slot = self.slots.lowest();
        let place = Place {
            number: pending.number,
            slot,
            attempt: pending.attempt,
        };
        let job = match self.work.job(&mut pending.item, place) {
            Ok(job) => job,
            Err(error) => {
                self.refused(place, &[], &*error);
                return Ok(Attempt::Begun);
            }
        };
        let sent = job.stdin.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let Job {
            argv,
            display,
            stdin,
            tag,
            results,
        } = job;
        let at = SystemTime::now();
        let key = match self.launch(place, &argv, stdin) {
            Ok(key) => key,
            Err(error) if error.is_shortage() && self.wait_out(&error) => {
                self.put_off = Some(pending);
                return Ok(Attempt::Nothing);
            }
            Err(error) if error.is_shortage() => return Err(error.into()),
            Err(error) => {
                self.refused(place, &display, &error);
                return Ok(Attempt::Begun);
            }
        };
        self.shortages = 0;
        self.slots.take(slot);
        let results = match results.map(|folder| (Results::create(&folder, place.number), folder)) {
            Some((Err(error), folder)) => {
                self.fail(BatchError::Results { folder, error }, Stop::Terminate);
                None
            }
            Some((Ok(results), _)) => Some(results),
            None => None,
        };
        if let Some(collator) = &mut self.collator {
            collator.begin(place.number, key, tag);
        }
        if !self.batch.delay.is_zero() {
            self.not_before = Some(Instant::now() + self.batch.delay);
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
        self.observer.started(&started, self.sinks.stdout.queue());
        let limit = self.time_limit.as_ref().and_then(TimeLimit::limit);
        if let Some(limit) = limit {
            self.engine.limit(key, limit);
        }
        let since = Instant::now();
        let job = RunningJob {
            item: pending.item,
            place,
            display,
            at,
            since,
            limit,
            sent,
            received: 0,
            results,
        };
        self.running.insert(key, job);
        Ok(Attempt::Begun)
    }

    fn launch(
        &mut self,
        place: Place,
        argv: &[Vec<u8>],
        stdin: Option<Vec<u8>>,
    ) -> Result<Key, CommandError> {
        let name = argv.first().map_or(&[][..], Vec::as_slice);
        if argv.iter().any(|word| word.contains(&0)) {
            return Err(CommandError::spawn(name, SpawnReason::NulByte));
        }
        let program = self.resolver.resolve(name)?;
        let text = |name: &str, value: u64| {
            CString::new(format!("{name}={value}")).expect("names and digits have no NUL byte")
        };
        let more = [
            self.run.job(place.number),
            text(NUMBER, place.number),
            text(SLOT, place.slot as u64),
        ];
        let environ = self.environment.pointers(&more);
        let mut block = ArgBlock::new(argv);
        let size = block.size();
        let target = |fd| {
            if self.batch.grouping == Grouping::None {
                Target::Fd(fd)
            } else {
                Target::Capture
            }
        };
        let start = Start {
            program,
            argv: &mut block,
            environ: &environ,
            setting: &self.setting,
            stdin: stdin.map_or(Source::Fd(self.null.as_raw_fd()), Source::Bytes),
            stdout: target(1),
            stderr: target(2),
            timeout: None,
            grace: self.batch.grace,
            mark: &more[0],
        };
        self.engine.start(start).map_err(|failed| {
            let path = Path::new(OsStr::from_bytes(program.as_bytes()));
            CommandError::from_failed(failed, name, path, size)
        })
    }

    /// The system is short of something. True if it is worth waiting: a running job may give it back.
    fn wait_out(&mut self, error: &CommandError) -> bool {
        if self.shortages == 0 {
            self.observer.notice(&Notice::Shortage(error.to_string()));
        }
        if self.running.is_empty() {
            self.shortages += 1;
        } else {
            self.shortages = self.shortages.max(1);
        }
        self.not_before = Some(Instant::now() + SHORTAGE_PAUSE);
        self.shortages <= SHORTAGE_TRIES
    }

    /// A job that could not be started. Trying again would not help: the program will not appear meanwhile.
    fn refused(&mut self, place: Place, display: &[u8], error: &(dyn std::error::Error + 'static)) {
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
            max_rss: 0,
            sent: 0,
            received: 0,
        };
        let exit = finished.exit();
        self.observer.finished(&finished, self.sinks.stdout.queue());
        if let Some(collator) = &mut self.collator {
            collator.complete(place.number);
        }
        self.count(false, u8::try_from(exit).unwrap_or(u8::MAX));
    }

    fn finished(&mut self, key: Key, ended: &Ended) {
        let Some(job) = self.running.remove(&key) else {
            return;
        };
        self.slots.give(job.place.slot);
        let success = ended.cause.is_none() && ended.status.success();
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
            status: Some(ended.status),
            error: None,
            at: job.at,
            wall: ended.wall,
            cpu_user: ended.usage.cpu_user,
            cpu_system: ended.usage.cpu_system,
            max_rss: ended.usage.max_rss,
            sent: job.sent,
            received: job.received,
        };
        self.observer.finished(&finished, self.sinks.stdout.queue());
        if let Some(collator) = &mut self.collator {
            if retry.is_some() {
                collator.discard(job.place.number);
            } else {
                collator.complete(job.place.number);
            }
        }
        if let Some(delay) = retry {
            let number = job.place.number;
            self.retries.push(Reverse((Instant::now() + delay, number)));
            let pending = Pending {
                number,
                item: job.item,
                attempt: job.place.attempt + 1,
            };
            self.retrying.insert(number, pending);
        } else if outcome == Outcome::Ended {
            self.summary.ended += 1;
        } else {
            if success {
                self.learn(ended.wall);
            }
            self.count(success, own_code(ended.status, ended.cause));
        }
    }

    /// A run time more for the median; the first few of them set the limit of jobs that run already.
    fn learn(&mut self, wall: Duration) {
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

    fn count(&mut self, success: bool, code: u8) {
        if success {
            self.summary.succeeded += 1;
        } else {
            self.summary.failed += 1;
        }
        if let Some(when) = self.halt.observe(success, self.work.total()) {
            self.own_code = code;
            self.halt(when);
        }
    }

    /// One turn of the engine, up to whatever is due next.
    fn turn(&mut self, events: &mut Vec<Event>) -> Result<(), BatchError> {
        let retry = self.retries.peek().map(|Reverse((at, _))| *at);
        let could_start = self.has_room();
        let until = [
            self.not_before.filter(|_| could_start),
            retry.filter(|_| could_start),
            self.next_tick,
        ]
        .into_iter()
        .flatten()
        .min();
        let mut results_error = None;
        let Scheduler {
            engine,
            running,
            collator,
            sinks,
            observer,
            raw_paused,
            ..
        } = self;
        let mut receive = |key: Key, stream: Stream, bytes: &[u8]| {
            let Some(job) = running.get_mut(&key) else {
                return Flow::Continue;
            };
            job.received += bytes.len() as u64;
            if let Some(results) = &mut job.results
                && let Err(error) = results.write(stream, bytes)
            {
                let folder = results.folder().to_owned();
                results_error.get_or_insert(BatchError::Results { folder, error });
            }
            match collator {
                Some(collator) => collator.data(job.place.number, stream, bytes, sinks),
                None => {
                    observer.output(job.place.number, stream, bytes, sinks.stdout.queue());
                    if sinks.are_full() {
                        raw_paused.push(key);
                        return Flow::Pause;
                    }
                    Flow::Continue
                }
            }
        };
        engine
            .turn(until, &mut receive, events)
            .map_err(CommandError::system("wait for jobs"))?;
        if let Some(error) = results_error {
            self.fail(error, Stop::Terminate);
        }
        Ok(())
    }

    /// Moves output to the sinks and from there to the world, as far as both will take it.
    fn write(&mut self) -> Result<(), BatchError> {
        let sole = self.sole();
        let mut resume = Vec::new();
        loop {
            if let Some(collator) = &mut self.collator {
                collator
                    .pump(&mut self.sinks, sole, &mut resume)
                    .map_err(BatchError::Output)?;
                if let Some((error, folder)) = collator.take_spill_error() {
                    let notice = Notice::SpillFull {
                        folder: folder.to_owned(),
                        reason: error.to_string(),
                    };
                    self.observer.notice(&notice);
                }
            }
            if self.sinks.stdout.queued() == 0 && self.sinks.stderr.queued() == 0 {
                break;
            }
            let sinks = &mut self.sinks;
            let mut result = (Ok(true), Ok(true));
            self.observer
                .writing(&mut || result = (sinks.stdout.flush(), sinks.stderr.flush()));
            let done = [
                result.0.map_err(output_error)?,
                result.1.map_err(output_error)?,
            ];
            self.watch_sinks(done)?;
            // Full sinks that were emptied make room for more.
            if done != [true; 2] || self.collator.is_none() {
                break;
            }
        }
        if !self.sinks.are_full() {
            resume.append(&mut self.raw_paused);
        }
        for key in resume {
            self.engine.resume(key);
        }
        Ok(())
    }

    fn watch_sinks(&mut self, done: [bool; 2]) -> Result<(), BatchError> {
        for (stream, id) in [(Stream::Stdout, STDOUT), (Stream::Stderr, STDERR)] {
            let watch = !done[stream as usize];
            if watch == self.watched[stream as usize] {
                continue;
            }
            let sink = self.sinks.of(stream);
            let Some(fd) = sink.waitable() else { continue };
            if watch {
                self.engine
                    .watch(fd, id, true)
                    .map_err(CommandError::system("wait for the output's reader"))?;
            } else {
                self.engine.unwatch(fd);
            }
            self.watched[stream as usize] = watch;
        }
        Ok(())
    }

    /// The job whose output may stream although it has not ended: it runs alone, and no other can overtake it.
    fn sole(&self) -> Option<u64> {
        let alone = self.running.len() == 1 && (self.batch.jobs.get() == 1 || self.no_more());
        alone
            .then(|| self.running.values().next().map(|job| job.place.number))
            .flatten()
    }

    fn tick(&mut self, done: bool) {
        let Some(every) = self.batch.tick else { return };
        let now = Instant::now();
        if !done && self.next_tick.is_some_and(|at| at > now) {
            return;
        }
        self.next_tick = Some(now + every);
        let mut longest: Vec<&RunningJob<W::Item>> = self.running.values().collect();
        longest.sort_by_key(|job| job.since);
        let running: Vec<Running<'_>> = longest
            .iter()
            .take(SHOWN)
            .map(|job| Running {
                number: job.place.number,
                display: &job.display,
                elapsed: now.saturating_duration_since(job.since),
            })
            .collect();
        let progress = Progress {
            total: self.work.total(),
            started: self.started,
            succeeded: self.summary.succeeded,
            failed: self.summary.failed,
            retrying: self.retrying.len(),
            running: &running,
            running_count: self.running.len(),
            elapsed: now - self.began,
            done,
        };
        self.observer.tick(&progress);
    }

    /// Ends all jobs in bounded time after an error, so that none outlives the batch.
    fn abandon(&mut self) {
        for key in self.engine.keys() {
            self.engine
                .terminate(key, Cause::Asked, Some(self.batch.grace));
        }
        let mut events = Vec::new();
        while self.engine.running() > 0 {
            if self
                .engine
                .turn(None, &mut |_, _, _| Flow::Continue, &mut events)
                .is_err()
            {
                // Dropping the engine kills and reaps the rest.
                return;
            }
            for event in events.drain(..) {
                match event {
                    Event::Ready(WAKE) => {
                        self.control.clear();
                        self.observer.woken(&self.control);
                        if self.control.stopped() == Stop::Kill {
                            return;
                        }
                    }
                    Event::Ready(INPUT) => self.unwatch_input(),
                    Event::Ready(_) => {
                        let _ = self.watch_sinks([true; 2]);
                    }
                    Event::Finished(key, ended) => {
                        self.running.remove(&key);
                        let _ = ended;
                    }
                }
            }
        }
    }

    fn suspend(&mut self) {
        let keys = self.engine.keys();
        for &key in &keys {
            self.engine.signal(key, Signal::STOP);
        }
        // Returns when somebody continues us.
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
        for &key in &keys {
            self.engine.signal(key, Signal::CONT);
        }
    }
}

fn output_error(error: std::io::Error) -> BatchError {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        BatchError::OutputClosed
    } else {
        BatchError::Output(error)
    }
}

/// The code by which a shell would tell of this end; 124 for a time-out, as `timeout` does.
fn own_code(status: ExitStatus, cause: Option<Cause>) -> u8 {
    if cause == Some(Cause::TimedOut) {
        return 124;
    }
    let code = status
        .code()
        .or_else(|| Some(128 + status.signal()?))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}
