//! The workers of a pool of threads: how many there are, how one more comes and one goes.
//!
//! # Protocol
//!
//! - `wanted` is the size somebody has set; `alive` counts the workers there are, from before one
//!   is started to when it has decided to end. A worker ends when it finds `alive > wanted` and
//!   takes itself off `alive` in one step, so never too many end. It looks between two jobs; a
//!   sleeping one is woken by a job that does nothing. It stays for a while as a *spare*.
//! - A worker whose task waits for another one *steps aside*: it takes itself off `alive` until it
//!   goes on. Then a spare, or a new thread, takes its place. A worker that goes on puts itself on
//!   `alive` again at once, since its task may hold a lock; the next worker that is between two
//!   jobs becomes a spare.
//! - Growing counts up first and starts the thread then; a start that fails counts down again. So
//!   `alive <= wanted` as far as growing goes, however many grow it at once.
//! - Once the queue has been shut down nobody is started, except in the place of one that steps
//!   aside while there is something to do; and each worker ends when the queue tells it to.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::broadcast::Mailbox;
use super::job::QueuedJob;
use super::sizer::Meter;
use super::stack::Stacks;
use super::worker::ThreadWorker;
use crate::event::{EventKind, Events, Parting, TaskEnd};
use crate::primitive::Padded;
use crate::queue::{PutError, Queue, Shutdown};
use crate::sizing::Limits;
use crate::sync::cancel::Owners;
use crate::task::blocking::{self, AtBound, PoolId, become_host};
use crate::task::cell::{Runnable, TaskCell};
use crate::task::{Handle, Options, TaskError};
use crate::thread;
use crate::thread::panic::{caught, watch_places, watch_this_thread};
use crate::thread::registry::Unfinished;

/// Run by each worker before its first task, with the worker's number.
pub(super) type Initializer = Arc<dyn Fn(usize) + Send + Sync>;

/// What the builder was told.
#[derive(Clone)]
pub(super) struct ThreadPlan {
    pub(super) name: Arc<str>,
    pub(super) stack_size: Option<usize>,
    pub(super) initializer: Option<Initializer>,
    /// How many tasks may be queued.
    pub(super) places: Option<usize>,
    /// The most tasks that may wait for others, each with a thread of its own.
    pub(super) max_waiting: usize,
    /// `Some`: the pool sizes itself within these.
    pub(super) limits: Option<Limits>,
    /// Where it is told what happens.
    pub(super) events: Events,
}

/// As many may wait for others while the pool keeps as many at work as were asked for; with more of
/// them it goes on with fewer.
const KEEPS_SIZE: usize = 1024;
/// A spare ends when nobody has wanted it for this long.
const SPARE_FOR: Duration = Duration::from_secs(5);
/// Fewer cancelled tasks than this stay in the queue until a worker comes to them.
const SWEPT: usize = 1024;
/// The most spares.
const SPARES: usize = 32;

/// The workers of a [`ThreadPool`](super::ThreadPool).
pub struct Crew {
    pub(super) id: PoolId,
    pub(super) jobs: Queue<QueuedJob>,
    /// Halves of work that was split, one stack for each worker.
    pub(super) stacks: Stacks,
    plan: ThreadPlan,
    /// It was shut down at once: what has not begun never will.
    pub(super) discards: AtomicBool,
    wanted: AtomicUsize,
    alive: AtomicUsize,
    /// A worker looks for work without sleeping; one is enough.
    pub(super) looking: Padded<AtomicBool>,
    started: AtomicUsize,
    /// Workers that have stepped aside. Below zero for a moment, if one is woken before it has.
    waiting: AtomicIsize,
    spares: Mutex<Spares>,
    called: Condvar,
    /// Where something is put for each worker.
    pub(super) mailboxes: Mutex<Vec<Arc<Mailbox>>>,
    threads: Mutex<Threads>,
    joined: Condvar,
    living: Arc<Living>,
    /// Those of all workers that there have been and whose thread has not ended.
    pub(super) running: Mutex<Vec<Owners>>,
    pub(super) counts: Counts,
    pub(super) events: Events,
    pub(super) meter: Option<Arc<Meter>>,
    /// What the initialiser said when it failed.
    broken: OnceLock<Arc<str>>,
}

/// Workers that are not needed just now.
#[derive(Default)]
struct Spares {
    idle: usize,
    /// Some of them are: each with what it is to do first.
    calls: Vec<First>,
    /// They are to end.
    is_over: bool,
}

/// What a worker does before it takes from the queue.
pub(super) type First = Option<Arc<dyn Runnable>>;

/// The threads of all workers that have not been joined.
#[derive(Default)]
struct Threads {
    handles: Vec<JoinHandle<()>>,
    /// Are being joined by somebody.
    joining: usize,
}

/// How many of a pool's threads there are, from before each is started until its thread-local
/// values are gone.
#[derive(Default)]
struct Living {
    threads: Mutex<usize>,
    ended: Condvar,
}

/// One of them.
struct Life(Arc<Living>);

impl Life {
    fn new(living: &Arc<Living>) -> Life {
        *living.threads.lock() += 1;
        Life(Arc::clone(living))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        *self.0.threads.lock() -= 1;
        self.0.ended.notify_all();
    }
}

/// For [`Stats`](super::Stats).
#[derive(Default)]
pub(super) struct Counts {
    pub(super) looks: AtomicU64,
    /// Cancelled before they began, since the queue was last swept.
    cancelled: AtomicUsize,
    /// Tasks of scopes that had no job of their own.
    pub(super) scoped: AtomicU64,
    /// Looks in the queue.
    pub(super) looks_put: AtomicUsize,
    pub(super) busy: AtomicUsize,
}

impl Crew {
    pub(super) fn new(plan: ThreadPlan) -> Crew {
        watch_places();
        Crew {
            id: PoolId::next(),
            jobs: plan.places.map_or_else(Queue::unbounded, Queue::bounded),
            stacks: Stacks::default(),
            meter: plan.limits.map(|limits| Arc::new(Meter::new(limits))),
            events: plan.events.clone(),
            plan,
            discards: AtomicBool::new(false),
            wanted: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
            looking: Padded::default(),
            started: AtomicUsize::new(0),
            waiting: AtomicIsize::new(0),
            spares: Mutex::default(),
            called: Condvar::new(),
            mailboxes: Mutex::default(),
            threads: Mutex::default(),
            joined: Condvar::new(),
            living: Arc::default(),
            running: Mutex::default(),
            counts: Counts::default(),
            broken: OnceLock::new(),
        }
    }

    pub(super) fn alive(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }

    pub(super) fn wanted(&self) -> usize {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Hands over a task of some class.
    pub(super) fn submit_as<F, R>(&self, class: &'static str, options: Options, run: F) -> Handle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let task = Arc::new(TaskCell::new(class, run));
        if options.is_limited() {
            let alarm = Waker::from(Arc::clone(&task));
            if let Err(error) = task.limit(options.timeout, options.deadline, alarm) {
                let why = format!("a thread that keeps the task's time: {error}").into();
                task.refuse(TaskError::Refused { why });
                return Handle::new(task);
            }
        }
        let soon = self.looking.load(Ordering::Relaxed);
        let handle = Handle::new(Arc::clone(&task) as _);
        self.put(QueuedJob::task(task));
        handle.expected(soon).of(self.id)
    }

    /// How many workers a pool that sizes itself may have; others have as many as they want.
    pub(super) fn most(&self) -> usize {
        self.plan.limits.map_or(self.wanted(), |limits| limits.max)
    }

    /// Hands a job to the workers. False: it was refused.
    pub(super) fn put(&self, mut job: QueuedJob) -> bool {
        if self.events.is_watched() {
            job.queued(&self.events);
        }
        let put = match self.jobs.try_put(job) {
            // Others go on meanwhile, so that there is a place some time.
            Err(PutError::Full(job)) => blocking::aside(|| self.jobs.put(job)),
            put => put,
        };
        match put {
            Ok(()) => true,
            Err(refused) => {
                let job = refused.into_item();
                self.events.not_run(job.number(), job.class());
                job.refuse(self.closed());
                false
            }
        }
    }

    /// What is queued will not be run: those who listen hear of it.
    pub(super) fn tell_discarded(&self) {
        if self.events.is_watched() {
            self.jobs.sweep(|job| {
                self.events.not_run(job.number(), job.class());
                true
            });
        }
    }

    /// Hands a job back that somebody else may go on with. False: the pool has been shut down, and
    /// the caller is to go on with it.
    pub(super) fn put_back(&self, task: Arc<dyn Runnable>) -> bool {
        let refused = self.jobs.try_put(QueuedJob::task(task)).err();
        refused
            .map(|refused| refused.into_item().defuse())
            .is_none()
    }

    /// How many tasks have an outcome.
    pub(super) fn finished(&self) -> u64 {
        // In this order: looks are counted before they are put.
        let finished = self
            .jobs
            .put_so_far()
            .saturating_sub(self.jobs.unfinished());
        finished.saturating_sub(self.counts.looks.load(Ordering::Relaxed))
            + self.counts.scoped.load(Ordering::Relaxed)
    }

    /// Why nothing is taken any more.
    pub(super) fn closed(&self) -> TaskError {
        match self.broken.get() {
            Some(message) => TaskError::Init {
                message: Arc::clone(message),
            },
            None => TaskError::PoolClosed,
        }
    }

    /// Wakes a sleeping worker for work that was split, unless one is being woken already. That one
    /// wakes the next.
    pub(super) fn call_thief(&self) {
        if self.stacks.calls.calls() {
            self.nudge();
        }
    }

    /// Makes a sleeping worker look around.
    fn nudge(&self) {
        let counts = &self.counts;
        // As many as there are workers wake all of them.
        if counts.looks_put.fetch_add(1, Ordering::SeqCst) > self.alive() {
            counts.looks_put.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        counts.looks.fetch_add(1, Ordering::Relaxed);
        // Of a queue that is full nobody sleeps.
        if self.jobs.try_put(QueuedJob::look()).is_err() {
            // All have been woken by the shutdown.
            counts.looks.fetch_sub(1, Ordering::Relaxed);
            counts.looks_put.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Sets the number of workers.
    pub(super) fn resize(self: &Arc<Crew>, wanted: usize) -> io::Result<()> {
        let before = self.wanted.swap(wanted, Ordering::SeqCst);
        if before != wanted {
            let size = |workers| u32::try_from(workers).unwrap_or(u32::MAX);
            let (from, to) = (size(before), size(wanted));
            self.events.tell(EventKind::Sized { from, to });
        }
        while self.count_up(false) {
            if let Err(error) = self.start(None) {
                self.count_down();
                return Err(error);
            }
        }
        for _ in wanted..self.alive() {
            self.nudge();
        }
        Ok(())
    }

    /// Counts one more, if one more is wanted. `has_work`: also in a pool that has been shut down.
    fn count_up(&self, has_work: bool) -> bool {
        if !has_work && self.jobs.is_shut_down() && self.jobs.is_empty() {
            return false;
        }
        let grow = |alive| (alive < self.wanted()).then_some(alive + 1);
        let (set, got) = (Ordering::SeqCst, Ordering::SeqCst);
        self.alive.fetch_update(set, got, grow).is_ok()
    }

    /// The calling worker's task waits for another one: takes the worker off the list, and puts a
    /// further one on it.
    pub(super) fn step_aside(self: &Arc<Crew>, first: First) -> Result<(), AtBound> {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst);
        let waiting = usize::try_from(waiting).unwrap_or(0);
        let others = self.alive.fetch_sub(1, Ordering::SeqCst) - 1;
        let keeps_size = self.plan.max_waiting.min(KEEPS_SIZE);
        let is_needed = first.is_some() || others == 0;
        if !is_needed && waiting >= keeps_size && self.alive() > 0 {
            return Ok(());
        }
        if waiting < self.plan.max_waiting {
            if !self.count_up(first.is_some()) {
                // As many are at work as are wanted, or all that there is to do has been begun.
                return Ok(());
            }
            match self.start(first) {
                Ok(()) => return Ok(()),
                Err(_) => self.count_down(),
            }
        }
        if self.alive() > 0 {
            return Ok(());
        }
        self.step_back();
        Err(AtBound { waiting })
    }

    /// The calling worker goes on.
    pub(super) fn step_back(&self) {
        self.alive.fetch_add(1, Ordering::SeqCst);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// A worker has been put back twice.
    pub(super) fn forget_one(&self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// For a worker that is off the list: waits until it is wanted again. `None`: it is to end.
    pub(super) fn spare(&self) -> Option<First> {
        let mut spares = self.spares.lock();
        if spares.idle >= SPARES {
            return None;
        }
        spares.idle += 1;
        let until = Instant::now() + SPARE_FOR;
        loop {
            if let Some(first) = spares.calls.pop() {
                spares.idle -= 1;
                return Some(first);
            }
            let timed_out = spares.is_over || Instant::now() >= until;
            if timed_out {
                spares.idle -= 1;
                return None;
            }
            self.called.wait_until(&mut spares, until);
        }
    }

    /// Calls a spare, if there is one. Gives `first` back if not.
    fn call_spare(&self, first: First) -> Result<(), First> {
        let mut spares = self.spares.lock();
        if spares.idle <= spares.calls.len() {
            return Err(first);
        }
        spares.calls.push(first);
        drop(spares);
        self.called.notify_one();
        Ok(())
    }

    /// For a worker that ends of itself, or never began.
    pub(super) fn count_down(&self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether the worker that asks is to end; then it is off the list.
    pub(super) fn dismiss(&self) -> bool {
        if self.alive() <= self.wanted() {
            return false;
        }
        let shrink = |alive| (alive > self.wanted()).then(|| alive - 1);
        let (set, got) = (Ordering::SeqCst, Ordering::SeqCst);
        self.alive.fetch_update(set, got, shrink).is_ok()
    }

    /// Makes a worker of a spare or of a new thread. It has been counted.
    fn start(self: &Arc<Crew>, first: First) -> io::Result<()> {
        let Err(first) = self.call_spare(first) else {
            return Ok(());
        };
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", self.plan.name);
        let mut builder = std::thread::Builder::new().name(name.clone());
        if let Some(bytes) = self.plan.stack_size {
            builder = builder.stack_size(bytes);
        }
        let crew = Arc::clone(self);
        // What a task starts is a daemon if what is started here is one.
        let daemon = thread::current().is_daemon();
        let life = Life::new(&self.living);
        let mailbox = Arc::new(Mailbox::default());
        self.mailboxes.lock().push(Arc::clone(&mailbox));
        let own = Arc::clone(&mailbox);
        let started = builder.spawn(move || {
            thread::introduce(name.into(), daemon, life);
            crew.serve(number, first, own);
        });
        let handle = match started {
            Ok(handle) => handle,
            Err(error) => {
                self.close_mailbox(&mailbox);
                while let Some(task) = mailbox.take() {
                    task.refuse(TaskError::Refused {
                        why: format!("a worker's thread: {error}").into(),
                    });
                }
                return Err(error);
            }
        };
        let handles = &mut self.threads.lock().handles;
        handles.retain(|thread| !thread.is_finished());
        handles.push(handle);
        Ok(())
    }

    /// Whether the calling thread is one of its workers.
    pub(super) fn is_own_thread(&self) -> bool {
        SERVES.try_with(Cell::get).ok() == Some(self.id)
    }

    /// From now on nothing is put there.
    pub(super) fn close_mailbox(&self, own: &Arc<Mailbox>) {
        self.mailboxes
            .lock()
            .retain(|other| !Arc::ptr_eq(other, own));
    }

    /// A worker's life.
    fn serve(self: Arc<Crew>, number: usize, first: First, mailbox: Arc<Mailbox>) {
        SERVES.set(self.id);
        watch_this_thread();
        let owners = Owners::default();
        owners.adopt();
        self.running.lock().push(owners.clone());
        let own = u32::try_from(number).unwrap_or(u32::MAX);
        self.events.tell(EventKind::WorkerBorn {
            worker: own,
            pid: None,
        });
        let initialised = self
            .plan
            .initializer
            .as_ref()
            .map_or(Ok(()), |initializer| caught(|| initializer(number)));
        match initialised {
            Ok(()) => {
                let worker = Rc::new(ThreadWorker::new(
                    Arc::clone(&self),
                    own,
                    owners.clone(),
                    mailbox,
                ));
                become_host(Some(Rc::clone(&worker) as _));
                worker.work(first);
                become_host(None);
            }
            Err(caught) => {
                self.give_up(caught.message());
                self.count_down();
                self.close_mailbox(&mailbox);
                while let Some(task) = mailbox.take() {
                    task.refuse(self.closed());
                }
            }
        }
        self.running.lock().retain(|others| !others.is(&owners));
        self.events.tell(EventKind::WorkerDied {
            worker: own,
            pid: None,
            why: Parting::Dismissed,
        });
    }

    /// The initialiser has failed: nothing is taken any more, and what waits is told.
    fn give_up(&self, message: &str) {
        let _ = self.broken.set(message.into());
        self.jobs.shutdown(Shutdown::Drain);
        while let Ok(job) = self.jobs.try_get() {
            job.refuse(self.closed());
            let _ = self.jobs.task_done();
        }
    }

    /// Waits until all workers have ended, or until the deadline: then it returns false. On a
    /// worker it does not wait: the worker would be waiting for itself.
    pub(super) fn join_threads(&self, deadline: Option<Instant>) -> bool {
        if let Some(meter) = &self.meter {
            meter.end();
        }
        self.spares.lock().is_over = true;
        self.called.notify_all();
        if self.is_own_thread() {
            return true;
        }
        if let Some(deadline) = deadline {
            let mut living = self.living.threads.lock();
            while *living > 0 {
                if self
                    .living
                    .ended
                    .wait_until(&mut living, deadline)
                    .timed_out()
                    && *living > 0
                {
                    return false;
                }
            }
        }
        let mut threads = self.threads.lock();
        loop {
            if let Some(thread) = threads.handles.pop() {
                threads.joining += 1;
                drop(threads);
                // A worker contains the panics of its tasks; what is left is the end of the
                // process.
                let _ = thread.join();
                threads = self.threads.lock();
                threads.joining -= 1;
                self.joined.notify_all();
            } else if threads.joining > 0 {
                self.joined.wait(&mut threads);
            } else {
                return true;
            }
        }
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Crew");
        shown.field("alive", &self.alive()).finish_non_exhaustive()
    }
}

impl Unfinished for Crew {
    fn is_unfinished(&self) -> bool {
        self.jobs.unfinished() > 0
    }

    fn finish(&self) {
        self.jobs.join();
    }

    fn number(&self) -> u64 {
        self.id.number()
    }

    fn note_cancelled(&self) {
        let cancelled = &self.counts.cancelled;
        let so_many = cancelled.fetch_add(1, Ordering::Relaxed) + 1;
        // Their memory is given back when they are half of the queue; so each is looked at twice at
        // most.
        if so_many >= SWEPT && 2 * so_many >= self.jobs.len() {
            cancelled.store(0, Ordering::Relaxed);
            let swept = self.jobs.sweep(|job| {
                let is_over = job.is_over();
                if is_over {
                    self.events.not_run(job.number(), job.class());
                }
                !is_over
            });
            self.events.tally().add(TaskEnd::NotRun, swept as u64);
        }
    }
}

thread_local! {
    /// The pool whose worker this thread is.
    static SERVES: Cell<PoolId> = const { Cell::new(PoolId::NONE) };
}
