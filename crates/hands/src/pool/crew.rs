//! The workers of a pool of threads: how many there are, how one more comes and one goes.
//!
//! # Protocol
//!
//! - `wanted` is the size somebody has set; `alive` counts the workers there are, from before one is started to when it has
//!   decided to end. A worker ends when it finds `alive > wanted` and takes itself off `alive` in one step, so never too
//!   many end. It looks between two jobs; a sleeping one is woken by a job that does nothing.
//! - Growing counts up first and starts the thread then; a start that fails counts down again. So `alive <= wanted` as far as
//!   growing goes, however many grow it at once.
//! - Once the queue has been shut down nobody is started, and each worker ends when the queue tells it to.

use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::job::Job;
use super::sizer::Meter;
use super::sizing::Limits;
use super::stack::Stacks;
use super::worker::Worker;
use crate::primitive::Padded;
use crate::queue::{Queue, Shutdown};
use crate::sync::cancel::Owners;
use crate::task::TaskError;
use crate::task::help;
use crate::thread;
use crate::thread::panic::{caught, message, watch_places, watch_this_thread};

/// Run by each worker before its first task, with the worker's number.
pub(super) type Initializer = Arc<dyn Fn(usize) + Send + Sync>;

/// What the builder was told.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) name: Arc<str>,
    pub(super) stack_size: Option<usize>,
    pub(super) initializer: Option<Initializer>,
    /// `Some`: the pool sizes itself within these.
    pub(super) limits: Option<Limits>,
}

pub(super) struct Crew {
    pub(super) jobs: Queue<Job>,
    /// Halves of work that was split, one stack for each worker.
    pub(super) stacks: Stacks,
    plan: Plan,
    wanted: AtomicUsize,
    alive: AtomicUsize,
    /// A worker looks for work without sleeping; one is enough.
    pub(super) looking: Padded<AtomicBool>,
    started: AtomicUsize,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Those of all workers that there have been and whose thread has not ended.
    pub(super) running: Mutex<Vec<Owners>>,
    pub(super) counts: Counts,
    pub(super) meter: Option<Arc<Meter>>,
    /// What the initialiser said when it failed.
    broken: OnceLock<Arc<str>>,
}

/// For [`Stats`](super::Stats).
#[derive(Default)]
pub(super) struct Counts {
    pub(super) looks: AtomicU64,
    pub(super) panicked: AtomicU64,
    pub(super) not_run: AtomicU64,
    pub(super) busy: AtomicUsize,
}

impl Crew {
    pub(super) fn new(plan: Plan) -> Crew {
        watch_places();
        Crew {
            jobs: Queue::unbounded(),
            stacks: Stacks::default(),
            meter: plan.limits.map(|limits| Arc::new(Meter::new(limits))),
            plan,
            wanted: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
            looking: Padded::default(),
            started: AtomicUsize::new(0),
            threads: Mutex::default(),
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

    /// Hands a job to the workers. False: it was refused.
    pub(super) fn put(&self, job: Job) -> bool {
        match self.jobs.put(job) {
            Ok(()) => true,
            Err(refused) => {
                refused.into_item().refuse(self.closed());
                false
            }
        }
    }

    /// How many tasks have an outcome.
    pub(super) fn finished(&self) -> u64 {
        // In this order: looks are counted before they are put.
        let finished = self
            .jobs
            .put_so_far()
            .saturating_sub(self.jobs.unfinished());
        finished.saturating_sub(self.counts.looks.load(Ordering::Relaxed))
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

    /// Wakes a sleeping worker for work that was split, unless one is being woken already. That one wakes the next.
    pub(super) fn call_thief(&self) {
        if self.stacks.calls.calls() {
            self.nudge();
        }
    }

    /// Makes a sleeping worker look around.
    fn nudge(&self) {
        self.counts.looks.fetch_add(1, Ordering::Relaxed);
        if self.jobs.put(Job::look()).is_err() {
            // All have been woken by the shutdown.
            self.counts.looks.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Sets the number of workers.
    pub(super) fn resize(self: &Arc<Crew>, wanted: usize) -> io::Result<()> {
        self.wanted.store(wanted, Ordering::SeqCst);
        while self.count_up() {
            if let Err(error) = self.start() {
                self.count_down();
                return Err(error);
            }
        }
        for _ in wanted..self.alive() {
            self.nudge();
        }
        Ok(())
    }

    fn count_up(&self) -> bool {
        let grow =
            |alive| (alive < self.wanted() && !self.jobs.is_shut_down()).then_some(alive + 1);
        let (set, got) = (Ordering::SeqCst, Ordering::SeqCst);
        self.alive.fetch_update(set, got, grow).is_ok()
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

    fn start(self: &Arc<Crew>) -> io::Result<()> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", self.plan.name);
        let mut builder = std::thread::Builder::new().name(name.clone());
        if let Some(bytes) = self.plan.stack_size {
            builder = builder.stack_size(bytes);
        }
        let crew = Arc::clone(self);
        // What a task starts is a daemon if what is started here is one.
        let daemon = thread::current().is_daemon();
        let handle = builder.spawn(move || {
            thread::introduce(name.into(), daemon);
            crew.serve(number);
        })?;
        let mut threads = self.threads.lock();
        threads.retain(|thread| !thread.is_finished());
        threads.push(handle);
        Ok(())
    }

    /// A worker's life.
    fn serve(self: Arc<Crew>, number: usize) {
        watch_this_thread();
        let owners = Owners::default();
        owners.adopt();
        self.running.lock().push(owners.clone());
        let initialised = self
            .plan
            .initializer
            .as_ref()
            .map_or(Ok(()), |initializer| caught(|| initializer(number)));
        match initialised {
            Ok(()) => {
                let worker = Rc::new(Worker::new(Arc::clone(&self), owners.clone()));
                help::become_helper(Rc::clone(&worker) as Rc<dyn help::Help>);
                worker.work();
            }
            Err(caught) => {
                self.give_up(message(&*caught.payload));
                self.count_down();
            }
        }
        self.running.lock().retain(|others| !others.is(&owners));
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

    /// Waits until all workers have ended. On a worker it does not wait: the worker would be waiting for itself.
    pub(super) fn join_threads(&self) {
        if let Some(meter) = &self.meter {
            meter.end();
        }
        let own = std::thread::current().id();
        let threads = std::mem::take(&mut *self.threads.lock());
        if threads.iter().any(|thread| thread.thread().id() == own) {
            return;
        }
        for thread in threads {
            // A worker contains the panics of its tasks; what is left is the end of the process.
            let _ = thread.join();
        }
    }
}
