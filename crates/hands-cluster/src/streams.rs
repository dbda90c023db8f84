//! What a pool keeps on the server: two streams and a store, made when they are not there.
//!
//! | stream | holds | until |
//! |---|---|---|
//! | `HANDS_<pool>_TASKS` | tasks: `task.<function>.<id>` | they are acknowledged |
//! | `HANDS_<pool>_RESULTS` | `start.<id>`: that a task was begun, or cancelled; `result.<id>`: its outcome; `poisoned.<id>`: what was moved aside | [`keep`](crate::ClusterBuilder::keep) is over |
//! | `HANDS_<pool>_LARGE` | arguments and outcomes that no message holds | they are used, or `keep` is over |
//!
//! The result of a task is written only if there is none (the server compares), so a task has one
//! outcome, however many workers have run it. The server repeats each to `done.<id>`, where the
//! submitter listens, and tells workers at `new.<function>.<id>` of each new task.

use std::time::Duration;

use async_nats::jetstream::object_store::{self, ObjectStore};
use async_nats::jetstream::stream::{self, Republish, RetentionPolicy, StorageType, Stream};

use crate::link::ServerLink;
use crate::names::PoolNames;
use crate::settings::Settings;
use crate::{ClusterError, patient};

#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) tasks: Stream,
    pub(crate) results: Stream,
    pub(crate) large: ObjectStore,
    /// How long a task may be held by a worker of which nothing is heard: as the one said that has
    /// made the pool.
    pub(crate) hold: Duration,
}

impl Streams {
    /// What is weaker than it might be, or not as it was asked for.
    pub(crate) fn warnings(&self, asked: Settings) -> Vec<String> {
        let mut warnings = Vec::new();
        for stream in [&self.tasks, &self.results] {
            let config = &stream.cached_info().config;
            let name = &config.name;
            if config.storage == StorageType::Memory {
                warnings.push(format!(
                    "`{name}` is kept in memory, and is lost when its server ends"
                ));
            }
            match config.num_replicas {
                1 if asked.replicas == 1 => warnings.push(format!(
                    "`{name}` is kept by one server: what is lost with its disk is lost; `replicas(3)` on three servers survives one of them"
                )),
                there if there != asked.replicas => warnings.push(format!(
                    "`{name}` is kept by {there} servers, not by {}: it was made like that, and stays so",
                    asked.replicas
                )),
                _ => {}
            }
        }
        if self.hold != asked.hold {
            warnings.push(format!(
                "a task may be held for {:?} without news of its worker, not for {:?}: the pool was made like that, and stays so",
                self.hold, asked.hold
            ));
        }
        warnings
    }
}

/// Where the stream of tasks says that, in milliseconds.
const HOLD: &str = "hands-hold";

pub(crate) async fn make(
    link: ServerLink,
    names: PoolNames,
    settings: Settings,
) -> Result<Streams, ClusterError> {
    let failed = |error: &dyn std::fmt::Display| ClusterError::server("make the pool", error);
    let context = link.context();
    let tasks = stream::Config {
        name: names.tasks(),
        subjects: vec![names.subject("task.>")],
        retention: RetentionPolicy::WorkQueue,
        num_replicas: settings.replicas,
        // One for each function.
        max_consumers: 10_000,
        republish: Some(Republish {
            source: names.subject("task.>"),
            destination: names.subject("new.>"),
            headers_only: true,
        }),
        allow_direct: true,
        metadata: [(HOLD.to_owned(), settings.hold.as_millis().to_string())].into(),
        ..Default::default()
    };
    let results = stream::Config {
        name: names.results(),
        subjects: ["start.>", "result.>", "poisoned.>"]
            .map(|rest| names.subject(rest))
            .to_vec(),
        num_replicas: settings.replicas,
        max_age: settings.keep,
        max_messages_per_subject: 1,
        republish: Some(Republish {
            source: names.subject("result.>"),
            destination: names.subject("done.>"),
            headers_only: false,
        }),
        allow_direct: true,
        ..Default::default()
    };
    let tasks = patient(|| context.get_or_create_stream(tasks.clone()))
        .await
        .map_err(|error| failed(&error))?;
    let results = patient(|| context.get_or_create_stream(results.clone()))
        .await
        .map_err(|error| failed(&error))?;
    let said = tasks.cached_info().config.metadata.get(HOLD);
    let said = said.and_then(|hold| crate::message::number(hold));
    let hold = said.map_or(settings.hold, Duration::from_millis);
    let large = match context.get_object_store(names.large()).await {
        Ok(large) => large,
        Err(_) => {
            let config = object_store::Config {
                bucket: names.large(),
                max_age: settings.keep,
                num_replicas: settings.replicas,
                ..Default::default()
            };
            let made = context.create_object_store(config).await;
            made.map_err(|error| failed(&error))?
        }
    };
    Ok(Streams {
        tasks,
        results,
        large,
        hold: hold.max(Duration::from_secs(1)),
    })
}
