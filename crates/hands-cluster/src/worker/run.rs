//! One task, from the server's message to its acknowledgement.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use async_nats::HeaderMap;
use async_nats::connection::State as Connection;
use async_nats::jetstream::Message;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use hands::remote::{self, Registered};
use hands::task::{Options, TaskError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Lent;
use super::current::TaskOrigin;
use crate::large;
use crate::message::{
    COUNT, DEADLINE, ID, MOST_ARGUMENTS, MOST_STARTS, RETRIES, TIMEOUT, WALL, WORKER, number,
};
use crate::start::{self, NotWritten, Record, StartState, Starts};

/// A task that is tried again comes back after this time, twice as long each time.
const BACK_OFF: Duration = Duration::from_millis(200);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);
/// How often what the server does not answer is asked again.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(250);
/// So long, and so often, it is asked whether the server has heard what has become of a task: its
/// slot is free only then.
const CONFIRM: Duration = Duration::from_secs(1);
const CONFIRMS: u32 = 2;
/// Of those who have begun a task, so many are remembered, by so many letters.
const KEPT: usize = 8;
const LONGEST_NAME: usize = 100;

/// What the task's message says.
struct TaskMessage {
    id: String,
    count: u64,
    retries: u32,
    most_starts: u32,
    options: Options,
    /// Its time was up before it began.
    is_late: bool,
    /// Where its argument is, if that is not in the message.
    stored: Option<String>,
}

impl TaskMessage {
    /// `None`: it is no task, or one that would say more than a message may.
    fn read(message: &Message) -> Option<TaskMessage> {
        let headers = message.headers.as_ref()?;
        let text = |name| headers.get(name).map(|value| value.as_str());
        let value = |name| text(name).and_then(number);
        let id = text(ID)?.to_owned();
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '.';
        if id.len() > 80 || !id.chars().all(is_letter) || id.split('.').count() != 2 {
            return None;
        }
        let mut options = Options::new();
        if let Some(timeout) = value(TIMEOUT) {
            options = options.timeout(Duration::from_nanos(timeout));
        }
        let mut is_late = false;
        if let Some(deadline) = value(DEADLINE) {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(deadline);
            let left = at.duration_since(SystemTime::now());
            is_late = left.is_err();
            if let Some(at) = Instant::now().checked_add(left.unwrap_or_default()) {
                options = options.deadline(at);
            }
        }
        let small = |name, usually| {
            let value = value(name).and_then(|value| u32::try_from(value).ok());
            value.unwrap_or(usually)
        };
        Some(TaskMessage {
            id,
            count: value(COUNT).filter(|count| (1..=MOST_ARGUMENTS).contains(count))?,
            retries: small(RETRIES, 0),
            most_starts: small(MOST_STARTS, 3).max(1),
            options,
            is_late,
            stored: large::named(Some(headers)).map(str::to_owned),
        })
    }
}

/// What is to become of a task's message.
enum Then {
    /// It has its outcome.
    Done,
    /// It comes again, after this time.
    Again(Duration),
    /// It is left to itself: the server does not answer, or the message is another's by now.
    Nothing,
    /// So it is, but it still runs here, until this is told.
    Abandoned(Outcomes),
}

/// Where the machine's own pool tells what has become of a task.
type Outcomes = oneshot::Receiver<Result<Vec<u8>, TaskError>>;

pub(super) async fn one(
    lent: Arc<Lent>,
    function: &'static Registered,
    message: Message,
    slot: OwnedSemaphorePermit,
) {
    let place = lent.places.lock().pop().unwrap_or_default();
    lent.busy.fetch_add(1, Ordering::SeqCst);
    let held = hold(&lent, &message);
    let then = match TaskMessage::read(&message) {
        Some(said) => lent.run_one(function, &message, &said, place).await,
        // Nobody can run it, and nobody waits for it by a name.
        None => Then::Done,
    };
    held.abort();
    match then {
        Then::Done => lent.confirm(&message, b"+ACK").await,
        Then::Again(after) => {
            let nak = format!("-NAK {{\"delay\": {}}}", after.as_nanos());
            lent.confirm(&message, nak.as_bytes()).await;
        }
        Then::Nothing => {}
        // Its slot is free once it has ended.
        Then::Abandoned(ends) => drop(ends.await),
    }
    lent.busy.fetch_sub(1, Ordering::SeqCst);
    lent.places.lock().push(place);
    drop(slot);
    lent.wakes.notify_waiters();
}

/// Tells the server, each third of the time, that the task is being run.
fn hold(lent: &Arc<Lent>, message: &Message) -> tokio::task::JoinHandle<()> {
    let third = lent.streams.hold / 3;
    let (client, reply) = (lent.link.client().clone(), message.reply.clone());
    let has_ended = Arc::clone(&lent.has_ended);
    tokio::spawn(async move {
        let Some(reply) = reply else { return };
        loop {
            tokio::time::sleep(third).await;
            // A worker that has said goodbye holds nothing, whatever still runs.
            if has_ended.load(Ordering::SeqCst) {
                return;
            }
            let _ = client.publish(reply.clone(), "+WPI".into()).await;
        }
    })
}

impl Lent {
    async fn run_one(
        self: &Arc<Lent>,
        function: &'static Registered,
        message: &Message,
        said: &TaskMessage,
        place: usize,
    ) -> Then {
        if self.has_outcome(message, said).await {
            return Then::Done;
        }
        let begun = match self.begin(said).await {
            Ok(begun) => begun,
            Err(then) => return then,
        };
        if begun.starts.begun > said.most_starts {
            return self.move_aside(message, said, begun.starts.begun - 1).await;
        }
        if said.is_late {
            let after = Duration::ZERO;
            return self
                .answer_error(said, TaskError::TimedOut { after }, place)
                .await;
        }
        let bytes = match self.argument(message).await {
            Ok(bytes) => bytes,
            Err(what) => {
                return self
                    .answer_error(said, TaskError::Decode { what }, place)
                    .await;
            }
        };
        let since = Instant::now();
        let workers = &begun.starts.workers;
        let origin = TaskOrigin {
            worker: self.id.clone(),
            before: workers[..workers.len().saturating_sub(1)].to_vec(),
        };
        let what = ((function.hash)(), bytes, said.count, origin);
        let handle = Arc::new(self.submit(function.run, said.options, what));
        self.running
            .lock()
            .insert(said.id.clone(), Arc::clone(&handle));
        let outcome = self.outcome(said, &begun, &handle).await;
        self.running.lock().remove(&said.id);
        drop(handle);
        let wall = since.elapsed();
        let is_stopping = self.is_stopping.load(Ordering::SeqCst);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(ends) => return Then::Abandoned(ends),
        };
        match outcome {
            Err(TaskError::Cancelled) if is_stopping => self.give_back(said, begun).await,
            Err(TaskError::Died(died)) => {
                if begun.starts.begun >= said.most_starts {
                    let starts = begun.starts.begun;
                    return match said.most_starts {
                        1 => self.answer_error(said, TaskError::Died(died), place).await,
                        _ => self.move_aside(message, said, starts).await,
                    };
                }
                Then::Again(back_off(begun.starts.begun))
            }
            Ok(bytes) => {
                let panicked = said.count == 1
                    && matches!(remote::error_of(&bytes), Some(TaskError::Panicked(_)));
                if panicked && begun.starts.retried < said.retries {
                    let starts = Starts {
                        begun: begun.starts.begun - 1,
                        retried: begun.starts.retried.saturating_add(1),
                        state: StartState::Returned,
                        workers: begun.starts.workers.clone(),
                    };
                    let subject = self.names.start(&said.id);
                    let back_off = back_off(starts.retried);
                    let _ = start::write(&self.link, &subject, starts, begun.number).await;
                    return Then::Again(back_off);
                }
                self.answer(said, bytes, (wall, place, false)).await
            }
            Err(error) => self.answer_error(said, error, place).await,
        }
    }

    /// Whether somebody has run it, and the server did not hear that it need not come again.
    async fn has_outcome(&self, message: &Message, said: &TaskMessage) -> bool {
        if message.info().is_ok_and(|info| info.delivered <= 1) {
            return false;
        }
        let subject = self.names.result(&said.id);
        let results = &self.streams.results;
        results.direct_get_last_for_subject(subject).await.is_ok()
    }

    /// The argument's bytes; asked for again while the server may only be away.
    async fn argument(&self, message: &Message) -> Result<Vec<u8>, String> {
        let mut tries = 0;
        loop {
            let headers = message.headers.as_ref();
            match large::get(&self.streams.large, headers, &message.payload).await {
                Err(_) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                other => return other,
            }
        }
    }

    /// Writes down that it is begun. `Err`: it is not to be.
    async fn begin(&self, said: &TaskMessage) -> Result<Record, Then> {
        let subject = self.names.start(&said.id);
        let mut before = Record::default();
        for _ in 0..TRIES {
            let starts = Starts {
                // What the server says is bounded by nobody.
                begun: before.starts.begun.saturating_add(1),
                state: StartState::Begun,
                workers: with_one_more(&before.starts.workers, &self.name),
                ..before.starts
            };
            match start::write(&self.link, &subject, starts, before.number).await {
                Ok(record) => return Ok(record),
                Err(NotWritten::Unreachable) => tokio::time::sleep(PAUSE).await,
                Err(NotWritten::Other) => {}
            }
            match start::read(&self.streams.results, &subject).await {
                Some(record) if record.starts.state == StartState::Cancelled => {
                    return Err(Then::Done);
                }
                Some(record) => before = record,
                None => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(Then::Nothing)
    }

    /// Waits for the machine's own pool. `Err`: the task is another's by now, as the server was
    /// away for so long or says so.
    async fn outcome(
        &self,
        said: &TaskMessage,
        begun: &Record,
        handle: &Arc<hands::task::Handle<Vec<u8>>>,
    ) -> Result<Result<Vec<u8>, TaskError>, Outcomes> {
        let (give, mut take) = oneshot::channel();
        let give = hands::sync::Mutex::new(Some(give));
        handle.on_done(move |outcome| {
            if let Some(give) = give.lock().take() {
                let _ = give.send(outcome.clone());
            }
        });
        let hold = self.streams.hold;
        let (mut away, mut looked): (Option<Instant>, _) = (None, Instant::now());
        loop {
            match tokio::time::timeout(PAUSE, &mut take).await {
                Ok(Ok(outcome)) => return Ok(outcome),
                Ok(Err(_)) => return Ok(Err(TaskError::Cancelled)),
                Err(_) => {}
            }
            let is_anothers = if self.link.client().connection_state() != Connection::Connected {
                away.get_or_insert_with(Instant::now).elapsed() > hold
            } else if looked.elapsed() > hold / 3 {
                (away, looked) = (None, Instant::now());
                self.has_been_begun_since(said, begun).await
            } else {
                away = None;
                false
            };
            if is_anothers {
                let handle = Arc::clone(handle);
                drop(tokio::task::spawn_blocking(move || handle.cancel()));
                return Err(take);
            }
        }
    }

    /// Whether another worker has begun it since, or it is not to be begun any more.
    async fn has_been_begun_since(&self, said: &TaskMessage, begun: &Record) -> bool {
        let subject = self.names.start(&said.id);
        let there = start::read(&self.streams.results, &subject).await;
        // No record: it was kept for as long as it is to be.
        there.is_some_and(|there| there.number > begun.number)
    }

    /// It has not ended in time, and another may run it.
    async fn give_back(&self, said: &TaskMessage, begun: Record) -> Then {
        let starts = Starts {
            begun: begun.starts.begun - 1,
            state: StartState::Returned,
            workers: {
                let mut workers = begun.starts.workers;
                workers.pop();
                workers
            },
            ..begun.starts
        };
        let subject = self.names.start(&said.id);
        let _ = start::write(&self.link, &subject, starts, begun.number).await;
        Then::Again(Duration::ZERO)
    }

    async fn answer_error(&self, said: &TaskMessage, error: TaskError, place: usize) -> Then {
        let bytes = errors(said, &error);
        self.answer(said, bytes, (Duration::ZERO, place, false))
            .await
    }

    /// The outcome that counts is another's: what we have stored for ours is nobody's.
    async fn discard_unless_told(&self, subject: &str, stored: &str, is_stored: bool) {
        if !is_stored {
            return;
        }
        let told = self
            .streams
            .results
            .direct_get_last_for_subject(subject)
            .await;
        let is_ours = |message: &async_nats::jetstream::message::StreamMessage| {
            large::named(Some(&message.headers)) == Some(stored)
        };
        if told.is_ok_and(|told| !is_ours(&told)) {
            large::remove(&self.link, &self.names, &self.streams.large, stored).await;
        }
    }

    /// Writes the outcome, unless there is one.
    async fn answer(
        &self,
        said: &TaskMessage,
        bytes: Vec<u8>,
        (wall, place, keeps_argument): (Duration, usize, bool),
    ) -> Then {
        let mut headers = HeaderMap::new();
        headers.insert(WORKER, format!("{}/{place}", self.id));
        headers.insert(WALL, wall.as_nanos().to_string());
        let store = &self.streams.large;
        // A name of this run's own: another run of the task must not write over what is told.
        let stored = format!("{}.r.{}", said.id, crate::unique());
        let mut payload = Err(String::new());
        for _ in 0..TRIES {
            payload = large::put(store, &stored, bytes.clone(), &mut headers).await;
            if payload.is_ok() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let Ok(payload) = payload else {
            return Then::Again(BACK_OFF);
        };
        let is_stored = large::named(Some(&headers)).is_some();
        let message = PublishMessage::build()
            .payload(payload.into())
            .headers(headers)
            .expected_last_subject_sequence(0);
        let subject = self.names.result(&said.id);
        for _ in 0..TRIES {
            let sent = async {
                let context = self.link.context();
                context
                    .send_publish(subject.clone(), message.clone())
                    .await?
                    .await
            };
            match sent.await {
                Ok(_) => {}
                // Somebody else has, or we have, and did not hear that.
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                    self.discard_unless_told(&subject, &stored, is_stored).await;
                }
                Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                    return Then::Again(LONGEST_BACK_OFF);
                }
                Err(_) => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
            if let Some(argument) = said.stored.as_ref().filter(|_| !keeps_argument) {
                large::remove(&self.link, &self.names, store, argument).await;
            }
            return Then::Done;
        }
        Then::Nothing
    }

    /// It has brought down each worker that ran it: the others go on without it.
    async fn move_aside(&self, message: &Message, said: &TaskMessage, starts: u32) -> Then {
        let kept = PublishMessage::build()
            .payload(message.payload.clone())
            .headers(message.headers.clone().unwrap_or_default());
        let context = self.link.context();
        let subject = self.names.poisoned(&said.id);
        if let Ok(sent) = context.send_publish(subject, kept).await {
            let _ = sent.await;
        }
        // With its argument, for somebody to look at.
        let bytes = errors(said, &TaskError::Poisoned { starts });
        self.answer(said, bytes, (Duration::ZERO, 0, true)).await
    }

    /// Answers the server, and asks whether it has heard. One that has just come back may know
    /// nothing of the message and say nothing: then it sends it once more, and whoever gets it
    /// finds its outcome there.
    async fn confirm(&self, message: &Message, answer: &[u8]) {
        let Some(reply) = message.reply.clone() else {
            return;
        };
        for _ in 0..CONFIRMS {
            let answer = bytes::Bytes::copy_from_slice(answer);
            let asked = self.link.client().request(reply.clone(), answer);
            match tokio::time::timeout(CONFIRM, asked).await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) if error.kind() == async_nats::RequestErrorKind::NoResponders => {
                    // The consumer is gone, or the server has just come back.
                    tokio::time::sleep(PAUSE).await;
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// The last few of those who have begun a task, and one more.
fn with_one_more(workers: &[String], name: &str) -> Vec<String> {
    let first = workers.len().saturating_sub(KEPT - 1);
    let mut workers = workers[first..].to_vec();
    workers.push(name.chars().take(LONGEST_NAME).collect());
    workers
}

/// The outcomes of a task that has this for each of its arguments.
fn errors(said: &TaskMessage, error: &TaskError) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..said.count).for_each(|_| remote::write_error(error, &mut bytes));
    bytes
}

fn back_off(times: u32) -> Duration {
    BACK_OFF
        .saturating_mul(1 << times.saturating_sub(1).min(10))
        .min(LONGEST_BACK_OFF)
}
