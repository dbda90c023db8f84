//! The pool's side of its workers: what waits, what has been handed over to whom, and what came
//! back.
//!
//! All of this is under one lock, which is held while messages are copied in and out of rings, and
//! never while the user's code runs: no argument is written down, no result read and no callback
//! run under it.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::deadlines::Deadlines;
use super::job::{ProcessJob, TaskEvent};
use crate::event::{Begun, Events};
use crate::pool::process::dispatch::turns::DeliveryTurn;
use crate::pool::process::dispatch::worker_handle::{Handed, Notifier, SentTask, WorkerHandle};
use crate::pool::process::protocol::control_block::FOR_WORK;
use crate::pool::process::protocol::message::Kind;
use crate::pool::process::protocol::wake::NOBODY;
use crate::process::rights::Rights;
use crate::task::TaskError;
use crate::wire::image::Code;

/// Tasks shorter than this are handed over many at a time, so that no worker waits for the next.
const SHORT: f64 = 50_000.0;
/// Tasks shorter than this are handed over while one runs.
const MEDIUM: f64 = 1_000_000.0;
/// One submit in this number looks for replies.
pub(in crate::pool::process) const FLOW: u64 = 16;
/// The number of short ones at most.
const BATCH: usize = 64;
/// A task that has run for so long is no short one: what was handed over behind it goes to who is
/// idle.
pub(in crate::pool::process) const HELD_UP: Duration = Duration::from_millis(1);

/// A task for which the program has neither descriptors nor memory waits for so long.
const SHORT_OF: Duration = Duration::from_secs(1);
/// It is looked for that so often.
pub(in crate::pool::process) const SHORT_AGAIN: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(in crate::pool::process) struct WorkerTable {
    pub(in crate::pool::process) queue: VecDeque<ProcessJob>,
    /// The pool's.
    pub(in crate::pool::process) events: Events,
    pub(in crate::pool::process) slots: Vec<Option<WorkerHandle>>,
    /// Since when the first task cannot be handed over, because the program is short of descriptors
    /// or memory.
    pub(in crate::pool::process) short_since: Option<Instant>,
    /// How many workers there are to be.
    pub(in crate::pool::process) wanted: usize,
    /// Tasks whose time is up are begun again, if they may be.
    pub(in crate::pool::process) retries_late: bool,
    /// Places of workers that are being started.
    pub(in crate::pool::process) starting: HashSet<usize>,
    /// A worker could not be started.
    pub(in crate::pool::process) missing: Option<Instant>,
    functions: Vec<(Code, Kind)>,
    numbers: HashMap<Code, u16>,
    turns: u64,
    /// Those that workers are to have from now on, if they have changed.
    pub(in crate::pool::process) rights: Option<Rights>,
    /// How many tasks each worker may be at.
    pub(in crate::pool::process) coroutines: Option<usize>,
    /// How many calls a worker may have in its life.
    pub(in crate::pool::process) most_tasks: Option<u64>,
    /// Nanoseconds that a task takes, lately.
    pub(in crate::pool::process) pace: f64,
    /// How many have ever been submitted, and how many the pool's thread has seen.
    pub(in crate::pool::process) submitted: u64,
    noted: u64,
    pub(in crate::pool::process) is_closed: bool,
    /// Ctrl-C was pressed.
    pub(in crate::pool::process) is_interrupted: bool,
    /// Workers that end are not replaced.
    pub(in crate::pool::process) is_ending: bool,
    /// Why no worker can be made ready.
    pub(in crate::pool::process) broken: Option<Arc<str>>,
    pub(in crate::pool::process) deadlines: Deadlines,
    /// The shortest time-out of those that may be unfinished.
    pub(in crate::pool::process) shortest: Option<Duration>,
    /// The pool's thread looks now and then whether somebody is held up.
    pub(in crate::pool::process) is_watched_for_unevenness: bool,
}

impl WorkerTable {
    /// The number of a function. `None`: there are more than can be numbered.
    pub(in crate::pool::process) fn function(&mut self, code: Code, kind: Kind) -> Option<u16> {
        if let Some(number) = self.numbers.get(&code) {
            return Some(*number);
        }
        let number = u16::try_from(self.functions.len()).ok()?;
        self.functions.push((code, kind));
        self.numbers.insert(code, number);
        Some(number)
    }

    pub(in crate::pool::process) fn workers(&self) -> impl Iterator<Item = &WorkerHandle> {
        self.slots.iter().flatten()
    }

    pub(in crate::pool::process) fn workers_mut(
        &mut self,
    ) -> impl Iterator<Item = &mut WorkerHandle> {
        self.slots.iter_mut().flatten()
    }

    /// How many tasks a worker may have.
    fn allowance(&self) -> usize {
        if let Some(most) = self.coroutines {
            return most;
        }
        match self.pace {
            0.0 => 1,
            pace if pace < SHORT => BATCH,
            pace if pace < MEDIUM => 2,
            _ => 1,
        }
    }

    /// The program's rights have changed: workers that have the old ones end with what they are at,
    /// and others take their place.
    pub(in crate::pool::process) fn renew(&mut self, rights: Rights) {
        self.rights = Some(rights);
        self.retire(0);
    }

    /// Workers in places that are no longer wanted end with what they are at.
    pub(in crate::pool::process) fn dismiss(&mut self) {
        self.retire(self.wanted);
    }

    /// Those in the places from this one on.
    fn retire(&mut self, from: usize) {
        let mut back = Vec::new();
        for worker in self.slots.iter_mut().skip(from).flatten() {
            while let Some(last) = worker.sent.back()
                && worker.control.revoke(last.number)
            {
                back.extend(worker.take_back(worker.sent.len() - 1));
            }
            worker.is_retiring = true;
            if worker.sent.is_empty() {
                worker.close();
            }
        }
        for job in back {
            self.queue.push_front(job);
        }
    }

    /// The turn of who tells of these events.
    pub(in crate::pool::process) fn turn(&mut self, events: &[TaskEvent]) -> DeliveryTurn {
        if events.is_empty() {
            return DeliveryTurn::ANY;
        }
        self.turns += 1;
        DeliveryTurn::new(self.turns)
    }

    /// Tasks are short.
    pub(in crate::pool::process) fn is_brisk(&self) -> bool {
        self.coroutines.is_none() && self.pace > 0.0 && self.pace < SHORT
    }

    /// Short tasks come in large numbers: many wait, or have been submitted since this was asked.
    pub(in crate::pool::process) fn is_in_flow(&mut self) -> bool {
        let events = self.submitted - std::mem::replace(&mut self.noted, self.submitted);
        self.is_brisk() && (events >= FLOW || self.queue.len() >= BATCH)
    }

    /// Hands over what waits, as far as there are workers for it. Those to be woken are added to
    /// `wake`.
    pub(in crate::pool::process) fn dispatch(
        &mut self,
        events: &mut Vec<TaskEvent>,
        wake: &mut Vec<Notifier>,
    ) {
        let allowance = self.allowance();
        let most = self.most_tasks;
        while let Some(job) = self.queue.front() {
            if !job.remote.is_open() {
                self.events.not_run(job.number, job.remote.class());
                self.queue.pop_front();
                events.push(TaskEvent::Over);
                continue;
            }
            let functions = &self.functions;
            let free = |worker: &&mut WorkerHandle| {
                let has_life = worker.share(job, most) > 0;
                let is_well = !worker.is_retiring && !worker.is_damaged;
                worker.sent.len() < allowance && is_well && has_life
            };
            let slots = self.slots.iter_mut().flatten().filter(free);
            let Some(worker) = slots.min_by_key(|worker| worker.sent.len()) else {
                return;
            };
            let share = worker.share(job, most);
            match worker.hand_over(job, functions, most) {
                Ok(Handed::Done) => {}
                // It has died, which will be seen to; another may do.
                Ok(Handed::NoRoom) if worker.is_retiring => continue,
                Ok(Handed::NoRoom) => return,
                Ok(Handed::Short(error)) => {
                    // Others may give something back in a moment, but those behind it do not wait
                    // for that for ever.
                    let since = *self.short_since.get_or_insert_with(Instant::now);
                    if since.elapsed() < SHORT_OF {
                        return;
                    }
                    self.short_since = None;
                    let what = format!("the argument cannot be handed over: {error}");
                    self.events.not_run(job.number, job.remote.class());
                    events.extend(self.queue.pop_front().map(|job| TaskEvent::Refused {
                        remote: job.remote,
                        why: TaskError::Encode { what },
                    }));
                    continue;
                }
                Err(_) => {
                    worker.is_damaged = true;
                    worker.kill();
                    continue;
                }
            }
            self.short_since = None;
            if let (Some(job), Some(number)) = (self.queue.pop_front(), worker.numbers.pop_front())
            {
                worker.given += share;
                worker.sent.push_back(SentTask {
                    goal: job.done + share,
                    number,
                    at: Instant::now(),
                    job,
                    until: None,
                    is_again: false,
                    given_up: None,
                    begun: Begun::default(),
                    seen: Cell::new(None),
                });
                worker.tell_begun();
            }
            if worker.is_asleep(FOR_WORK) {
                wake.push(worker.notifier());
            }
        }
    }

    /// Takes back what lies behind a task that turned out to be long, if somebody is idle.
    pub(in crate::pool::process) fn rebalance(&mut self) {
        let is_idle = |worker: &WorkerHandle| worker.sent.is_empty() && !worker.is_retiring;
        if !self.queue.is_empty() || !self.workers().any(is_idle) {
            return;
        }
        let mut back = Vec::new();
        for worker in self.slots.iter_mut().flatten() {
            let Some(first) = worker.sent.front() else {
                continue;
            };
            if worker
                .running_for(first)
                .is_none_or(|spent| spent < HELD_UP)
            {
                continue;
            }
            while worker.sent.len() > 1
                && let Some(last) = worker.sent.back()
                && worker.control.revoke(last.number)
            {
                back.extend(worker.take_back(worker.sent.len() - 1));
            }
        }
        for job in back {
            self.queue.push_front(job);
        }
    }

    /// Whether someone waits behind others' tasks while somebody is idle.
    pub(in crate::pool::process) fn is_uneven(&self) -> bool {
        self.workers().any(|worker| worker.sent.len() > 1)
            && self.workers().any(|worker| worker.sent.is_empty())
    }

    /// Takes in what the workers have said.
    pub(in crate::pool::process) fn collect(&mut self, events: &mut Vec<TaskEvent>) {
        let mut pace = self.pace;
        let most = self.most_tasks;
        let mut back = Vec::new();
        for worker in self.slots.iter_mut().flatten() {
            if !worker.is_damaged && worker.collect(events, &mut pace).is_err() {
                worker.is_damaged = true;
                worker.kill();
            }
            back.append(&mut worker.back);
            if most.is_some_and(|most| worker.finished >= most) {
                worker.is_retiring = true;
            }
            if worker.is_retiring && worker.sent.is_empty() {
                worker.close();
            }
        }
        self.pace = pace;
        for job in back.into_iter().rev() {
            self.queue.push_front(job);
        }
    }

    pub(in crate::pool::process) fn has_replies(&self) -> bool {
        let has = |worker: &WorkerHandle| !worker.is_damaged && !worker.replies.is_empty();
        self.workers().any(has)
    }

    /// Somebody waits here, on this core, and takes in replies.
    pub(in crate::pool::process) fn attend(&self) {
        let core = crate::pool::process::protocol::core::own();
        for worker in self.workers() {
            worker.control.core().store(core, Ordering::Relaxed);
        }
        self.watch(NOBODY);
    }

    /// Who wants to be woken by replies from now on.
    pub(in crate::pool::process) fn watch(&self, who: u32) {
        for worker in self.workers() {
            worker.control.watched().store(who, Ordering::SeqCst);
        }
    }
}
