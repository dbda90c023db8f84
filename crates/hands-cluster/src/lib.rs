//! The pool and the queue of Hands on many machines.
#![forbid(unsafe_code)]

mod cluster;
mod error;
mod large;
mod link;
mod message;
mod names;
mod queue;
mod start;
mod streams;
mod submit;
mod worker;

use std::future::Future;
use std::time::Duration;

pub use cluster::{Cluster, ClusterBuilder};
pub use error::ClusterError;
use hands::remote;
pub use queue::{ClusterQueue, Held, QueueBuilder};
pub use worker::{Worker, WorkerBuilder, worker};

/// Asks again for a while: a server that has just started, or has lost its leader, does not answer.
pub(crate) async fn patient<T, E, F>(ask: impl Fn() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut tries = 0;
    loop {
        match ask().await {
            Err(_) if tries < 10 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            other => return other,
        }
    }
}

/// A word that no other program has.
pub(crate) fn unique() -> String {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Keys of 128 random bits, from the system, twice.
    let word = |n: u64| RandomState::new().hash_one((std::process::id(), count, n));
    format!("{:016x}{:016x}", word(0), word(1))
}
