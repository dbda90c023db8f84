//! What a worker does, all its life and while it waits for a handle.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::thread::Thread;
use std::time::Instant;

use super::crew::Crew;
use super::gauge::Gauge;
use super::job::Job;
use super::stack::Stack;
use crate::queue::GetError;
use crate::sync::cancel::Owners;
use crate::sync::park::{self, Stretch, TimedOut};
use crate::task::cell::Ran;
use crate::task::help::Help;

/// How often a worker that has nothing to do looks before it sleeps: about what being woken would cost.
const LOOKS: u32 = 400;

/// A worker, on its own thread.
pub(super) struct Worker {
    pub(super) crew: Arc<Crew>,
    pub(super) stack: Arc<Stack>,
    pub(super) thread: Thread,
    owners: Owners,
    /// In a pool that sizes itself.
    gauge: Option<Arc<Gauge>>,
    /// How many tasks wait on this thread for others.
    waiting: Cell<usize>,
}

thread_local! {
    static OWN: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

impl Worker {
    pub(super) fn new(crew: Arc<Crew>, owners: Owners) -> Worker {
        Worker {
            stack: crew.stacks.add(),
            thread: std::thread::current(),
            gauge: crew.meter.as_ref().map(|meter| meter.add()),
            crew,
            owners,
            waiting: Cell::new(0),
        }
    }

    /// The worker that the caller runs on, if it is one.
    pub(super) fn current() -> Option<Rc<Worker>> {
        OWN.try_with(|own| own.borrow().clone()).ok().flatten()
    }

    /// Runs jobs until the queue has been shut down and is empty, or until this worker has been dismissed.
    pub(super) fn work(self: Rc<Self>) {
        OWN.set(Some(Rc::clone(&self)));
        if let Some(gauge) = &self.gauge {
            park::note_waits(Some(Arc::clone(&gauge.own_wait)));
        }
        while !self.crew.dismiss() {
            match self.find() {
                Some(job) => self.run(job),
                None => match self.wait() {
                    Ok(Some(job)) => self.run(job),
                    Ok(None) => {}
                    Err(_) => {
                        self.crew.count_down();
                        break;
                    }
                },
            }
        }
        self.crew.stacks.remove(&self.stack);
        if let (Some(meter), Some(gauge)) = (&self.crew.meter, &self.gauge) {
            park::note_waits(None);
            meter.remove(gauge);
        }
        OWN.set(None);
    }

    fn find(&self) -> Option<Job> {
        self.crew.jobs.try_get().ok()
    }

    pub(super) fn run(&self, job: Job) {
        let counts = &self.crew.counts;
        counts.busy.fetch_add(1, Ordering::Relaxed);
        let helping = self.waiting.get() > 0;
        let work = |job: Job| job.work(&self.owners, helping);
        let ran = match (&self.crew.meter, &self.gauge) {
            (Some(meter), Some(gauge)) => gauge.measured(&meter.classes, job.class(), || work(job)),
            _ => work(job),
        };
        match ran {
            Some(Ran::Well) => {}
            Some(Ran::Panicked) => {
                counts.panicked.fetch_add(1, Ordering::Relaxed);
            }
            Some(Ran::Not) => {
                counts.not_run.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                self.crew.stacks.calls.answer();
                self.steal();
            }
        }
        counts.busy.fetch_sub(1, Ordering::Relaxed);
        // One for each that was got.
        let _ = self.crew.jobs.task_done();
    }

    /// Does half of what somebody has split, if there is any.
    fn steal(&self) -> bool {
        let Some(half) = self.crew.stacks.steal(&self.stack) else {
            return false;
        };
        if !self.crew.stacks.seem_empty() {
            self.crew.call_thief();
        }
        half.run();
        true
    }

    /// Looks for work, at first without sleeping. `None`: look again.
    fn wait(&self) -> Result<Option<Job>, GetError> {
        if self.steal() {
            return Ok(None);
        }
        let _idle = self
            .gauge
            .as_ref()
            .map(|gauge| Idle::new(gauge, &self.crew));
        if self.look() {
            return Ok(None);
        }
        // Whoever splits work from now on sees somebody to wake; whoever did so before is seen here.
        let _doze = self.crew.stacks.calls.doze();
        if self.crew.stacks.seem_empty() {
            self.crew.jobs.get().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether there is something, by a look that costs no sleep. One worker at a time: the others sleep at once.
    fn look(&self) -> bool {
        if self.crew.looking.swap(true, Ordering::Relaxed) {
            return false;
        }
        let found = (0..LOOKS).any(|_| {
            std::hint::spin_loop();
            !self.crew.jobs.seems_empty() || !self.crew.stacks.seem_empty()
        });
        self.crew.looking.store(false, Ordering::Relaxed);
        found
    }
}

impl Help for Worker {
    fn help_until(
        &self,
        poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
        deadline: Option<Instant>,
    ) -> bool {
        self.waiting.set(self.waiting.get() + 1);
        let _waits = Waits(&self.waiting);
        loop {
            let mut job = None;
            let mut more = pin!(self.crew.jobs.get_async());
            let mut shut_down = false;
            let waiting = std::future::poll_fn(|context| {
                if poll(context).is_ready() {
                    return Poll::Ready(true);
                }
                if shut_down {
                    return Poll::Pending;
                }
                match more.as_mut().poll(context) {
                    Poll::Ready(Ok(got)) => job = Some(got),
                    Poll::Ready(Err(_)) if self.crew.stacks.seem_empty() => {
                        shut_down = true;
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending if self.crew.stacks.seem_empty() => return Poll::Pending,
                    Poll::Pending => {}
                }
                Poll::Ready(false)
            });
            let done = {
                let _doze = self.crew.stacks.calls.doze();
                park::block_on(waiting, deadline)
            };
            match done {
                Ok(true) => return true,
                Err(TimedOut) => return false,
                Ok(false) => match job {
                    Some(job) => self.run(job),
                    None => {
                        self.steal();
                    }
                },
            }
        }
    }
}

/// A worker that has nothing to do, and whose waits are not a task's.
struct Idle<'a> {
    gauge: &'a Gauge,
    crew: &'a Crew,
    waits: Option<Arc<Stretch>>,
}

impl<'a> Idle<'a> {
    fn new(gauge: &'a Gauge, crew: &'a Crew) -> Idle<'a> {
        gauge.idle.begin();
        Idle {
            gauge,
            crew,
            waits: park::note_waits(None),
        }
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        park::note_waits(self.waits.take());
        self.gauge.idle.end();
        if let Some(meter) = &self.crew.meter {
            meter.wake();
        }
    }
}

/// One task less waits, also when unwinding.
struct Waits<'a>(&'a Cell<usize>);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
