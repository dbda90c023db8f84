//! What a worker does, all its life.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use super::broadcast::Mailbox;
use super::crew::{Crew, First};
use super::gauge::Gauge;
use super::job::QueuedJob;
use super::stack::Stack;
use crate::event::{Begun, Moment, TaskEnd};
use crate::primitive::{self, Thread};
use crate::queue::GetError;
use crate::sync::cancel::Owners;
use crate::sync::park::{self, Stretch};
use crate::task::blocking::{Aside, AtBound, Host, PoolId};
use crate::task::cell::{Ran, Runnable};
use crate::thread::panic::caught;
use crate::thread::room;

/// How often a worker that has nothing to do looks before it sleeps: about what being woken would
/// cost.
const LOOKS: u32 = 400;

/// A worker, on its own thread.
pub(super) struct ThreadWorker {
    pub(super) crew: Arc<Crew>,
    number: u32,
    pub(super) stack: Arc<Stack>,
    pub(super) thread: Thread,
    pub(super) mailbox: Arc<Mailbox>,
    owners: Owners,
    /// In a pool that sizes itself.
    gauge: Option<Arc<Gauge>>,
    /// Calls of the present task that have panicked, where it goes on with others.
    panics: Cell<u64>,
    /// When the last job ended, if the next was there at once, and somebody listens.
    last_end: Cell<Moment>,
}

thread_local! {
    static OWN: RefCell<Option<Rc<ThreadWorker>>> = const { RefCell::new(None) };
}

impl ThreadWorker {
    pub(super) fn new(
        crew: Arc<Crew>,
        number: u32,
        owners: Owners,
        mailbox: Arc<Mailbox>,
    ) -> ThreadWorker {
        mailbox.open();
        ThreadWorker {
            stack: crew.stacks.add(),
            thread: primitive::current(),
            mailbox,
            gauge: crew.meter.as_ref().map(|meter| meter.add()),
            crew,
            number,
            owners,
            panics: Cell::new(0),
            last_end: Cell::default(),
        }
    }

    /// The worker that the caller runs on, if it is one.
    pub(super) fn current() -> Option<Rc<ThreadWorker>> {
        OWN.try_with(|own| own.borrow().clone()).ok().flatten()
    }

    /// A call has panicked, of a task that goes on with others: on a worker, that is told of at its
    /// end.
    #[cold]
    pub(super) fn note_panic() {
        if let Some(worker) = ThreadWorker::current() {
            worker.panics.set(worker.panics.get() + 1);
        }
    }

    /// Runs jobs until the queue has been shut down and is empty, or until this worker has been
    /// dismissed and is not wanted as a spare.
    pub(super) fn work(self: Rc<Self>, first: First) {
        OWN.set(Some(Rc::clone(&self)));
        if let Some(gauge) = &self.gauge {
            park::note_waits(Some(Arc::clone(&gauge.own_wait)));
        }
        let mut first = Some(first);
        while let Some(task) = first.take() {
            if let Some(task) = task {
                self.begin_with(task);
            }
            let is_over = self.run_jobs().is_err();
            if is_over {
                self.crew.count_down();
            }
            self.crew.close_mailbox(&self.mailbox);
            // What was put there until now.
            self.open_mailbox();
            if is_over {
                break;
            }
            let _idle = self.idle();
            first = self.crew.spare();
            if first.is_some() {
                self.crew.mailboxes.lock().push(Arc::clone(&self.mailbox));
            }
        }
        self.crew.stacks.remove(&self.stack);
        if let (Some(meter), Some(gauge)) = (&self.crew.meter, &self.gauge) {
            park::note_waits(None);
            meter.remove(gauge);
        }
        OWN.set(None);
    }

    /// Runs jobs until this worker is dismissed. An error: the queue has been shut down and is
    /// empty.
    fn run_jobs(&self) -> Result<(), GetError> {
        while !self.crew.dismiss() {
            if !self.mailbox.is_empty() {
                self.last_end.take();
                self.open_mailbox();
            }
            match self.find() {
                Some(job) => self.run(job),
                None => {
                    self.last_end.take();
                    if let Some(job) = self.wait()? {
                        self.run(job);
                    }
                }
            }
        }
        Ok(())
    }

    fn open_mailbox(&self) {
        while let Some(task) = self.mailbox.take() {
            self.begin_with(task);
        }
    }

    /// Runs a task that is not taken from the queue.
    fn begin_with(&self, task: Arc<dyn Runnable>) {
        let busy = &self.crew.counts.busy;
        busy.fetch_add(1, Ordering::Relaxed);
        self.run_here(task);
        busy.fetch_sub(1, Ordering::Relaxed);
    }

    fn idle(&self) -> Option<IdleWorker<'_>> {
        let gauge = self.gauge.as_ref()?;
        Some(IdleWorker::new(gauge, &self.crew))
    }

    fn find(&self) -> Option<QueuedJob> {
        self.crew.jobs.try_get().ok()
    }

    pub(super) fn run(&self, job: QueuedJob) {
        let counts = &self.crew.counts;
        counts.busy.fetch_add(1, Ordering::Relaxed);
        let before = self.panics.take();
        let told = self.told(self.last_end.take(), || (job.number(), job.class()));
        let begins = &mut || told.iter().for_each(TaskTold::begins);
        // Around the job's end, too: its result may be dropped here, and is foreign.
        let ran = caught(|| match (&self.crew.meter, &self.gauge) {
            (Some(meter), Some(gauge)) => {
                let class = job.class();
                gauge.measured(&meter.classes, class, || job.work(&self.owners, begins))
            }
            _ => job.work(&self.owners, begins),
        });
        match ran.unwrap_or(Some(Ran::Panicked)) {
            Some(ran) => {
                let ran = self.count(ran, true, before);
                let ended = told.map(|told| told.ended(ran));
                self.last_end.set(ended.unwrap_or_default());
            }
            None => {
                self.panics.set(before);
                counts.looks_put.fetch_sub(1, Ordering::SeqCst);
                self.crew.stacks.calls.answer();
                self.steal();
            }
        }
        counts.busy.fetch_sub(1, Ordering::Relaxed);
        // One for each that was got.
        let _ = self.crew.jobs.task_done();
    }

    /// What is to be told of a task, if somebody listens. `since`: when what this worker did before
    /// it ended.
    fn told(
        &self,
        since: Moment,
        task: impl FnOnce() -> (u64, &'static str),
    ) -> Option<TaskTold<'_>> {
        let is_watched = self.crew.events.is_watched();
        is_watched.then(|| {
            let (number, class) = task();
            TaskTold {
                worker: self,
                number,
                class,
                since,
                begun: Cell::new(None),
            }
        })
    }

    /// Counts a task that did not go well; one that was not run, if it `was_queued` here. The one
    /// that waits for it had so many panics `before` it. Returns how it went, all its calls
    /// considered.
    fn count(&self, ran: Ran, was_queued: bool, before: u64) -> Ran {
        let panics = self.panics.replace(before);
        let (how, tasks) = match ran {
            Ran::Panicked => (TaskEnd::Panicked, panics + 1),
            Ran::Well if panics > 0 => (TaskEnd::Panicked, panics),
            Ran::Not if was_queued => (TaskEnd::NotRun, 1),
            // Who runs it elsewhere counts it there.
            Ran::Well | Ran::Not | Ran::Elsewhere => return ran,
        };
        self.crew.events.tally().add(how, tasks);
        match how {
            TaskEnd::Panicked => Ran::Panicked,
            _ => ran,
        }
    }

    /// Does half of what somebody has split, if there is any.
    fn steal(&self) -> bool {
        let Some(half) = self.crew.stacks.steal(&self.stack) else {
            return false;
        };
        if !self.crew.stacks.seem_empty() {
            self.crew.call_thief();
        }
        half.run(self);
        true
    }

    /// Looks for work, at first without sleeping. `None`: look again.
    fn wait(&self) -> Result<Option<QueuedJob>, GetError> {
        if self.steal() {
            return Ok(None);
        }
        let _idle = self.idle();
        if self.look() {
            return Ok(None);
        }
        // A thread that splits work from now on sees somebody to wake; a thread that did so before
        // is seen here.
        let _doze = self.crew.stacks.calls.doze();
        if self.crew.stacks.seem_empty() {
            self.await_job()
        } else {
            Ok(None)
        }
    }

    /// Sleeps until there is a job, or until something is put into the mailbox, for which the
    /// thread is unparked.
    fn await_job(&self) -> Result<Option<QueuedJob>, GetError> {
        let mut more = pin!(self.crew.jobs.get_async());
        park::wait(poll_fn(|context| {
            if !self.mailbox.is_empty() {
                return Poll::Ready(Ok(None));
            }
            more.as_mut().poll(context).map(|got| got.map(Some))
        }))
    }

    /// Whether there is something, by a look that costs no sleep. One worker at a time: the others
    /// sleep at once.
    fn look(&self) -> bool {
        if self.crew.looking.swap(true, Ordering::Relaxed) {
            return false;
        }
        let found = (0..LOOKS).any(|_| {
            std::hint::spin_loop();
            !self.crew.jobs.seems_empty()
                || !self.crew.stacks.seem_empty()
                || !self.mailbox.is_empty()
        });
        self.crew.looking.store(false, Ordering::Relaxed);
        found
    }
}

impl Host for ThreadWorker {
    fn pool(&self) -> PoolId {
        self.crew.id
    }

    fn has_room(&self) -> bool {
        room::has_room()
    }

    fn owners(&self) -> &Owners {
        &self.owners
    }

    fn run_here(&self, task: Arc<dyn Runnable>) {
        let before = self.panics.take();
        let told = self.told(Moment::UNKNOWN, || (task.number(), task.class()));
        let begins = &mut || told.iter().for_each(TaskTold::begins);
        // The last that holds the task may be this: its result is dropped inside the catch.
        let ran = caught(|| task.run(&self.owners, begins));
        let ran = ran.unwrap_or(Ran::Panicked);
        // One that was not run is counted and told of when its job is taken from the queue.
        let ran = self.count(ran, false, before);
        if ran != Ran::Not {
            told.map(|told| told.ended(ran));
        }
    }

    fn aside(&self) -> Arc<dyn Aside> {
        Arc::clone(&self.crew) as _
    }

    fn step_aside(&self, first: Option<Arc<dyn Runnable>>) -> Result<(), AtBound> {
        self.crew.step_aside(first)
    }
}

impl Aside for Crew {
    fn step_back(&self) {
        Crew::step_back(self);
    }

    fn forget_one(&self) {
        Crew::forget_one(self);
    }
}

/// What the events say of a task.
struct TaskTold<'a> {
    worker: &'a ThreadWorker,
    number: u64,
    class: &'static str,
    since: Moment,
    begun: Cell<Option<Begun>>,
}

impl TaskTold<'_> {
    fn begins(&self) {
        let events = &self.worker.crew.events;
        let begun = events.started_at(self.since, self.number, self.class, self.worker.number);
        self.begun.set(Some(begun));
    }

    /// Returns when that was.
    fn ended(&self, ran: Ran) -> Moment {
        let events = &self.worker.crew.events;
        let how = match ran {
            Ran::Well => TaskEnd::Well,
            Ran::Panicked => TaskEnd::Panicked,
            Ran::Not => {
                events.not_run(self.number, self.class);
                return Moment::UNKNOWN;
            }
            // Who runs it, or has run it, says so.
            Ran::Elsewhere => return Moment::UNKNOWN,
        };
        let begun = self.begun.get();
        let end = |begun| events.finished_now(begun, self.class, self.worker.number, how);
        begun.map(end).unwrap_or_default()
    }
}

/// A worker that has nothing to do, and whose waits are not a task's.
struct IdleWorker<'a> {
    gauge: &'a Gauge,
    crew: &'a Crew,
    waits: Option<Arc<Stretch>>,
}

impl<'a> IdleWorker<'a> {
    fn new(gauge: &'a Gauge, crew: &'a Crew) -> IdleWorker<'a> {
        gauge.idle.begin();
        IdleWorker {
            gauge,
            crew,
            waits: park::note_waits(None),
        }
    }
}

impl Drop for IdleWorker<'_> {
    fn drop(&mut self) {
        park::note_waits(self.waits.take());
        self.gauge.idle.end();
        if let Some(meter) = &self.crew.meter {
            meter.wake();
        }
    }
}
