//! The pool whose workers are coroutines: many tasks in flight on few threads, as long as they wait
//! and do not compute.
//!
//! # What it promises
//!
//! - **No more are in flight than it may have**; the others wait in the order in which they were
//!   submitted.
//! - **Each has one outcome**, also when it panics, when its time is up, when the pool is shut
//!   down, and when its runtime ends under it.
//! - **One that blocks is found** and named, and holds up the thread it is on, not the others that
//!   are ready.
//! - **A function that is no coroutine** goes to a pool of threads that sizes itself.
//!
//! # How it works
//!
//! A coroutine, the claim on its outcome and its place in the line are one allocation ([`task`]);
//! drivers, which are tasks of a `tokio` runtime, take from the line what wants to be polled
//! ([`crew`]). So `tokio` has the sockets and the clock, and what is in flight, in what order, for
//! how long, and under whose token, is the pool's.

mod builder;
mod crew;
mod driver;
mod map;
mod polled;
mod task;

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::runtime::{Handle as RuntimeHandle, Runtime};

pub use self::builder::AsyncPoolBuilder;
use self::crew::CoroutineCrew;
pub use self::driver::Blocked;
use self::driver::StallWatch;
pub use self::map::{BlockingMap, MapAsync};
use self::task::Coroutine;
use super::builder::ThreadPoolBuilder;
use super::contract::{CoroutinePool, Pool};
use super::stats::{Stats, StatsReader};
use super::thread_pool::ThreadPool;
use crate::event::Events;
use crate::queue::Shutdown;
use crate::sync::park;
use crate::task::blocking;
use crate::task::{AsyncTask, Data, Handle, Options, Outcome, Task, TaskError};

/// A pool of coroutines.
///
/// ```
/// use std::time::Duration;
/// use hands::pool::AsyncPool;
///
/// async fn answer(to: u32) -> u32 {
///     tokio::time::sleep(Duration::from_millis(10)).await; // or a socket
///     to + 1
/// }
///
/// let pool = AsyncPool::new()?;
/// let answers: Vec<_> = (0..1000).map(|n| pool.spawn(answer(n))).collect();
/// for (n, answer) in (0..).zip(answers) {
///     assert_eq!(answer.join(), Ok(n + 1));
/// }
/// # std::io::Result::Ok(())
/// ```
///
/// One that is cancelled, or whose time is up, has its [`CancelToken`](crate::sync::CancelToken)
/// cancelled and is dropped where it awaits.
///
/// # Dropping
///
/// waits for all tasks. On a thread of a `tokio` runtime it does not, as that would hold up others:
/// they go on, and a thread in the background waits for them. There, await
/// [`shutdown_async`](Self::shutdown_async) first.
pub struct AsyncPool {
    crew: Arc<CoroutineCrew>,
    watch: Arc<StallWatch>,
    runtime: RuntimeHandle,
    own: Mutex<Option<Runtime>>,
    /// Made when there is a function to be run that is no coroutine.
    functions: OnceLock<Result<ThreadPool, Arc<str>>>,
    functions_plan: Mutex<Option<ThreadPoolBuilder>>,
    /// Theirs, for those who read the pool's.
    functions_stats: Arc<OnceLock<StatsReader>>,
    functions_at_first: usize,
}

/// What coroutines of a pool do and have done; a moment's view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coroutines {
    /// How many may be in flight.
    pub limit: usize,
    /// Have begun, or are about to, and have not ended.
    pub in_flight: usize,
    /// Wait until fewer are in flight.
    pub waiting: usize,
    /// Have an outcome.
    pub finished: u64,
    /// Those of them that panicked.
    pub panicked: u64,
    /// Those of them that were cancelled, or timed out, before they began.
    pub not_run: u64,
    /// How often one did not await for [long](AsyncPoolBuilder::blocked_after).
    pub blocked: u64,
    /// The last that did not.
    pub last_blocked: Option<Blocked>,
}

impl AsyncPool {
    /// A pool with a runtime of its own, which has a thread for each [core](crate::cores()).
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub fn new() -> std::io::Result<AsyncPool> {
        AsyncPool::builder().build()
    }

    /// A pool on the caller's `tokio` runtime.
    ///
    /// ```
    /// use hands::pool::AsyncPool;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// let pool = AsyncPool::on(tokio::runtime::Handle::current())?;
    /// assert_eq!(pool.spawn(async { 7 }).await, Ok(7));
    /// pool.shutdown_async(hands::pool::Shutdown::Drain).await;
    /// # std::io::Result::Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// When that runtime ends, what is unfinished has the outcome
    /// [`Cancelled`](TaskError::Cancelled).
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn on(runtime: RuntimeHandle) -> std::io::Result<AsyncPool> {
        AsyncPool::builder().runtime(runtime).build()
    }

    /// For a pool with a limit, a name, or a runtime of its choice.
    pub fn builder() -> AsyncPoolBuilder {
        AsyncPoolBuilder::new()
    }

    /// Hands over a coroutine, which may capture whatever is its own.
    ///
    /// It may be polled on any thread of the runtime, so it must be one that may be sent:
    ///
    /// ```compile_fail
    /// use std::rc::Rc;
    /// use hands::pool::AsyncPool;
    ///
    /// let pool = AsyncPool::new().unwrap();
    /// let kept = Rc::new(1);
    /// pool.spawn(async move { std::future::pending::<()>().await; drop(kept) });
    /// ```
    pub fn spawn<Fut>(&self, future: Fut) -> Handle<Fut::Output>
    where
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
    {
        self.spawn_with(Options::new(), future)
    }

    /// [`spawn`](Self::spawn), with so much time.
    pub fn spawn_with<Fut>(&self, options: Options, future: Fut) -> Handle<Fut::Output>
    where
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
    {
        let class = type_name::<Fut>();
        // That of an `async fn` is its name and this.
        let class = class.strip_suffix("::{{closure}}").unwrap_or(class);
        self.hand_over(class, options, future)
    }

    fn hand_over<Fut>(
        &self,
        class: &'static str,
        options: Options,
        future: Fut,
    ) -> Handle<Fut::Output>
    where
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
    {
        let (coroutine, limited) = Coroutine::new(class, options, future, &self.crew);
        let handle = Handle::new(Arc::clone(&coroutine) as _);
        if let Err(error) = limited {
            let why = format!("a thread that keeps the task's time: {error}").into();
            polled::Polled::refuse(&*coroutine, TaskError::Refused { why });
        } else {
            self.crew.submit(coroutine);
        }
        handle
    }

    /// Hands over a closure that blocks or computes, for a thread that may: the pool has such
    /// threads, as many as they are worth.
    ///
    /// ```
    /// use hands::pool::AsyncPool;
    ///
    /// let pool = AsyncPool::new()?;
    /// let sum = pool.spawn_blocking(|| (1..=1000_u64).sum::<u64>());
    /// assert_eq!(sum.join(), Ok(500_500));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn_blocking<F, R>(&self, run: F) -> Handle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        match self.functions() {
            Ok(functions) => functions.spawn(run),
            Err(why) => self.refused(why),
        }
    }

    fn functions(&self) -> Result<&ThreadPool, &Arc<str>> {
        let functions = self.functions.get_or_init(|| {
            let plan = self.functions_plan.lock().take();
            let built = plan.map(ThreadPoolBuilder::build);
            match built {
                Some(Ok(functions)) => {
                    // Made once, so it is set once.
                    let _ = self.functions_stats.set(functions.stats_reader());
                    Ok(functions)
                }
                Some(Err(error)) => Err(error.to_string().into()),
                None => Err("the pool's threads were made twice".into()),
            }
        });
        functions.as_ref()
    }

    /// A handle that says why there are no threads.
    fn refused<R: Send + 'static>(&self, why: &Arc<str>) -> Handle<R> {
        let never = std::future::pending::<R>();
        let (coroutine, _) = Coroutine::new(type_name::<R>(), Options::new(), never, &self.crew);
        let why = format!("threads for functions: {why}").into();
        polled::Polled::refuse(&*coroutine, TaskError::Refused { why });
        Handle::new(coroutine)
    }

    /// What its coroutines do and have done. [`stats`](Pool::stats) is about functions, too.
    pub fn coroutines(&self) -> Coroutines {
        let figures = self.crew.figures();
        let (blocked, last_blocked) = self.watch.counts();
        Coroutines {
            limit: self.crew.limit(),
            in_flight: figures.in_flight,
            waiting: figures.waiting,
            finished: figures.finished,
            panicked: figures.panicked,
            not_run: figures.not_run,
            blocked,
            last_blocked,
        }
    }

    /// [`join`](Pool::join) for a coroutine that is none of this pool's. Functions are not waited
    /// for.
    pub async fn join_async(&self) {
        self.crew.idle().await;
    }

    /// [`shutdown`](Pool::shutdown) for a coroutine. What it waits for goes on when its future is
    /// dropped.
    pub async fn shutdown_async(&self, how: Shutdown) {
        self.close();
        if how == Shutdown::Now {
            self.crew.give_up_all();
        }
        if self.is_within() {
            return;
        }
        self.crew.idle().await;
        self.end();
    }

    /// Whether the caller is one of its coroutines or functions.
    fn is_within(&self) -> bool {
        let functions = self
            .functions
            .get()
            .and_then(|functions| functions.as_ref().ok());
        self.crew.is_within() || functions.is_some_and(ThreadPool::is_own_worker)
    }

    /// Nothing is unfinished: the drivers end.
    fn end(&self) {
        self.crew.end();
        self.watch.end();
        if let Some(own) = self.own.lock().take() {
            own.shutdown_background();
        }
    }
}

impl CoroutinePool for AsyncPool {
    fn submit_async_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        F: AsyncTask<A, R, Running: Send>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        // Its first lines run where it is polled, as the rest does.
        self.hand_over(type_name::<F>(), options, async move {
            task.begin(argument).await
        })
    }
}

/// For functions that are no coroutines; they run on threads that may block.
impl Pool for AsyncPool {
    /// Threads for functions; how many coroutines may be in flight is in
    /// [`coroutines`](AsyncPool::coroutines).
    fn workers(&self) -> usize {
        match self.functions.get() {
            Some(Ok(functions)) => functions.workers(),
            _ => self.functions_at_first,
        }
    }

    fn most_workers(&self) -> usize {
        match self.functions() {
            Ok(functions) => functions.most_workers(),
            Err(_) => self.functions_at_first,
        }
    }

    fn submit_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        match self.functions() {
            Ok(functions) => functions.submit_with(options, task, argument),
            Err(why) => self.refused(why),
        }
    }

    fn submit_chunk<F, A, R>(&self, task: F, arguments: Vec<A>) -> Handle<Vec<Outcome<R>>>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        match self.functions() {
            Ok(functions) => functions.submit_chunk(task, arguments),
            Err(why) => self.refused(why),
        }
    }

    /// Of coroutines and functions together; `workers`, `sizing` and `classes` are those of the
    /// functions.
    fn stats(&self) -> Stats {
        let functions = match self.functions.get() {
            Some(Ok(functions)) => Some(functions.stats()),
            _ => None,
        };
        stats(&self.crew, functions)
    }

    fn stats_reader(&self) -> StatsReader {
        let functions = Arc::downgrade(&self.functions_stats);
        StatsReader::new(Arc::downgrade(&self.crew), move |crew| {
            let functions = functions.upgrade();
            let functions = functions.as_ref().and_then(|made| made.get());
            stats(crew, functions.map(StatsReader::read))
        })
    }

    fn events(&self) -> Events {
        self.crew.events.clone()
    }

    fn close(&self) {
        self.crew.close();
        // Made now, if they were not, so that they are closed, too.
        if let Ok(functions) = self.functions() {
            functions.close();
        }
    }

    fn join(&self) {
        assert!(
            !self.is_within(),
            "a coroutine that joins its own pool would wait for itself; await what it needs, one by one"
        );
        if let Some(Ok(functions)) = self.functions.get() {
            functions.join();
        }
        // Without a deadline it ends when all are finished.
        blocking::aside(|| park::wait(self.crew.idle()));
    }

    fn shutdown(&self, how: Shutdown) {
        self.close();
        if how == Shutdown::Now {
            self.crew.give_up_all();
        }
        if let Some(Ok(functions)) = self.functions.get() {
            functions.shutdown(how);
        }
        if self.is_within() {
            return;
        }
        blocking::aside(|| park::wait(self.crew.idle()));
        self.end();
    }
}

impl Drop for AsyncPool {
    fn drop(&mut self) {
        if RuntimeHandle::try_current().is_err() && !self.is_within() {
            return self.shutdown(Shutdown::Drain);
        }
        self.close();
        let rest = Arc::new(Mutex::new(Some(Rest {
            crew: Arc::clone(&self.crew),
            watch: Arc::clone(&self.watch),
            own: self.own.get_mut().take(),
            functions: self.functions.take(),
        })));
        let waits = std::thread::Builder::new().name("hands-drain".to_owned());
        let handed = Arc::clone(&rest);
        let started = waits.spawn(move || {
            let rest = handed.lock().take();
            if let Some(rest) = rest {
                rest.drain();
            }
        });
        if started.is_err() {
            // Without a thread a task of the runtime waits, which may not block. The functions'
            // threads end by themselves.
            let rest = rest.lock().take();
            self.runtime.spawn(async move {
                if let Some(mut rest) = rest {
                    let _ = std::mem::ManuallyDrop::new(rest.functions.take());
                    rest.crew.idle().await;
                }
            });
        }
    }
}

/// What is left of a pool that was dropped where nobody may wait.
struct Rest {
    crew: Arc<CoroutineCrew>,
    watch: Arc<StallWatch>,
    own: Option<Runtime>,
    functions: Option<Result<ThreadPool, Arc<str>>>,
}

impl Rest {
    fn drain(mut self) {
        park::wait(self.crew.idle());
        drop(self.functions.take());
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.crew.end();
        self.watch.end();
        if let Some(own) = self.own.take() {
            own.shutdown_background();
        }
    }
}

// A panic ends its task, and leaves the pool as it was.
impl std::panic::UnwindSafe for AsyncPool {}
impl std::panic::RefUnwindSafe for AsyncPool {}

impl fmt::Debug for AsyncPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("AsyncPool");
        shown.field("coroutines", &self.coroutines());
        shown.field("runtime", &self.runtime.id());
        shown.finish_non_exhaustive()
    }
}

fn stats(crew: &CoroutineCrew, functions: Option<Stats>) -> Stats {
    let mut stats = functions.unwrap_or_default();
    let figures = crew.figures();
    stats.busy += figures.in_flight;
    stats.queued += figures.waiting;
    stats.finished += figures.finished;
    stats.panicked += figures.panicked;
    stats.not_run += figures.not_run;
    stats.timed_out += figures.timed_out;
    stats
}
