//! Which tasks a worker takes, and when.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::Subscriber;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use futures_util::StreamExt;
use hands::remote::{self, Registered};

use super::{Lent, run};
use crate::link::{PATIENCE, ServerLink};
use crate::names::{PoolNames, labelled};
use crate::submit::{WorkerOrder, WorkerStatus};
use crate::{ClusterError, patient};

/// A worker looks for tasks at least so often, as a note may be lost.
const LOOK: Duration = Duration::from_secs(1);
/// It says that it is there so often.
const ALIVE: Duration = Duration::from_secs(2);
/// Of what runs so much is said.
const TOLD: usize = 100;
const LETTERS: usize = 200;

/// A function that this worker has.
struct Served {
    function: &'static Registered,
    consumer: PullConsumer,
    /// There may be tasks of it.
    is_due: Arc<AtomicBool>,
}

/// Says what it serves, and begins to take tasks.
pub(super) async fn begin(lent: Arc<Lent>) -> Result<(), ClusterError> {
    let mut served = Vec::new();
    let mut due = HashMap::new();
    for function in remote::registered() {
        let labels = lent.labels.iter().map(|label| Some(label.as_str()));
        for label in std::iter::once(None).chain(labels) {
            let hash = labelled((function.hash)(), label);
            if let Entry::Vacant(place) = due.entry(hash) {
                let of = serve(&lent, function, hash).await?;
                place.insert(Arc::clone(&of.is_due));
                served.push(of);
            }
        }
    }
    let notes = heard(&lent, "new.>").await?;
    let cancels = heard(&lent, "cancel.>").await?;
    let who = heard(&lent, "who").await?;
    let told = heard(&lent, &format!("tell.{}", lent.id)).await?;
    let flushed = lent.link.client().flush().await;
    flushed.map_err(|error| failed(&error))?;
    let lives = Arc::downgrade(&lent);
    lent.link
        .spawn(hear_of_tasks(Weak::clone(&lives), notes, due));
    lent.link
        .spawn(hear_of_cancels(Weak::clone(&lives), cancels));
    lent.link.spawn(hear_of_orders(Weak::clone(&lives), told));
    lent.link
        .spawn(say_hello_now_and_then(Weak::clone(&lives), who));
    lent.link.spawn(take(lives, served));
    Ok(())
}

fn failed(error: &dyn std::fmt::Display) -> ClusterError {
    ClusterError::server("take the worker in", error)
}

async fn heard(lent: &Lent, rest: &str) -> Result<Subscriber, ClusterError> {
    let subject = lent.names.subject(rest);
    let heard = lent.link.client().subscribe(subject).await;
    heard.map_err(|error| failed(&error))
}

/// Has the server keep the function's tasks for who has it, and answers who asks whether anybody
/// has.
async fn serve(
    lent: &Arc<Lent>,
    function: &'static Registered,
    hash: u64,
) -> Result<Served, ClusterError> {
    let durable = format!("f{hash:016x}");
    let shown = (function.name)().chars().filter(char::is_ascii);
    let config = pull::Config {
        durable_name: Some(durable.clone()),
        description: Some(shown.take(512).collect()),
        filter_subject: lent.names.task(hash, ">"),
        ack_policy: AckPolicy::Explicit,
        ack_wait: lent.streams.hold,
        max_deliver: -1,
        max_ack_pending: 1_000_000,
        ..Default::default()
    };
    let tasks = &lent.streams.tasks;
    let made = || tasks.get_or_create_consumer(&durable, config.clone());
    let consumer = patient(made).await.map_err(|error| failed(&error))?;
    let asked = lent.link.client().subscribe(lent.names.serves(hash)).await;
    let mut asked = asked.map_err(|error| failed(&error))?;
    let answers = lent.link.client().clone();
    let lives = Arc::downgrade(lent);
    lent.link.spawn(async move {
        while let Some(question) = asked.next().await {
            let lent = lives.upgrade();
            let is_ending = |lent: Arc<Lent>| {
                lent.is_stopping.load(Ordering::SeqCst) || lent.is_draining.load(Ordering::SeqCst)
            };
            if lent.is_none_or(is_ending) {
                return;
            }
            if let Some(reply) = question.reply {
                let _ = answers.publish(reply, "yes".into()).await;
            }
        }
    });
    Ok(Served {
        function,
        consumer,
        is_due: Arc::new(AtomicBool::new(true)),
    })
}

async fn hear_of_tasks(
    lives: Weak<Lent>,
    mut notes: Subscriber,
    due: HashMap<u64, Arc<AtomicBool>>,
) {
    while let Some(note) = notes.next().await {
        let Some(lent) = lives.upgrade() else { return };
        // `….new.<function>.<client>.<number>`
        let hash = note.subject.rsplit('.').nth(2).unwrap_or_default();
        let hash = u64::from_str_radix(hash, 16).ok();
        if let Some(is_due) = hash.and_then(|hash| due.get(&hash)) {
            is_due.store(true, Ordering::SeqCst);
            lent.wakes.notify_waiters();
        }
    }
}

/// Who asks is told if this worker runs the task; nobody else answers.
async fn hear_of_cancels(lives: Weak<Lent>, mut cancels: Subscriber) {
    while let Some(cancel) = cancels.next().await {
        let Some(lent) = lives.upgrade() else { return };
        if lent.has_ended.load(Ordering::SeqCst) {
            return;
        }
        let words: Vec<&str> = cancel.subject.rsplitn(3, '.').collect();
        let [number, client, ..] = words[..] else {
            continue;
        };
        let id = format!("{client}.{number}");
        let handle = lent.running.lock().get(&id).cloned();
        if let Some(handle) = handle {
            if let Some(reply) = cancel.reply {
                let _ = lent.link.client().publish(reply, "yes".into()).await;
            }
            // Not on this thread: it may call the user's wakers.
            drop(tokio::task::spawn_blocking(move || handle.cancel()));
        }
    }
}

/// Ends when it is told to.
async fn hear_of_orders(lives: Weak<Lent>, mut told: Subscriber) {
    while let Some(order) = told.next().await {
        let Some(lent) = lives.upgrade() else { return };
        if order.payload == WorkerOrder::End.word() {
            lent.told.notify_one();
        } else if order.payload == WorkerOrder::Drain.word()
            && !lent.is_draining.swap(true, Ordering::SeqCst)
        {
            lent.say_hello().await;
            let (free, all) = (Arc::clone(&lent.free), lent.slots());
            let lives = Weak::clone(&lives);
            lent.link.spawn(async move {
                let all = u32::try_from(all).unwrap_or(u32::MAX);
                // All that run have ended, and nobody has begun another.
                drop(free.acquire_many_owned(all).await);
                if let Some(lent) = lives.upgrade() {
                    lent.told.notify_one();
                }
            });
        }
    }
}

async fn say_hello_now_and_then(lives: Weak<Lent>, mut who: Subscriber) {
    loop {
        {
            let Some(lent) = lives.upgrade() else { return };
            if lent.is_stopping.load(Ordering::SeqCst) {
                return;
            }
            lent.say_hello().await;
        }
        let _ = tokio::time::timeout(ALIVE, who.next()).await;
    }
}

/// Takes tasks as long as there are free slots.
async fn take(lives: Weak<Lent>, served: Vec<Served>) {
    let mut first = 0;
    loop {
        let Some(lent) = lives.upgrade() else { return };
        if lent.is_stopping.load(Ordering::SeqCst) {
            return;
        }
        // Before it looks: what is noted from now on wakes it.
        let woken = lent.wakes.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        if lent.is_draining.load(Ordering::SeqCst) {
            return;
        }
        let Ok(slot) = Arc::clone(&lent.free).acquire_owned().await else {
            return;
        };
        let mut slots = vec![slot];
        while let Ok(slot) = Arc::clone(&lent.free).try_acquire_owned() {
            slots.push(slot);
        }
        let mut has_taken = false;
        for at in 0..served.len() {
            // In turns, so that no function keeps the others waiting.
            let of = &served[(first + at) % served.len()];
            if slots.is_empty() || !of.is_due.swap(false, Ordering::SeqCst) {
                continue;
            }
            let wanted = slots.len();
            let taken = fetch(&of.consumer, wanted).await;
            if taken.len() == wanted {
                // There may be more.
                of.is_due.store(true, Ordering::SeqCst);
            }
            has_taken |= !taken.is_empty();
            for message in taken {
                if let Some(slot) = slots.pop() {
                    lent.link
                        .spawn(run::one(Arc::clone(&lent), of.function, message, slot));
                }
            }
        }
        first = first.wrapping_add(1);
        drop(slots);
        if has_taken {
            continue;
        }
        if tokio::time::timeout(LOOK, woken).await.is_err() {
            for of in &served {
                of.is_due.store(true, Ordering::SeqCst);
            }
        }
    }
}

/// As many tasks as there are, and no more than these. It does not wait.
async fn fetch(consumer: &PullConsumer, most: usize) -> Vec<async_nats::jetstream::Message> {
    let mut taken = Vec::new();
    let fetches = async {
        let Ok(mut batch) = consumer.fetch().max_messages(most).messages().await else {
            return;
        };
        while let Some(Ok(message)) = batch.next().await {
            taken.push(message);
        }
    };
    // A server that has stopped never answers.
    let _ = tokio::time::timeout(PATIENCE, fetches).await;
    taken
}

impl Lent {
    pub(super) fn status(&self, slots: usize) -> WorkerStatus {
        WorkerStatus {
            id: self.id.clone(),
            name: self.name.clone(),
            is_draining: self.is_draining.load(Ordering::SeqCst),
            labels: self.labels.clone(),
            running: self.running_in_words(),
            load: load(),
            host: host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots,
            busy: self.busy.load(Ordering::SeqCst),
        }
    }

    fn running_in_words(&self) -> Vec<String> {
        let words = self.tells.as_ref().map_or_else(Vec::new, |tells| tells());
        let short = |text: String| text.chars().take(LETTERS).collect();
        words.into_iter().take(TOLD).map(short).collect()
    }

    async fn say_hello(&self) {
        say(&self.link, &self.names, &self.status(self.slots())).await;
    }
}

async fn say(link: &ServerLink, names: &PoolNames, status: &WorkerStatus) {
    let subject = names.subject(&format!("worker.{}", status.id));
    if let Ok(text) = serde_json::to_vec(status) {
        let _ = link.client().publish(subject, text.into()).await;
    }
}

pub(super) async fn say_goodbye(link: ServerLink, names: PoolNames, status: WorkerStatus) {
    say(&link, &names, &status).await;
    let _ = tokio::time::timeout(PATIENCE, link.client().flush()).await;
}

/// This machine's load over the last minute, in hundredths.
fn load() -> u64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().unwrap_or_default();
    let digits: String = first.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// This machine's name.
pub(super) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}
