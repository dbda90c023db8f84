//! What passes between a program and its tasks while these run: bytes of a task on their way to
//! who has submitted it, and notes that a run keeps for who goes on with it.
//!
//! # How it works
//!
//! A feed is named by the run, and by what the task was told to call it. Each time that a task is
//! begun it writes to a feed of its own, so that two of them never mix: the name ends in a word
//! that no other has.
//!
//! ```text
//!   task ── feed.<run>.<name>.<attempt>: a piece ──▶ server, which keeps it ──▶ reader
//!     ▲                                                                           │
//!     └────────────── taken.<run>.<name>.<attempt>: so many bytes ────────────────┘
//! ```
//!
//! A writer is at most [`WINDOW`] bytes ahead of what its reader has taken: so a task whose reader
//! has ended waits, and goes on when another reader has come. Pieces stay on the server until
//! their reader has [done](FeedReader::done) with them, or the pool no longer keeps outcomes.

mod files;
mod notes;
mod reader;
mod writer;

use async_nats::jetstream::stream::{self, Stream};

use crate::link::ServerLink;
use crate::names::PoolNames;
use crate::settings::Settings;
use crate::{ClusterError, patient};

pub use self::files::RunFiles;
pub use self::notes::RunNotes;
pub use self::reader::{FeedPiece, FeedReader};
pub use self::writer::FeedWriter;

/// A task may have written so many bytes that nobody has taken yet.
pub(crate) const WINDOW: u64 = 1 << 20;

/// The stream of a pool's feeds and notes, made if it is not there.
async fn kept(
    link: &ServerLink,
    names: &PoolNames,
    settings: Settings,
) -> Result<Stream, ClusterError> {
    let config = stream::Config {
        name: names.feeds(),
        subjects: vec![names.feed(">"), names.note("*", ">")],
        num_replicas: settings.replicas,
        max_age: settings.keep,
        allow_direct: true,
        ..Default::default()
    };
    let made = patient(|| link.context().get_or_create_stream(config.clone())).await;
    made.map_err(|error| ClusterError::server("make the stream of feeds", error))
}

/// What is behind the first words of a subject.
fn behind<'a>(subject: &'a str, first: &str) -> Option<&'a str> {
    subject.strip_prefix(first)?.strip_prefix('.')
}
