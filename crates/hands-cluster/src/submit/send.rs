//! From a submit to the server, in order, many at a time.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use hands::task::TaskError;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

use super::entry::Outgoing;
use super::submitter::Submitter;
use crate::large;
use crate::message::{COUNT, DEADLINE, ID, MOST_STARTS, NAME, RETRIES, TIMEOUT, as_time_of_day};

/// Tasks that the server has been sent and has not acknowledged.
const IN_FLIGHT: usize = 1024;
/// A task that the server has not taken in after so long has an error for an outcome.
const PATIENCE: Duration = Duration::from_secs(60);
/// It is sent again so often.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) async fn all(me: Weak<Submitter>, mut outgoing: UnboundedReceiver<Outgoing>) {
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    while let Some(next) = outgoing.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Some(submitter) = me.upgrade() else {
            return;
        };
        let entry = Arc::clone(&next.entry);
        let message = match written(&submitter, next).await {
            Ok(message) => message,
            Err(why) => {
                submitter.refuse(&entry, TaskError::Refused { why: why.into() });
                continue;
            }
        };
        let subject = submitter.names.task(entry.hash, &entry.id);
        let context = submitter.link.context().clone();
        // Sent here, so in order; waited for elsewhere.
        let sent = context.send_publish(subject.clone(), message.clone()).await;
        let me = Weak::clone(&me);
        submitter.link.spawn(async move {
            let _place = place;
            let since = Instant::now();
            let mut sent = Some(sent);
            loop {
                let tried = match sent.take() {
                    Some(sent) => sent,
                    None => context.send_publish(subject.clone(), message.clone()).await,
                };
                let error = match tried {
                    Err(error) => error,
                    Ok(ack) => match ack.await {
                        Ok(ack) => return entry.sequence.store(ack.sequence, Ordering::SeqCst),
                        Err(error) => error,
                    },
                };
                let is_hopeless = error.kind() == PublishErrorKind::MaxPayloadExceeded;
                if is_hopeless || since.elapsed() > PATIENCE {
                    if let Some(submitter) = me.upgrade() {
                        let why = format!("the server did not take it in: {error}").into();
                        submitter.refuse(&entry, TaskError::Refused { why });
                    }
                    return;
                }
                // Under the same name it is taken in once.
                tokio::time::sleep(AGAIN).await;
            }
        });
    }
}

/// The task, as it travels.
async fn written(submitter: &Submitter, outgoing: Outgoing) -> Result<PublishMessage, String> {
    let Outgoing {
        entry,
        bytes,
        timeout,
        deadline,
    } = outgoing;
    let mut headers = HeaderMap::new();
    headers.insert(ID, entry.id.as_str());
    headers.insert(NAME, printable(entry.name).as_str());
    headers.insert(COUNT, entry.count.to_string());
    headers.insert(RETRIES, submitter.settings.retries.to_string());
    headers.insert(MOST_STARTS, submitter.settings.most_starts.to_string());
    if let Some(timeout) = timeout {
        headers.insert(TIMEOUT, timeout.as_nanos().to_string());
    }
    if let Some(at) = deadline.and_then(as_time_of_day) {
        headers.insert(DEADLINE, at.to_string());
    }
    let name = format!("{}.a", entry.id);
    let payload = large::put(&submitter.streams.large, &name, bytes, &mut headers).await?;
    Ok(PublishMessage::build()
        .payload(payload.into())
        .headers(headers)
        .message_id(&entry.id))
}

/// As a header may hold it.
fn printable(name: &str) -> String {
    let letters = name.chars().map(|letter| match letter {
        ' '..='~' => letter,
        _ => '?',
    });
    letters.take(512).collect()
}
