//! What waits in a pool's queue.

use std::sync::Arc;

use crate::context::Context;
use crate::event::Events;
use crate::foreign::dispose;
use crate::sync::cancel::Owners;
use crate::task::TaskError;
use crate::task::cell::{Ran, Runnable};
use crate::thread::panic::caught;

/// One thing for a worker to do. A job that is dropped instead of run leaves nobody waiting: a
/// task's outcome is then that it was cancelled, and what a closure holds tells of its end by being
/// dropped.
pub(super) struct Job(Option<Kind>);

enum Kind {
    /// With a handle.
    Task(Arc<dyn Runnable>),
    /// Without one; with its number among the events.
    Run(Box<dyn FnOnce() + Send>, Context, u64),
    /// Nothing; it makes a sleeping worker look around.
    Look,
}

impl Job {
    pub(super) fn task(task: Arc<dyn Runnable>) -> Job {
        Job(Some(Kind::Task(task)))
    }

    pub(super) fn run(run: Box<dyn FnOnce() + Send>) -> Job {
        Job(Some(Kind::Run(run, Context::current(), 0)))
    }

    pub(super) fn look() -> Job {
        Job(Some(Kind::Look))
    }

    /// Whether there is nothing to be done.
    pub(super) fn is_over(&self) -> bool {
        matches!(&self.0, Some(Kind::Task(task)) if task.is_over())
    }

    /// It is somebody else's affair.
    pub(super) fn defuse(mut self) {
        drop(self.0.take());
    }

    /// What kind of task it is.
    pub(super) fn class(&self) -> &'static str {
        match &self.0 {
            Some(Kind::Task(task)) => task.class(),
            Some(Kind::Run(..)) => "(without a handle)",
            Some(Kind::Look) | None => "(none)",
        }
    }

    /// Its number among the events; 0: nobody listened when it was queued.
    pub(super) fn number(&self) -> u64 {
        match &self.0 {
            Some(Kind::Task(task)) => task.number(),
            Some(Kind::Run(_, _, number)) => *number,
            Some(Kind::Look) | None => 0,
        }
    }

    /// It is queued, as the events are told.
    pub(super) fn queued(&mut self, events: &Events) {
        let class = self.class();
        match &mut self.0 {
            Some(Kind::Task(task)) => task.set_number(events.queued(class)),
            Some(Kind::Run(_, _, number)) => *number = events.queued(class),
            Some(Kind::Look) | None => {}
        }
    }

    /// Does it, on a worker. `None`: there was nothing to do.
    pub(super) fn work(mut self, owners: &Owners, begins: &mut dyn FnMut()) -> Option<Ran> {
        match self.0.take()? {
            Kind::Task(task) => Some(task.run(owners, begins)),
            Kind::Run(run, context, _) => {
                begins();
                let result = context.run(|| caught(run));
                Some(if result.is_ok() {
                    Ran::Well
                } else {
                    Ran::Panicked
                })
            }
            Kind::Look => None,
        }
    }

    /// Refuses it for this reason: it will not be done.
    pub(super) fn refuse(mut self, why: TaskError) {
        if let Some(kind) = self.0.take() {
            kind.refuse(why);
        }
    }
}

impl Kind {
    fn refuse(self, why: TaskError) {
        match self {
            Kind::Task(task) => task.refuse(why),
            Kind::Run(run, ..) => {
                dispose(run);
            }
            Kind::Look => {}
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(kind) = self.0.take() {
            kind.refuse(TaskError::Cancelled);
        }
    }
}
