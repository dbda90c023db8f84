//! The batch's loop: fills free slots with jobs, lets the engine turn, hears what ended.
//!
//! ```text
//!            ┌── retry due ◄──────────── failed, may be tried again ──┐
//! slot free ─┼── put off for want of a resource ◄── start refused ──┐ │
//!            └── work.next() ── number, item ──► work.job() ──► engine.start() ──► running ──► finished
//! ```
//!
//! **Invariants:** at most one item is held that has not started (besides those waiting to be tried
//! again); a job's end is reported once per attempt and counted once per item; nothing is written
//! to a sink but by [`Scheduler::write`].

mod elsewhere;
mod end;
mod resize;
mod single;
mod start;
mod stop;
mod surroundings;
mod terminal;
mod waiting;
mod write;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};

use self::single::FailedItems;
use self::surroundings::Surroundings;
use self::terminal::Terminal;
use self::waiting::WaitingItems;
use super::builder::{AtOnce, Batch, Grouping, Summary};
use super::collate::{self, Collator, Sinks};
use super::control::{Control, Stop};
use super::error::BatchError;
use super::observer::{BatchProgress, Notice, Observer, RunningView};
use super::policy::{HaltState, TimeLimit};
use super::results::Results;
use super::sink::Sink;
use super::sizer::BatchSizer;
use super::work::{Job, JobPlace, Work};
use hands::command::CommandError;
use hands::command::OutputStream;
use hands::command::engine::Watchdog;
use hands::command::engine::leftovers;
use hands::command::engine::{Engine, EngineEvent, Flow, Key};
use hands::command::raise_descriptor_limit;
use hands::event::{Tally, TaskEnd};

/// Jobs that may wait for an earlier one's output before no more are started: some 20 MB of
/// bookkeeping.
const MOST_WAITING: usize = 50_000;

/// As many jobs as fit under the usual limit of 1,024 descriptors with plenty to spare.
const FEW_JOBS: usize = 128;

/// How often a closed gate (load, memory) is tried again, and how soon a refused start.
const GATE_PAUSE: Duration = Duration::from_millis(500);
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// Refused starts in a row, with no job running that could give something back, before the batch
/// gives up.
const SHORTAGE_TRIES: u32 = 20;

/// Jobs that are started in a row before the others are looked after.
const STARTS: u32 = 64;

impl Batch {
    /// Runs all jobs to their ends.
    ///
    /// # Errors
    ///
    /// When the batch itself cannot go on: its input or output fails, or the system refuses what it
    /// needs. Running jobs are then ended. A job that fails is no error: see the [`Summary`].
    pub fn run<W: Work>(self, work: W, observer: &mut dyn Observer) -> Result<Summary, BatchError> {
        let mut scheduler = Scheduler::new(self, work, observer)?;
        let result = scheduler.run();
        if result.is_err() {
            scheduler.abandon();
        }
        scheduler.end_leftovers();
        result
    }
}

/// Numbers of the descriptors that the engine watches for us.
const WAKE: u32 = 0;
const INPUT: u32 = 1;
const STDOUT: u32 = 2;
const STDERR: u32 = 3;
const ELSEWHERE: u32 = 4;

/// Running jobs shown in [`BatchProgress`].
const SHOWN: usize = 4;

/// An item that has been taken up, on its way to its next start.
struct PendingItem<I> {
    number: u64,
    item: I,
    attempt: u32,
    /// What was made of it for a start that was refused for want of something.
    made: Option<(JobPlace, Job)>,
}

struct RunningJob<I> {
    item: I,
    place: JobPlace,
    display: Vec<u8>,
    at: SystemTime,
    since: Instant,
    limit: Option<Duration>,
    sent: u64,
    received: u64,
    /// The last of its stderr.
    tail: Vec<u8>,
    results: Option<Results>,
}

struct Scheduler<'a, W: Work> {
    batch: Batch,
    /// How many run at once.
    jobs: usize,
    sizer: Option<BatchSizer>,
    work: W,
    observer: &'a mut dyn Observer,
    engine: Engine,
    control: Control,
    around: Surroundings,
    collator: Option<Collator>,
    sinks: Sinks,
    watched: [bool; 2],
    running: HashMap<Key, RunningJob<W::Item>>,
    slots: FreeSlots,
    waiting: WaitingItems<W::Item>,
    failed: FailedItems<W::Item>,
    shortages: u32,
    input: Input,
    halt: HaltState,
    time_limit: Option<TimeLimit>,
    stop: Stop,
    began: Instant,
    started: u64,
    next_tick: Option<Instant>,
    waiting_told: bool,
    summary: Summary,
    /// How items have ended.
    tally: Tally,
    own_code: u8,
    /// Why the batch cannot go on; returned once the running jobs have ended and what they wrote is
    /// written.
    failure: Option<BatchError>,
    /// Items were given up although they could have been started.
    given_up: bool,
    /// The watchdog has been started, or could not be.
    guarded: bool,
    raw_paused: Vec<Key>,
    /// That of the program, if it has one that jobs may ask for.
    terminal: Option<Terminal>,
    told_held: bool,
    /// Of those that run elsewhere, the last one's.
    next_ticket: u64,
    /// Of those that ran elsewhere, the ones whose output may not have been written yet.
    untold: Vec<u64>,
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
struct FreeSlots {
    free: BTreeSet<usize>,
    most: usize,
}

impl FreeSlots {
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
    pub(super) fn new(
        mut batch: Batch,
        work: W,
        observer: &'a mut dyn Observer,
    ) -> Result<Self, BatchError> {
        let (jobs, most, sizer) = match batch.at_once {
            AtOnce::Cores => (hands::cores().get(), hands::cores().get(), None),
            AtOnce::Count(jobs) => (jobs.get(), jobs.get(), None),
            AtOnce::Auto(limits) => {
                let sizer = BatchSizer::new(limits);
                (sizer.size(), limits.max, Some(sizer))
            }
        };
        // Two pipes and a pidfd for each, and another pipe while one is being started.
        if most > FEW_JOBS {
            raise_descriptor_limit();
        }
        let mut engine = Engine::new().map_err(CommandError::system("set up the event loop"))?;
        if sizer.is_some() {
            engine.note_delays();
        }
        if batch.terminal != super::builder::TerminalUse::Never {
            engine.look_for_stopped();
        }
        let control = match batch.control.take() {
            Some(control) => control,
            None => Control::new().map_err(CommandError::system("set up the event loop"))?,
        };
        engine
            .watch(control.wakeable(), WAKE, false)
            .map_err(CommandError::system("set up the event loop"))?;
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
            Grouping::Jobs => Some(collate::CollatedGroup::Jobs { in_order: false }),
            Grouping::Ordered => Some(collate::CollatedGroup::Jobs { in_order: true }),
            Grouping::Lines => Some(collate::CollatedGroup::Lines),
            Grouping::None | Grouping::Raw => None,
        };
        let began = Instant::now();
        Ok(Scheduler {
            jobs,
            sizer,
            engine,
            control,
            around: Surroundings::new(&batch.conditions)?,
            collator: grouping
                .map(|grouping| Collator::new(grouping, whole_only, &batch.spill_folder)),
            sinks,
            watched: [false; 2],
            running: HashMap::new(),
            slots: FreeSlots::default(),
            waiting: WaitingItems::default(),
            failed: FailedItems::default(),
            shortages: 0,
            input: Input::Open,
            halt: HaltState::new(batch.halt),
            time_limit: batch.timeout.map(TimeLimit::new),
            stop: Stop::No,
            began,
            started: 0,
            next_tick: batch.tick.and_then(|every| began.checked_add(every)),
            waiting_told: false,
            summary: Summary::default(),
            tally: Tally::default(),
            own_code: 0,
            failure: None,
            given_up: false,
            guarded: false,
            raw_paused: Vec::new(),
            terminal: Terminal::open(batch.terminal),
            told_held: false,
            next_ticket: 0,
            untold: Vec::new(),
            batch,
            work,
            observer,
        })
    }

    pub(super) fn run(&mut self) -> Result<Summary, BatchError> {
        let mut events = Vec::new();
        self.watch_elsewhere()?;
        loop {
            self.obey();
            self.resize_elsewhere();
            // Not more in a row than can be heard and written meanwhile: starts that are refused
            // take no slot.
            let mut left = STARTS;
            while left > 0 && self.may_start() {
                match self.start_next()? {
                    Attempt::Begun => left -= 1,
                    Attempt::Nothing => break,
                }
            }
            self.flush_elsewhere();
            self.write()?;
            // What is written belongs to no job any more that could be tried again.
            self.answer_requests();
            self.tell_elsewhere();
            self.tick(false);
            if self.running.is_empty() && self.no_more() && self.all_written() {
                break;
            }
            self.turn(left == 0, &mut events)?;
            for event in events.drain(..) {
                match event {
                    EngineEvent::Finished(key, ended) => self.finished(key, &ended, None),
                    EngineEvent::Stopped(key, signal) => self.job_stopped(key, signal),
                    EngineEvent::Ready(WAKE) => {
                        self.control.clear();
                        self.observer.woken(&self.control);
                    }
                    EngineEvent::Ready(INPUT) => self.unwatch_input(),
                    EngineEvent::Ready(ELSEWHERE) => self.hear(),
                    EngineEvent::Ready(_) => {}
                }
            }
            self.resize();
        }
        self.tick(true);
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.summary.exhausted = self.input == Input::Ended && !self.given_up;
        self.summary.sizing = self.sizer.as_ref().map(BatchSizer::decision);
        self.summary.succeeded = self.tally.of(TaskEnd::Well);
        self.summary.failed = self.tally.of(TaskEnd::Failed);
        self.summary.ended = self.tally.of(TaskEnd::Cancelled);
        self.summary.halted = self.halt.halted();
        self.summary.exit_code = self.halt.exit_code(self.own_code, self.total());
        Ok(self.summary.clone())
    }

    /// What jobs that are over have left running in their groups.
    fn end_leftovers(&mut self) {
        let ended = leftovers::end(self.around.run.entry(), self.engine.leftovers());
        if ended > 0 {
            self.observer.notice(&Notice::Leftovers(ended));
        }
    }

    /// Done before the first start: a job may kill us as its first act. Between its birth and its
    /// place in the watchdog's table a job is found by the mark in its environment, and before it
    /// has that, by its parent-death signal.
    fn start_watchdog(&mut self) {
        if std::mem::replace(&mut self.guarded, true) {
            return;
        }
        match Watchdog::start(self.around.run.entry()) {
            Ok(watchdog) => self.engine.guard(watchdog),
            Err(error) => self.observer.notice(&Notice::NoWatchdog(error.to_string())),
        }
    }

    /// How many items there are in all, once that is known.
    pub(super) fn total(&self) -> Option<u64> {
        self.work
            .total()
            .or((self.input == Input::Ended).then_some(self.started))
    }

    /// Whether nothing is left to start.
    pub(super) fn no_more(&self) -> bool {
        self.stop > Stop::No || (self.input == Input::Ended && self.waiting.is_empty())
    }

    /// One turn of the engine, up to whatever is due next.
    pub(super) fn turn(
        &mut self,
        more_to_start: bool,
        events: &mut Vec<EngineEvent>,
    ) -> Result<(), BatchError> {
        let retry = self.waiting.next_retry();
        let could_start = self.has_room();
        let until = [
            self.waiting.not_before.filter(|_| could_start),
            retry.filter(|_| could_start),
            self.next_tick,
            more_to_start.then(Instant::now),
        ]
        .into_iter()
        .flatten()
        .min();
        let (engine, mut taker) = OutputTaker::beside(self);
        let mut receive =
            |key: Key, stream: OutputStream, bytes: &[u8]| taker.take(key, stream, bytes);
        engine
            .turn(until, &mut receive, events)
            .map_err(CommandError::system("wait for jobs"))?;
        if let Some(error) = taker.results_error {
            self.fail(error, Stop::Terminate);
        }
        Ok(())
    }

    pub(super) fn tick(&mut self, done: bool) {
        let Some(every) = self.batch.tick else { return };
        let now = Instant::now();
        if !done && self.next_tick.is_some_and(|at| at > now) {
            return;
        }
        self.next_tick = now.checked_add(every);
        let mut longest: Vec<&RunningJob<W::Item>> = self.running.values().collect();
        longest.sort_by_key(|job| job.since);
        let running: Vec<RunningView<'_>> = longest
            .iter()
            .take(SHOWN)
            .map(|job| RunningView {
                number: job.place.number,
                display: &job.display,
                elapsed: now.saturating_duration_since(job.since),
            })
            .collect();
        let progress = BatchProgress {
            total: self.total(),
            started: self.started,
            succeeded: self.tally.of(TaskEnd::Well),
            failed: self.tally.of(TaskEnd::Failed),
            retrying: self.waiting.retries(),
            running: &running,
            running_count: self.running.len(),
            at_once: self.jobs,
            sizing: self.sizer.as_ref().map(BatchSizer::decision),
            elapsed: now - self.began,
            mid_line: self.sinks.stdout.is_mid_line() || self.sinks.stderr.is_mid_line(),
            done,
        };
        self.observer.tick(&progress);
    }
}

/// Where what a job writes goes: all of the scheduler that has to do with it.
struct OutputTaker<'a, I> {
    running: &'a mut HashMap<Key, RunningJob<I>>,
    collator: &'a mut Option<Collator>,
    sinks: &'a mut Sinks,
    observer: &'a mut dyn Observer,
    raw_paused: &'a mut Vec<Key>,
    /// Bytes of a job's stderr that are kept.
    tails: usize,
    /// Told to kill, we do not wait for a reader that does not read.
    is_killing: bool,
    results_error: Option<BatchError>,
}

impl<'a, I> OutputTaker<'a, I> {
    fn of<W: Work<Item = I>>(of: &'a mut Scheduler<'_, W>) -> OutputTaker<'a, I> {
        OutputTaker::beside(of).1
    }

    fn beside<W: Work<Item = I>>(
        of: &'a mut Scheduler<'_, W>,
    ) -> (&'a mut Engine, OutputTaker<'a, I>) {
        let taker = OutputTaker {
            running: &mut of.running,
            collator: &mut of.collator,
            sinks: &mut of.sinks,
            observer: &mut *of.observer,
            raw_paused: &mut of.raw_paused,
            tails: of.batch.tails,
            is_killing: of.stop >= Stop::Kill,
            results_error: None,
        };
        (&mut of.engine, taker)
    }

    fn take(&mut self, key: Key, stream: OutputStream, bytes: &[u8]) -> Flow {
        let Some(job) = self.running.get_mut(&key) else {
            return Flow::Continue;
        };
        job.received += bytes.len() as u64;
        if self.tails > 0 && stream == OutputStream::Stderr {
            let last = bytes.len().saturating_sub(self.tails);
            job.tail.extend_from_slice(&bytes[last..]);
            let over = job.tail.len().saturating_sub(self.tails);
            job.tail.drain(..over);
        }
        if self.is_killing {
            return Flow::Continue;
        }
        if let Some(results) = &mut job.results
            && let Err(error) = results.write(stream, bytes)
        {
            let folder = results.folder().to_owned();
            let error = BatchError::Results { folder, error };
            self.results_error.get_or_insert(error);
        }
        let number = job.place.number;
        match self.collator {
            Some(collator) => collator.data(number, stream, bytes, self.sinks),
            None => {
                let out = self.sinks.stdout.queue();
                self.observer.output(number, stream, bytes, out);
                if self.sinks.are_full() {
                    self.raw_paused.push(key);
                    return Flow::Pause;
                }
                Flow::Continue
            }
        }
    }
}
