//! What a run keeps on the server for who goes on with it.

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt;

use super::{behind, kept};
use crate::ClusterError;
use crate::link::{PATIENCE, ServerLink};
use crate::names::PoolNames;
use crate::settings::Settings;

/// Notes of a run, in the order in which they were made: what it is, what it has sent, what is
/// done. They are kept as long as the pool keeps outcomes.
#[derive(Clone)]
pub struct RunNotes {
    link: ServerLink,
    names: PoolNames,
    run: String,
    stream: Stream,
}

impl RunNotes {
    pub(crate) fn open(
        link: &ServerLink,
        names: &PoolNames,
        run: &str,
        settings: Settings,
    ) -> Result<RunNotes, ClusterError> {
        let (own, of) = (link.clone(), names.clone());
        let makes = async move { kept(&own, &of, settings).await };
        let lost = || ClusterError::server("open the notes", "the connection has ended");
        let stream = link.wait(makes).ok_or_else(lost)??;
        Ok(RunNotes {
            link: link.clone(),
            names: names.clone(),
            run: run.to_owned(),
            stream,
        })
    }

    /// Makes a note of this kind, a word, and returns when the server has it.
    ///
    /// # Errors
    ///
    /// When the server does not take it within a minute.
    pub fn add(&self, kind: &str, note: Vec<u8>) -> Result<(), ClusterError> {
        let subject = self.names.note(&self.run, crate::names::checked(kind)?);
        let link = self.link.clone();
        let payload = bytes::Bytes::from(note);
        let id = crate::unique();
        let sends = async move {
            let mut tries = 0;
            loop {
                let message = async_nats::jetstream::message::PublishMessage::build()
                    .payload(payload.clone())
                    .message_id(&id);
                let sent = async {
                    let context = link.context();
                    context.send_publish(subject.clone(), message).await?.await
                };
                match sent.await {
                    Ok(_) => return Ok(()),
                    Err(error) if tries >= 60 => {
                        return Err(ClusterError::server("keep a note", error));
                    }
                    Err(_) => {
                        tries += 1;
                        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    }
                }
            }
        };
        let lost = || ClusterError::server("keep a note", "the connection has ended");
        self.link.wait(sends).ok_or_else(lost)?
    }

    /// [`add`](Self::add), which returns when the note is on its way to the server, before whatever
    /// is sent from here later.
    pub fn add_soon(&self, kind: &str, note: Vec<u8>) {
        let subject = self.names.note(&self.run, kind);
        let link = self.link.clone();
        let id = crate::unique();
        self.link.wait(async move {
            let payload = bytes::Bytes::from(note);
            let message = || {
                async_nats::jetstream::message::PublishMessage::build()
                    .payload(payload.clone())
                    .message_id(&id)
            };
            let sent = link
                .context()
                .send_publish(subject.clone(), message())
                .await;
            let again = (link.clone(), subject, message());
            link.spawn(async move {
                let is_there = match sent {
                    Ok(sent) => sent.await.is_ok(),
                    Err(_) => false,
                };
                let (link, subject, message) = again;
                let mut tries = 0;
                // Under its name it is kept once.
                while !is_there && tries < 60 {
                    tries += 1;
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    let sent = async {
                        let context = link.context();
                        context
                            .send_publish(subject.clone(), message.clone())
                            .await?
                            .await
                    };
                    if sent.await.is_ok() {
                        return;
                    }
                }
            });
        });
    }

    /// All notes, each with its kind.
    ///
    /// # Errors
    ///
    /// When the server does not say.
    pub fn read(&self) -> Result<Vec<(String, Vec<u8>)>, ClusterError> {
        let (stream, first) = (self.stream.clone(), self.names.note(&self.run, ">"));
        let first = first.trim_end_matches(".>").to_owned();
        let failed = |error: &dyn std::fmt::Display| ClusterError::server("read the notes", error);
        let reads = async move {
            let config = pull::Config {
                filter_subject: format!("{first}.>"),
                ack_policy: AckPolicy::None,
                ..Default::default()
            };
            let consumer = stream.create_consumer(config).await;
            let consumer: PullConsumer = consumer.map_err(|error| failed(&error))?;
            let mut notes = Vec::new();
            loop {
                let batch = consumer.fetch().max_messages(1000).messages().await;
                let mut batch = batch.map_err(|error| failed(&error))?;
                let before = notes.len();
                while let Ok(Some(message)) = tokio::time::timeout(PATIENCE, batch.next()).await {
                    let message = message.map_err(|error| failed(&error))?;
                    if let Some(kind) = behind(&message.subject, &first) {
                        notes.push((kind.to_owned(), message.payload.to_vec()));
                    }
                }
                if notes.len() == before {
                    return Ok(notes);
                }
            }
        };
        let lost = || ClusterError::server("read the notes", "the connection has ended");
        self.link.wait(reads).ok_or_else(lost)?
    }

    /// Nobody goes on with this run: the server need not keep its notes, nor its feeds.
    pub fn remove(&self) {
        let (stream, run) = (self.stream.clone(), self.run.clone());
        let subjects = [
            self.names.note(&run, ">"),
            self.names.feed(&format!("{run}.>")),
        ];
        self.link.wait(async move {
            for subject in subjects {
                let purge = stream.purge().filter(subject);
                let _ = tokio::time::timeout(PATIENCE, purge).await;
            }
        });
    }
}

impl std::fmt::Debug for RunNotes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunNotes")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}
