//! A pool whose workers are threads of this process.

use std::any::type_name;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use super::builder::Builder;
use super::contract::Pool;
use super::crew::Crew;
use super::fork;
use super::job::Job;
use super::parallel::in_parts;
use super::scope::{Scope, scope_in};
use super::split::Split;
use super::stats::{Sizing, Stats};
use crate::queue::Shutdown;
use crate::sync::cancel::Owners;
use crate::task::blocking;
use crate::task::cell::{Runnable, TaskCell};
use crate::task::{Data, Handle, Options, Outcome, Task, TaskError};
use crate::thread::panic::caught;

/// A pool of threads.
///
/// ```
/// use hands::pool::ThreadPool;
///
/// let pool = ThreadPool::new()?;
/// let text = String::from("a closure may capture");
/// let length = pool.spawn(move || text.len());
/// assert_eq!(length.join(), Ok(21));
/// # std::io::Result::Ok(())
/// ```
///
/// Threads that its tasks start are daemons if whoever made the pool is one. Dropping the pool waits for all tasks, except on one of its own
/// workers.
pub struct ThreadPool {
    pub(super) crew: Arc<Crew>,
}

impl ThreadPool {
    /// A pool with a worker for each [core](crate::cores()).
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub fn new() -> io::Result<ThreadPool> {
        ThreadPool::builder().build()
    }

    /// A pool with so many workers.
    ///
    /// # Errors
    ///
    /// When that is 0, or the system refuses a thread.
    pub fn with_workers(workers: usize) -> io::Result<ThreadPool> {
        ThreadPool::builder().workers(workers).build()
    }

    /// A pool that sizes itself, by what its tasks do: one worker for each core while they compute, more while they wait.
    /// [`stats`](Pool::stats) says in words why it has the size it has.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    ///
    /// # Platforms
    ///
    /// Linux. Where the kernel does not say how long a thread was ready to run, the size stays as it is.
    pub fn auto() -> io::Result<ThreadPool> {
        ThreadPool::builder().auto().build()
    }

    /// For a pool with a name, an initialiser, or a certain size of stack.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Hands over a closure, which may capture whatever is its own.
    ///
    /// What it returns comes from another thread, so it must be one that may be sent:
    ///
    /// ```compile_fail,E0277
    /// use std::rc::Rc;
    /// use hands::pool::ThreadPool;
    ///
    /// let pool = ThreadPool::new().unwrap();
    /// pool.spawn(|| Rc::new(1));
    /// ```
    pub fn spawn<F, R>(&self, run: F) -> Handle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.spawn_with(Options::new(), run)
    }

    /// [`spawn`](Self::spawn), with so much time.
    pub fn spawn_with<F, R>(&self, options: Options, run: F) -> Handle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.submit_as(type_name::<F>(), options, run)
    }

    fn submit_as<F, R>(&self, class: &'static str, options: Options, run: F) -> Handle<R>
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
        let soon = self.crew.looking.load(Ordering::Relaxed);
        let handle = Handle::new(Arc::clone(&task) as _);
        self.crew.put(Job::task(task));
        handle.expected(soon).of(self.crew.id)
    }

    /// Hands over a closure whose outcome nobody wants: cheaper than [`spawn`](Self::spawn). A panic is counted in
    /// [`stats`](Pool::stats) and reported by the panic hook. `false`: the pool takes no more, and the closure was dropped.
    pub fn execute<F>(&self, run: F) -> bool
    where
        F: FnOnce() + Send + 'static,
    {
        self.crew.put(Job::run(Box::new(run)))
    }

    /// Runs a function that spawns tasks which borrow from around it, and waits for them; a worker works meanwhile.
    ///
    /// ```
    /// use hands::pool::ThreadPool;
    ///
    /// let pool = ThreadPool::new()?;
    /// let mut halves = [0, 0];
    /// let [left, right] = &mut halves;
    /// pool.scope(|scope| {
    ///     scope.spawn(|| *left = 1);
    ///     scope.spawn(|| *right = 2);
    /// });
    /// assert_eq!(halves, [1, 2]);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// What is borrowed must outlive the scope:
    ///
    /// ```compile_fail,E0597
    /// let pool = hands::pool::ThreadPool::new().unwrap();
    /// pool.scope(|scope| {
    ///     let short = 1;
    ///     scope.spawn(|| println!("{short}"));
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// When the function or one of the tasks panics, with its panic, after all have ended; and when the pool takes no more tasks.
    pub fn scope<'env, F, R>(&self, run: F) -> R
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    {
        scope_in(&self.crew, run)
    }

    /// Runs a function on a worker, and waits for it: what it [splits](super::join) is shared among the workers.
    ///
    /// # Panics
    ///
    /// With the function's panic, and when the pool takes no more tasks.
    pub fn install<F, R>(&self, run: F) -> R
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        if self.is_own_worker() {
            return run();
        }
        let mut result = None;
        self.scope(|scope| scope.execute(|| result = Some(run())));
        match result {
            Some(result) => result,
            None => unreachable!("a scope whose task has no result panics"),
        }
    }

    /// [`join`](super::join) in this pool, from whatever thread.
    ///
    /// # Panics
    ///
    /// As [`install`](Self::install).
    pub fn both<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA + Send,
        B: FnOnce() -> RB + Send,
        RA: Send,
        RB: Send,
    {
        self.install(|| fork::join(a, b))
    }

    /// Calls a function for each element of a range or a slice, on all workers.
    ///
    /// ```
    /// use hands::pool::ThreadPool;
    ///
    /// let pool = ThreadPool::new()?;
    /// let mut numbers = vec![1, 2, 3];
    /// pool.for_each(&mut numbers[..], |n| *n *= 10);
    /// assert_eq!(numbers, [10, 20, 30]);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Panics
    ///
    /// With the panic of the function, once all workers have stopped, and when the pool takes no more tasks.
    pub fn for_each<S, F>(&self, whole: S, each: F)
    where
        S: Split,
        F: Fn(S::Item) + Sync,
    {
        in_parts(&self.crew, whole, |part| part.items().for_each(&each));
    }

    /// Folds the elements of a range or a slice into one value: parts of it on all workers, each part from `identity`, and the
    /// results of the parts by `combine`, in no certain order.
    ///
    /// ```
    /// use hands::pool::ThreadPool;
    ///
    /// let pool = ThreadPool::new()?;
    /// let sum = pool.reduce(1..1_000_001_u64, || 0, |sum, n| sum + n, |a, b| a + b);
    /// assert_eq!(sum, 500_000_500_000);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`for_each`](Self::for_each).
    pub fn reduce<S, R, I, F, C>(&self, whole: S, identity: I, fold: F, combine: C) -> R
    where
        S: Split,
        R: Send,
        I: Fn() -> R + Sync,
        F: Fn(R, S::Item) -> R + Sync,
        C: Fn(R, R) -> R + Sync,
    {
        let so_far = parking_lot::Mutex::new(None);
        in_parts(&self.crew, whole, |part| {
            let mut result = part.items().fold(identity(), &fold);
            // Combined without the lock: it may take its time, or panic.
            loop {
                let mut so_far = so_far.lock();
                let Some(other) = so_far.take() else {
                    *so_far = Some(result);
                    return;
                };
                drop(so_far);
                result = combine(other, result);
            }
        });
        so_far.into_inner().unwrap_or_else(identity)
    }

    /// Sets the number of workers; a pool that sizes itself will set another. More are started at once; fewer, when they have finished what they do.
    ///
    /// # Errors
    ///
    /// When that is 0, or the system refuses a thread: there are fewer then.
    pub fn resize(&self, workers: usize) -> io::Result<()> {
        if workers == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a pool of 0 workers would never run a task; leave it at least 1",
            ));
        }
        self.crew.resize(workers)
    }

    /// Whether the caller is one of its workers.
    pub(super) fn is_own_worker(&self) -> bool {
        self.crew.is_own_thread()
    }
}

impl Pool for ThreadPool {
    fn workers(&self) -> usize {
        self.crew.wanted()
    }

    fn most_workers(&self) -> usize {
        self.crew.most()
    }

    fn submit_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        self.submit_as(type_name::<F>(), options, move || task(argument))
    }

    fn submit_chunk<F, A, R>(&self, task: F, arguments: Vec<A>) -> Handle<Vec<Outcome<R>>>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        self.submit_as(type_name::<F>(), Options::new(), move || {
            let each = |argument| caught(|| task(argument)).map_err(TaskError::from);
            arguments.into_iter().map(each).collect()
        })
    }

    fn stats(&self) -> Stats {
        let crew = &self.crew;
        let meter = crew.meter.as_ref();
        let fixed = || Sizing::Fixed {
            workers: crew.wanted(),
        };
        Stats {
            workers: crew.alive(),
            busy: crew.counts.busy.load(Ordering::Relaxed),
            queued: crew.jobs.len(),
            finished: crew.finished(),
            panicked: crew.counts.panicked.load(Ordering::Relaxed),
            not_run: crew.counts.not_run.load(Ordering::Relaxed),
            sizing: meter.map_or_else(fixed, |meter| Sizing::Auto(meter.decision())),
            classes: meter.map_or_else(Vec::new, |meter| meter.classes.all()),
        }
    }

    fn close(&self) {
        self.crew.jobs.shutdown(Shutdown::Drain);
    }

    fn join(&self) {
        assert!(
            !self.is_own_worker(),
            "a task that waits for all tasks of its pool would wait for itself; join the handles of those it submitted"
        );
        blocking::aside(|| self.crew.jobs.join());
    }

    fn shutdown(&self, how: Shutdown) {
        if how == Shutdown::Now {
            self.crew.discards.store(true, Ordering::Release);
        }
        self.crew.jobs.shutdown(how);
        if how == Shutdown::Now {
            let running = self.crew.running.lock().clone();
            running.iter().for_each(Owners::cancel);
        }
        blocking::aside(|| self.crew.join_threads(None));
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Drain);
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("stats", &self.stats())
            .finish()
    }
}
