//! The queue without the type of its items: what is asked of the server, and when.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{AckKind, PublishMessage};
use async_nats::jetstream::stream::{self, Republish, RetentionPolicy, Stream};
use futures_util::StreamExt;
use hands::queue::Shutdown;
use hands::sync::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::settings::QueueSettings;
use crate::ClusterError;
use crate::link::{PATIENCE, ServerLink};
use crate::names::PoolNames;

/// Who waits looks at least so often.
const LOOK: Duration = Duration::from_millis(500);
/// And one who does not want to wait, for another look to end.
const SHORT_LOOK: Duration = Duration::from_millis(10);
/// So often at most: there may always be another.
const AGAIN: u32 = 50;
/// So often at most are a stream and its consumers asked until they agree.
const AGREE: u32 = 3;
/// Where a queue says that it was shut down, and how.
const STATE: &str = "hands-state";
const DRAIN: &str = "drain";
const NOW: &str = "now";

pub(super) type Message = async_nats::jetstream::Message;

/// How long a caller waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// For one look.
    Once,
    Moment(Instant),
    Done,
}

impl Until {
    fn is_over(self) -> bool {
        match self {
            Until::Once => true,
            Until::Moment(moment) => Instant::now() >= moment,
            Until::Done => false,
        }
    }
}

pub(super) enum PutEnd {
    Done,
    Full,
    TimedOut,
    ShutDown,
    Refused,
}

/// Whether there is room.
enum QueueRoom {
    /// For an item that follows the one with this number; `None`: for any.
    After(Option<u64>),
    None(PutEnd),
}

pub(super) enum Found {
    Item(Box<Message>),
    Empty,
    TimedOut,
    ShutDown,
}

pub(super) struct QueueCore {
    pub(super) settings: QueueSettings,
    link: ServerLink,
    stream: Stream,
    /// One for each lane, the first is got from first.
    consumers: Vec<PullConsumer>,
    subject: String,
    /// Where it is said that something has changed.
    notes: String,
    changed: Arc<Notify>,
    is_shut_down: Arc<AtomicBool>,
    /// Got, and not done: in the order in which they were got.
    held: Mutex<VecDeque<Message>>,
    /// All that are held here, guards' too, by their numbers: the server is told of them.
    alive: Arc<Mutex<HashMap<u64, async_nats::Subject>>>,
    /// Came when nobody wanted them any more.
    spare: Arc<Mutex<VecDeque<Message>>>,
    /// Looks for an item that are under way.
    looking: Arc<Looking>,
    number: AtomicU64,
    id: String,
}

impl QueueCore {
    pub(super) async fn open(
        link: ServerLink,
        names: PoolNames,
        settings: QueueSettings,
    ) -> Result<QueueCore, ClusterError> {
        let subject = names.subject(&format!("q.{}", settings.name));
        let notes = names.subject(&format!("qn.{}", settings.name));
        let stream = names.queue(&settings.name);
        let made = made(&link, stream, &subject, &notes, &settings).await;
        let failed = |error: &dyn std::fmt::Display| ClusterError::server("open the queue", error);
        let (stream, consumers) = made.map_err(|error| failed(&error))?;
        let changed = Arc::new(Notify::new());
        let is_shut_down = Arc::new(AtomicBool::new(
            stream.cached_info().config.metadata.contains_key(STATE),
        ));
        let mut told = link
            .client()
            .subscribe(notes.clone())
            .await
            .map_err(|error| failed(&error))?;
        // From now on nothing is missed.
        let flushed = link.client().flush().await;
        flushed.map_err(|error| failed(&error))?;
        let core = QueueCore {
            changed: Arc::clone(&changed),
            is_shut_down: Arc::clone(&is_shut_down),
            held: Mutex::default(),
            alive: Arc::default(),
            spare: Arc::default(),
            looking: Arc::default(),
            number: AtomicU64::new(0),
            id: crate::unique(),
            consumers,
            subject,
            notes,
            settings,
            stream,
            link: link.clone(),
        };
        let listens = Arc::downgrade(&changed);
        link.spawn(async move {
            while let Some(note) = told.next().await {
                let Some(changed) = listens.upgrade() else {
                    return;
                };
                if note.payload.as_ref() == b"shutdown" {
                    is_shut_down.store(true, Ordering::SeqCst);
                }
                changed.notify_waiters();
            }
        });
        core.keep_alive();
        Ok(core)
    }

    /// Tells the server, each third of the time, that what is held here is.
    fn keep_alive(&self) {
        let alive: Weak<_> = Arc::downgrade(&self.alive);
        let client = self.link.client().clone();
        // As it was made, whatever was asked for now.
        let hold = self
            .consumers
            .first()
            .map(|of| of.cached_info().config.ack_wait);
        let third = hold.unwrap_or(self.settings.hold) / 3;
        self.link.spawn(async move {
            loop {
                tokio::time::sleep(third).await;
                let Some(alive) = alive.upgrade() else {
                    return;
                };
                let held: Vec<_> = alive.lock().values().cloned().collect();
                for reply in held {
                    let _ = client.publish(reply, "+WPI".into()).await;
                }
            }
        });
    }

    /// What a task of the connection needs of this.
    fn view(&self) -> View {
        View {
            capacity: self.settings.capacity,
            link: self.link.clone(),
            stream: self.stream.clone(),
            consumers: self.consumers.clone(),
            notes: self.notes.clone(),
            changed: Arc::clone(&self.changed),
            is_shut_down: Arc::clone(&self.is_shut_down),
            spare: Arc::clone(&self.spare),
            looking: Arc::clone(&self.looking),
            alive: Arc::clone(&self.alive),
        }
    }

    pub(super) fn put(
        &self,
        lane: u32,
        bytes: Vec<u8>,
        until: Until,
    ) -> impl Future<Output = PutEnd> + Send + use<> {
        let lane = lane.min(self.settings.lanes - 1);
        let subject = format!("{}.{lane}", self.subject);
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}.{number}", self.id);
        let view = self.view();
        let wants = Wants::new();
        let wanted = wants.of();
        let link = self.link.clone();
        let message = PublishMessage::build().payload(bytes.into()).message_id(id);
        async move {
            loop {
                // A look changes nothing; only once its answer is here, the item is sent.
                let (of, still) = (view.clone(), Arc::clone(&wanted));
                let room = link.run(async move { of.await_room(until, &still).await });
                let last = match room.await.unwrap_or(QueueRoom::None(PutEnd::TimedOut)) {
                    QueueRoom::After(last) => last,
                    QueueRoom::None(why) => return why,
                };
                let message = match last {
                    Some(last) => message.clone().expected_last_sequence(last),
                    None => message.clone(),
                };
                let (of, still) = (view.clone(), Arc::clone(&wanted));
                let subject = subject.clone();
                let sent = link.run(async move { of.send(subject, message, until, &still).await });
                match sent.await {
                    Ok(Some(put)) => {
                        drop(wants);
                        return put;
                    }
                    Ok(None) => {}
                    Err(_) => return PutEnd::TimedOut,
                }
            }
        }
    }

    pub(super) fn get(&self, until: Until) -> impl Future<Output = Found> + Send + use<> {
        let view = self.view();
        let wants = Wants::new();
        let wanted = wants.of();
        let link = self.link.clone();
        async move {
            let (give, take) = tokio::sync::oneshot::channel();
            let mut take = Take {
                take,
                of: view.clone(),
            };
            link.spawn(async move {
                let (got, looks) = view.get(until, &wanted).await;
                if let Err(Found::Item(message)) = give.send(got) {
                    // Nobody wants it any more: it is the next one's.
                    view.spare.lock().push_back(*message);
                }
                drop(looks);
                view.changed.notify_waiters();
            });
            let got = (&mut take.take).await.unwrap_or(Found::Empty);
            drop(wants);
            got
        }
    }

    pub(super) fn keep(&self, message: Message) {
        self.held.lock().push_back(message);
    }

    /// An item was worked on.
    pub(super) fn done(&self, message: Message) {
        self.view().acknowledge(&self.link, message, AckKind::Ack);
    }

    /// It is no item.
    pub(super) fn discard(&self, message: Message) {
        self.view().acknowledge(&self.link, message, AckKind::Term);
    }

    pub(super) fn give_back(&self, message: Message) {
        self.view()
            .acknowledge(&self.link, message, AckKind::Nak(None));
    }

    /// False: there is nothing that could be done.
    pub(super) fn task_done(&self) -> bool {
        let first = self.held.lock().pop_front();
        let message = match first {
            Some(message) => message,
            // Said of an item that nobody got: it counts as one that was.
            None => match crate::link::wait_for(self.get(Until::Once)) {
                Found::Item(message) => *message,
                _ => return false,
            },
        };
        self.done(message);
        true
    }

    pub(super) fn unfinished(&self) -> u64 {
        let view = self.view();
        let asked = self.link.wait(async move { view.messages().await });
        asked.flatten().unwrap_or(0)
    }

    pub(super) fn waiting(&self) -> usize {
        let view = self.view();
        let asked = self.link.wait(async move { view.waiting().await });
        let waiting = asked.flatten().unwrap_or(0);
        usize::try_from(waiting).unwrap_or(usize::MAX)
    }

    /// Whether all was done before the deadline.
    pub(super) fn join(
        &self,
        deadline: Option<Instant>,
    ) -> impl Future<Output = bool> + Send + use<> {
        let view = self.view();
        let link = self.link.clone();
        async move {
            let until = deadline.map_or(Until::Done, Until::Moment);
            let joined = link.run(async move {
                loop {
                    let changed = view.changed.notified();
                    tokio::pin!(changed);
                    changed.as_mut().enable();
                    if view.messages().await == Some(0) {
                        return true;
                    }
                    if until.is_over() {
                        return false;
                    }
                    view.rest(changed, until).await;
                }
            });
            joined.await.unwrap_or(false)
        }
    }

    pub(super) fn shutdown(&self, how: Shutdown) {
        self.is_shut_down.store(true, Ordering::SeqCst);
        let view = self.view();
        self.link.wait(async move { view.shutdown(how).await });
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.is_shut_down.load(Ordering::SeqCst)
    }

    pub(super) fn remove(&self) -> Result<(), ClusterError> {
        let context = self.link.context().clone();
        let name = self.stream.cached_info().config.name.clone();
        let removed = self.link.wait(async move {
            let removed = context.delete_stream(name).await;
            removed.map_err(|error| ClusterError::server("remove the queue", error))
        });
        removed.map_or(Ok(()), |removed| removed.map(|_| ()))
    }
}

impl Drop for QueueCore {
    fn drop(&mut self) {
        // What is not done is for others.
        let mut left: Vec<Message> = self.held.lock().drain(..).collect();
        left.extend(self.spare.lock().drain(..));
        // Without the locks: the connection's thread may want them meanwhile.
        for message in left {
            self.view()
                .acknowledge(&self.link, message, AckKind::Nak(None));
        }
    }
}

/// The queue's stream, and a consumer for each lane; made if they are not there.
async fn made(
    link: &ServerLink,
    name: String,
    subject: &str,
    notes: &str,
    settings: &QueueSettings,
) -> Result<(Stream, Vec<PullConsumer>), async_nats::Error> {
    let config = stream::Config {
        name,
        subjects: vec![format!("{subject}.*")],
        retention: RetentionPolicy::WorkQueue,
        num_replicas: settings.replicas,
        max_consumers: 1000,
        republish: Some(Republish {
            source: format!("{subject}.*"),
            destination: notes.to_owned(),
            headers_only: true,
        }),
        ..Default::default()
    };
    let stream = crate::patient(|| link.context().get_or_create_stream(config.clone())).await?;
    let mut consumers = Vec::new();
    for lane in 0..settings.lanes {
        let durable = format!("lane{lane}");
        let config = pull::Config {
            durable_name: Some(durable.clone()),
            filter_subject: format!("{subject}.{lane}"),
            ack_policy: AckPolicy::Explicit,
            ack_wait: settings.hold,
            max_deliver: -1,
            max_ack_pending: 1_000_000,
            ..Default::default()
        };
        consumers.push(stream.get_or_create_consumer(&durable, config).await?);
    }
    Ok((stream, consumers))
}

/// Dropped with a future: what it has asked for is not wanted any more.
struct Wants(Arc<AtomicBool>);

impl Wants {
    fn new() -> Wants {
        Wants(Arc::new(AtomicBool::new(true)))
    }

    fn of(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Wants {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Where what a look has found is waited for.
struct Take {
    take: tokio::sync::oneshot::Receiver<Found>,
    of: View,
}

impl Drop for Take {
    fn drop(&mut self) {
        self.take.close();
        // It came, and was not taken out: it is the next one's.
        if let Ok(Found::Item(message)) = self.take.try_recv() {
            self.of.spare.lock().push_back(*message);
            self.of.changed.notify_waiters();
        }
    }
}

/// A look for an item that is under way, until what it has found is somebody's.
struct Looks(Arc<Looking>);

/// How many looks are under way, and how many have ever been begun.
#[derive(Default)]
struct Looking {
    now: AtomicUsize,
    begun: AtomicU64,
}

impl Looks {
    fn new(looking: &Arc<Looking>) -> Looks {
        looking.now.fetch_add(1, Ordering::SeqCst);
        looking.begun.fetch_add(1, Ordering::SeqCst);
        Looks(Arc::clone(looking))
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Clone)]
struct View {
    capacity: Option<usize>,
    link: ServerLink,
    stream: Stream,
    consumers: Vec<PullConsumer>,
    notes: String,
    changed: Arc<Notify>,
    is_shut_down: Arc<AtomicBool>,
    spare: Arc<Mutex<VecDeque<Message>>>,
    looking: Arc<Looking>,
    alive: Arc<Mutex<HashMap<u64, async_nats::Subject>>>,
}

impl View {
    /// All that are not done. `None`: the server does not answer.
    async fn messages(&self) -> Option<u64> {
        let info = tokio::time::timeout(PATIENCE, self.stream.get_info()).await;
        Some(info.ok()?.ok()?.state.messages)
    }

    /// Those that nobody holds.
    ///
    /// A stream and its consumers hear of an item one after the other, so both are asked until they
    /// agree. If they do not, the larger figure counts: no bound is overstepped by what one of them
    /// has yet to hear.
    async fn waiting(&self) -> Option<u64> {
        let mut most = 0;
        for _ in 0..AGREE {
            let messages = self.messages().await?;
            let (mut waiting, mut held) = (0, 0);
            for consumer in &self.consumers {
                let info = tokio::time::timeout(PATIENCE, consumer.get_info()).await;
                let info = info.ok()?.ok()?;
                waiting += info.num_pending;
                held += info.num_ack_pending as u64;
            }
            let left = messages.saturating_sub(held);
            most = waiting.max(left);
            if waiting == left {
                break;
            }
        }
        Some(most + self.spare.lock().len() as u64)
    }

    /// Until something has changed, or it is time to look.
    async fn rest(&self, changed: impl Future<Output = ()>, until: Until) {
        let look = Instant::now() + LOOK;
        let moment = match until {
            Until::Moment(moment) => moment.min(look),
            Until::Once | Until::Done => look,
        };
        let _ = timeout_at(moment.into(), changed).await;
    }

    /// Waits until there is room. It changes nothing.
    async fn await_room(&self, until: Until, wanted: &AtomicBool) -> QueueRoom {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_shut_down.load(Ordering::SeqCst) {
                return QueueRoom::None(PutEnd::ShutDown);
            }
            if !wanted.load(Ordering::SeqCst) {
                return QueueRoom::None(PutEnd::TimedOut);
            }
            let Some(capacity) = self.capacity else {
                return QueueRoom::After(None);
            };
            // In this order: who puts between the two makes this put fail, and it looks again.
            let info = tokio::time::timeout(PATIENCE, self.stream.get_info()).await;
            if let Ok(Ok(info)) = info
                && let Some(waiting) = self.waiting().await
                && waiting < capacity as u64
            {
                return QueueRoom::After(Some(info.state.last_sequence));
            }
            match until {
                Until::Once => return QueueRoom::None(PutEnd::Full),
                _ if until.is_over() => return QueueRoom::None(PutEnd::TimedOut),
                _ => self.rest(changed, until).await,
            }
        }
    }

    /// Sends an item. `None`: somebody was faster, or the server does not answer.
    async fn send(
        &self,
        subject: String,
        message: PublishMessage,
        until: Until,
        wanted: &AtomicBool,
    ) -> Option<PutEnd> {
        let context = self.link.context();
        let sent = async { context.send_publish(subject, message).await?.await };
        let error = match sent.await {
            Ok(ack) => {
                if !wanted.load(Ordering::SeqCst) {
                    // Who puts it has gone while it was on its way.
                    let _ = self.stream.delete_message(ack.sequence).await;
                    self.note(b"").await;
                }
                return Some(PutEnd::Done);
            }
            Err(error) => error,
        };
        match error.kind() {
            PublishErrorKind::WrongLastSequence => None,
            PublishErrorKind::MaxPayloadExceeded => Some(PutEnd::Refused),
            // With the same name it is taken in once, however often it is sent.
            _ if until.is_over() => Some(PutEnd::TimedOut),
            _ => {
                tokio::time::sleep(LOOK).await;
                None
            }
        }
    }

    async fn get(&self, until: Until, wanted: &AtomicBool) -> (Found, Option<Looks>) {
        let mut again = 0;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let was_shut_down = self.is_shut_down.load(Ordering::SeqCst);
            if !wanted.load(Ordering::SeqCst) {
                return (Found::Empty, None);
            }
            // In this order: a look is counted as begun, or is under way, or its item is spare.
            let before = self.looking.begun.load(Ordering::SeqCst);
            let others = self.looking.now.load(Ordering::SeqCst);
            let looks = Looks::new(&self.looking);
            if let Some(message) = self.next().await {
                return (Found::Item(Box::new(message)), Some(looks));
            }
            drop(looks);
            // What is given back comes again in a moment.
            if was_shut_down {
                return (Found::ShutDown, None);
            }
            match until {
                // What another look has found, that nobody wants any more, is here in a moment.
                Until::Once
                    if again < AGAIN
                        && (others > 0
                            || self.looking.now.load(Ordering::SeqCst) > 0
                            || self.looking.begun.load(Ordering::SeqCst) != before + 1) =>
                {
                    again += 1;
                    let soon = Instant::now() + SHORT_LOOK;
                    self.rest(changed, Until::Moment(soon)).await;
                }
                Until::Once => return (Found::Empty, None),
                _ if until.is_over() => return (Found::TimedOut, None),
                _ => self.rest(changed, until).await,
            }
        }
    }

    /// An item, if there is one.
    async fn next(&self) -> Option<Message> {
        let spare = self.spare.lock().pop_front();
        if let Some(message) = spare {
            return Some(message);
        }
        for consumer in &self.consumers {
            let fetched = async {
                let mut batch = consumer.fetch().max_messages(1).messages().await.ok()?;
                batch.next().await?.ok()
            };
            let message = tokio::time::timeout(PATIENCE, fetched).await.ok().flatten();
            if let Some(message) = message {
                if let (Ok(info), Some(reply)) = (message.info(), &message.reply) {
                    self.alive
                        .lock()
                        .insert(info.stream_sequence, reply.clone());
                }
                if self.capacity.is_some() {
                    self.note(b"").await;
                }
                return Some(message);
            }
        }
        None
    }

    /// Says that something has changed.
    async fn note(&self, what: &'static [u8]) {
        let notes = self.notes.clone();
        let _ = self.link.client().publish(notes, what.into()).await;
        self.changed.notify_waiters();
    }

    /// Answers for an item, and waits until the server has heard it.
    fn acknowledge(self, link: &ServerLink, message: Message, kind: AckKind) {
        let Some(reply) = message.reply.clone() else {
            return;
        };
        if let Ok(info) = message.info() {
            self.alive.lock().remove(&info.stream_sequence);
        }
        link.wait(async move {
            let answer: bytes::Bytes = kind.into();
            for _ in 0..3 {
                let asked = self.link.client().request(reply.clone(), answer.clone());
                match tokio::time::timeout(PATIENCE, asked).await {
                    Ok(Ok(_)) => break,
                    // The consumer is gone, and the item with it.
                    Ok(Err(error))
                        if error.kind() == async_nats::RequestErrorKind::NoResponders =>
                    {
                        break;
                    }
                    _ => tokio::time::sleep(LOOK).await,
                }
            }
            self.note(b"").await;
        });
    }

    async fn shutdown(&self, how: Shutdown) {
        let state = match how {
            Shutdown::Drain => DRAIN,
            Shutdown::Now => NOW,
        };
        if let Ok(Ok(info)) = tokio::time::timeout(PATIENCE, self.stream.get_info()).await {
            let mut config = info.config;
            config.metadata.insert(STATE.to_owned(), state.to_owned());
            let update = self.link.context().update_stream(config);
            let _ = tokio::time::timeout(PATIENCE, update).await;
        }
        self.note(b"shutdown").await;
        if how == Shutdown::Now {
            // What nobody holds is discarded. (A purge would take what is held, too.)
            while let Some(message) = self.next().await {
                if let Ok(info) = message.info() {
                    self.alive.lock().remove(&info.stream_sequence);
                }
                let _ = message.double_ack_with(AckKind::Term).await;
            }
            self.note(b"").await;
        }
    }
}
