//! The table of what has no outcome yet, and what can be asked of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hands::event::{Events, TaskEnd};
use hands::remote::{Remote, RemotePool};
use hands::sync::{Condvar, Mutex};
use hands::task::{Options, TaskError, WorkerId};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::entry::{Delivery, Outgoing, PendingTask, SentTask, WorkerStatus};
use crate::link::{PATIENCE, ServerLink};
use crate::names::PoolNames;
use crate::settings::Settings;
use crate::start::{self, NotWritten, StartState, Starts};
use crate::streams::Streams;
use crate::{ClusterError, large};

/// A worker that runs a task answers within this time when it is asked to cancel it.
const ANSWERS: Duration = Duration::from_secs(1);
/// The number of tasks that are cancelled at a time.
const AT_ONCE: usize = 256;
/// A worker that has not been heard of for so long is gone.
const SILENT: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct PendingTable {
    /// By their names: one task may have several handles here.
    pub(super) entries: HashMap<String, Vec<Arc<PendingTask>>>,
    /// By where the task is in memory.
    places: HashMap<usize, Arc<PendingTask>>,
    is_closed: bool,
}

pub(crate) struct Submitter {
    pub(super) me: Weak<Submitter>,
    pub(super) link: ServerLink,
    pub(super) names: PoolNames,
    pub(super) streams: Streams,
    pub(super) settings: Settings,
    pub(super) client: String,
    pub(crate) events: Events,
    pub(super) table: Mutex<PendingTable>,
    pub(super) next: AtomicU64,
    pub(super) outgoing: UnboundedSender<Outgoing>,
    pub(super) deliveries: mpsc::Sender<Delivery>,
    /// Tasks that have no outcome that was told.
    pub(super) unfinished: Mutex<usize>,
    pub(super) finished: Condvar,
    pub(super) workers: Mutex<HashMap<String, (WorkerStatus, Instant)>>,
    pub(super) tracks: Mutex<HashMap<String, (u32, Duration)>>,
    pub(super) has_ended: Arc<AtomicBool>,
}

impl Submitter {
    pub(super) fn new(
        link: ServerLink,
        names: PoolNames,
        streams: Streams,
        settings: Settings,
        run: Option<String>,
    ) -> (
        Arc<Submitter>,
        UnboundedReceiver<Outgoing>,
        mpsc::Receiver<Delivery>,
    ) {
        let (outgoing, to_send) = tokio::sync::mpsc::unbounded_channel();
        let (deliveries, to_deliver) = mpsc::channel();
        let submitter = Arc::new_cyclic(|me| Submitter {
            me: Weak::clone(me),
            link: link.clone(),
            names,
            streams,
            settings,
            // Numbers of another program of the same run are not to be had twice.
            next: AtomicU64::new(match run {
                Some(_) => time_now(),
                None => 1,
            }),
            client: run.unwrap_or_else(crate::unique),
            events: Events::new(),
            table: Mutex::default(),
            outgoing,
            deliveries,
            unfinished: Mutex::new(0),
            finished: Condvar::new(),
            workers: Mutex::default(),
            tracks: Mutex::default(),
            has_ended: Arc::default(),
        });
        (submitter, to_send, to_deliver)
    }

    /// Hears of outcomes and of workers from now on.
    pub(super) fn listen(
        self: &Arc<Submitter>,
    ) -> impl Future<Output = Result<(), ClusterError>> + Send + use<> {
        let (link, me) = (self.link.clone(), Arc::downgrade(self));
        let outcomes = self.names.done(&format!("{}.*", self.client));
        let workers = self.names.subject("worker.*");
        let who = self.names.subject("who");
        async move {
            let failed =
                |error: &dyn std::fmt::Display| ClusterError::server("open the pool", error);
            let client = link.client();
            let outcomes = client.subscribe(outcomes).await;
            let mut outcomes = outcomes.map_err(|error| failed(&error))?;
            let workers = client.subscribe(workers).await;
            let mut workers = workers.map_err(|error| failed(&error))?;
            let asked = client.publish(who, "".into()).await;
            asked.map_err(|error| failed(&error))?;
            client.flush().await.map_err(|error| failed(&error))?;
            let hears = Weak::clone(&me);
            link.spawn(async move {
                while let Some(message) = outcomes.next().await {
                    let Some(submitter) = hears.upgrade() else {
                        return;
                    };
                    let words: Vec<&str> = message.subject.rsplitn(3, '.').collect();
                    if let [number, client, ..] = words[..] {
                        let id = format!("{client}.{number}");
                        if large::named(message.headers.as_ref()).is_none() {
                            submitter.came(&id, message.headers, message.payload).await;
                            continue;
                        }
                        // It takes its time, and the others do not wait for it.
                        let of = Arc::clone(&submitter);
                        submitter.link.spawn(async move {
                            of.came(&id, message.headers, message.payload).await;
                        });
                    }
                }
            });
            link.spawn(async move {
                while let Some(message) = workers.next().await {
                    let Some(submitter) = me.upgrade() else {
                        return;
                    };
                    if let Ok(status) = serde_json::from_slice::<WorkerStatus>(&message.payload) {
                        submitter.heard_of(status);
                    }
                }
            });
            Ok(())
        }
    }

    fn heard_of(&self, status: WorkerStatus) {
        let mut workers = self.workers.lock();
        match status.slots {
            0 => drop(workers.remove(&status.id)),
            // No pool has so many: what says so is no worker.
            1..=100_000 if workers.len() < 100_000 => {
                workers.insert(status.id.clone(), (status, Instant::now()));
            }
            _ => {}
        }
    }

    /// The workers that have been heard of lately.
    pub(crate) fn statuses(&self) -> Vec<WorkerStatus> {
        let mut workers = self.workers.lock();
        workers.retain(|_, (_, at)| at.elapsed() < SILENT);
        workers.values().map(|(status, _)| status.clone()).collect()
    }

    /// The run's name.
    pub(crate) fn client(&self) -> &str {
        &self.client
    }

    pub(crate) fn tasks(&self) -> async_nats::jetstream::stream::Stream {
        self.streams.tasks.clone()
    }

    pub(crate) fn slots(&self) -> usize {
        self.statuses().iter().map(|status| status.slots).sum()
    }

    /// Tasks without an outcome, and slots that are at work on whosever tasks.
    pub(crate) fn figures(&self) -> (usize, usize) {
        let busy = self.statuses().iter().map(|status| status.busy).sum();
        (*self.unfinished.lock(), busy)
    }

    pub(crate) fn new_id(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{}.{number}", self.client)
    }

    pub(crate) fn submit(&self, task: SentTask, bytes: Vec<u8>, options: Options) {
        let submitted = Instant::now();
        let deadline = options.deadline_at();
        if deadline.is_some_and(|at| at <= submitted) {
            let after = Duration::ZERO;
            return task.refuse(TaskError::TimedOut { after });
        }
        let id = task.id.clone().unwrap_or_else(|| self.new_id());
        let entry = Arc::new(PendingTask {
            id: id.clone(),
            remote: Arc::clone(&task.remote),
            name: task.name,
            hash: task.hash,
            count: task.count,
            number: self.events.queued(task.name),
            submitted,
            sequence: AtomicU64::new(0),
            missing: AtomicU32::new(0),
            unread: AtomicU32::new(0),
            is_foreign: false,
        });
        if !self.note(&entry) {
            self.events.not_run(entry.number, entry.name);
            return task.refuse(TaskError::PoolClosed);
        }
        let outgoing = Outgoing {
            entry: Arc::clone(&entry),
            bytes,
            timeout: options.timeout_of(),
            deadline,
        };
        if self.outgoing.send(outgoing).is_err() {
            self.resolve(&entry, TaskError::Lost);
        }
        if let Some(deadline) = deadline {
            self.expire_at(entry, deadline);
        }
    }

    /// False: the pool takes no more.
    fn note(&self, entry: &Arc<PendingTask>) -> bool {
        let mut table = self.table.lock();
        if table.is_closed && !entry.is_foreign {
            return false;
        }
        *self.unfinished.lock() += 1;
        let place = Arc::as_ptr(&entry.remote).cast::<()>().addr();
        table.places.insert(place, Arc::clone(entry));
        let of_its_name = table.entries.entry(entry.id.clone()).or_default();
        of_its_name.push(Arc::clone(entry));
        true
    }

    /// Waits for a task that another program has submitted.
    pub(crate) fn take_up(&self, name: &str, remote: Arc<dyn Remote>) {
        let Some((id, hash)) = parts(name) else {
            remote.refuse(TaskError::Lost);
            return;
        };
        let entry = Arc::new(PendingTask {
            id: id.to_owned(),
            remote,
            name: "(another program's)",
            hash,
            count: 1,
            number: 0,
            submitted: Instant::now(),
            sequence: AtomicU64::new(0),
            missing: AtomicU32::new(0),
            unread: AtomicU32::new(0),
            is_foreign: true,
        });
        self.note(&entry);
    }

    /// From here on it has an outcome, which is being told. False: it had one.
    pub(super) fn forget(&self, entry: &Arc<PendingTask>) -> bool {
        let mut table = self.table.lock();
        let place = Arc::as_ptr(&entry.remote).cast::<()>().addr();
        let is_there = table.places.remove(&place).is_some();
        if let Some(of_its_name) = table.entries.get_mut(&entry.id) {
            of_its_name.retain(|other| !Arc::ptr_eq(other, entry));
            if of_its_name.is_empty() {
                table.entries.remove(&entry.id);
            }
        }
        is_there
    }

    /// It has this for an outcome, on the caller's thread. False: it has another.
    fn resolve(&self, entry: &Arc<PendingTask>, why: TaskError) -> bool {
        if !self.forget(entry) {
            return false;
        }
        let how = match why {
            TaskError::TimedOut { .. } => TaskEnd::TimedOut,
            _ => TaskEnd::NotRun,
        };
        self.events.tally().add(how, 1);
        self.events.tally().add_finished(1);
        self.events.not_run(entry.number, entry.name);
        entry.remote.refuse(why);
        self.one_is_done();
        true
    }

    /// Gives a task this outcome, unless it has one.
    pub(super) fn refuse(&self, entry: &Arc<PendingTask>, why: TaskError) {
        if self.forget(entry) {
            let entry = Arc::clone(entry);
            let outcome = Err(why);
            let _ = self.deliveries.send(Delivery { entry, outcome });
        }
    }

    pub(super) fn one_is_done(&self) {
        *self.unfinished.lock() -= 1;
        self.finished.notify_all();
    }

    pub(crate) fn close(&self) {
        self.table.lock().is_closed = true;
    }

    pub(crate) fn join(&self) {
        let mut unfinished = self.unfinished.lock();
        self.finished
            .wait_while(&mut unfinished, |unfinished| *unfinished > 0);
    }

    /// Nobody waits for anything any more.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
    }

    pub(crate) fn give_up_all(&self) {
        let entries: Vec<_> = self.table.lock().places.values().cloned().collect();
        let (link, names) = (self.link.clone(), self.names.clone());
        let streams = self.streams.clone();
        let of_ours = format!("task.*.{}.>", self.client);
        let cancels = async move {
            let each = entries.into_iter().filter(|entry| !entry.is_foreign);
            let each = each.map(|entry| async {
                let is_kept = keep_from_beginning(&link, &names, &streams, &entry).await;
                (entry, is_kept)
            });
            let cancelled = futures_util::stream::iter(each).buffer_unordered(AT_ONCE);
            let cancelled = cancelled.collect::<Vec<_>>().await;
            // All of them at once: one by one the server takes a millisecond for each.
            let purge = streams.tasks.purge().filter(names.subject(&of_ours));
            let _ = tokio::time::timeout(PATIENCE, purge).await;
            cancelled
        };
        for (entry, is_kept) in self.link.wait(cancels).unwrap_or_default() {
            if is_kept {
                self.resolve(&entry, TaskError::Cancelled);
            }
        }
    }

    /// Keeps it from being begun. True: it will not be, and has this outcome. One that was begun is
    /// told.
    fn give_up(&self, entry: &Arc<PendingTask>, why: TaskError) -> bool {
        let (link, names) = (self.link.clone(), self.names.clone());
        let (streams, of) = (self.streams.clone(), Arc::clone(entry));
        let cancels = async move {
            let is_kept = keep_from_beginning(&link, &names, &streams, &of).await;
            if is_kept {
                take_off(&streams, &of).await;
            }
            is_kept
        };
        match self.link.wait(cancels) {
            Some(true) => self.resolve(entry, why),
            _ => false,
        }
    }

    fn expire_at(&self, entry: Arc<PendingTask>, deadline: Instant) {
        let me = Weak::clone(&self.me);
        self.link.spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            let Some(submitter) = me.upgrade() else {
                return;
            };
            let after = deadline.saturating_duration_since(entry.submitted);
            let why = TaskError::TimedOut { after };
            // Nobody waits for a function that does not look at its token.
            submitter.refuse(&entry, why);
            let (link, names) = (&submitter.link, &submitter.names);
            if keep_from_beginning(link, names, &submitter.streams, &entry).await {
                take_off(&submitter.streams, &entry).await;
            }
        });
    }
}

/// Microseconds since 1970.
fn time_now() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.map_or(1, |since| u64::try_from(since.as_micros()).unwrap_or(1))
}

/// The task's name in the cluster, and its function, of `client.number.function`.
fn parts(name: &str) -> Option<(&str, u64)> {
    let (id, hash) = name.rsplit_once('.')?;
    let (client, number) = id.split_once('.')?;
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_good =
        is_hex(client, 32) && is_hex(hash, 16) && crate::message::number(number).is_some();
    Some((id, u64::from_str_radix(hash, 16).ok()?)).filter(|_| is_good)
}

/// Takes a task that will not be begun off the queue. Left there, a worker would find that out.
pub(super) async fn take_off(streams: &Streams, entry: &PendingTask) {
    let sequence = entry.sequence.load(Ordering::SeqCst);
    if sequence > 0 {
        let _ = streams.tasks.delete_message(sequence).await;
    }
}

/// True: it will not be begun, or not again. If a worker runs it, that is told that it is not
/// wanted any more.
pub(super) async fn keep_from_beginning(
    link: &ServerLink,
    names: &PoolNames,
    streams: &Streams,
    entry: &PendingTask,
) -> bool {
    let subject = names.start(&entry.id);
    let mut before = start::Record::default();
    for _ in 0..20 {
        let cancelled = Starts {
            state: StartState::Cancelled,
            ..before.starts.clone()
        };
        match start::write(link, &subject, cancelled, before.number).await {
            Ok(_) => {
                return true;
            }
            Err(NotWritten::Unreachable) => tokio::time::sleep(Duration::from_millis(250)).await,
            Err(NotWritten::Other) => {}
        }
        let Some(record) = start::read(&streams.results, &subject).await else {
            continue;
        };
        match record.starts.state {
            StartState::Returned => before = record,
            StartState::Cancelled => return true,
            StartState::Begun => {
                let asked = link.client().request(names.cancel(&entry.id), "".into());
                let answer = tokio::time::timeout(ANSWERS, asked).await;
                let result = names.result(&entry.id);
                let is_answered = streams.results.direct_get_last_for_subject(result).await;
                if matches!(answer, Ok(Ok(_))) || is_answered.is_ok() {
                    return false;
                }
                // Its worker is gone, and nobody is to begin it again.
                before = record;
            }
        }
    }
    false
}

impl RemotePool for Submitter {
    fn cancel(&self, task: &dyn Remote) -> bool {
        let place = std::ptr::from_ref(task).cast::<()>().addr();
        let entry = {
            let table = self.table.lock();
            table.places.get(&place).cloned()
        };
        entry.is_some_and(|entry| self.give_up(&entry, TaskError::Cancelled))
    }

    fn runs(&self, _: &dyn Remote) -> Option<WorkerId> {
        None
    }

    fn assist(&self, _: Option<Instant>, _: &dyn Fn() -> bool) {}
}
