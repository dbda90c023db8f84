//! The record of a task's starts, by which a worker that begins it and a submitter that cancels it
//! see who was first.
//!
//! It is the last message of `start.<id>`, and is changed only by who has read the one before: the
//! server compares. So of a start and a cancel one comes first, and each knows which.
//!
//! ```text
//!   nothing ──begin──▶ Begun(1) ──its worker is gone, begin──▶ Begun(2) ─ … ─▶ moved aside
//!      │                  │  ▲
//!      │ cancel     return│  │begin
//!      ▼                  ▼  │
//!   Cancelled ◀─cancel── Returned
//! ```

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use serde::{Deserialize, Serialize};

use crate::link::ServerLink;

/// What is known of a task's starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Starts {
    /// How often it was begun and not given back.
    pub(crate) begun: u32,
    /// How often it was begun anew because it had panicked.
    pub(crate) retried: u32,
    pub(crate) state: StartState,
    /// Who has begun it, one after the other, as far as that was not given back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) workers: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StartState {
    /// A worker has begun it.
    Begun,
    /// A worker has given it back; and so it is before it was ever begun.
    #[default]
    Returned,
    /// It is not to be begun any more.
    Cancelled,
}

/// A record, and its number on the server; 0: there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) starts: Starts,
    pub(crate) number: u64,
}

/// Why a record was not written.
pub(crate) enum NotWritten {
    /// Somebody else has written one.
    Other,
    /// The server does not answer.
    Unreachable,
}

/// The record there is. `None`: the server does not answer.
pub(crate) async fn read(results: &Stream, subject: &str) -> Option<Record> {
    match results.direct_get_last_for_subject(subject).await {
        Ok(message) => Some(Record {
            // What cannot be read is nobody's: as if it had been begun.
            starts: serde_json::from_slice(&message.payload).unwrap_or(Starts {
                begun: 1,
                retried: 0,
                state: StartState::Begun,
                workers: Vec::new(),
            }),
            number: message.sequence,
        }),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => Some(Record::default()),
        Err(_) => None,
    }
}

/// Writes a record in the place of the one with this number.
pub(crate) async fn write(
    link: &ServerLink,
    subject: &str,
    starts: Starts,
    before: u64,
) -> Result<Record, NotWritten> {
    let Ok(payload) = serde_json::to_vec(&starts) else {
        return Err(NotWritten::Unreachable);
    };
    let message = PublishMessage::build()
        .payload(payload.into())
        .expected_last_subject_sequence(before);
    let sent = async {
        let context = link.context();
        context
            .send_publish(subject.to_owned(), message)
            .await?
            .await
    };
    match sent.await {
        Ok(ack) => Ok(Record {
            starts,
            number: ack.sequence,
        }),
        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Err(NotWritten::Other),
        Err(_) => Err(NotWritten::Unreachable),
    }
}
