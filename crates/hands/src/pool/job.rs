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
pub(super) struct QueuedJob(Option<JobBody>);

enum JobBody {
    /// With a handle.
    Task(Arc<dyn Runnable>),
    /// Without one; with its number among the events.
    Run(Box<dyn FnOnce() + Send>, Context, u64),
    /// Nothing; it makes a sleeping worker look around.
    Look,
}

impl QueuedJob {
    pub(super) fn task(task: Arc<dyn Runnable>) -> QueuedJob {
        QueuedJob(Some(JobBody::Task(task)))
    }

    pub(super) fn run(run: Box<dyn FnOnce() + Send>) -> QueuedJob {
        QueuedJob(Some(JobBody::Run(run, Context::current(), 0)))
    }

    pub(super) fn look() -> QueuedJob {
        QueuedJob(Some(JobBody::Look))
    }

    /// Whether there is nothing to be done.
    pub(super) fn is_over(&self) -> bool {
        matches!(&self.0, Some(JobBody::Task(task)) if task.is_over())
    }

    /// It is somebody else's affair.
    pub(super) fn defuse(mut self) {
        drop(self.0.take());
    }

    /// What kind of task it is.
    pub(super) fn class(&self) -> &'static str {
        match &self.0 {
            Some(JobBody::Task(task)) => task.class(),
            Some(JobBody::Run(..)) => "(without a handle)",
            Some(JobBody::Look) | None => "(none)",
        }
    }

    /// Its number among the events; 0: nobody listened when it was queued.
    pub(super) fn number(&self) -> u64 {
        match &self.0 {
            Some(JobBody::Task(task)) => task.number(),
            Some(JobBody::Run(_, _, number)) => *number,
            Some(JobBody::Look) | None => 0,
        }
    }

    /// It is queued, as the events are told.
    pub(super) fn queued(&mut self, events: &Events) {
        let class = self.class();
        match &mut self.0 {
            Some(JobBody::Task(task)) => task.set_number(events.queued(class)),
            Some(JobBody::Run(_, _, number)) => *number = events.queued(class),
            Some(JobBody::Look) | None => {}
        }
    }

    /// Does it, on a worker. `None`: there was nothing to do.
    pub(super) fn work(mut self, owners: &Owners, begins: &mut dyn FnMut()) -> Option<Ran> {
        match self.0.take()? {
            JobBody::Task(task) => Some(task.run(owners, begins)),
            JobBody::Run(run, context, _) => {
                begins();
                let result = context.run(|| caught(run));
                Some(if result.is_ok() {
                    Ran::Well
                } else {
                    Ran::Panicked
                })
            }
            JobBody::Look => None,
        }
    }

    /// Refuses it for this reason: it will not be done.
    pub(super) fn refuse(mut self, why: TaskError) {
        if let Some(kind) = self.0.take() {
            kind.refuse(why);
        }
    }
}

impl JobBody {
    fn refuse(self, why: TaskError) {
        match self {
            JobBody::Task(task) => task.refuse(why),
            JobBody::Run(run, ..) => {
                dispose(run);
            }
            JobBody::Look => {}
        }
    }
}

impl Drop for QueuedJob {
    fn drop(&mut self) {
        if let Some(kind) = self.0.take() {
            kind.refuse(TaskError::Cancelled);
        }
    }
}
