//! How a pool of processes is made.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::ProcessPool;
use super::child::call::code_of;
use super::child::state;
use super::dispatch::inner::ProcessPoolCore;
use super::dispatch::interrupt::InterruptListener;
use super::dispatch::plan::StateFunction;
use super::dispatch::service::Service;
use super::dispatch::tail::Forwarder;
use crate::process::{SpawnError, StartMethod, spawner};
use crate::shared::Memory;
use crate::sync::timer::Alarm;
use crate::task::{Data, Task};
use crate::thread::registry;

/// How a pool of processes is to be made.
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use hands::pool::{Pool, ProcessPool};
///
/// # let _hands = hands::init();
/// let pool = ProcessPool::builder()
///     .workers(2)
///     .timeout(Duration::from_secs(10))
///     .memory_limit(1 << 30)
///     .build()?;
/// assert_eq!(pool.submit(|n: u64| n + 1, 1).join(), Ok(2));
/// # Ok(())
/// # }
/// ```
#[must_use = "no pool is made before `build`"]
pub struct ProcessPoolBuilder {
    plan: StateFunction,
    failed: Option<SpawnError>,
}

impl ProcessPoolBuilder {
    pub(super) fn new() -> ProcessPoolBuilder {
        ProcessPoolBuilder {
            plan: StateFunction {
                workers: crate::cores().get(),
                name: "worker".into(),
                method: StartMethod::default(),
                environment: Vec::new(),
                initializer: None,
                timeout: None,
                grace: Duration::from_millis(500),
                memory_limit: None,
                cpu_limit: None,
                retries: 0,
                most_tasks: None,
                heavy: None,
                keeps_stderr: true,
                coroutines: None,
                heeds_interrupts: false,
                start_timeout: spawner::START,
                state: None,
                retries_late: false,
                resident_limit: None,
            },
            failed: None,
        }
    }

    /// The number of workers; one for each [core](crate::cores()) unless set.
    pub fn workers(mut self, workers: usize) -> ProcessPoolBuilder {
        self.plan.workers = workers;
        self
    }

    /// What the workers' names begin with, before `-` and a number; `worker` unless set.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> ProcessPoolBuilder {
        self.plan.name = name.into();
        self
    }

    /// How workers come to be.
    pub fn start_method(mut self, method: StartMethod) -> ProcessPoolBuilder {
        self.plan.method = method;
        self
    }

    /// Sets a variable in the workers' environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> ProcessPoolBuilder {
        let pair = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.plan.environment.push(pair);
        self
    }

    /// So long may a worker take until it is ready for its first task: to be
    /// [started](crate::process::ProcessBuilder::start_timeout), and its
    /// [initialiser](Self::initializer). A minute unless set. A pool whose initialiser takes longer
    /// is of no use, as one whose initialiser panics; if something else has held up a worker,
    /// another takes its place.
    pub fn start_timeout(mut self, timeout: Duration) -> ProcessPoolBuilder {
        self.plan.start_timeout = timeout;
        self
    }

    /// Run by each worker before its first task, with the worker's number, from 0. If it panics the
    /// pool is of no use any more: all its tasks have the outcome
    /// [`Init`](crate::task::TaskError::Init).
    pub fn initializer<F: Task<u64, ()>>(mut self, run: F) -> ProcessPoolBuilder {
        self.plan.initializer = code_of::<F, u64, ()>(run);
        if self.plan.initializer.is_none() {
            self.failed = Some(SpawnError::NotInExecutable);
        }
        self
    }

    /// Makes a state that each worker has for itself, a connection, say, or a model, of this
    /// argument, after the [initialiser](Self::initializer) and before its first task. Tasks are
    /// lent it by [`with_state`](ProcessPool::with_state). What it makes need not be able to leave
    /// the process. If it panics the pool is of no use any more, as when an initialiser does.
    pub fn state<F, A, S>(mut self, make: F, argument: A) -> ProcessPoolBuilder
    where
        F: Task<A, S>,
        A: Data,
        S: 'static,
    {
        match state::StatePlan::new(make, &argument) {
            Ok(plan) => self.plan.state = Some(plan),
            Err(error) => self.failed = Some(error),
        }
        self
    }

    /// Has a function run once in the process that all workers are copies of, before the first of
    /// them: to load what they all read, a model, say, once for all. It is
    /// [`process::preload`](crate::process::preload): for the whole program, and before its first
    /// process.
    pub fn preload<F>(mut self, load: F) -> ProcessPoolBuilder
    where
        F: Fn() + Copy + Send + Sync + 'static,
    {
        if let Err(error) = crate::process::preload(load) {
            self.failed = Some(error);
        }
        self
    }

    /// Heeds Ctrl-C (`SIGINT`) in the place of the program: the first time the pool takes no more
    /// tasks and begins none, so that those that have begun come to their end and all others are
    /// [`Cancelled`](crate::task::TaskError::Cancelled); the second time it kills those, too. The
    /// program goes on, and sees it by these outcomes.
    ///
    /// Otherwise Ctrl-C ends the program, and the workers with it, unless the program has a handler
    /// of its own.
    pub fn drain_on_interrupt(mut self) -> ProcessPoolBuilder {
        self.plan.heeds_interrupts = true;
        self
    }

    /// So long may each task take from when it begins, unless it is submitted with a time of its
    /// own. Then its outcome is [`TimedOut`](crate::task::TaskError::TimedOut), and its worker is
    /// ended after the [grace](Self::grace).
    pub fn timeout(mut self, timeout: Duration) -> ProcessPoolBuilder {
        self.plan.timeout = Some(timeout);
        self
    }

    /// So long has a task that is cancelled, or whose time is up, to look at its
    /// [`CancelToken`](crate::sync::CancelToken) and end; then its worker is killed and replaced.
    /// Half a second unless set.
    pub fn grace(mut self, grace: Duration) -> ProcessPoolBuilder {
        self.plan.grace = grace;
        self
    }

    /// Bytes of address space that each worker may have, the program itself included. A task that
    /// wants more has the outcome [`MemoryLimit`](crate::task::TaskError::MemoryLimit), and costs
    /// its worker.
    pub fn memory_limit(mut self, bytes: u64) -> ProcessPoolBuilder {
        self.plan.memory_limit = Some(bytes);
        self
    }

    /// Bytes that each worker may have in memory, its share of what the program has loaded
    /// [before](Self::preload) included. A task that has more has the outcome
    /// [`MemoryLimit`](crate::task::TaskError::MemoryLimit), and costs its worker.
    ///
    /// It is looked at some fifty times a second, so for a moment there may be more.
    /// [`memory_limit`](Self::memory_limit), which the kernel keeps to the byte, counts address
    /// space: of that, runtimes that compile, mathematics libraries and sanitizers reserve far more
    /// than they use.
    pub fn resident_limit(mut self, bytes: u64) -> ProcessPoolBuilder {
        self.plan.resident_limit = Some(bytes);
        self
    }

    /// CPU time that each worker may use in its life, in whole seconds, rounded up; then the kernel
    /// kills it (`SIGXCPU`).
    pub fn cpu_limit(mut self, time: Duration) -> ProcessPoolBuilder {
        self.plan.cpu_limit = Some(time);
        self
    }

    /// How often a task is begun again when its worker died under it; 0 unless set, since what it
    /// has done by then stays done.
    #[doc(alias = "retry")]
    pub fn retries(mut self, times: u32) -> ProcessPoolBuilder {
        self.plan.retries = times;
        self
    }

    /// Has tasks begun again whose time was up, too, as often as there are
    /// [`retries`](Self::retries): after the [grace](Self::grace), or when they have ended by
    /// themselves. For those whose result is an `Err` see
    /// [`submit_until_ok`](ProcessPool::submit_until_ok).
    pub fn retry_timed_out(mut self) -> ProcessPoolBuilder {
        self.plan.retries_late = true;
        self
    }

    /// A worker is replaced after this number of tasks.
    ///
    /// With 1 no task has to trust another. Otherwise some tasks wait in the memory of a worker,
    /// and one that writes over memory that is not its own may hit those behind it in the same
    /// worker. By mistake it changes nothing of them but whether they
    /// [die](crate::task::TaskError::Died) with it: what lies there has a sum. One that means harm
    /// can make a sum, too, and so change their arguments and results. It cannot harm the pool, nor
    /// other workers.
    pub fn max_tasks_per_worker(mut self, tasks: u64) -> ProcessPoolBuilder {
        self.plan.most_tasks = Some(tasks);
        self
    }

    /// A worker that has more than `bytes` bytes in memory after a task is replaced.
    pub fn recycle_above(mut self, bytes: u64) -> ProcessPoolBuilder {
        self.plan.heavy = Some(bytes);
        self
    }

    /// Each worker runs up to this number of [coroutines](ProcessPool::submit_async) at the same
    /// time, from 1 to 1024. Those that wait cost nothing; those that compute hold up the others of
    /// their worker, and so does a function that is no coroutine. A worker that dies takes along
    /// all that had begun in it.
    #[cfg(feature = "async")]
    pub fn coroutines(mut self, most: usize) -> ProcessPoolBuilder {
        self.plan.coroutines = Some(most);
        self
    }

    /// Leaves the workers' stderr alone: it is the program's. Otherwise it goes there through the
    /// pool, which keeps the last of it for the error of a task whose worker dies.
    pub fn inherit_stderr(mut self) -> ProcessPoolBuilder {
        self.plan.keeps_stderr = false;
        self
    }

    pub(super) fn no_workers() -> SpawnError {
        refused(
            "workers that there are none of, or that may run no task, would never run one; let it be at least 1",
        )
    }

    /// Makes it, and starts its workers.
    ///
    /// # Errors
    ///
    /// When there are to be no workers, or the first of them cannot be started: see [`SpawnError`].
    pub fn build(self) -> Result<ProcessPool, SpawnError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.plan.workers == 0 || self.plan.most_tasks == Some(0) {
            return Err(ProcessPoolBuilder::no_workers());
        }
        let at_most = super::protocol::control_block::MOST as usize;
        if self
            .plan
            .coroutines
            .is_some_and(|most| most == 0 || most > at_most)
        {
            return Err(refused(
                "a worker has from 1 to 1024 coroutines; for more, use more workers",
            ));
        }
        let system = SpawnError::system("make a pool");
        Alarm::prepare().map_err(&system)?;
        let notifier = Memory::new(64).map_err(&system)?;
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let service = rustix::event::eventfd(0, flags);
        let service = service.map_err(|error| system(error.into()))?;
        let forwarder = match self.plan.keeps_stderr {
            true => Some(Forwarder::start().map_err(&system)?),
            false => None,
        };
        let interrupts = match self.plan.heeds_interrupts {
            true => Some(InterruptListener::new().map_err(&system)?),
            false => None,
        };
        let inner = Arc::new_cyclic(|me: &Weak<ProcessPoolCore>| {
            ProcessPoolCore::new(
                me.clone(),
                self.plan,
                notifier,
                service,
                forwarder,
                interrupts,
            )
        });
        let noted: Weak<ProcessPoolCore> = Arc::downgrade(&inner);
        registry::note_pool(noted);
        let started = Service::new(Arc::clone(&inner)).and_then(|service| {
            let thread = std::thread::Builder::new().name("hands-pool".to_owned());
            thread.spawn(move || service.run()).map_err(&system)
        });
        match started {
            Ok(thread) => Ok(ProcessPool {
                inner,
                thread: parking_lot::Mutex::new(Some(thread)),
            }),
            Err(error) => {
                // Nobody is there to see to those that were started.
                let mut crew = inner.crew.lock();
                for slot in &mut crew.slots {
                    if let Some(worker) = slot.take() {
                        worker.process.kill();
                        worker.process.wait();
                        if let Some(forwarder) = &inner.forwarder {
                            forwarder.remove(&worker.tail, Vec::new());
                        }
                    }
                }
                if let Some(forwarder) = &inner.forwarder {
                    forwarder.end();
                }
                Err(error)
            }
        }
    }
}

fn refused(told: &str) -> SpawnError {
    let error = io::Error::new(io::ErrorKind::InvalidInput, told.to_owned());
    SpawnError::system("make a pool")(error)
}

impl fmt::Debug for ProcessPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolBuilder")
            .field("plan", &self.plan)
            .finish()
    }
}
