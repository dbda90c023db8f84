//! [`Cluster`]: the pool whose workers are on other machines.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use hands::event::{Events, TaskEnd};
use hands::pool::{CoroutinePool, Pool, Shutdown, Sizing, Stats, StatsReader};
use hands::remote::{self, Chunk, RemotePool, Single};
use hands::task::{AsyncTask, Data, Handle, Options, Outcome, Task, TaskError};

use crate::feed::{FeedReader, RunFiles, RunNotes};
use crate::link::{Access, PATIENCE, ServerLink};
use crate::message::MOST_ARGUMENTS;
use crate::names::{self, PoolNames};
use crate::queue::QueueBuilder;
use crate::settings::Settings;
use crate::submit::{self, SentTask as Sent, Submitter, WorkerOrder, WorkerStatus};
use crate::{ClusterError, streams};

/// How to connect, and what a pool is to be like.
#[derive(Clone)]
#[must_use = "nothing is connected before `connect`"]
pub struct ClusterBuilder {
    pub(crate) url: String,
    pub(crate) pool: String,
    pub(crate) access: Access,
    pub(crate) settings: Settings,
    label: Option<String>,
    pub(crate) run: Option<String>,
}

impl ClusterBuilder {
    pub(crate) fn new(url: &str) -> ClusterBuilder {
        ClusterBuilder {
            url: url.to_owned(),
            pool: "default".to_owned(),
            access: Access::default(),
            settings: Settings {
                replicas: 1,
                keep: Duration::from_secs(3600),
                hold: Duration::from_secs(30),
                start_timeout: Duration::from_secs(60),
                retries: 0,
                most_starts: 3,
            },
            label: None,
            run: None,
        }
    }

    /// The pool's name, `default` unless set: programs and workers of one name belong together.
    pub fn pool(mut self, name: &str) -> ClusterBuilder {
        self.pool = name.to_owned();
        self
    }

    /// A token that the server expects.
    pub fn token(mut self, token: impl Into<String>) -> ClusterBuilder {
        self.access.token = Some(token.into());
        self
    }

    /// A user and a password that the server expects.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> ClusterBuilder {
        self.access.user = Some((name.into(), password.into()));
        self
    }

    /// The seed of a key that the server knows.
    pub fn nkey(mut self, seed: impl Into<String>) -> ClusterBuilder {
        self.access.nkey = Some(seed.into());
        self
    }

    /// A file of credentials, as `nsc` writes it.
    pub fn credentials(mut self, file: impl AsRef<Path>) -> ClusterBuilder {
        self.access.credentials = Some(file.as_ref().to_owned());
        self
    }

    /// Trusts the certificates in this file, beside those that the system trusts.
    pub fn root_certificates(mut self, file: impl AsRef<Path>) -> ClusterBuilder {
        self.access.root_certificates = Some(file.as_ref().to_owned());
        self
    }

    /// Shows the server this certificate, with its key.
    pub fn client_certificate(
        mut self,
        file: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> ClusterBuilder {
        let (file, key) = (file.as_ref().to_owned(), key.as_ref().to_owned());
        self.access.client_certificate = Some((file, key));
        self
    }

    /// Goes on only if the connection is encrypted.
    pub fn require_tls(mut self) -> ClusterBuilder {
        self.access.require_tls = true;
        self
    }

    /// Only workers with this [label](crate::WorkerBuilder::label) get the tasks.
    pub fn label(mut self, label: &str) -> ClusterBuilder {
        self.label = Some(label.to_owned());
        self
    }

    /// Goes on with the [run](Cluster::run_id) of a program that has ended: its tasks are this
    /// one's.
    pub fn run_id(mut self, run: &str) -> ClusterBuilder {
        self.run = Some(run.to_owned());
        self
    }

    /// The number of servers that keep each task and outcome: 1 unless set; 3 survives the loss of
    /// one of three. It counts for who makes the pool first.
    pub fn replicas(mut self, replicas: usize) -> ClusterBuilder {
        self.settings.replicas = replicas.clamp(1, 5);
        self
    }

    /// How long outcomes are kept for others who take up a task's handle: an hour unless set. It
    /// must be longer than any task may be under way, as the outcome is the proof that it has been
    /// run.
    pub fn keep(mut self, time: Duration) -> ClusterBuilder {
        self.settings.keep = time.max(Duration::from_secs(60));
        self
    }

    /// A task whose worker is gone comes to another after this time: half a minute unless set, and
    /// a second at least. A worker that lives and is connected may run it for as long as it likes.
    pub fn hold(mut self, time: Duration) -> ClusterBuilder {
        self.settings.hold = time.max(Duration::from_secs(1));
        self
    }

    /// A task that no worker can run has the outcome [`NoWorker`](TaskError::NoWorker) after this
    /// time: a minute unless set.
    pub fn start_timeout(mut self, time: Duration) -> ClusterBuilder {
        self.settings.start_timeout = time;
        self
    }

    /// A task that panics is begun again so often, later each time. Not at all unless set.
    pub fn retries(mut self, times: u32) -> ClusterBuilder {
        self.settings.retries = times;
        self
    }

    /// A task whose worker, or whose process, ends under it is begun this often in all, and has the
    /// outcome [`Poisoned`](TaskError::Poisoned) then: 3 times unless set.
    pub fn crash_limit(mut self, starts: u32) -> ClusterBuilder {
        self.settings.most_starts = starts.max(1);
        self
    }

    /// Connects, and makes what the pool needs on the server if it is not there.
    ///
    /// # Errors
    ///
    /// When nobody answers, or refuses, or is too old, or does not keep messages: see
    /// [`ClusterError`].
    pub fn connect(self) -> Result<Cluster, ClusterError> {
        let names = PoolNames::new(&self.pool)?;
        if let Some(name) = &self.label {
            names::checked(name)?;
        }
        if let Some(run) = self.run.as_ref().filter(|run| !names::is_run(run)) {
            let name = run.chars().take(80).collect();
            return Err(ClusterError::Name { name });
        }
        let link = ServerLink::new(&self.url, "hands", &self.access)?;
        let makes = streams::make(link.clone(), names.clone(), self.settings);
        let lost = || ClusterError::server("make the pool", "the connection has ended");
        let streams = link.wait(makes).ok_or_else(lost)??;
        let warnings = streams.warnings(self.settings);
        let submitter = submit::open(
            link.clone(),
            names.clone(),
            streams,
            self.settings,
            self.run,
        )?;
        Ok(Cluster {
            submitter,
            link,
            names,
            settings: self.settings,
            label: self.label,
            warnings,
        })
    }
}

impl fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of what is secret.
        f.debug_struct("ClusterBuilder")
            .field("pool", &self.pool)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A pool whose workers are on other machines, and whose tasks are kept by a server of NATS
/// JetStream until they have been run.
///
/// It has the methods of every [`Pool`]. A task's function carries
/// [`#[hands::task]`](macro@hands::task):
///
/// ```no_run
/// use hands::pool::Pool;
/// use hands_cluster::Cluster;
///
/// #[hands::task]
/// fn square(n: u64) -> u64 {
///     n * n
/// }
///
/// fn main() -> hands::Result<()> {
///     let pool = Cluster::connect("nats://127.0.0.1:4222")?;
///     let sum: u64 = pool.map(square, 1..=1000).sum::<Result<u64, _>>()?;
///     println!("{sum}");
///     Ok(())
/// }
/// ```
///
/// Its workers are programs that have the same functions: see [`worker`](crate::worker()).
///
/// # What it promises
///
/// Each task that was submitted runs at least once, and has exactly one outcome, as long as the
/// server keeps its data. It runs more than once only if a worker, or the server, ends or is cut
/// off while it runs; so what a task does beside its result should be such that it may be done
/// twice. The crate's page says what that depends on.
///
/// # Dropping
///
/// waits for all tasks, as [`shutdown`](Pool::shutdown) with `Drain` does.
pub struct Cluster {
    submitter: Arc<Submitter>,
    link: ServerLink,
    names: PoolNames,
    settings: Settings,
    label: Option<String>,
    warnings: Vec<String>,
}

impl Cluster {
    /// The pool `default` of the server there, without proving who one is, but by what the address
    /// says: `nats://user:password@host`, `nats://token@host`.
    ///
    /// # Errors
    ///
    /// As [`ClusterBuilder::connect`].
    pub fn connect(url: &str) -> Result<Cluster, ClusterError> {
        Cluster::builder(url).connect()
    }

    /// For a pool of another name, or a server that wants to know who asks.
    pub fn builder(url: &str) -> ClusterBuilder {
        ClusterBuilder::new(url)
    }

    /// What is weaker than it might be, in sentences: that one server keeps everything, that it
    /// keeps it in memory alone, that the pool is another than was asked for.
    ///
    /// How often the server makes its disk permanent (`sync_interval`) no client can see; the
    /// crate's page says what depends on it.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The name of what this program does here: with it another may
    /// [go on](ClusterBuilder::run_id) when this one has ended.
    pub fn run_id(&self) -> &str {
        self.submitter.client()
    }

    /// The workers that have been heard of lately.
    pub fn statuses(&self) -> Vec<WorkerStatus> {
        self.submitter.statuses()
    }

    /// Asks all workers to say how they are, and waits for their answers for this time.
    pub fn ask_statuses(&self, wait: Duration) -> Vec<WorkerStatus> {
        let (client, who) = (self.link.client().clone(), self.names.subject("who"));
        self.link.wait(async move {
            let _ = client.publish(who, "".into()).await;
            tokio::time::sleep(wait).await;
        });
        self.statuses()
    }

    /// Tells a worker what to do, by its name or its id. Whether any of that name has been heard
    /// of.
    pub fn tell_worker(&self, worker: &str, what: WorkerOrder) -> bool {
        let of_that_name: Vec<_> = self
            .statuses()
            .into_iter()
            .filter(|status| status.name == worker || status.id == worker)
            .collect();
        let told = of_that_name
            .iter()
            .map(|status| self.names.told(&status.id));
        let (client, told) = (self.link.client().clone(), told.collect::<Vec<_>>());
        self.link.wait(async move {
            for subject in told {
                let _ = client.publish(subject, what.word().into()).await;
            }
            let _ = client.flush().await;
        });
        !of_that_name.is_empty()
    }

    /// The number of tasks that the server holds: those that wait, and those that run.
    ///
    /// # Errors
    ///
    /// When the server does not say.
    pub fn held(&self) -> Result<u64, ClusterError> {
        let tasks = self.submitter.tasks();
        let asked = self.link.wait(async move {
            let info = tokio::time::timeout(PATIENCE, tasks.get_info()).await;
            info.ok()?.ok().map(|info| info.state.messages)
        });
        let lost = || ClusterError::server("count the tasks", "it does not answer");
        asked.flatten().ok_or_else(lost)
    }

    /// The pool's queues, each with the number of its items that are not done.
    ///
    /// # Errors
    ///
    /// When the server does not say.
    pub fn queues(&self) -> Result<Vec<(String, u64)>, ClusterError> {
        let (context, first) = (self.link.context().clone(), self.names.queue(""));
        let asked = self.link.wait(async move {
            let mut queues = Vec::new();
            let mut all = context.streams();
            while let Some(info) = tokio::time::timeout(PATIENCE, all.next()).await.ok()? {
                let info = info.ok()?;
                if let Some(name) = info.config.name.strip_prefix(&first) {
                    queues.push((name.to_owned(), info.state.messages));
                }
            }
            Some(queues)
        });
        let lost = || ClusterError::server("list the queues", "it does not answer");
        asked.flatten().ok_or_else(lost)
    }

    /// Bytes that tasks of this run write while they run: see [`FeedReader`].
    ///
    /// # Errors
    ///
    /// When the server does not make what that needs.
    pub fn feeds(&self) -> Result<FeedReader, ClusterError> {
        FeedReader::open(&self.link, &self.names, self.run_id(), self.settings)
    }

    /// Files that go to tasks, and come from them, by way of the server.
    pub fn files(&self) -> RunFiles {
        RunFiles::new(&self.link, &self.names)
    }

    /// Notes that this run keeps on the server, for who goes on with it: see [`RunNotes`].
    ///
    /// # Errors
    ///
    /// When the server does not make what that needs.
    pub fn notes(&self) -> Result<RunNotes, ClusterError> {
        RunNotes::open(&self.link, &self.names, self.run_id(), self.settings)
    }

    /// A queue of this name that all programs of the pool share.
    pub fn queue<T: Data>(&self, name: &str) -> QueueBuilder<T> {
        let names = self.names.clone();
        QueueBuilder::new(self.link.clone(), names, name, self.settings.replicas)
    }

    /// Hands over a task whose handle another program can take up, by the name that is returned
    /// with it. See [`handle`](Self::handle).
    pub fn submit_named<F, A, R>(&self, task: F, argument: A) -> (String, Handle<R>)
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        let _ = task;
        let (_, hash) = remote::signature::<F, A, R>();
        let hash = names::labelled(hash, self.label.as_deref());
        let id = self.submitter.new_id();
        let handle = self.call::<F, A, R>(Options::new(), &argument, Some(&id));
        (format!("{id}.{hash:016x}"), handle)
    }

    /// A name for a task of this coroutine that is to be [submitted](Self::submit_as).
    pub fn new_name<F, A, R>(&self, _: F) -> String
    where
        F: AsyncTask<A, R, Running: Send>,
        A: Data,
        R: Data,
    {
        let (_, hash) = remote::signature::<F, A, R>();
        let hash = names::labelled(hash, self.label.as_deref());
        format!("{}.{hash:016x}", self.submitter.new_id())
    }

    /// Hands over a task under a [name](Self::new_name) that was written down before: so whoever
    /// has read it can take the task up, whenever this program ends.
    pub fn submit_as<F, A, R>(&self, name: &str, task: F, argument: A) -> Handle<R>
    where
        F: AsyncTask<A, R, Running: Send>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        let _ = task;
        let id = name.rsplit_once('.').map_or(name, |(id, _)| id);
        self.call::<F, A, R>(Options::new(), &argument, Some(id))
    }

    /// The handle of a task that another program has submitted, or this one before it was started
    /// anew, by the name that [`submit_named`](Self::submit_named) gave.
    ///
    /// Its outcome is [`Lost`](TaskError::Lost) if there is no such task, or its outcome is no
    /// longer [kept](ClusterBuilder::keep), and an error if it is not that of an `R`. One
    /// above half a MiB is kept until it has first been told.
    pub fn handle<R: Data>(&self, id: &str) -> Handle<R> {
        let single = Single::<R>::new::<()>(self.as_remote(), remote::reads());
        let handle = remote::handle(&single);
        self.submitter.take_up(id, single);
        handle
    }

    /// Hands over one call of a function of this type.
    fn call<F, A, R>(&self, options: Options, argument: &A, id: Option<&str>) -> Handle<R>
    where
        A: Data,
        R: Data,
    {
        let (name, hash) = remote::signature::<F, A, R>();
        let single = Single::<R>::new::<F>(self.as_remote(), remote::reads());
        let handle = remote::handle(&single);
        let sent = Sent::new(name, hash, single, 1);
        let sent = match id {
            None => sent,
            Some(id) => sent.named(id),
        };
        self.send(options, sent, std::iter::once(argument));
        handle
    }

    fn as_remote(&self) -> std::sync::Weak<dyn RemotePool> {
        let weak: std::sync::Weak<Submitter> = Arc::downgrade(&self.submitter);
        weak
    }

    /// Writes the arguments down, and hands them over.
    fn send<'a, A: Data + 'a>(
        &self,
        options: Options,
        task: Sent,
        arguments: impl Iterator<Item = &'a A>,
    ) {
        if remote::find(task.hash()).is_none() {
            let name = task.name().to_owned();
            return task.refuse(TaskError::Unregistered { name });
        }
        let task = task.labelled(self.label.as_deref());
        match remote::write_arguments(arguments) {
            Ok(bytes) => self.submitter.submit(task, bytes, options),
            Err(why) => task.refuse(why),
        }
    }
}

impl Pool for Cluster {
    /// Those of all machines, as far as they have said so.
    fn workers(&self) -> usize {
        self.submitter.slots()
    }

    fn most_workers(&self) -> usize {
        self.workers().max(1)
    }

    fn submit_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        let _ = task;
        self.call::<F, A, R>(options, &argument, None)
    }

    fn submit_chunk<F, A, R>(&self, task: F, arguments: Vec<A>) -> Handle<Vec<Outcome<R>>>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        let _ = task;
        let (name, hash) = remote::signature::<F, A, R>();
        let count = arguments.len();
        let chunk = Chunk::<R>::new::<F>(self.as_remote(), remote::reads(), count);
        let handle = remote::chunk_handle(&chunk);
        let sent = Sent::new(name, hash, chunk, count as u64);
        match count {
            0 => sent.finish(),
            more if more as u64 > MOST_ARGUMENTS => sent.refuse(TaskError::Encode {
                what: format!(
                    "{more} arguments in one piece; a task on other machines has {MOST_ARGUMENTS} at most"
                ),
            }),
            _ => self.send(Options::new(), sent, arguments.iter()),
        }
        handle
    }

    fn events(&self) -> Events {
        self.submitter.events.clone()
    }

    fn stats(&self) -> Stats {
        stats(&self.submitter)
    }

    fn stats_reader(&self) -> StatsReader {
        StatsReader::new(Arc::downgrade(&self.submitter), stats)
    }

    fn close(&self) {
        self.submitter.close();
    }

    fn join(&self) {
        self.submitter.join();
    }

    fn shutdown(&self, how: Shutdown) {
        self.close();
        if how == Shutdown::Now {
            self.submitter.give_up_all();
        }
        self.join();
    }
}

impl CoroutinePool for Cluster {
    fn submit_async_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        F: AsyncTask<A, R, Running: Send>,
        A: Data,
        R: Data,
    {
        const { F::CAPTURES_NOTHING }
        let _ = task;
        self.call::<F, A, R>(options, &argument, None)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Drain);
        self.submitter.end();
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("names", &self.names)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

fn stats(submitter: &Submitter) -> Stats {
    let tally = submitter.events.tally();
    let (unfinished, busy) = submitter.figures();
    let mut stats = Stats::default();
    stats.workers = submitter.slots();
    stats.busy = busy.min(unfinished);
    stats.queued = unfinished - stats.busy;
    stats.finished = tally.finished();
    stats.panicked = tally.of(TaskEnd::Panicked);
    stats.not_run = tally.of(TaskEnd::NotRun);
    stats.died = tally.of(TaskEnd::Died);
    stats.timed_out = tally.of(TaskEnd::TimedOut);
    stats.sizing = Sizing::Fixed {
        workers: stats.workers,
    };
    stats
}
