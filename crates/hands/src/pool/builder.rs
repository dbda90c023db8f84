//! How a pool of threads is made.

use std::fmt;
use std::io;
use std::sync::{Arc, Weak};

use super::crew::{Crew, Initializer, ThreadPlan};
use super::sizer::Meter;
use super::thread_pool::ThreadPool;
use crate::event::Events;
use crate::sizing::Limits;
use crate::thread::registry;

/// How a pool of threads is to be made.
///
/// ```
/// use hands::pool::ThreadPool;
///
/// let pool = ThreadPool::builder().workers(3).name("render").build()?;
/// let name = pool.spawn(|| hands::thread::current().name().to_owned());
/// assert!(name.join().unwrap().starts_with("render-"));
/// # std::io::Result::Ok(())
/// ```
#[must_use = "no pool is made before `build`"]
pub struct ThreadPoolBuilder {
    workers: Option<usize>,
    auto: bool,
    min_workers: usize,
    max_workers: Option<usize>,
    plan: ThreadPlan,
}

/// A pool that sizes itself has no more workers for each core than this, unless told otherwise.
const MOST_FOR_A_CORE: usize = 32;

impl ThreadPool {
    /// A pool with a worker for each [core](crate::cores()).
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub fn new() -> io::Result<ThreadPool> {
        ThreadPool::builder().build()
    }

    /// A pool with `workers` workers.
    ///
    /// # Errors
    ///
    /// When that is 0, or the system refuses a thread.
    pub fn with_workers(workers: usize) -> io::Result<ThreadPool> {
        ThreadPool::builder().workers(workers).build()
    }

    /// A pool that sizes itself, by what its tasks do: one worker for each core while they compute,
    /// more while they wait. [`stats`](crate::pool::Pool::stats) says in words why it has the size
    /// it has.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    ///
    /// # Platforms
    ///
    /// Linux. Where the kernel does not say how long a thread was ready to run, the size stays as
    /// it is.
    pub fn auto() -> io::Result<ThreadPool> {
        ThreadPool::builder().auto().build()
    }

    /// For a pool with a name, an initialiser, or a certain size of stack.
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::new()
    }
}

impl ThreadPoolBuilder {
    pub(super) fn new() -> ThreadPoolBuilder {
        ThreadPoolBuilder {
            workers: None,
            auto: false,
            min_workers: 1,
            max_workers: None,
            plan: ThreadPlan {
                name: "worker".into(),
                stack_size: None,
                initializer: None,
                places: None,
                max_waiting: 10_000,
                limits: None,
                events: Events::new(),
            },
        }
    }

    /// What happens is told there.
    #[cfg(feature = "async")]
    pub(super) fn events(mut self, events: Events) -> ThreadPoolBuilder {
        self.plan.events = events;
        self
    }

    /// The number of workers; one for each [core](crate::cores()) unless set.
    pub fn workers(mut self, workers: usize) -> ThreadPoolBuilder {
        self.workers = Some(workers);
        self
    }

    /// As many workers as keep the cores busy, found out while it runs: see
    /// [`sizing`](crate::sizing). It begins with one for each core; what [`workers`](Self::workers)
    /// said does not count.
    pub fn auto(mut self) -> ThreadPoolBuilder {
        self.auto = true;
        self
    }

    /// The fewest workers that [`auto`](Self::auto) may choose; 1 unless set.
    pub fn min_workers(mut self, workers: usize) -> ThreadPoolBuilder {
        self.min_workers = workers;
        self
    }

    /// The most workers that [`auto`](Self::auto) may choose; 32 for each core unless set.
    pub fn max_workers(mut self, workers: usize) -> ThreadPoolBuilder {
        self.max_workers = Some(workers);
        self
    }

    /// What the workers' names begin with, before `-` and a number; `worker` unless set.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> ThreadPoolBuilder {
        self.plan.name = name.into();
        self
    }

    /// How many tasks may be queued: a thread that submits another one waits until there is a
    /// place. Any number, unless set.
    ///
    /// A worker that waits so steps aside, as one does that [joins](crate::task::Handle::join) a
    /// task: the pool has another one meanwhile.
    pub fn queue_capacity(mut self, tasks: usize) -> ThreadPoolBuilder {
        self.plan.places = Some(tasks);
        self
    }

    /// The most tasks that may wait for others of their pool at a time; 10,000 unless set. Each
    /// keeps a thread from when the task that it waits for has been begun by another worker. At the
    /// bound the pool goes on with fewer workers; the last of them is refused its wait, which ends
    /// with [`TooManyWaiting`](crate::task::TaskError::TooManyWaiting).
    pub fn max_waiting(mut self, tasks: usize) -> ThreadPoolBuilder {
        self.plan.max_waiting = tasks;
        self
    }

    /// Bytes of each worker's stack; 2 MiB unless set. A task that waits may have the one that it
    /// waits for on top of it, as long as half of the stack is left, or 1 MiB.
    pub fn stack_size(mut self, bytes: usize) -> ThreadPoolBuilder {
        self.plan.stack_size = Some(bytes);
        self
    }

    /// Run by each worker before its first task, with the worker's number, from 0. If it panics the
    /// pool is of no use any more: all its tasks have the outcome
    /// [`Init`](crate::task::TaskError::Init).
    pub fn initializer(mut self, run: impl Fn(usize) + Send + Sync + 'static) -> ThreadPoolBuilder {
        self.plan.initializer = Some(Arc::new(run) as Initializer);
        self
    }

    /// Makes it, and starts its workers.
    ///
    /// # Errors
    ///
    /// When there are to be no workers, the name has a NUL in it, or the system refuses a thread;
    /// those that were started end.
    pub fn build(mut self) -> io::Result<ThreadPool> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
        let cores = crate::cores().get();
        let mut workers = self.workers.unwrap_or(cores);
        if self.auto {
            let max = self.max_workers.unwrap_or(MOST_FOR_A_CORE * cores);
            let min = self.min_workers;
            if min > max {
                return Err(invalid(format!(
                    "a pool cannot have at least {min} and at most {max} workers; let the minimum be the smaller"
                )));
            }
            let limits = Limits {
                min,
                ..Limits::new(cores as f64, max)
            };
            workers = cores.clamp(min, max);
            self.plan.limits = Some(limits);
        }
        if workers == 0 {
            return Err(invalid(
                "a pool of 0 workers would never run a task; give it at least 1".to_owned(),
            ));
        }
        if self.plan.places == Some(0) {
            return Err(invalid(
                "a queue with no place could hold no task; let its capacity be at least 1"
                    .to_owned(),
            ));
        }
        if self.plan.name.contains('\0') {
            let name = self.plan.name.escape_debug();
            return Err(invalid(format!(
                "the workers' name `{name}` has a NUL in it"
            )));
        }
        let pool = ThreadPool {
            crew: Arc::new(Crew::new(self.plan)),
        };
        pool.crew.resize(workers)?;
        let crew: Weak<Crew> = Arc::downgrade(&pool.crew);
        registry::note_pool(crew);
        if let Some(meter) = &pool.crew.meter {
            Meter::start(&pool.crew, meter)?;
        }
        Ok(pool)
    }
}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ThreadPoolBuilder");
        shown.field("workers", &self.workers);
        shown.field("name", &self.plan.name).finish_non_exhaustive()
    }
}
