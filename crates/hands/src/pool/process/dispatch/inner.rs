//! What a pool of processes is, apart from its handle: what is submitted, given up and counted.
//!
//! | beside it | |
//! |---|---|
//! | `lead` | who takes in replies, and who is woken for them |
//! | `tell` | tasks are told of their outcomes |
//! | `end` | the pool takes nothing more, and ends |

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::crew::{FLOW, WorkerTable};
use super::job::{ProcessJob, TaskEvent};
use super::plan::StateFunction;
use crate::event::{Events, TaskEnd};
use crate::machine::Spin;
use crate::pool::process::dispatch::interrupt::InterruptListener;
use crate::pool::process::dispatch::tail::Forwarder;
use crate::pool::process::dispatch::turns::Turns;
use crate::pool::process::dispatch::worker_handle::{Notifier, SentTask};
use crate::pool::process::protocol::message::Kind;
use crate::process::rights::KnownRights;
use crate::process::spawner;
use crate::shared::Memory;
use crate::task::remote::{Remote, RemotePool};
use crate::task::{TaskError, WorkerId};
use crate::thread::registry::Unfinished;
use crate::wire::image::Code;

pub(in crate::pool::process) struct ProcessPoolCore {
    pub(super) me: Weak<ProcessPoolCore>,
    pub(super) turns: Turns,
    pub(in crate::pool::process) plan: StateFunction,
    pub(in crate::pool::process) crew: Mutex<WorkerTable>,
    /// Somebody who joins a task takes in replies.
    pub(super) leading: AtomicBool,
    /// One word, where that one sleeps.
    pub(in crate::pool::process) notifier: Memory,
    /// What wakes the pool's own thread.
    pub(in crate::pool::process) service: OwnedFd,
    pub(super) spin: Spin,
    pub(super) unfinished: AtomicU64,
    idle: (Mutex<()>, Condvar),
    pub(in crate::pool::process) events: Events,
    pub(in crate::pool::process) forwarder: Option<Arc<Forwarder>>,
    /// The program's, when somebody last looked.
    rights: Mutex<KnownRights>,
    /// How many short tasks were submitted since then, so that it is not done for each.
    asked: AtomicU64,
    pub(in crate::pool::process) is_over: AtomicBool,
    pub(in crate::pool::process) interrupts: Option<InterruptListener>,
}

impl RemotePool for ProcessPoolCore {
    fn cancel(&self, task: &dyn Remote) -> bool {
        self.give_up(task, TaskError::Cancelled)
    }

    fn runs(&self, task: &dyn Remote) -> Option<WorkerId> {
        self.worker_of(task)
    }

    fn assist(&self, deadline: Option<Instant>, is_over: &dyn Fn() -> bool) {
        self.take_in_until(deadline, is_over);
    }
}

impl ProcessPoolCore {
    pub(in crate::pool::process) fn new(
        me: Weak<ProcessPoolCore>,
        plan: StateFunction,
        notifier: Memory,
        service: OwnedFd,
        forwarder: Option<Arc<Forwarder>>,
        interrupts: Option<InterruptListener>,
    ) -> ProcessPoolCore {
        let mut crew = WorkerTable::default();
        let events = crew.events.clone();
        crew.slots.resize_with(plan.workers, || None);
        crew.wanted = plan.workers;
        crew.retries_late = plan.retries_late;
        crew.coroutines = plan.coroutines;
        crew.most_tasks = plan.most_tasks;
        ProcessPoolCore {
            me,
            turns: Turns::default(),
            plan,
            crew: Mutex::new(crew),
            leading: AtomicBool::new(false),
            notifier,
            service,
            spin: Spin::default(),
            unfinished: AtomicU64::new(0),
            idle: (Mutex::default(), Condvar::new()),
            events,
            forwarder,
            rights: Mutex::new(KnownRights::now()),
            asked: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            interrupts,
        }
    }

    /// Wakes the pool's own thread.
    pub(in crate::pool::process) fn kick(&self) {
        let _ = rustix::io::write(&self.service, &1_u64.to_ne_bytes());
    }

    /// What the program has given up since workers were started, they shall not have either.
    fn renew_if_rights_changed(&self) {
        let changed = self.rights.lock().changed();
        if let Some(rights) = changed {
            // Here, where they are. If it cannot be, the thread that starts the next worker is
            // told.
            let _ = spawner::prepare(rights, self.plan.start_timeout);
            self.crew.lock().renew(rights);
        }
    }

    pub(in crate::pool::process) fn submit(&self, (code, kind): (Code, Kind), mut job: ProcessJob) {
        // Of many short tasks in a row not before each.
        if self
            .asked
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(FLOW)
        {
            self.renew_if_rights_changed();
        }
        let mut crew = self.crew.lock();
        let refused = match &crew.broken {
            Some(why) => Some(TaskError::Init {
                message: Arc::clone(why),
            }),
            None => crew.is_closed.then_some(TaskError::PoolClosed),
        };
        if let Some(why) = refused {
            drop(crew);
            job.remote.refuse(why);
            return;
        }
        let Some(number) = crew.function(code, kind) else {
            drop(crew);
            job.remote.refuse(TaskError::Encode {
                what: "a pool calls no more than 65,536 different functions".to_owned(),
            });
            return;
        };
        job.function = number;
        job.number = self.events.queued(job.remote.class());
        self.unfinished.fetch_add(1, Ordering::SeqCst);
        let mut is_limited = false;
        if let Some(timeout) = job.options.timeout {
            crew.shortest = Some(crew.shortest.map_or(timeout, |other| other.min(timeout)));
            is_limited = true;
        }
        if let Some(deadline) = job.options.deadline {
            let after = deadline.saturating_duration_since(Instant::now());
            crew.deadlines.note(deadline, after, &job.remote);
            is_limited = true;
        }
        if !crew.is_brisk() {
            self.asked.store(0, Ordering::Relaxed);
        }
        crew.queue.push_back(job);
        let (mut events, mut wake) = (Vec::new(), Vec::new());
        crew.dispatch(&mut events, &mut wake);
        // A thread that submits faster than the workers run takes in replies now and then: so
        // nobody else need be woken for them.
        crew.submitted += 1;
        let is_turn = crew.submitted.is_multiple_of(FLOW) && crew.is_brisk();
        if is_turn {
            crew.collect(&mut events);
            crew.dispatch(&mut events, &mut wake);
        }
        let turn = crew.turn(&events);
        is_limited |= crew.short_since.is_some();
        drop(crew);
        wake.iter().for_each(Notifier::ring);
        let is_any = is_turn && !events.is_empty();
        self.tell_in_turn(events, turn);
        if is_any {
            self.told_for_another();
        }
        if is_limited {
            self.kick();
        }
    }

    /// Something that is waited for may have come: no task is unfinished, or a worker has ended.
    pub(in crate::pool::process) fn calmed(&self) {
        drop(self.idle.0.lock());
        self.idle.1.notify_all();
    }

    /// Waits until `is_so`, which [`calmed`](Self::calmed) is called for. False: the deadline has
    /// passed.
    pub(super) fn await_calm(&self, deadline: Option<Instant>, is_so: impl Fn() -> bool) -> bool {
        let mut held = self.idle.0.lock();
        while !is_so() {
            match deadline {
                None => self.idle.1.wait(&mut held),
                Some(deadline) => {
                    if self.idle.1.wait_until(&mut held, deadline).timed_out() {
                        return is_so();
                    }
                }
            }
        }
        true
    }

    pub(in crate::pool::process) fn unfinished(&self) -> u64 {
        self.unfinished.load(Ordering::SeqCst)
    }

    /// What ends a task when the work that it is part of is no longer wanted.
    pub(in crate::pool::process) fn waker(self: &Arc<Self>, task: &Arc<dyn Remote>) -> Waker {
        struct Outer {
            pool: Weak<ProcessPoolCore>,
            task: Weak<dyn Remote>,
        }
        impl Wake for Outer {
            fn wake(self: Arc<Self>) {
                if let (Some(pool), Some(task)) = (self.pool.upgrade(), self.task.upgrade()) {
                    pool.cancel(&*task);
                }
            }
        }
        Waker::from(Arc::new(Outer {
            pool: Arc::downgrade(self),
            task: Arc::downgrade(task),
        }))
    }

    /// True: it will never begin.
    pub(in crate::pool::process) fn cancel(&self, task: &dyn Remote) -> bool {
        self.give_up(task, TaskError::Cancelled)
    }

    /// As [`cancel`](Self::cancel), for this reason. One that runs has the outcome at once, unless
    /// it is merely cancelled: then it has some time to come to an end of its own.
    pub(in crate::pool::process) fn give_up(&self, task: &dyn Remote, why: TaskError) -> bool {
        let place = std::ptr::from_ref(task).cast::<()>();
        let is_it =
            |remote: &Arc<dyn Remote>| std::ptr::eq(Arc::as_ptr(remote).cast::<()>(), place);
        let mut crew = self.crew.lock();
        let mut revoked = None;
        let mut is_running = false;
        for worker in crew.workers_mut() {
            let at = worker.sent.iter().position(|sent| is_it(&sent.job.remote));
            let Some(at) = at else { continue };
            if worker.control.revoke(worker.sent[at].number) {
                revoked = worker.take_back(at);
            } else {
                let how = match &why {
                    TaskError::TimedOut { .. } => TaskEnd::TimedOut,
                    _ => TaskEnd::Cancelled,
                };
                worker.give_up(at, self.plan.grace, how);
                is_running = true;
            }
            break;
        }
        drop(crew);
        if let Some(job) = revoked {
            let is_late = matches!(why, TaskError::TimedOut { .. });
            let was_open = job.remote.refuse(why);
            self.events.not_run(job.number, job.remote.class());
            if is_late && was_open {
                self.events.tally().add(TaskEnd::TimedOut, 1);
            }
            self.tell(vec![TaskEvent::Over]);
            self.wake_joiner();
            return was_open;
        }
        let is_late = matches!(why, TaskError::TimedOut { .. });
        let is_refused = match (is_running, why) {
            (true, TaskError::Cancelled) => false,
            (_, why) => task.refuse(why),
        };
        if is_late && is_refused {
            self.events.tally().add(TaskEnd::TimedOut, 1);
        }
        if is_running {
            self.kick();
        }
        self.wake_joiner();
        is_refused && !is_running
    }

    /// Who runs a task just now.
    fn worker_of(&self, task: &dyn Remote) -> Option<WorkerId> {
        let place = std::ptr::from_ref(task).cast::<()>();
        let crew = self.crew.lock();
        let mut running = crew.workers().flat_map(|worker| {
            let begun = worker
                .begun()
                .filter(|sent| worker.control.is_taken(sent.number));
            begun.map(move |sent| (worker, sent))
        });
        let is_it =
            |sent: &SentTask| std::ptr::eq(Arc::as_ptr(&sent.job.remote).cast::<()>(), place);
        running
            .find(|(_, sent)| is_it(sent))
            .map(|(worker, _)| worker.id())
    }

    /// Sets the number of workers.
    pub(in crate::pool::process) fn resize(&self, workers: usize) {
        let mut crew = self.crew.lock();
        crew.wanted = workers;
        if crew.slots.len() < workers {
            crew.slots.resize_with(workers, || None);
        }
        // Due at once.
        crew.missing = Instant::now().checked_sub(Duration::from_secs(60));
        crew.dismiss();
        drop(crew);
        self.kick();
    }
}

impl Unfinished for ProcessPoolCore {
    fn is_unfinished(&self) -> bool {
        self.unfinished() > 0
    }

    fn finish(&self) {
        self.join();
    }
}

impl fmt::Debug for ProcessPoolCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolCore")
            .field("unfinished", &self.unfinished())
            .finish_non_exhaustive()
    }
}
