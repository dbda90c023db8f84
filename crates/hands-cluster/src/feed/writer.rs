//! The task's side.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use futures_util::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::WINDOW;
use crate::link::ServerLink;
use crate::message::number;
use crate::names::PoolNames;

/// A piece that the server did not take is sent again after this time.
const AGAIN: Duration = Duration::from_millis(250);

/// Bytes on their way from a task that runs here to who has submitted it.
pub struct FeedWriter {
    pieces: UnboundedSender<Vec<u8>>,
    state: OpenFeed,
    name: String,
    sent: oneshot::Receiver<()>,
}

struct FeedState {
    written: AtomicU64,
    taken: AtomicU64,
    is_closed: AtomicBool,
}

impl FeedState {
    fn ahead(&self) -> u64 {
        let taken = self.taken.load(Ordering::SeqCst);
        self.written.load(Ordering::SeqCst).saturating_sub(taken)
    }
}

impl FeedWriter {
    pub(crate) fn open(
        link: &ServerLink,
        names: &PoolNames,
        name: &str,
        on_room: impl Fn() + Send + Sync + 'static,
    ) -> Option<FeedWriter> {
        let is_good = |word: &str| crate::names::checked(word).is_ok();
        if name.split('.').count() > 4 || !name.split('.').all(is_good) {
            return None;
        }
        let name = format!("{name}.{}", crate::unique());
        let (pieces, to_send) = unbounded_channel();
        let state = Arc::new(FeedState {
            written: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        });
        let (give, sent) = oneshot::channel();
        let (of, taken) = (Arc::clone(&state), names.taken(&name));
        let (subject, own) = (names.feed(&name), link.clone());
        link.spawn(async move {
            let Ok(mut told) = own.client().subscribe(taken).await else {
                return;
            };
            let sends = send(own.clone(), subject, to_send, Arc::clone(&of));
            own.spawn(async move {
                sends.await;
                let _ = give.send(());
            });
            // Until nobody writes any more, and what was written has been taken.
            loop {
                let heard = tokio::time::timeout(AGAIN, told.next()).await;
                match heard {
                    Ok(Some(message)) => {
                        let text = std::str::from_utf8(&message.payload).unwrap_or_default();
                        let taken = number(text).unwrap_or(0);
                        let had_room = of.ahead() < WINDOW;
                        of.taken.fetch_max(taken, Ordering::SeqCst);
                        if !had_room && of.ahead() < WINDOW {
                            on_room();
                        }
                    }
                    Ok(None) => return,
                    Err(_) if of.is_closed.load(Ordering::SeqCst) => return,
                    Err(_) => {}
                }
            }
        });
        Some(FeedWriter {
            pieces,
            state: OpenFeed(state),
            name,
            sent,
        })
    }

    /// Nothing more is written. Returns when the server has all that was.
    pub async fn close(self) {
        let FeedWriter {
            pieces,
            sent,
            state,
            ..
        } = self;
        drop(pieces);
        let _ = sent.await;
        drop(state);
    }

    /// What the reader knows it by: `<run>.<name>.<attempt>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a piece. It does not wait, and the piece may be larger than there is
    /// [room](Self::has_room) for.
    pub fn write(&self, piece: Vec<u8>) {
        let length = piece.len() as u64;
        self.state.0.written.fetch_add(length, Ordering::SeqCst);
        let _ = self.pieces.send(piece);
    }

    /// Whether the reader is near enough behind.
    pub fn has_room(&self) -> bool {
        self.state.0.ahead() < WINDOW
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.state.0.written.load(Ordering::SeqCst)
    }
}

/// Kept by the writer: the last one says that nobody writes any more.
struct OpenFeed(Arc<FeedState>);

impl Drop for OpenFeed {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for FeedWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedWriter")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Sends the pieces in their order, each once.
async fn send(
    link: ServerLink,
    subject: String,
    mut pieces: UnboundedReceiver<Vec<u8>>,
    of: Arc<FeedState>,
) {
    let mut sent = 0_u64;
    while let Some(piece) = pieces.recv().await {
        let message = PublishMessage::build()
            .payload(piece.into())
            .message_id(format!("{subject}.{sent}"));
        sent += 1;
        loop {
            let sends = async {
                let context = link.context();
                context
                    .send_publish(subject.clone(), message.clone())
                    .await?
                    .await
            };
            match sends.await {
                Ok(_) => break,
                // The task has ended without waiting for what it wrote: it was given up.
                Err(_) if of.is_closed.load(Ordering::SeqCst) && pieces.is_empty() => return,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }
}
