//! [`worker`]: this machine, lent to a cluster.
//!
//! # How it works
//!
//! ```text
//!   server ──a note: there is a task of f──▶ pull ──takes as many as there are free slots──▶ run
//!      ▲                                                                                      │
//!      │◀── start record: begun ──────────────────────────────────────────────────────────────┤
//!      │◀── progress, each third of the time it may be held ──────── this machine's own pool ◀─┤
//!      │◀── outcome, if there is none ◀───────────────────────────────────────────────────────┤
//!      │◀── acknowledgement, and a look whether it was heard ◀────────────────────────────────┘
//! ```
//!
//! A worker asks for tasks of the functions that its program has, and of no other, and for no more
//! than it has free slots. It writes down that it begins a task before it does; so it is known how
//! often it was begun, whoever ends how. It writes the outcome before it acknowledges the task; if
//! it ends between the two the task comes again, to another, whose outcome is then refused.

mod current;
mod pull;
mod run;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hands::pool::{AsyncPool, CoroutinePool, Pool, ProcessPool, ThreadPool};
use hands::remote::{RegisteredRun, Running};
use hands::sync::{Event, Mutex};
use hands::task::{Handle, Options};
use tokio::sync::Semaphore;

pub use self::current::{CurrentTask, current_task};
use self::current::{ORIGIN, OriginScope, TaskOrigin};
use crate::cluster::ClusterBuilder;
use crate::link::ServerLink;
use crate::names::PoolNames;
use crate::streams::Streams;
use crate::{ClusterError, streams};

/// A worker of the server there; [`run`](WorkerBuilder::run) lends this machine to it.
///
/// ```no_run
/// #[hands::task]
/// fn square(n: u64) -> u64 {
///     n * n
/// }
///
/// #[hands::main]
/// fn main() -> hands::Result<()> {
///     hands_cluster::worker("nats://127.0.0.1:4222").run()?;
///     Ok(())
/// }
/// ```
pub fn worker(url: &str) -> WorkerBuilder {
    WorkerBuilder {
        cluster: ClusterBuilder::new(url),
        slots: None,
        most: 0,
        name: None,
        labels: Vec::new(),
        tells: None,
        on: On::Processes,
        grace: Duration::from_secs(30),
    }
}

/// Where a worker's tasks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Processes,
    Threads,
}

/// What a worker says of what it runs.
type TellsRunning = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// How a worker is to be.
#[must_use = "a worker does nothing before `run` or `start`"]
pub struct WorkerBuilder {
    cluster: ClusterBuilder,
    slots: Option<usize>,
    most: usize,
    name: Option<String>,
    labels: Vec<String>,
    tells: Option<TellsRunning>,
    on: On,
    grace: Duration,
}

macro_rules! passed_on {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {
        $($(#[$doc])*
        pub fn $name(mut self, $($argument: $type),*) -> WorkerBuilder {
            self.cluster = self.cluster.$name($($argument),*);
            self
        })*
    };
}

impl WorkerBuilder {
    passed_on! {
        /// The pool's name: see [`ClusterBuilder::pool`].
        pool(name: &str);
        /// A token that the server expects.
        token(token: impl Into<String>);
        /// A user and a password that the server expects.
        user(name: impl Into<String>, password: impl Into<String>);
        /// The seed of a key that the server knows.
        nkey(seed: impl Into<String>);
        /// A file of credentials.
        credentials(file: impl AsRef<Path>);
        /// Trusts the certificates in this file, beside those that the system trusts.
        root_certificates(file: impl AsRef<Path>);
        /// Goes on only if the connection is encrypted.
        require_tls();
        /// See [`ClusterBuilder::hold`]; it counts for who makes the pool first.
        hold(time: Duration);
        /// See [`ClusterBuilder::replicas`].
        replicas(replicas: usize);
        /// See [`ClusterBuilder::keep`].
        keep(time: Duration);
    }

    /// The number of tasks at a time: one for each [core](hands::cores()) unless set.
    pub fn slots(mut self, slots: usize) -> WorkerBuilder {
        self.slots = Some(slots.max(1));
        self
    }

    /// The most that it may be [resized](Worker::resize) to. It counts for coroutines alone:
    /// functions have as many threads or processes as there are slots at first.
    pub fn most_slots(mut self, slots: usize) -> WorkerBuilder {
        self.most = slots;
        self
    }

    /// What people call it, in logs and lists: its machine's name unless set.
    pub fn name(mut self, name: impl Into<String>) -> WorkerBuilder {
        self.name = Some(name.into());
        self
    }

    /// Asked now and then what runs, in words, for lists of workers. The first hundred are told, by
    /// two hundred letters each.
    pub fn tells(
        mut self,
        what: impl Fn() -> Vec<String> + Send + Sync + 'static,
    ) -> WorkerBuilder {
        self.tells = Some(Arc::new(what));
        self
    }

    /// Takes tasks that are for workers with this label
    /// ([`ClusterBuilder::label`](crate::ClusterBuilder::label)), too: `gpu`, or where the data is.
    /// It may have several.
    pub fn label(mut self, label: &str) -> WorkerBuilder {
        self.labels.push(label.to_owned());
        self
    }

    /// Runs functions on threads of this program instead of in processes: faster for short ones,
    /// and one that brings its process down takes the worker with it.
    pub fn on_threads(mut self) -> WorkerBuilder {
        self.on = On::Threads;
        self
    }

    /// How long tasks that run may go on when the worker is told to end: half a minute unless set.
    /// What has not ended by then is given back.
    pub fn grace(mut self, time: Duration) -> WorkerBuilder {
        self.grace = time;
        self
    }

    /// Connects, and runs tasks until it is told to [stop](Worker::stop).
    ///
    /// # Errors
    ///
    /// When it cannot connect, when this program has no function with `#[hands::task]`, or when its
    /// pool cannot be made.
    pub fn start(self) -> Result<Worker, ClusterError> {
        let slots = self.slots.unwrap_or_else(|| hands::cores().get()).max(1);
        if hands::remote::registered().next().is_none() {
            return Err(ClusterError::System {
                why: "this program has no function with `#[hands::task]`, so it could run no task; mark those that it is to run".to_owned(),
            });
        }
        let cannot = |error: &dyn fmt::Display| ClusterError::System {
            why: format!("the worker's pool cannot be made: {error}"),
        };
        let has_functions = hands::remote::registered()
            .any(|function| matches!(function.run, RegisteredRun::Function(_)));
        let functions = match self.on {
            _ if !has_functions => Functions::None,
            On::Processes => ProcessPool::builder()
                .workers(slots)
                .build()
                .map(Functions::Processes)
                .map_err(|error| cannot(&error))?,
            On::Threads => ThreadPool::with_workers(slots)
                .map(Functions::Threads)
                .map_err(|error| cannot(&error))?,
        };
        let coroutines = AsyncPool::builder().in_flight(slots.max(self.most)).build();
        let coroutines = coroutines.map_err(|error| cannot(&error))?;
        let settings = self.cluster.settings;
        let names = PoolNames::new(&self.cluster.pool)?;
        for label in &self.labels {
            crate::names::checked(label)?;
        }
        let name = self.name.unwrap_or_else(pull::host_name);
        let link = ServerLink::new(&self.cluster.url, "hands worker", &self.cluster.access)?;
        let makes = streams::make(link.clone(), names.clone(), settings);
        let lost = || ClusterError::server("make the pool", "the connection has ended");
        let streams = link.wait(makes).ok_or_else(lost)??;
        let lent = Arc::new(Lent {
            id: crate::unique(),
            name,
            labels: self.labels,
            tells: self.tells,
            link: link.clone(),
            names,
            streams,
            slots: AtomicUsize::new(slots),
            most: slots.max(self.most),
            free: Arc::new(Semaphore::new(slots)),
            busy: AtomicUsize::new(0),
            places: Mutex::new((0..slots).rev().collect()),
            functions,
            coroutines,
            running: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            told: tokio::sync::Notify::new(),
            wakes: tokio::sync::Notify::new(),
            ended: Event::new(),
            has_ended: Arc::default(),
        });
        current::enter(&lent.id, &link, &lent.names);
        let begins = pull::begin(Arc::clone(&lent));
        link.wait(begins).ok_or_else(lost)??;
        Ok(Worker {
            lent,
            grace: self.grace,
        })
    }

    /// [`start`](Self::start), until the program is told to end: by SIGTERM or SIGINT, or by a
    /// [`WorkerOrder`](crate::WorkerOrder). Then it takes no further tasks, lets those that run end
    /// within the [grace](Self::grace), and gives back the rest.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn run(self) -> Result<(), ClusterError> {
        let worker = self.start()?;
        worker.wait();
        worker.stop();
        Ok(())
    }
}
impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("cluster", &self.cluster)
            .field("slots", &self.slots)
            .field("name", &self.name)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// A machine that is lent to a cluster. Dropping it [stops](Worker::stop) it.
#[derive(Debug)]
pub struct Worker {
    lent: Arc<Lent>,
    grace: Duration,
}

impl Worker {
    /// Takes so many tasks at a time from now on: at least one, and no more than
    /// [`most_slots`](WorkerBuilder::most_slots).
    pub fn resize(&self, slots: usize) {
        self.lent.resize(slots);
    }

    /// Waits until it is told to end, by SIGTERM or SIGINT, whose name is returned, or by a
    /// [`WorkerOrder`](crate::WorkerOrder).
    pub fn wait(&self) -> Option<&'static str> {
        let told = Arc::clone(&self.lent);
        let waits = self.lent.link.run(async move {
            use tokio::signal::unix::{SignalKind, signal};
            let term = signal(SignalKind::terminate());
            let interrupt = signal(SignalKind::interrupt());
            match (term, interrupt) {
                (Ok(mut term), Ok(mut interrupt)) => {
                    tokio::select! {
                        _ = term.recv() => Some("SIGTERM"),
                        _ = interrupt.recv() => Some("SIGINT"),
                        () = told.told.notified() => None,
                    }
                }
                _ => {
                    told.told.notified().await;
                    None
                }
            }
        });
        crate::link::wait_for(waits).unwrap_or_default()
    }

    /// Takes no further tasks, lets those that run end within the [grace](WorkerBuilder::grace),
    /// and gives back the rest. The second time it does nothing.
    pub fn stop(&self) {
        self.lent.stop(self.grace);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where functions run.
enum Functions {
    Processes(ProcessPool),
    Threads(ThreadPool),
    /// This program has coroutines alone.
    None,
}

/// A function's hash, the bytes of its arguments, their number, and where they come from.
type Call = (u64, Vec<u8>, u64, TaskOrigin);

/// What is called in the machine's own pool.
fn call((hash, bytes, count, origin): Call) -> Vec<u8> {
    let _origin = OriginScope::enter(origin);
    match hands::remote::find(hash).map(|function| function.run) {
        Some(RegisteredRun::Function(run)) => run(&bytes, count),
        _ => gone(hash, count),
    }
}

fn call_async((hash, bytes, count, origin): Call) -> Running {
    match hands::remote::find(hash).map(|function| function.run) {
        Some(RegisteredRun::Coroutine(run)) => Box::pin(ORIGIN.scope(origin, run(bytes, count))),
        _ => Box::pin(std::future::ready(gone(hash, count))),
    }
}

/// The outcomes of a function that was there when the worker said that it serves it.
fn gone(hash: u64, count: u64) -> Vec<u8> {
    let mut outcomes = Vec::new();
    let why = format!("the worker's process does not have the function {hash:016x}").into();
    let error = hands::task::TaskError::Refused { why };
    (0..count).for_each(|_| hands::remote::write_error(&error, &mut outcomes));
    outcomes
}

pub(super) struct Lent {
    id: String,
    name: String,
    labels: Vec<String>,
    tells: Option<TellsRunning>,
    link: ServerLink,
    names: PoolNames,
    streams: Streams,
    slots: AtomicUsize,
    most: usize,
    free: Arc<Semaphore>,
    busy: AtomicUsize,
    /// Numbers of slots that are free.
    places: Mutex<Vec<usize>>,
    functions: Functions,
    coroutines: AsyncPool,
    /// By a task's name: what cancels it.
    running: Mutex<std::collections::HashMap<String, Arc<Handle<Vec<u8>>>>>,
    is_stopping: AtomicBool,
    /// It takes no further tasks.
    is_draining: AtomicBool,
    /// It was told to end.
    told: tokio::sync::Notify,
    /// There may be something to take.
    wakes: tokio::sync::Notify,
    ended: Event,
    /// It has said goodbye.
    has_ended: Arc<AtomicBool>,
}

impl Lent {
    fn slots(&self) -> usize {
        self.slots.load(Ordering::SeqCst)
    }

    fn resize(&self, slots: usize) {
        let slots = slots.clamp(1, self.most);
        let before = self.slots.swap(slots, Ordering::SeqCst);
        if slots > before {
            self.places.lock().extend(before..slots);
            self.free.add_permits(slots - before);
            self.wakes.notify_waiters();
        } else if slots < before {
            let (free, fewer) = (Arc::clone(&self.free), before - slots);
            let fewer = u32::try_from(fewer).unwrap_or(u32::MAX);
            // Those that run end first.
            self.link.spawn(async move {
                if let Ok(taken) = free.acquire_many_owned(fewer).await {
                    taken.forget();
                }
            });
        }
    }

    fn submit(&self, run: RegisteredRun, options: Options, what: Call) -> Handle<Vec<u8>> {
        match (run, &self.functions) {
            (RegisteredRun::Coroutine(_), _) => {
                self.coroutines.submit_async_with(options, call_async, what)
            }
            (RegisteredRun::Function(_), Functions::Processes(pool)) => {
                pool.submit_with(options, call, what)
            }
            (RegisteredRun::Function(_), Functions::Threads(pool)) => {
                Pool::submit_with(pool, options, call, what)
            }
            // There is none: see `start`.
            (RegisteredRun::Function(_), Functions::None) => {
                self.coroutines.submit_async_with(options, call_async, what)
            }
        }
    }

    fn stop(self: &Arc<Lent>, grace: Duration) {
        if self.is_stopping.swap(true, Ordering::SeqCst) {
            self.ended.wait();
            return;
        }
        self.wakes.notify_waiters();
        let all = u32::try_from(self.slots()).unwrap_or(u32::MAX);
        let free = Arc::clone(&self.free);
        let ends = async move {
            let ended = tokio::time::timeout(grace, free.acquire_many_owned(all));
            ended.await.is_ok_and(|ended| ended.is_ok())
        };
        let has_ended = self.link.wait(ends).unwrap_or(true);
        if !has_ended {
            // Each gives its task back when it finds that its handle is cancelled.
            let running: Vec<_> = self.running.lock().values().cloned().collect();
            for handle in running {
                handle.cancel();
            }
        }
        let free = Arc::clone(&self.free);
        let says = pull::say_goodbye(self.link.clone(), self.names.clone(), self.status(0));
        let all_back = self.link.wait(async move {
            // A function that does not look at its token is not waited for for ever.
            let given_back = free.acquire_many_owned(all);
            let given_back = tokio::time::timeout(Duration::from_secs(2), given_back).await;
            says.await;
            given_back.is_ok()
        });
        self.has_ended.store(true, Ordering::SeqCst);
        current::leave(&self.id);
        if all_back == Some(false) {
            // Its pool would wait for what never ends: it is left behind, as a thread is that
            // nobody can end.
            let _left = std::mem::ManuallyDrop::new(Arc::clone(self));
        }
        self.ended.set();
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent")
            .field("id", &self.id)
            .field("slots", &self.slots())
            .finish_non_exhaustive()
    }
}
