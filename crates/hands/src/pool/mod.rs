//! Pools: reusable workers behind one queue.
//!
//! ```
//! use hands::pool::{Pool, ThreadPool};
//!
//! fn primes(below: u64) -> usize {
//!     (2..below).filter(|n| (2..*n).all(|d| n % d != 0)).count()
//! }
//!
//! let pool = ThreadPool::new()?;
//! let counts = pool.map(primes, [10, 100, 1000]).collect::<Result<Vec<_>, _>>();
//! assert_eq!(counts, Ok(vec![4, 25, 168]));
//! # std::io::Result::Ok(())
//! ```
//!
//! | to | use |
//! |---|---|
//! | hand over one task and get its outcome | [`Pool::submit`]; [`ThreadPool::spawn`] for a closure that captures |
//! | run a function over many inputs, results in order, in bounded memory | [`Pool::map`] |
//! | the same for very many very small tasks | [`Pool::submit_many`] |
//! | run closures that borrow | [`ThreadPool::scope`] |
//! | split one piece of work in two, again and again | [`join`], [`ThreadPool::both`] |
//! | go through a slice or a range in parallel | [`ThreadPool::for_each`], [`ThreadPool::reduce`] |
//! | hand over a task whose outcome nobody wants | [`ThreadPool::execute`] |
//! | run something once on each worker | [`ThreadPool::broadcast`] |
//! | run what may crash, leak, hang or want too much memory | [`ProcessPool`], with the same methods |
//! | have very many wait for sockets or the clock at once | `AsyncPool` (feature `async`); within processes, `ProcessPool::submit_async` |
//!
//! Code that is generic over `impl Pool` runs on any kind of worker. So its functions capture
//! nothing, and what they take and return can be written down ([`Data`](crate::task::Data)). A
//! `ThreadPool` can do more, with methods of its own: its `submit`, `map` and `submit_many` take
//! whatever may be sent to another thread.
//!
//! What `rayon` has and composes is not here again: parallel sorting, say, runs in rayon's own
//! pool, also from a task of one of these.
//!
//! # What a pool promises
//!
//! - **Each task has one outcome.** A panic ends its task and nothing else. What a shutdown keeps
//!   from running says so.
//! - **A task may wait for a task of its own pool**, with one worker too: it runs the awaited task
//!   itself if that has not begun, and else blocks, while the pool has one more worker.
//! - **What is the user's hurts nobody else**: results, payloads, closures, callbacks and wakers
//!   may panic, block or call back when they are run or dropped.
//! - **An idle pool costs nothing**: its workers sleep.
//! - **Dropping a pool** waits for what has been submitted.
//!
//! # Which pool
//!
//! | the task | pool |
//! |---|---|
//! | computes, or blocks now and then, and can be trusted | [`ThreadPool`]; [`ThreadPool::auto`] where it waits for disks or servers |
//! | may crash, leak, hang, or must be killed | [`ProcessPool`] |
//! | mostly awaits sockets or the clock | `AsyncPool` |
//! | does both, on all cores | [`ProcessPool`] with `coroutines` |
//!
//! More than one may be right: the same function runs on each of them by changing the line that
//! makes the pool. What a [`ProcessPool`] costs over a [`ThreadPool`] is a microsecond a task,
//! copies of arguments and results, and that they can be written down.
//!
//! **On a runtime's thread do not drop a pool that works still**: it waits, and with it whatever
//! shares the thread. Await `shutdown_async` before. Handles are futures; so with the adapters of
//! `futures`, results come in order, and no more than eight tasks are on their way:
//!
//! ```
//! use futures_util::{StreamExt, stream};
//! use hands::pool::{Shutdown, ThreadPool};
//!
//! # futures_lite::future::block_on(async {
//! let pool = ThreadPool::new()?;
//! let tasks = stream::iter(0..100_u64).map(|n| pool.submit(|n: u64| n * n, n));
//! let squares: Vec<_> = tasks.buffered(8).collect().await;
//! assert_eq!(squares[99], Ok(9801));
//! pool.shutdown_async(Shutdown::Drain).await;
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```
//!
//! # How it works
//!
//! ```text
//!  submit ─▶ Queue<Job> ─▶ worker: take a job, run it, say that it is done ─▶ outcome in the task's cell ─▶ join
//!                               │  nothing there: steal half of a split piece of work, look for some
//!                               │  microseconds, sleep in the queue's line
//!                               └─ in a task that waits: step aside, and a spare or a new thread takes its place
//! ```
//!
//! The queue is [`Queue`](crate::queue::Queue), the library's own: a waiter for work waits in
//! its line, which cannot lose a wake-up; its `join` and `shutdown` are the pool's. A task's cell
//! ([`task`](mod@crate::task)) is the other half.

mod adapters;
mod apart;
mod broadcast;
mod builder;
mod calls;
mod chunks;
mod claims;
mod contract;
#[cfg(feature = "async")]
mod coroutine;
mod crew;
mod fork;
mod gauge;
mod job;
mod many;
mod map;
#[cfg(all(test, hands_loom))]
mod model;
mod parallel;
mod process;
mod scope;
mod sizer;
mod split;
mod stack;
mod stats;
mod thread_pool;
mod worker;

pub use crate::sizing::formula;
pub use adapters::{ChunkSplit, ChunksMut, Enumerate, chunks, chunks_mut, enumerate};
pub use builder::ThreadPoolBuilder;
#[cfg(feature = "async")]
pub use contract::CoroutinePool;
pub use contract::Pool;
#[cfg(feature = "async")]
pub use coroutine::{AsyncPool, AsyncPoolBuilder, Blocked, BlockingMap, Coroutines, MapAsync};
pub use fork::join;
pub use gauge::Class;
pub use many::Many;
pub use map::{Map, Progress};
pub use process::{Captured, Outcomes, ProcessPool, ProcessPoolBuilder, WorkerStats};
pub use scope::{ScopedHandle, TaskScope};
pub use split::{IntoSplit, Split, split};
pub use stats::{Sizing, Stats, StatsReader};
pub use thread_pool::ThreadPool;

pub use crate::queue::Shutdown;
pub use crate::task::WorkerId;
