//! How a pool of processes ends: what waits is given up or waited for, and workers are closed, or
//! killed when their time is over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::inner::ProcessPoolCore;
use super::job::{ProcessJob, TaskEvent};
use crate::event::TaskEnd;
use crate::pool::process::dispatch::turns::DeliveryTurn;
use crate::queue::Shutdown;
use crate::task::TaskError;

impl ProcessPoolCore {
    pub(in crate::pool::process) fn close(&self) {
        self.crew.lock().is_closed = true;
    }

    pub(in crate::pool::process) fn join(&self) {
        self.await_calm(None, || self.unfinished() == 0);
    }

    /// Takes nothing more, and with `Now` gives up what there is.
    pub(in crate::pool::process) fn begin_shutdown(&self, how: Shutdown) {
        self.close();
        if how == Shutdown::Now {
            self.give_up_all();
        }
    }

    /// Ends all, and returns when all workers have ended.
    pub(in crate::pool::process) fn shutdown(&self, how: Shutdown) {
        self.begin_shutdown(how);
        self.join();
        let has_ended = || {
            let crew = self.crew.lock();
            crew.workers().next().is_none() && crew.starting.is_empty()
        };
        {
            let mut crew = self.crew.lock();
            crew.is_ending = true;
            crew.workers_mut()
                .for_each(crate::pool::process::dispatch::worker_handle::WorkerHandle::close);
        }
        let until = Instant::now().checked_add(self.plan.grace);
        self.await_calm(until, has_ended);
        loop {
            {
                let crew = self.crew.lock();
                crew.workers().for_each(|worker| worker.kill());
                if crew.workers().next().is_none() {
                    // One that is still being started is ended by who starts it, who looks at this
                    // under the lock.
                    self.is_over.store(true, Ordering::SeqCst);
                    break;
                }
            }
            self.await_calm(None, || self.crew.lock().workers().next().is_none());
        }
        if let Some(forwarder) = &self.forwarder {
            forwarder.end();
        }
        self.kick();
    }

    /// Ctrl-C: what has not begun never will, and the second time what has is ended.
    pub(in crate::pool::process) fn interrupt(&self) {
        let is_first = !std::mem::replace(&mut self.crew.lock().is_interrupted, true);
        self.close();
        self.give_up_waiting();
        if !is_first {
            let crew = self.crew.lock();
            let busy = crew.workers().filter(|worker| !worker.sent.is_empty());
            busy.for_each(crate::pool::process::dispatch::worker_handle::WorkerHandle::kill);
        }
    }

    fn give_up_all(&self) {
        self.give_up_waiting();
        for worker in self.crew.lock().workers_mut() {
            for at in 0..worker.begun().count() {
                worker.give_up(at, self.plan.grace, TaskEnd::Cancelled);
            }
        }
        self.kick();
    }

    /// What waits when no worker can be had has that outcome.
    pub(in crate::pool::process) fn refuse_if_broken(self: &Arc<Self>) {
        let mut events = Vec::new();
        {
            let mut crew = self.crew.lock();
            let Some(why) = crew.broken.clone() else {
                return;
            };
            let refused = |job: ProcessJob| {
                self.events.not_run(job.number, job.remote.class());
                TaskEvent::Refused {
                    remote: job.remote,
                    why: TaskError::Init {
                        message: Arc::clone(&why),
                    },
                }
            };
            events.extend(crew.queue.drain(..).map(refused));
        }
        self.tell_elsewhere(events, DeliveryTurn::ANY);
    }

    pub(super) fn give_up_waiting(&self) {
        let mut events = Vec::new();
        let refused = |job: ProcessJob| {
            self.events.not_run(job.number, job.remote.class());
            TaskEvent::Refused {
                remote: job.remote,
                why: TaskError::Cancelled,
            }
        };
        {
            let mut crew = self.crew.lock();
            events.extend(crew.queue.drain(..).map(refused));
            for worker in crew.workers_mut() {
                while let Some(last) = worker.sent.back()
                    && worker.control.revoke(last.number)
                {
                    events.extend(worker.take_back(worker.sent.len() - 1).map(refused));
                }
            }
        }
        self.tell(events);
        self.wake_joiner();
    }
}
