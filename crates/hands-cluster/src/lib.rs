//! The pool and the queue of Hands on many machines, kept by NATS JetStream.
//!
//! A [`Cluster`] is a [`Pool`](hands::pool::Pool) as any other: the function that runs on threads
//! or in processes runs on other machines by changing the line that makes the pool. Its tasks wait
//! on a server until a [`worker`](worker()) has run them. A [`ClusterQueue`] is a
//! [`WorkQueue`](hands::queue::WorkQueue) as any other, shared by programs on any number of
//! machines.
//!
//! ```no_run
//! use hands::pool::Pool;
//! use hands_cluster::Cluster;
//!
//! #[hands::task]
//! fn square(n: u64) -> u64 {
//!     n * n
//! }
//!
//! #[hands::main]
//! fn main() -> hands::Result<()> {
//!     // The same program is a worker when it is told so.
//!     if std::env::args().nth(1).as_deref() == Some("work") {
//!         return Ok(hands_cluster::worker("nats://127.0.0.1:4222").run()?);
//!     }
//!     let pool = Cluster::connect("nats://127.0.0.1:4222")?;
//!     println!("{:?}", pool.map(square, 1..=10).collect::<Result<Vec<_>, _>>()?);
//!     Ok(())
//! }
//! ```
//!
//! # What is promised, and what that depends on
//!
//! **Each accepted task runs at least once, and has exactly one outcome.** A task runs again if its
//! worker is gone or cut off before its outcome was written; so what it does beside its result
//! should be such that it may be done twice. The first outcome counts, and later ones are thrown
//! away, for as long as outcomes are kept ([`ClusterBuilder::keep`]).
//!
//! It depends on the server, which keeps all of it:
//!
//! - The server writes to its disk what it acknowledges, and asks the disk to make that permanent
//!   every two minutes, unless `sync_interval` says otherwise. `kill -9` of the server loses
//!   nothing; a machine that loses power may lose what came since. With `sync_interval: always` it
//!   does not, and a task costs about a millisecond instead of half of one.
//! - With [`replicas(3)`](ClusterBuilder::replicas) and three servers, one of them may be lost.
//! - One folder may belong to one server: two of them on the same folder both start, and spoil it.
//!
//! Neither queued nor answered is [`Lost`](hands::task::TaskError::Lost), never a hang. A task that
//! no worker can run is [`NoWorker`](hands::task::TaskError::NoWorker); one whose workers end under
//! it, [`ClusterBuilder::crash_limit`] times, is [`Poisoned`](hands::task::TaskError::Poisoned),
//! and is kept under `poisoned.<task>` for somebody to look at.
//!
//! # The server
//!
//! Version 2.11 or later, with `-js`. An older one ignores silently what this counts on, and is
//! refused at the connect. Addresses are `nats://host:4222`, with a token or a user and a password
//! in it (`nats://token@host`), or `tls://host`; the methods of [`ClusterBuilder`] take what is
//! better kept out of an address.
//!
//! # Least privilege
//!
//! For the pool `p`, once it has been made by somebody who may do all:
//!
//! | who | publishes | subscribes |
//! |---|---|---|
//! | submitter | `hands.p.task.>`, `hands.p.start.>`, `hands.p.result.>`, `hands.p.cancel.>`, `hands.p.serves.*`, `hands.p.who`, `$JS.API.STREAM.INFO.HANDS_p_TASKS`, `$JS.API.STREAM.INFO.HANDS_p_RESULTS`, `$JS.API.DIRECT.GET.HANDS_p_RESULTS.>`, `$JS.API.DIRECT.GET.HANDS_p_RESULTS`, `$JS.API.DIRECT.GET.HANDS_p_TASKS.>`, `$JS.API.STREAM.MSG.DELETE.HANDS_p_TASKS`, `$JS.API.STREAM.PURGE.HANDS_p_TASKS`, `$JS.API.INFO`, and for large arguments `$O.HANDS_p_LARGE.>`, `$JS.API.*.*.OBJ_HANDS_p_LARGE`, `$JS.API.*.*.OBJ_HANDS_p_LARGE.>`, `$JS.FC.OBJ_HANDS_p_LARGE.>`; for feeds and notes `hands.p.note.>`, `hands.p.taken.>`, `$JS.API.STREAM.INFO.HANDS_p_FEEDS`, `$JS.API.STREAM.PURGE.HANDS_p_FEEDS`, `$JS.API.CONSUMER.CREATE.HANDS_p_FEEDS`, `$JS.API.CONSUMER.CREATE.HANDS_p_FEEDS.>`, `$JS.API.CONSUMER.MSG.NEXT.HANDS_p_FEEDS.>` | `_INBOX.>`, `hands.p.done.>`, `hands.p.worker.*` |
//! | worker | `hands.p.start.>`, `hands.p.result.>`, `hands.p.poisoned.>`, `hands.p.worker.*`, `$JS.ACK.HANDS_p_TASKS.>`, `$JS.API.CONSUMER.*.HANDS_p_TASKS.>`, `$JS.API.CONSUMER.MSG.NEXT.HANDS_p_TASKS.>`, `$JS.API.STREAM.INFO.*`, `$JS.API.DIRECT.GET.HANDS_p_RESULTS.>`, `$JS.API.INFO`, `_INBOX.>` to answer, and for large outcomes `$O.HANDS_p_LARGE.>`, `$JS.API.*.*.OBJ_HANDS_p_LARGE`, `$JS.API.*.*.OBJ_HANDS_p_LARGE.>`, `$JS.FC.OBJ_HANDS_p_LARGE.>`; for feeds `hands.p.feed.>` | `_INBOX.>`, `hands.p.new.>`, `hands.p.cancel.>`, `hands.p.serves.*`, `hands.p.who`, `hands.p.tell.*`, `hands.p.taken.>` |
//!
//! Who may also publish to `hands.p.tell.*` may have workers end.
//!
//! Who may publish to `hands.p.task.>` has the workers run any function on their lists with any
//! argument, and nothing else: no code travels.
//!
//! # Threads
//!
//! The connection has a thread and a runtime of its own, which no task can starve: a task may
//! compute for as long as it likes, and its worker still says that it lives. Nothing of the user's
//! runs there.
#![forbid(unsafe_code)]

mod cluster;
mod error;
mod feed;
mod large;
mod link;
mod message;
mod names;
mod queue;
mod settings;
mod start;
mod streams;
mod submit;
mod worker;

use std::future::Future;
use std::time::Duration;

pub use cluster::{Cluster, ClusterBuilder};
pub use error::ClusterError;
pub use feed::{FeedPiece, FeedReader, FeedWriter, RunFiles, RunNotes};
use hands::remote;
pub use queue::{ClusterQueue, HeldItem, QueueBuilder};
pub use submit::{WorkerOrder, WorkerStatus};
pub use worker::{CurrentTask, Worker, WorkerBuilder, current_task, worker};

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
