//! Where jobs run that others have sent: one thread, with one event loop for all of them, as
//! `hands run` has it.
//!
//! ```text
//!   run_here (of a coroutine for each batch) ── order ──▶ the thread: engine ── ends ──▶ run_here
//!                                                        │ output: a little travels with the end,
//!                                                        ▼ what is more, or wanted at once, by a feed
//!                                                      FeedWriter
//! ```
//!
//! A coroutine that is dropped, as nobody wants its jobs any more, has them ended.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hands::command::engine::{
    ArgBlock, COOKIE, Cause, Changes, ChildEnd, Conditions, Engine, EngineEvent, Environment, Flow,
    JobStart, Key, OutputTarget, Resolver, RunMark, Setting, StdinSource, Watchdog, open_null,
};
use hands::command::{CommandError, OutputStream};
use hands::sizing::Limits;
use hands_batch::BatchSizer;
use hands_cluster::{CurrentTask, FeedWriter};
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::oneshot;

use super::allow::Allowed;
use super::job::{JobBatch, JobConditions, JobEnd, now};
use super::log;

/// So much of a job's output travels with its end; and so much of all the jobs of a batch.
const INLINE: usize = 32 * 1024;
const INLINE_OF_ALL: usize = 256 * 1024;
/// When the machine is short of something, so soon a start is tried again; and so often while
/// nothing runs.
const SHORT: Duration = Duration::from_millis(100);
const SHORTAGES: u32 = 20;
/// Conditions that are remembered.
const PREPARED: usize = 32;
const WAKE: u32 = 0;

/// What a machine's owner has said.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnersRules {
    pub(crate) name: String,
    pub(crate) allowed: Allowed,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) nice: i32,
    /// Jobs start below these folders alone, if there are any.
    pub(crate) folders: Vec<PathBuf>,
    /// `-j auto`: find out how many at once are of use, within these.
    pub(crate) auto: Option<Limits>,
}

/// A job, for who lists workers.
struct ShownJob {
    run: String,
    number: u64,
    since: Instant,
    command: String,
}

/// Letters of a command that are shown.
const LETTERS: usize = 120;

/// Told how many jobs at once are of use.
type OnSize = Box<dyn Fn(usize) + Send + Sync>;

/// Set once, before the worker begins.
static RULES: OnceLock<OwnersRules> = OnceLock::new();
static ON_SIZE: OnceLock<OnSize> = OnceLock::new();
static SHOWN: Mutex<BTreeMap<Key, ShownJob>> = Mutex::new(BTreeMap::new());
static RUNNER: OnceLock<Result<Runner, String>> = OnceLock::new();

/// From now on this program runs jobs of others, by these rules.
pub(crate) fn lend(rules: OwnersRules) -> Result<(), String> {
    let _ = RULES.set(rules);
    runner().map(drop)
}

/// From now on this is told how many jobs at once are of use, where that is to be found out.
pub(super) fn on_size(tell: OnSize) {
    let _ = ON_SIZE.set(tell);
}

/// The jobs that run now, for who lists workers.
pub(super) fn running() -> Vec<String> {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut jobs: Vec<_> = shown.values().collect();
    jobs.sort_by_key(|job| job.since);
    let told = jobs.iter().map(|job| {
        let seconds = job.since.elapsed().as_secs();
        format!(
            "{}, job {}, {seconds} s: {}",
            job.run, job.number, job.command
        )
    });
    told.collect()
}

/// What this machine's owner has said.
pub(super) fn rules() -> OwnersRules {
    RULES.get().cloned().unwrap_or_default()
}

fn runner() -> Result<&'static Runner, String> {
    let runner = RUNNER.get_or_init(|| {
        Runner::start(rules())
            .map_err(|error| format!("cannot start the thread of the jobs: {error}"))
    });
    runner.as_ref().map_err(Clone::clone)
}

/// Runs jobs on this machine's thread of jobs; in this folder, if one is named.
pub(super) async fn run_here(batch: JobBatch, folder: Option<PathBuf>) -> Vec<JobEnd> {
    let count = batch.jobs.len();
    let refused = |why: &str| vec![JobEnd::refused(why, 126); count];
    let runner = match runner() {
        Ok(runner) => runner,
        Err(why) => return refused(&why),
    };
    let (give, ends) = oneshot::channel();
    let task = hands_cluster::current_task();
    let guard = runner.order(batch, task, folder, give);
    let ends = ends.await;
    drop(guard);
    let Ok((ends, feeds)) = ends else {
        return refused("the worker is ending");
    };
    // What they wrote is there before it is said how they ended.
    for feed in feeds {
        feed.close().await;
    }
    ends
}

/// How jobs ended, and the feeds they wrote to.
type Ends = (Vec<JobEnd>, Vec<FeedWriter>);

enum BenchOrder {
    Run(Box<Ordered>),
    End(u64),
    Room(u64),
}

/// A batch on its way to the thread.
struct Ordered {
    id: u64,
    batch: JobBatch,
    task: Option<CurrentTask>,
    /// Where its jobs start, if not where the run says.
    folder: Option<PathBuf>,
    give: oneshot::Sender<Ends>,
}

/// The thread, as others see it.
struct Runner {
    orders: Arc<BenchOrders>,
}

struct BenchOrders {
    queue: Mutex<(u64, VecDeque<BenchOrder>)>,
    wake: OwnedFd,
}

impl BenchOrders {
    fn push(&self, order: impl FnOnce(u64) -> BenchOrder) -> u64 {
        let id = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.0 += 1;
            let id = queue.0;
            queue.1.push_back(order(id));
            id
        };
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        id
    }

    fn take(&self) -> VecDeque<BenchOrder> {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.wake, &mut count);
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut queue.1)
    }
}

/// Dropped with the coroutine: what still runs of its batch is ended.
struct BatchGuard<'a> {
    orders: &'a BenchOrders,
    id: u64,
}

impl Drop for BatchGuard<'_> {
    fn drop(&mut self) {
        let id = self.id;
        self.orders.push(|_| BenchOrder::End(id));
    }
}

impl Runner {
    fn start(rules: OwnersRules) -> std::io::Result<Runner> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let orders = Arc::new(BenchOrders {
            queue: Mutex::default(),
            wake,
        });
        let mut engine = Engine::new()?;
        if rules.auto.is_some() {
            engine.note_delays();
        }
        engine.watch(orders.wake.as_fd(), WAKE, false)?;
        let run = RunMark::new();
        // Without it, jobs outlive a worker that is killed: that is not what its owner wants.
        engine.guard(Watchdog::start(run.entry())?);
        let bench = Bench {
            engine,
            orders: Arc::clone(&orders),
            run,
            null: open_null().map_err(std::io::Error::other)?,
            sizer: rules.auto.map(BatchSizer::new),
            rules,
            prepared: HashMap::new(),
            batches: HashMap::new(),
            running: HashMap::new(),
            short: VecDeque::new(),
            shortages: 0,
        };
        let thread = std::thread::Builder::new().name("hands-jobs".to_owned());
        thread.spawn(move || bench.run())?;
        Ok(Runner { orders })
    }

    fn order(
        &self,
        batch: JobBatch,
        task: Option<CurrentTask>,
        folder: Option<PathBuf>,
        give: oneshot::Sender<Ends>,
    ) -> BatchGuard<'_> {
        let id = self.orders.push(|id| {
            BenchOrder::Run(Box::new(Ordered {
                id,
                batch,
                task,
                folder,
                give,
            }))
        });
        BatchGuard {
            orders: &self.orders,
            id,
        }
    }
}

/// Why a job was not started.
enum NotStarted {
    /// The machine is short of something: in a moment it may be.
    Short(String),
    /// In words, and the exit code that a shell would give.
    Refused(String, i32),
}

/// A run's conditions, as the engine wants them.
struct Prepared {
    setting: Setting,
    environment: Environment,
    resolver: Resolver,
}

/// A batch that runs.
struct Running {
    of: Ordered,
    next: usize,
    ends: Vec<JobEnd>,
    feeds: Vec<FeedWriter>,
    /// Bytes of output that travel with the ends.
    inline: usize,
    is_unwanted: bool,
}

/// A job that runs.
struct BenchJob {
    batch: u64,
    index: usize,
    at: Duration,
    output: Vec<(u8, Vec<u8>)>,
    inline: usize,
    feed: Option<FeedWriter>,
    is_held_up: bool,
}

struct Bench {
    engine: Engine,
    orders: Arc<BenchOrders>,
    run: RunMark,
    null: OwnedFd,
    rules: OwnersRules,
    sizer: Option<BatchSizer>,
    prepared: HashMap<JobConditions, Prepared>,
    batches: HashMap<u64, Running>,
    running: HashMap<Key, BenchJob>,
    /// Batches whose next job the machine is short of something for, and how often in a row that
    /// was so while nothing ran that could give something back.
    short: VecDeque<u64>,
    shortages: u32,
}

impl Bench {
    fn run(mut self) {
        let mut events = Vec::new();
        loop {
            let Bench {
                engine,
                running,
                batches,
                orders,
                short,
                ..
            } = &mut self;
            let mut receive = |key: Key, stream: OutputStream, bytes: &[u8]| {
                let Some(job) = running.get_mut(&key) else {
                    return Flow::Continue;
                };
                match batches.get_mut(&job.batch) {
                    Some(batch) => batch.take(job, stream, bytes, orders),
                    None => Flow::Continue,
                }
            };
            let again = (!short.is_empty()).then(|| Instant::now() + SHORT);
            if engine.turn(again, &mut receive, &mut events).is_err() {
                // Out of memory, or of descriptors: in a moment it may go on.
                std::thread::park_timeout(Duration::from_millis(100));
            }
            for event in events.drain(..) {
                match event {
                    EngineEvent::Finished(key, ended) => self.finished(key, &ended),
                    EngineEvent::Ready(_) => self.obey(),
                    EngineEvent::Stopped(..) => {}
                }
            }
            // What has ended may have given back what they are short of.
            for id in std::mem::take(&mut self.short) {
                self.go_on(id);
            }
        }
    }

    fn obey(&mut self) {
        for order in self.orders.take() {
            match order {
                BenchOrder::Run(of) => {
                    let id = of.id;
                    let running = Running {
                        next: 0,
                        ends: Vec::with_capacity(of.batch.jobs.len()),
                        feeds: Vec::new(),
                        inline: 0,
                        is_unwanted: false,
                        of: *of,
                    };
                    self.batches.insert(id, running);
                    self.go_on(id);
                }
                BenchOrder::End(id) => {
                    let Some(batch) = self.batches.get_mut(&id) else {
                        continue;
                    };
                    batch.is_unwanted = true;
                    let keys: Vec<Key> = (self.running.iter())
                        .filter(|(_, job)| job.batch == id)
                        .map(|(&key, _)| key)
                        .collect();
                    for key in keys {
                        if let Some(job) = self.running.get_mut(&key) {
                            // Nobody reads it any more.
                            job.feed = None;
                        }
                        self.engine.resume(key);
                        self.engine.terminate(key, Cause::Asked);
                    }
                }
                BenchOrder::Room(id) => {
                    let keys: Vec<Key> = (self.running.iter_mut())
                        .filter(|(_, job)| job.batch == id && job.is_held_up)
                        .map(|(&key, job)| {
                            job.is_held_up = false;
                            key
                        })
                        .collect();
                    keys.into_iter().for_each(|key| self.engine.resume(key));
                }
            }
        }
    }

    /// Starts the next of a batch's jobs, or tells how all of them ended.
    fn go_on(&mut self, id: u64) {
        loop {
            let Some(batch) = self.batches.get_mut(&id) else {
                return;
            };
            let index = batch.next;
            if batch.is_unwanted || index >= batch.of.batch.jobs.len() {
                if let Some(batch) = self.batches.remove(&id) {
                    let _ = batch.of.give.send((batch.ends, batch.feeds));
                }
                return;
            }
            batch.next += 1;
            match self.start(id, index) {
                Ok(()) => {
                    self.shortages = 0;
                    return;
                }
                Err(NotStarted::Short(_))
                    if !self.running.is_empty() || self.shortages < SHORTAGES =>
                {
                    if self.running.is_empty() {
                        self.shortages += 1;
                    }
                    if let Some(batch) = self.batches.get_mut(&id) {
                        batch.next -= 1;
                    }
                    self.short.push_back(id);
                    return;
                }
                Err(not_started) => {
                    let (why, code) = match not_started {
                        NotStarted::Short(why) => (why, 126),
                        NotStarted::Refused(why, code) => (why, code),
                    };
                    if let Some(batch) = self.batches.get_mut(&id) {
                        let mut end = JobEnd::refused(why, code);
                        end.hosts = hosts(batch.of.task.as_ref(), &self.rules.name);
                        batch.ends.push(end);
                    }
                }
            }
        }
    }

    fn start(&mut self, id: u64, index: usize) -> Result<(), NotStarted> {
        let refused = |why| NotStarted::Refused(why, 126);
        let Some(batch) = self.batches.get(&id) else {
            return Ok(());
        };
        let conditions = &batch.of.batch.conditions;
        let mut spec = batch.of.batch.jobs[index].clone();
        let run = batch.of.batch.run.chars().take(8).collect();
        let name = spec.argv.first().cloned().unwrap_or_default();
        let shown = String::from_utf8_lossy(&name).into_owned();
        let host = &self.rules.name;
        if !self.rules.allowed.has(&name) {
            let allows = self.rules.allowed.told();
            return Err(refused(format!(
                "the worker {host} does not run `{shown}`: its owner allows {allows}"
            )));
        }
        let mut conditions = conditions.clone();
        if let Some(folder) = &batch.of.folder {
            conditions.directory = folder.as_os_str().as_bytes().to_vec();
        }
        self.prepare(&conditions).map_err(refused)?;
        let Some(prepared) = self.prepared.get_mut(&conditions) else {
            return Ok(());
        };
        let told = |error: CommandError| {
            let why = format!("on {}: {error}", self.rules.name);
            match error.is_shortage() {
                true => NotStarted::Short(why),
                false => NotStarted::Refused(why, error.shell_code().unwrap_or(126)),
            }
        };
        if spec.argv.iter().any(|word| word.contains(&0)) {
            return Err(refused(format!("`{shown}`: a word has a NUL byte")));
        }
        let program = prepared.resolver.resolve(&name).map_err(told)?.clone();
        let text =
            |name: &str, value: u64| CString::new(format!("{name}={value}")).unwrap_or_default();
        let more = [
            self.run.job(id),
            text("HANDS_SEQ", spec.number),
            text("HANDS_SLOT", spec.slot),
        ];
        let environ = prepared.environment.pointers(&more);
        let mut block = ArgBlock::new(&spec.argv);
        let size = block.size();
        let timeout = [spec.timeout, self.rules.timeout]
            .into_iter()
            .flatten()
            .min();
        let null = std::os::fd::AsRawFd::as_raw_fd(&self.null);
        let start = JobStart {
            program: &program,
            argv: &mut block,
            environ: &environ,
            setting: &prepared.setting,
            stdin: (spec.stdin.as_mut()).map_or(StdinSource::Fd(null), StdinSource::Bytes),
            stdout: OutputTarget::Capture,
            stderr: OutputTarget::Capture,
            timeout,
            grace: conditions.grace,
            linger: conditions.linger,
            mark: &more[0],
        };
        let key = self.engine.start(start).map_err(|failed| {
            let path = prepared.setting.seen_from_there(&program);
            told(CommandError::from_failed(failed, &name, &path, size))
        })?;
        let job = BenchJob {
            batch: id,
            index,
            at: now(),
            output: Vec::new(),
            inline: 0,
            feed: None,
            is_held_up: false,
        };
        let shown = ShownJob {
            run,
            number: spec.number,
            since: Instant::now(),
            command: String::from_utf8_lossy(&spec.argv.join(&b' '))
                .chars()
                .take(LETTERS)
                .collect(),
        };
        let mut all = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key, shown);
        drop(all);
        self.running.insert(key, job);
        Ok(())
    }

    /// Remembers what these conditions come to.
    fn prepare(&mut self, conditions: &JobConditions) -> Result<(), String> {
        if self.prepared.contains_key(conditions) {
            return Ok(());
        }
        let prepared = prepare(conditions, &self.rules)?;
        if self.prepared.len() >= PREPARED {
            self.prepared.clear();
        }
        self.prepared.insert(conditions.clone(), prepared);
        Ok(())
    }

    /// Asks the sizer, if there is one.
    fn resize(&mut self, ended: &ChildEnd) {
        let Some(sizer) = &mut self.sizer else { return };
        let before = sizer.size();
        sizer.ended(ended);
        // This one still counts: as many as may are at work, so there may be more to do.
        let is_full = self.running.len() + 1 >= before;
        let now = sizer.decide(is_full);
        if let Some(tell) = ON_SIZE.get().filter(|_| now != before) {
            tell(now);
        }
    }

    fn finished(&mut self, key: Key, ended: &ChildEnd) {
        let Some(job) = self.running.remove(&key) else {
            return;
        };
        let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
        shown.remove(&key);
        drop(shown);
        self.resize(ended);
        let Some(batch) = self.batches.get_mut(&job.batch) else {
            return;
        };
        let spec = &batch.of.batch.jobs[job.index];
        let feed = job.feed.as_ref();
        let end = JobEnd {
            status: ended.status.map(ExitStatusExt::into_raw),
            why: ended
                .status
                .is_none()
                .then(|| ("its status is lost".to_owned(), 126)),
            timed_out: ended.cause == Some(Cause::TimedOut),
            was_asked: ended.cause == Some(Cause::Asked),
            at: job.at,
            wall: ended.wall,
            cpu_user: ended.usage.cpu_user,
            cpu_system: ended.usage.cpu_system,
            max_rss: ended.usage.max_rss,
            output: job.output,
            feed: feed.map(|feed| (feed.name().to_owned(), feed.written())),
            hosts: hosts(batch.of.task.as_ref(), &self.rules.name),
            ..JobEnd::default()
        };
        log::ended(spec, &end);
        batch.ends.push(end);
        batch.feeds.extend(job.feed);
        let id = job.batch;
        self.go_on(id);
    }
}

impl Running {
    /// Takes what a job has written.
    fn take(
        &mut self,
        job: &mut BenchJob,
        stream: OutputStream,
        bytes: &[u8],
        orders: &Arc<BenchOrders>,
    ) -> Flow {
        if self.is_unwanted {
            return Flow::Continue;
        }
        let number = stream as u8 + 1;
        let fits = job.inline + bytes.len() <= INLINE && self.inline + bytes.len() <= INLINE_OF_ALL;
        let of = &self.of.batch;
        if job.feed.is_none() && (of.conditions.live || !fits) {
            let name = format!("{}.{}.{}", of.run, of.batch, job.index);
            let (orders, id) = (Arc::clone(orders), job.batch);
            let task = self.of.task.as_ref();
            job.feed = task.and_then(|task| {
                task.feed(&name, move || {
                    orders.push(|_| BenchOrder::Room(id));
                })
            });
        }
        let Some(feed) = &job.feed else {
            job.inline += bytes.len();
            self.inline += bytes.len();
            match job.output.last_mut() {
                Some((last, whole)) if *last == number => whole.extend_from_slice(bytes),
                _ => job.output.push((number, bytes.to_vec())),
            }
            return Flow::Continue;
        };
        for (number, earlier) in job.output.drain(..) {
            self.inline -= earlier.len();
            feed.write(piece(number, &earlier));
        }
        job.inline = 0;
        feed.write(piece(number, bytes));
        if feed.has_room() {
            return Flow::Continue;
        }
        job.is_held_up = true;
        Flow::Pause
    }
}

/// As it travels: which stream, and what was written there.
fn piece(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut piece = Vec::with_capacity(bytes.len() + 1);
    piece.push(number);
    piece.extend_from_slice(bytes);
    piece
}

fn hosts(task: Option<&CurrentTask>, own: &str) -> Vec<String> {
    let mut hosts = task.map_or_else(Vec::new, |task| task.begun_before().to_vec());
    hosts.push(own.to_owned());
    hosts
}

fn prepare(conditions: &JobConditions, rules: &OwnersRules) -> Result<Prepared, String> {
    let host = &rules.name;
    let directory = PathBuf::from(OsString::from_vec(conditions.directory.clone()));
    if !directory.is_dir() {
        return Err(format!(
            "the worker {host} has no folder `{}`: share it between the machines, name another with `--workdir`, or send files with `--send`",
            directory.display()
        ));
    }
    let is_below = |folder: &PathBuf| {
        let real = std::fs::canonicalize(&directory);
        real.is_ok_and(|real| real.starts_with(folder))
    };
    if !conditions.apart && !rules.folders.is_empty() && !rules.folders.iter().any(is_below) {
        return Err(format!(
            "the worker {host} runs nothing in `{}`: its owner allows other folders",
            directory.display()
        ));
    }
    let set = conditions.variables.iter().map(|(name, value)| {
        let text = |bytes: &Vec<u8>| OsString::from_vec(bytes.clone());
        (text(name), Some(text(value)))
    });
    let changes = Changes {
        clear: false,
        set: set.collect(),
    };
    changes
        .check()
        .map_err(|_| "a variable of the run is none".to_owned())?;
    let environment =
        Environment::new(&changes, &[COOKIE, "HANDS_SEQ", "HANDS_SLOT", super::TOKEN]);
    let limits = [conditions.memory_limit, rules.memory_limit];
    let conditions = Conditions {
        environment: changes,
        directory: Some(directory),
        memory_limit: limits.into_iter().flatten().min(),
        cpu_limit: conditions.cpu_limit,
        nice: conditions.nice.max(0).saturating_add(rules.nice),
    };
    let resolver = Resolver::new(environment.get("PATH"), conditions.directory.as_deref());
    let setting = conditions.setting(b"the jobs");
    Ok(Prepared {
        setting: setting.map_err(|error| error.to_string())?,
        environment,
        resolver,
    })
}
