//! The submitter's side.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt;
use hands::sync::Mutex;

use super::{behind, kept};
use crate::ClusterError;
use crate::link::{PATIENCE, ServerLink};
use crate::names::PoolNames;
use crate::settings::Settings;

/// How long one request for pieces waits.
const LOOK: Duration = Duration::from_secs(1);
/// Pieces of one request.
const BATCH: usize = 64;
/// So many bytes of a feed are taken before the server is told to let go of them.
const LET_GO: u64 = 16 << 20;

/// A piece of what a task wrote.
#[derive(Debug)]
pub struct FeedPiece {
    /// The feed's name without the run: `<name>.<attempt>`.
    pub feed: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    number: u64,
}

/// Reads the feeds of all tasks of a run: what they write while they run.
///
/// ```no_run
/// use hands::pool::CoroutinePool;
/// use hands_cluster::{Cluster, current_task};
///
/// #[hands::task]
/// async fn counts(run: String) -> u64 {
///     let feed = current_task().and_then(|task| task.feed(&format!("{run}.numbers"), || ()));
///     let feed = feed.expect("a worker of this program");
///     (0..10).for_each(|n| feed.write(format!("{n}\n").into_bytes()));
///     feed.close().await;
///     10
/// }
///
/// # fn main() -> hands::Result<()> {
/// let pool = Cluster::connect("nats://127.0.0.1:4222")?;
/// let mut feeds = pool.feeds()?;
/// let handle = pool.submit_async(counts, pool.run_id().to_owned());
/// while !handle.is_finished() {
///     while let Some(piece) = feeds.try_next() {
///         print!("{}", String::from_utf8_lossy(&piece.bytes));
///         feeds.took(&piece);
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// What was written before it was opened, and is still kept, is read first. A piece that was not
/// [taken](Self::took) holds its task up once a MiB has been written. Dropped, it leaves what it
/// has not taken for another reader of the run.
pub struct FeedReader {
    link: ServerLink,
    names: PoolNames,
    run: String,
    stream: Stream,
    pieces: Receiver<FeedPiece>,
    state: Arc<ReaderState>,
    /// Of each feed, how much of it the server still has.
    kept: HashMap<String, u64>,
}

struct ReaderState {
    give: Sender<FeedPiece>,
    taken: Mutex<HashMap<String, u64>>,
    on_piece: Mutex<Option<Box<dyn Fn() + Send>>>,
    is_open: AtomicBool,
}

impl FeedReader {
    pub(crate) fn open(
        link: &ServerLink,
        names: &PoolNames,
        run: &str,
        settings: Settings,
    ) -> Result<FeedReader, ClusterError> {
        let (own, of) = (link.clone(), names.clone());
        let makes = async move { kept(&own, &of, settings).await };
        let lost = || ClusterError::server("open the feeds", "the connection has ended");
        let stream = link.wait(makes).ok_or_else(lost)??;
        let (give, pieces) = channel();
        let state = Arc::new(ReaderState {
            give,
            taken: Mutex::default(),
            on_piece: Mutex::default(),
            is_open: AtomicBool::new(true),
        });
        let subject = names.feed(&format!("{run}.>"));
        let first = names.feed(run);
        link.spawn(read(stream.clone(), subject, first, Arc::downgrade(&state)));
        link.spawn(repeat(
            link.clone(),
            names.clone(),
            run.to_owned(),
            Arc::downgrade(&state),
        ));
        Ok(FeedReader {
            link: link.clone(),
            names: names.clone(),
            run: run.to_owned(),
            stream,
            pieces,
            state,
            kept: HashMap::new(),
        })
    }

    /// Calls this, on another thread, when a piece has come.
    pub fn on_piece(&self, call: impl Fn() + Send + 'static) {
        *self.state.on_piece.lock() = Some(Box::new(call));
    }

    /// A piece that has come.
    pub fn try_next(&self) -> Option<FeedPiece> {
        self.pieces.try_recv().ok()
    }

    /// A piece has been used, and as much more may be written.
    pub fn took(&mut self, piece: &FeedPiece) {
        let length = piece.bytes.len() as u64;
        let taken = {
            let mut all = self.state.taken.lock();
            let taken = all.entry(piece.feed.clone()).or_default();
            *taken += length;
            *taken
        };
        let name = format!("{}.{}", self.run, piece.feed);
        let (client, subject) = (self.link.client().clone(), self.names.taken(&name));
        let kept = self.kept.entry(piece.feed.clone()).or_default();
        *kept += length;
        let lets_go = *kept >= LET_GO;
        if lets_go {
            *kept = 0;
        }
        let (stream, of) = (self.stream.clone(), self.names.feed(&name));
        let next = piece.number + 1;
        self.link.spawn(async move {
            let _ = client.publish(subject, taken.to_string().into()).await;
            if lets_go {
                let _ = stream.purge().filter(of).sequence(next).await;
            }
        });
    }

    /// Nothing more is wanted of the feeds whose names begin with this word, or these words.
    pub fn done(&mut self, name: &str) {
        let begins = format!("{name}.");
        let is_of = |feed: &str| feed.starts_with(&begins);
        self.kept.retain(|feed, _| !is_of(feed));
        self.state.taken.lock().retain(|feed, _| !is_of(feed));
        let (stream, run) = (self.stream.clone(), &self.run);
        let of = self.names.feed(&format!("{run}.{name}.>"));
        self.link.spawn(async move {
            let _ = stream.purge().filter(of).await;
        });
    }
}

impl Drop for FeedReader {
    fn drop(&mut self) {
        self.state.is_open.store(false, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for FeedReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedReader")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

/// Reads all pieces in their order, from the first that the server has.
async fn read(stream: Stream, subject: String, first: String, state: Weak<ReaderState>) {
    let mut next = 1;
    loop {
        let from = |next| pull::Config {
            filter_subject: subject.clone(),
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: next,
            },
            ack_policy: AckPolicy::None,
            inactive_threshold: 60 * LOOK,
            ..Default::default()
        };
        // A new one each time that the server was away: it forgets such consumers.
        if let Ok(Ok(consumer)) =
            tokio::time::timeout(PATIENCE, stream.create_consumer(from(next))).await
        {
            let consumer: PullConsumer = consumer;
            while let Some(last) = read_batch(&consumer, &first, &state, next).await {
                next = last;
            }
        }
        if state
            .upgrade()
            .is_none_or(|state| !state.is_open.load(Ordering::SeqCst))
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What follows the last one that was read. `None`: the consumer may be gone.
async fn read_batch(
    consumer: &PullConsumer,
    first: &str,
    state: &Weak<ReaderState>,
    mut next: u64,
) -> Option<u64> {
    let batch = consumer.batch().max_messages(BATCH).expires(LOOK);
    let asked = tokio::time::timeout(PATIENCE, batch.messages()).await;
    let mut batch = asked.ok()?.ok()?;
    loop {
        let message = tokio::time::timeout(2 * LOOK, batch.next()).await;
        let state = state.upgrade()?;
        if !state.is_open.load(Ordering::SeqCst) {
            return None;
        }
        match message {
            Ok(Some(Ok(message))) => {
                let number = message.info().ok()?.stream_sequence;
                next = number + 1;
                let feed = behind(&message.subject, first)?.to_owned();
                let bytes = message.payload.to_vec();
                let _ = state.give.send(FeedPiece {
                    feed,
                    bytes,
                    number,
                });
                if let Some(on_piece) = &*state.on_piece.lock() {
                    on_piece();
                }
            }
            Ok(None) => return Some(next),
            Ok(Some(Err(_))) | Err(_) => return None,
        }
    }
}

/// Says again and again how much was taken: a message may be lost, and a writer waits for it.
async fn repeat(link: ServerLink, names: PoolNames, run: String, state: Weak<ReaderState>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(state) = state.upgrade() else { return };
        if !state.is_open.load(Ordering::SeqCst) {
            return;
        }
        let all: Vec<(String, u64)> = {
            let taken = state.taken.lock();
            taken
                .iter()
                .map(|(feed, taken)| (feed.clone(), *taken))
                .collect()
        };
        for (feed, taken) in all {
            let subject = names.taken(&format!("{run}.{feed}"));
            let _ = link
                .client()
                .publish(subject, taken.to_string().into())
                .await;
        }
    }
}
