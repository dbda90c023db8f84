//! [`ProcessPool`]: a pool whose workers are processes.
//!
//! # How it works
//!
//! ```text
//!            ┌─ queue ─┐   requests ─────▶            (one memory for each worker)
//!  submit ──▶│ ▒▒▒▒▒▒▒ │──▶ claims        worker: take, run, lay ready, reply
//!            └─────────┘   ◀────── replies
//!  join ◀── outcome ◀── collect ◀─┘
//! ```
//!
//! - Each worker has a piece of memory in common with the pool, and with nobody else: two rings of
//!   messages, one writer and one reader each, and a word for each task that says whether it has
//!   begun ([`control block`]). So whatever a worker does, or whenever it is killed, hurts that
//!   memory only, which goes with it.
//! - Arguments are written down by `serde` when a task is submitted, and results when it has run.
//!   What is shared ([`hands::shared`](crate::shared)) travels beside them, as do long messages,
//!   through a socket.
//! - Short tasks are handed over many at a time, others one by one, so that no task waits behind a
//!   long one while a worker has nothing to do ([`crew`]).
//! - The joiner takes in replies meanwhile ([`inner`]); when nobody does, the pool's own thread
//!   is woken, which also sees to time-outs and to workers that die ([`service`]) and has others
//!   [started](start).

mod builder;
mod child;
mod dispatch;
mod protocol;
mod stream;

use std::fmt;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use self::builder::ProcessPoolBuilder;
use self::child::call::{code_of, until_ok_code_of};
pub use self::child::capture::Captured;
use self::dispatch::inner::ProcessPoolCore;
use self::dispatch::job::ProcessJob;
use self::protocol::message::Kind;
pub use self::stream::Outcomes;
use super::apart::apart;
#[cfg(feature = "async")]
use super::contract::CoroutinePool;
use super::contract::Pool;
use super::stats::{Sizing, Stats, StatsReader};
use crate::context::Context;
use crate::event::{Events, TaskEnd};
use crate::process::SpawnError;
use crate::queue::Shutdown;
use crate::sync::CancelToken;
use crate::sync::timer::soon;
#[cfg(feature = "async")]
use crate::task::AsyncTask;
use crate::task::blocking;
use crate::task::remote::{Chunk, ChunkPart, Remote, RemotePool, Single};
use crate::task::{Data, Handle, Options, Outcome, Task, TaskError};
use crate::thread::panic::caught;
use crate::wire::codec::{self, Failure};
use crate::wire::image::Code;
use crate::wire::message as wire;
use crate::wire::outcome;

/// A pool of processes: the same tasks as a [`ThreadPool`](super::ThreadPool), each in a process
/// that may crash, leak or be killed without hurting anybody else.
///
/// ```
/// # hands::entry!();
/// use hands::pool::{Pool, ProcessPool};
/// use hands::task::TaskError;
///
/// fn halve(n: u64) -> u64 {
///     if n % 2 == 1 {
///         std::process::abort(); // takes its worker along, and no other task
///     }
///     n / 2
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let _hands = hands::init(); // first: copies of this program learn here that they are to work
///
///     let pool = ProcessPool::new()?;
///     let outcomes: Vec<_> = pool.map(halve, 0..4).collect();
///     assert_eq!(outcomes[2], Ok(1));
///     assert!(matches!(&outcomes[3], Err(TaskError::Died(died)) if died.signal == Some(6)));
///     Ok(())
/// }
/// ```
///
/// # What is promised
///
/// - A worker that dies costs the task that it had begun, whose outcome says how it died and what
///   it wrote last; not those that it had finished, and not those that it had not begun. It is
///   replaced.
/// - No task is begun twice, unless [`retries`](ProcessPoolBuilder::retries) are asked for, and
///   each has one outcome.
/// - A task that is cancelled or whose time is up is told so, by its
///   [`CancelToken`](crate::sync::CancelToken), and ended with its worker if it does not listen.
/// - Workers end with the program, however that ends.
///
/// Callbacks of handles run on a thread of their own kind; they may block, submit, and wait for
/// other tasks of the pool.
///
/// Dropping the pool waits for all tasks, except in a callback: then a thread in the background
/// does. On a thread of an asynchronous runtime await [`shutdown_async`](Self::shutdown_async)
/// before.
///
/// # What tasks log
///
/// A worker is a process of its own, so it sets up its log by itself, where the program does that
/// in `main`. What it writes to stderr goes to the program's, and the last of it is in the error of
/// a task whose worker dies:
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let _hands = hands::init();
/// use hands::pool::{Pool, ProcessPool};
/// use tracing_subscriber::fmt;
///
/// fn log_to_stderr() {
///     fmt().with_writer(std::io::stderr).init();
/// }
///
/// log_to_stderr();
/// let pool = ProcessPool::builder().workers(2).initializer(|_| log_to_stderr()).build()?;
/// pool.submit(|n: u64| tracing::info!("{n} in a worker"), 7).join()?;
/// # Ok(())
/// # }
/// ```
#[doc(alias("ProcessPoolExecutor", "executor", "multiprocessing"))]
pub struct ProcessPool {
    inner: Arc<ProcessPoolCore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A worker, at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Its place in the pool, from 0.
    pub number: usize,
    /// Its process.
    pub pid: u32,
    /// Tasks that it has finished.
    pub finished: u64,
    /// Whether it runs one.
    pub is_busy: bool,
}

impl ProcessPool {
    /// The pool, to its tasks.
    fn as_remote(&self) -> Weak<dyn RemotePool> {
        Arc::downgrade(&self.inner) as _
    }
}

impl ProcessPool {
    /// A pool with a worker for each [core](crate::cores()).
    ///
    /// # Errors
    ///
    /// When no worker can be started: see [`SpawnError`].
    pub fn new() -> Result<ProcessPool, SpawnError> {
        ProcessPool::builder().build()
    }

    /// A pool with `workers` workers.
    ///
    /// # Errors
    ///
    /// When that is 0, and as [`new`](Self::new).
    pub fn with_workers(workers: usize) -> Result<ProcessPool, SpawnError> {
        ProcessPool::builder().workers(workers).build()
    }

    /// For a pool with limits, an initialiser, or a way to start workers.
    pub fn builder() -> ProcessPoolBuilder {
        ProcessPoolBuilder::new()
    }

    /// Its workers; one that has just died is missing.
    pub fn worker_stats(&self) -> Vec<WorkerStats> {
        let crew = self.inner.crew.lock();
        let each = crew.workers().map(|worker| WorkerStats {
            number: worker.slot,
            pid: worker.process.pid(),
            finished: worker.finished,
            is_busy: !worker.sent.is_empty(),
        });
        each.collect()
    }

    /// Has a worker run a coroutine, beside others if the pool was made with
    /// [`coroutines`](ProcessPoolBuilder::coroutines). It runs on a `tokio` runtime with time and
    /// I/O, always on the same thread, so it need not be `Send`.
    ///
    /// When it is cancelled, or its time is up, its [`CancelToken`](crate::sync::CancelToken) is
    /// cancelled and it is dropped at its next `await`. If it does not come to one within the
    /// [grace](ProcessPoolBuilder::grace), its worker is killed, and those that have begun there
    /// with it.
    ///
    /// ```
    /// # hands::entry!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let _hands = hands::init();
    /// use std::time::Duration;
    /// use hands::pool::{Pool, ProcessPool};
    ///
    /// async fn fetch(id: u64) -> String {
    ///     tokio::time::sleep(Duration::from_millis(10)).await; // or a socket
    ///     format!("page {id}")
    /// }
    ///
    /// let pool = ProcessPool::builder().workers(2).coroutines(100).build()?;
    /// let pages: Vec<_> = (0..200).map(|id| pool.submit_async(fetch, id)).collect();
    /// for (id, page) in pages.into_iter().enumerate() {
    ///     assert_eq!(page.join()?, format!("page {id}"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "async")]
    pub fn submit_async<F, A, R>(&self, task: F, argument: A) -> Handle<R>
    where
        F: AsyncTask<A, R>,
        A: Data,
        R: Data,
    {
        self.submit_async_with(Options::new(), task, argument)
    }

    /// As [`submit_async`](Self::submit_async), with limits of its own.
    #[cfg(feature = "async")]
    pub fn submit_async_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        F: AsyncTask<A, R>,
        A: Data,
        R: Data,
    {
        let single = Single::<R>::new::<F>(self.as_remote(), outcome::read);
        let handle = Handle::new(Arc::clone(&single) as _);
        let code = (
            child::coroutines::begin_code_of::<F, A, R>(task),
            Kind::Coroutine,
        );
        self.send(options, code, std::iter::once(&argument), single);
        handle
    }

    /// As [`submit`](Pool::submit), and keeps what the task writes to stderr instead of letting it
    /// through: its log, its panic's message. If its worker dies, the last of it is in the error,
    /// as always.
    ///
    /// ```
    /// # hands::entry!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let _hands = hands::init();
    /// use hands::pool::ProcessPool;
    ///
    /// let pool = ProcessPool::with_workers(1)?;
    /// let task = pool.submit_captured(|n: u64| { eprintln!("have {n}"); n + 1 }, 1);
    /// let captured = task.join()?;
    /// assert_eq!(captured.stderr(), "have 1\n");
    /// assert_eq!(captured.into_outcome(), Ok(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit_captured<F, A, R>(&self, task: F, argument: A) -> Handle<Captured<R>>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        let single = Single::<Captured<R>>::new::<F>(self.as_remote(), outcome::read);
        let handle = Handle::new(Arc::clone(&single) as _);
        let code = (
            child::capture::captured_code_of::<F, A, R>(task),
            Kind::Call,
        );
        self.send(Options::new(), code, std::iter::once(&argument), single);
        handle
    }

    /// As [`submit`](Pool::submit), for a task that is begun again when its result is an `Err`, as
    /// often as there are [`retries`](ProcessPoolBuilder::retries). The last result counts.
    ///
    /// ```
    /// # hands::entry!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let _hands = hands::init();
    /// use hands::pool::ProcessPool;
    /// use hands::shared::Value;
    ///
    /// fn third_time(tries: Value<u64>) -> Result<u64, String> {
    ///     let tries = tries.update(|tries| { *tries += 1; *tries });
    ///     if tries < 3 { Err(format!("{tries} is too early")) } else { Ok(tries) }
    /// }
    ///
    /// let pool = ProcessPool::builder().workers(1).retries(5).build()?;
    /// assert_eq!(pool.submit_until_ok(third_time, Value::new(0)?).join()?, Ok(3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit_until_ok<F, A, T, E>(&self, task: F, argument: A) -> Handle<Result<T, E>>
    where
        F: Task<A, Result<T, E>>,
        A: Data,
        Result<T, E>: Data,
    {
        let single = Single::<Result<T, E>>::new::<F>(self.as_remote(), outcome::read);
        let handle = Handle::new(Arc::clone(&single) as _);
        let code = (until_ok_code_of::<F, A, T, E>(task), Kind::Call);
        self.send(Options::new(), code, std::iter::once(&argument), single);
        handle
    }

    /// As [`submit`](Pool::submit), for a task that is lent the [state](ProcessPoolBuilder::state)
    /// that its worker has for itself.
    ///
    /// A task that panics while it has the state costs its worker, which is replaced, and so the
    /// state. If the workers have no state of this type the outcome is [`Init`](TaskError::Init).
    ///
    /// ```
    /// # hands::entry!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let _hands = hands::init();
    /// use std::collections::HashMap;
    /// use hands::pool::ProcessPool;
    ///
    /// struct Model(HashMap<String, u64>);
    ///
    /// fn load(words: Vec<String>) -> Model {
    ///     Model(words.into_iter().zip(1..).collect())
    /// }
    ///
    /// let words = ["many", "hands"].map(str::to_owned).to_vec();
    /// let pool = ProcessPool::builder().workers(2).state(load, words).build()?;
    /// let place = pool.with_state(|model: &mut Model, word: String| model.0.get(&word).copied(), "hands".to_owned());
    /// assert_eq!(place.join()?, Some(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_state<F, S, A, R>(&self, task: F, argument: A) -> Handle<R>
    where
        F: Fn(&mut S, A) -> R + Copy + Send + Sync + 'static,
        S: 'static,
        A: Data,
        R: Data,
    {
        let single = Single::<R>::new::<F>(self.as_remote(), outcome::read);
        let handle = Handle::new(Arc::clone(&single) as _);
        let code = (child::state::code_of::<F, S, A, R>(task), Kind::Call);
        self.send(Options::new(), code, std::iter::once(&argument), single);
        handle
    }

    /// Has a task make items one after the other, and gives each as soon as it is there. See
    /// [`Outcomes`]. The task is not begun again when its worker dies: some of its items have been
    /// taken.
    ///
    /// ```
    /// # hands::entry!();
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let _hands = hands::init();
    /// use hands::pool::ProcessPool;
    ///
    /// let pool = ProcessPool::with_workers(1)?;
    /// let squares = pool.stream(|from: u64| (from..).map(|n| n * n), 3);
    /// let first: Result<Vec<u64>, _> = squares.take(3).collect();
    /// assert_eq!(first?, [9, 16, 25]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<F, A, I, T>(&self, task: F, argument: A) -> Outcomes<T>
    where
        F: Task<A, I>,
        A: Data,
        I: IntoIterator<Item = T> + 'static,
        T: Data,
    {
        let _ = task;
        let options = Options {
            is_once: true,
            ..Options::new()
        };
        Outcomes::new(|items| {
            self.submit_with(
                options,
                stream::StreamRun::<F, I>::task::<A, T>,
                (argument, items),
            )
        })
    }

    /// [`shutdown`](Pool::shutdown) for a coroutine, whose thread it does not block. What it waits
    /// for goes on when its future is dropped.
    pub async fn shutdown_async(&self, how: Shutdown) {
        self.inner.begin_shutdown(how);
        let (inner, thread) = (Arc::clone(&self.inner), self.thread.lock().take());
        apart(move || end(&inner, &Mutex::new(thread), how)).await;
    }

    /// Sets the number of workers. New ones are started at once; those that are too many end
    /// when they have finished what they have.
    ///
    /// # Errors
    ///
    /// When that is 0.
    pub fn resize(&self, workers: usize) -> Result<(), SpawnError> {
        if workers == 0 {
            return Err(ProcessPoolBuilder::no_workers());
        }
        self.inner.resize(workers);
        Ok(())
    }

    fn options(&self, options: Options) -> Options {
        Options {
            timeout: options.timeout.or(self.inner.plan.timeout),
            ..options
        }
    }

    /// Sends a chunk: whole, or in parts if its arguments share more than one message carries.
    fn send_parts<A: Data, R: Data>(
        &self,
        code: (Option<Code>, Kind),
        arguments: &[A],
        first: usize,
        chunk: &Arc<Chunk<R>>,
    ) {
        let is_whole = arguments.len() == chunk.count();
        let remote = || match is_whole {
            true => Arc::clone(chunk) as Arc<dyn Remote>,
            false => ChunkPart::new(chunk, first, arguments.len()) as Arc<dyn Remote>,
        };
        if arguments.len() < 2 {
            return self.send(Options::new(), code, arguments.iter(), remote());
        }
        let shared = self.try_send(Options::new(), code, arguments.iter(), remote);
        if let Err(TooMuch(_)) = shared {
            let (left, right) = arguments.split_at(arguments.len() / 2);
            self.send_parts(code, left, first, chunk);
            self.send_parts(code, right, first + left.len(), chunk);
        }
    }

    /// Writes the arguments down, and hands them over.
    fn send<'a, A: Data + 'a>(
        &self,
        options: Options,
        code: (Option<Code>, Kind),
        arguments: impl ExactSizeIterator<Item = &'a A>,
        remote: Arc<dyn Remote>,
    ) {
        let same = || Arc::clone(&remote);
        if let Err(TooMuch(things)) = self.try_send(options, code, arguments, same) {
            let what = format!("the argument: {}", wire::too_many(things));
            remote.refuse(TaskError::Encode { what });
        }
    }

    /// [`send`](Self::send), unless what the arguments share is too much for one message.
    fn try_send<'a, A: Data + 'a>(
        &self,
        options: Options,
        (code, kind): (Option<Code>, Kind),
        arguments: impl ExactSizeIterator<Item = &'a A>,
        remote: impl FnOnce() -> Arc<dyn Remote>,
    ) -> Result<(), TooMuch> {
        let Some(code) = code else {
            let what = SpawnError::NotInExecutable.to_string();
            remote().refuse(TaskError::Encode { what });
            return Ok(());
        };
        let count = arguments.len();
        let around = Context::current();
        let outer = CancelToken::current();
        let mut options = self.options(options);
        let within = outer.as_ref().and_then(CancelToken::deadline);
        options.deadline = [options.deadline, within].into_iter().flatten().min();
        if options.deadline.is_some_and(|at| at <= Instant::now()) {
            let after = Duration::ZERO;
            remote().refuse(TaskError::TimedOut { after });
            return Ok(());
        }
        let mut context = 0;
        let mut payload = Vec::new();
        let mut ends = Vec::with_capacity(if count > 1 { count } else { 0 });
        let written = caught(|| {
            codec::collecting(|| {
                let mut written = around.write()?;
                written.limit(options.deadline);
                if !written.is_empty() {
                    codec::append(&written, &mut payload)?;
                    context = payload.len();
                }
                for argument in arguments {
                    codec::write(argument, &mut payload)?;
                    if count > 1 {
                        let end = u32::try_from(payload.len());
                        ends.push(end.map_err(|_| {
                            Failure::Encode("4 GiB of arguments in one piece".to_owned())
                        })?);
                    }
                }
                Ok::<(), Failure>(())
            })
        });
        let descriptors = match written {
            Ok((Ok(()), descriptors)) if descriptors.len() > wire::MOST_SHARED => {
                return Err(TooMuch(descriptors.len()));
            }
            Ok((Ok(()), descriptors)) => descriptors,
            Ok((Err(Failure::Encode(what) | Failure::Decode(what)), _)) => {
                let what = format!("the argument: {what}");
                remote().refuse(TaskError::Encode { what });
                return Ok(());
            }
            Err(caught) => {
                remote().refuse(caught.into());
                return Ok(());
            }
        };
        let remote = remote();
        let waker = outer.is_some().then(|| self.inner.waker(&remote));
        let watched = outer.zip(waker).map(|(token, waker)| token.watch(&waker));
        let is_unwanted = matches!(watched, Some(None));
        let job = ProcessJob {
            remote: Arc::clone(&remote),
            context,
            _outer: watched.flatten(),
            function: 0,
            payload,
            ends,
            descriptors,
            done: 0,
            number: 0,
            count: count as u64,
            options,
            retries: if options.is_once {
                0
            } else {
                self.inner.plan.retries
            },
            undelivered: 0,
        };
        self.inner.submit((code, kind), job);
        if is_unwanted {
            self.inner.cancel(&*remote);
        }
        Ok(())
    }
}

/// The arguments share more things than one message carries.
struct TooMuch(usize);

impl Pool for ProcessPool {
    fn workers(&self) -> usize {
        self.inner.crew.lock().wanted
    }

    fn submit_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        let single = Single::<R>::new::<F>(self.as_remote(), outcome::read);
        let handle = Handle::new(Arc::clone(&single) as _);
        let code = (code_of::<F, A, R>(task), Kind::Call);
        self.send(options, code, std::iter::once(&argument), single);
        handle
    }

    fn submit_chunk<F, A, R>(&self, task: F, arguments: Vec<A>) -> Handle<Vec<Outcome<R>>>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        let chunk = Chunk::<R>::new::<F>(self.as_remote(), outcome::read::<R>, arguments.len());
        let handle = Handle::new(Arc::clone(&chunk) as _);
        if arguments.is_empty() {
            // Nobody else has the handle yet, so there are no callbacks.
            let _ = chunk.finish(&|_| ());
            return handle;
        }
        let code = (code_of::<F, A, R>(task), Kind::Call);
        self.send_parts(code, &arguments, 0, &chunk);
        handle
    }

    fn events(&self) -> Events {
        self.inner.events.clone()
    }

    fn stats(&self) -> Stats {
        stats(&self.inner)
    }

    fn stats_reader(&self) -> StatsReader {
        StatsReader::new(Arc::downgrade(&self.inner), stats)
    }

    fn close(&self) {
        self.inner.close();
    }

    fn join(&self) {
        assert!(
            !self.inner.is_telling(),
            "a callback that waits for all tasks of its pool would wait for its own; join the handles of those it submitted"
        );
        blocking::aside(|| self.inner.join());
    }

    fn shutdown(&self, how: Shutdown) {
        if self.inner.is_telling() {
            return self.inner.begin_shutdown(how);
        }
        blocking::aside(|| end(&self.inner, &self.thread, how));
    }
}

/// Ends a pool, and returns when its workers and its thread have ended.
fn end(inner: &ProcessPoolCore, thread: &Mutex<Option<JoinHandle<()>>>, how: Shutdown) {
    inner.shutdown(how);
    let thread = thread.lock().take();
    if let Some(thread) = thread {
        // It does not panic but by a mistake of ours, which the panic hook has told.
        let _ = thread.join();
    }
}

#[cfg(feature = "async")]
impl CoroutinePool for ProcessPool {
    fn submit_async_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        F: AsyncTask<A, R, Running: Send>,
        A: Data,
        R: Data,
    {
        ProcessPool::submit_async_with(self, options, task, argument)
    }
}

impl Drop for ProcessPool {
    fn drop(&mut self) {
        if !self.inner.is_telling() {
            return self.shutdown(Shutdown::Drain);
        }
        // In a callback, whose task it would wait for.
        self.inner.close();
        let (inner, thread) = (Arc::clone(&self.inner), self.thread.get_mut().take());
        soon(Waker::from(Arc::new(Drain(inner, Mutex::new(thread)))));
    }
}

/// What is left of a pool that was dropped where nobody may wait.
struct Drain(Arc<ProcessPoolCore>, Mutex<Option<JoinHandle<()>>>);

impl Wake for Drain {
    fn wake(self: Arc<Self>) {
        end(&self.0, &self.1, Shutdown::Drain);
    }
}

// A panic ends its task, and leaves the pool as it was.
impl std::panic::UnwindSafe for ProcessPool {}
impl std::panic::RefUnwindSafe for ProcessPool {}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPool")
            .field("stats", &self.stats())
            .finish()
    }
}

fn stats(pool: &ProcessPoolCore) -> Stats {
    let tally = pool.events.tally();
    let crew = pool.crew.lock();
    let handed_over: usize = crew.workers().map(|worker| worker.sent.len()).sum();
    let busy = crew
        .workers()
        .filter(|worker| !worker.sent.is_empty())
        .count();
    Stats {
        workers: crew.workers().count(),
        busy,
        queued: crew.queue.len() + handed_over - busy,
        finished: tally.finished(),
        panicked: tally.of(TaskEnd::Panicked),
        not_run: tally.of(TaskEnd::NotRun),
        died: tally.of(TaskEnd::Died),
        timed_out: tally.of(TaskEnd::TimedOut),
        retried: tally.of(TaskEnd::Retried),
        replaced: tally.replaced(),
        sizing: Sizing::Fixed {
            workers: crew.wanted,
        },
        classes: Vec::new(),
    }
}
