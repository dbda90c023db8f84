//! A pool whose workers are threads of this process.

use std::any::type_name;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::apart::apart;
use super::broadcast::broadcast;
use super::chunks::Chunks;
use super::contract::Pool;
use super::crew::Crew;
use super::fork;
use super::job::QueuedJob;
use super::many::Many;
use super::map::Map;
use super::parallel::in_parts;
use super::scope::{TaskScope, scope_in};
use super::split::{IntoSplit, Split};
use super::stats::{Sizing, Stats, StatsReader};
use crate::event::{Events, TaskEnd};
use crate::queue::Shutdown;
use crate::sync::cancel::Owners;
use crate::sync::park::deadline;
use crate::task::blocking;
use crate::task::{Data, Handle, Options, Outcome, Task};

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
/// Its own `submit`, `map` and `submit_many` take any closure and any types that may be sent to
/// another thread; those of the trait [`Pool`] what can go to a process or a machine as well.
///
/// Dropping it on a thread of an asynchronous runtime blocks that thread: await
/// [`shutdown_async`](Self::shutdown_async) before.
///
/// Threads that its tasks start are daemons if the thread that made the pool is one. Dropping the
/// pool waits for all tasks, except on one of its own workers.
#[doc(alias(
    "ThreadPoolExecutor",
    "executor",
    "rayon",
    "run_in_executor",
    "spawn_blocking"
))]
pub struct ThreadPool {
    pub(super) crew: Arc<Crew>,
}

impl ThreadPool {
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
        self.crew.submit_as(type_name::<F>(), options, run)
    }

    /// Hands over a function and its argument. Unlike [`Pool::submit`], which runs on any kind of
    /// worker, it takes any closure and any types that may be sent to another thread.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use hands::pool::ThreadPool;
    ///
    /// let pool = ThreadPool::new()?;
    /// let words = Arc::new(vec!["many", "hands"]);
    /// let number = 1;
    /// let word = pool.submit(move |words: Arc<Vec<&'static str>>| words[number], words);
    /// assert_eq!(word.join(), Ok("hands"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn submit<F, A, R>(&self, task: F, argument: A) -> Handle<R>
    where
        F: FnOnce(A) -> R + Send + 'static,
        A: Send + 'static,
        R: Send + 'static,
    {
        self.crew
            .submit_as(type_name::<F>(), Options::new(), move || task(argument))
    }

    /// [`submit`](Self::submit), with limits of its own.
    pub fn submit_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        F: FnOnce(A) -> R + Send + 'static,
        A: Send + 'static,
        R: Send + 'static,
    {
        self.crew
            .submit_as(type_name::<F>(), options, move || task(argument))
    }

    /// [`Pool::map`] for any closure and any types that may be sent to another thread.
    ///
    /// ```
    /// use hands::pool::ThreadPool;
    ///
    /// let pool = ThreadPool::new()?;
    /// let base = String::from("page-");
    /// let names = pool.map(move |n: u32| format!("{base}{n}"), 1..=3);
    /// let names = names.collect::<Result<Vec<_>, _>>();
    /// assert_eq!(names.unwrap(), ["page-1", "page-2", "page-3"]);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn map<F, A, R, I>(&self, task: F, inputs: I) -> Map<'_, Crew, Arc<F>, I::IntoIter, R>
    where
        F: Fn(A) -> R + Send + Sync + 'static,
        A: Send + 'static,
        R: Send + 'static,
        I: IntoIterator<Item = A>,
    {
        Map::new(&*self.crew, Arc::new(task), inputs.into_iter())
    }

    /// [`Pool::submit_many`] for any closure and any types that may be sent to another thread.
    pub fn submit_many<F, A, R, I>(&self, task: F, inputs: I) -> Many<R>
    where
        F: Fn(A) -> R + Send + Sync + 'static,
        A: Send + 'static,
        R: Send + 'static,
        I: IntoIterator<Item = A>,
    {
        Many::submit(&*self.crew, &Arc::new(task), inputs)
    }

    /// Runs a closure once on each worker, with the number of the call, from 0: to fill a cache of
    /// each thread, or to ask each what it has. A worker that is in a task comes to it after that;
    /// the caller, if it is a worker, at once.
    ///
    /// ```
    /// use std::collections::HashSet;
    /// use hands::pool::ThreadPool;
    ///
    /// let pool = ThreadPool::with_workers(3)?;
    /// let threads: HashSet<_> = pool
    ///     .broadcast(|_| std::thread::current().id())
    ///     .into_iter()
    ///     .map(|handle| handle.join().unwrap())
    ///     .collect();
    /// assert_eq!(threads.len(), 3);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn broadcast<F, R>(&self, run: F) -> Vec<Handle<R>>
    where
        F: Fn(usize) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        broadcast(&self.crew, run)
    }

    /// [`join`](Pool::join) for no longer than `timeout`; says whether all tasks have an outcome.
    ///
    /// # Panics
    ///
    /// On a worker of the pool.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.refuse_own_worker();
        blocking::aside(|| self.crew.jobs.join_timeout(timeout))
    }

    /// [`shutdown`](Pool::shutdown) that waits no longer than `timeout`; says whether all workers
    /// have ended. Those that have not go on.
    pub fn shutdown_timeout(&self, how: Shutdown, timeout: Duration) -> bool {
        self.begin_shutdown(how);
        let until = deadline(timeout);
        blocking::aside(|| self.crew.join_threads(until))
    }

    /// [`shutdown`](Pool::shutdown) for a coroutine, whose thread it does not block. What it waits
    /// for goes on when its future is dropped.
    pub async fn shutdown_async(&self, how: Shutdown) {
        self.begin_shutdown(how);
        let crew = Arc::clone(&self.crew);
        apart(move || {
            crew.join_threads(None);
        })
        .await;
    }

    fn refuse_own_worker(&self) {
        assert!(
            !self.is_own_worker(),
            "a task that waits for all tasks of its pool would wait for itself; join the handles of those it submitted"
        );
    }

    fn begin_shutdown(&self, how: Shutdown) {
        if how == Shutdown::Now {
            self.crew.discards.store(true, Ordering::Release);
            self.crew.tell_discarded();
        }
        self.crew.jobs.shutdown(how);
        if how == Shutdown::Now {
            let running = self.crew.running.lock().clone();
            running.iter().for_each(Owners::cancel);
        }
    }

    /// Hands over a closure whose outcome nobody wants: cheaper than [`spawn`](Self::spawn). A
    /// panic is counted in [`stats`](Pool::stats) and reported by the panic hook. `false`: the pool
    /// takes no more, and the closure was dropped.
    pub fn execute<F>(&self, run: F) -> bool
    where
        F: FnOnce() + Send + 'static,
    {
        self.crew.put(QueuedJob::run(Box::new(run)))
    }

    /// Runs a function that spawns tasks which borrow from around it, and waits for them; a worker
    /// works meanwhile.
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
    /// When the function or one of the tasks panics, with its panic, after all have ended; and when
    /// the pool takes no more tasks.
    pub fn scope<'env, F, R>(&self, run: F) -> R
    where
        F: for<'scope> FnOnce(&'scope TaskScope<'scope, 'env>) -> R,
    {
        scope_in(&self.crew, run)
    }

    /// Runs a function on a worker, and waits for it: what it [splits](super::join) is shared among
    /// the workers.
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

    /// Calls a function for each element of a range, a slice or a vector, on all workers;
    /// [`chunks`](super::chunks) and [`enumerate`](super::enumerate) are for pieces and numbers.
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
    /// With the panic of the function, once all workers have stopped, and when the pool takes no
    /// more tasks.
    #[doc(alias = "par_iter")]
    pub fn for_each<S, F>(&self, whole: S, each: F)
    where
        S: IntoSplit,
        F: Fn(S::Item) + Sync,
    {
        let whole = whole.into_split();
        in_parts(&self.crew, whole, |part: S::Split| {
            part.items().for_each(&each)
        });
    }

    /// Folds the elements of a range, a slice or a vector into one value: parts of it on all
    /// workers, each part from `identity`, and the results of the parts by `combine`, in no certain
    /// order.
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
        S: IntoSplit,
        R: Send,
        I: Fn() -> R + Sync,
        F: Fn(R, S::Item) -> R + Sync,
        C: Fn(R, R) -> R + Sync,
    {
        let so_far = parking_lot::Mutex::new(None);
        in_parts(&self.crew, whole.into_split(), |part: S::Split| {
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

    /// Sets the number of workers; a pool that sizes itself will set another. More are started at
    /// once; fewer, when they have finished what they do.
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
        self.crew
            .submit_as(type_name::<F>(), options, move || task(argument))
    }

    fn submit_chunk<F, A, R>(&self, task: F, arguments: Vec<A>) -> Handle<Vec<Outcome<R>>>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        Chunks::submit_chunk(&*self.crew, &Arc::new(task), arguments)
    }

    fn events(&self) -> Events {
        self.crew.events.clone()
    }

    fn stats(&self) -> Stats {
        stats(&self.crew)
    }

    fn stats_reader(&self) -> StatsReader {
        StatsReader::new(Arc::downgrade(&self.crew), stats)
    }

    fn close(&self) {
        self.crew.jobs.shutdown(Shutdown::Drain);
    }

    fn join(&self) {
        self.refuse_own_worker();
        blocking::aside(|| self.crew.jobs.join());
    }

    fn shutdown(&self, how: Shutdown) {
        self.begin_shutdown(how);
        blocking::aside(|| self.crew.join_threads(None));
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Drain);
    }
}

// A panic ends its task, and leaves the pool as it was.
impl std::panic::UnwindSafe for ThreadPool {}
impl std::panic::RefUnwindSafe for ThreadPool {}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("stats", &self.stats())
            .finish()
    }
}

fn stats(crew: &Crew) -> Stats {
    let meter = crew.meter.as_ref();
    let fixed = || Sizing::Fixed {
        workers: crew.wanted(),
    };
    Stats {
        workers: crew.alive(),
        busy: crew.counts.busy.load(Ordering::Relaxed),
        queued: crew.jobs.len(),
        finished: crew.finished(),
        panicked: crew.events.tally().of(TaskEnd::Panicked),
        not_run: crew.events.tally().of(TaskEnd::NotRun),
        sizing: meter.map_or_else(fixed, |meter| Sizing::Auto(meter.decision())),
        classes: meter.map_or_else(Vec::new, |meter| meter.classes.all()),
        ..Stats::default()
    }
}
