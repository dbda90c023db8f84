//! The bare client, doing by hand what the pool does: the same streams, the same writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, Republish, RetentionPolicy};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt;
use tokio::runtime::{Builder, Runtime};

pub(crate) struct Raw {
    runtime: Runtime,
    /// The worker's, with a thread of its own.
    _works: Runtime,
    context: Context,
    outcomes: tokio::sync::Mutex<async_nats::Subscriber>,
}

fn runtime() -> Result<Runtime, String> {
    let mut builder = Builder::new_multi_thread();
    let built = builder.worker_threads(1).enable_all().build();
    built.map_err(|error| error.to_string())
}

async fn connected(url: &str) -> Result<(Client, Context), String> {
    let client = async_nats::connect(url)
        .await
        .map_err(|error| error.to_string())?;
    let context = jetstream::new(client.clone());
    Ok((client, context))
}

async fn streams(context: &Context) -> Result<PullConsumer, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let tasks = Config {
        name: "RAW".to_owned(),
        subjects: vec!["raw.task".to_owned()],
        retention: RetentionPolicy::WorkQueue,
        ..Default::default()
    };
    let results = Config {
        name: "RAW_RESULTS".to_owned(),
        subjects: vec!["raw.result.>".to_owned()],
        max_messages_per_subject: 1,
        republish: Some(Republish {
            source: "raw.result.>".to_owned(),
            destination: "raw.done.>".to_owned(),
            headers_only: false,
        }),
        ..Default::default()
    };
    let tasks = context
        .get_or_create_stream(tasks)
        .await
        .map_err(|error| text(&error))?;
    context
        .get_or_create_stream(results)
        .await
        .map_err(|error| text(&error))?;
    let config = pull::Config {
        durable_name: Some("w".to_owned()),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: 100_000,
        ..Default::default()
    };
    let made = tasks.get_or_create_consumer("w", config).await;
    made.map_err(|error| text(&error))
}

impl Raw {
    pub(crate) fn new(url: &str) -> Result<Raw, String> {
        let (own, works) = (runtime()?, runtime()?);
        let (client, context) = own.block_on(connected(url))?;
        let outcomes = own.block_on(client.subscribe("raw.done.>"));
        let outcomes = outcomes.map_err(|error| error.to_string())?;
        let (worker, its) = works.block_on(connected(url))?;
        let consumer = works.block_on(streams(&its))?;
        drop(works.spawn(async move { work(worker, its, consumer).await }));
        Ok(Raw {
            runtime: own,
            _works: works,
            context,
            outcomes: tokio::sync::Mutex::new(outcomes),
        })
    }

    pub(crate) fn round_trip(&self) -> Result<(), String> {
        self.runtime.block_on(async {
            let mut outcomes = self.outcomes.lock().await;
            publish(&self.context).await?;
            outcomes
                .next()
                .await
                .map(|_| ())
                .ok_or("it ended".to_owned())
        })
    }

    /// Seconds for that many tasks.
    pub(crate) fn many(&self, tasks: u32) -> Result<f64, String> {
        self.runtime.block_on(async {
            let mut outcomes = self.outcomes.lock().await;
            let since = Instant::now();
            let context = self.context.clone();
            let sends = tokio::spawn(async move {
                let places = Arc::new(tokio::sync::Semaphore::new(1024));
                for _ in 0..tasks {
                    let place = Arc::clone(&places).acquire_owned().await;
                    let sent = context
                        .send_publish("raw.task", PublishMessage::build())
                        .await;
                    tokio::spawn(async move {
                        let _place = place;
                        if let Ok(sent) = sent {
                            let _ = sent.await;
                        }
                    });
                }
            });
            for _ in 0..tasks {
                outcomes.next().await.ok_or("it ended")?;
            }
            drop(sends);
            Ok(since.elapsed().as_secs_f64())
        })
    }
}

async fn publish(context: &Context) -> Result<(), String> {
    let sent = async {
        context
            .send_publish("raw.task", PublishMessage::build())
            .await?
            .await
    };
    sent.await.map(|_| ()).map_err(|error| error.to_string())
}

/// A hundred at a time: the outcome if there is none, then an acknowledgement that is confirmed.
async fn work(client: Client, context: Context, consumer: PullConsumer) {
    let places = Arc::new(tokio::sync::Semaphore::new(100));
    loop {
        // It ends with the first that come, all that are there, up to this number.
        let most = places.available_permits().max(1);
        let fetch = consumer.fetch().max_messages(most);
        let Ok(mut batch) = fetch.expires(Duration::from_secs(1)).messages().await else {
            return;
        };
        while let Some(Ok(message)) = batch.next().await {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let (client, context) = (client.clone(), context.clone());
            tokio::spawn(async move {
                let _place = place;
                let Ok(number) = message.info().map(|info| info.stream_sequence) else {
                    return;
                };
                let outcome = PublishMessage::build().expected_last_subject_sequence(0);
                let subject = format!("raw.result.{number}");
                if let Ok(sent) = context.send_publish(subject, outcome).await {
                    let _ = sent.await;
                }
                if let Some(reply) = message.reply.clone() {
                    let _ = client.request(reply, "+ACK".into()).await;
                }
            });
        }
    }
}
