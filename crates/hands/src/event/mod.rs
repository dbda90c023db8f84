//! What happens, in one vocabulary: pools, batches and downloads say it with the same words.
//!
//! Each of them has an [`Events`]. It counts ([`Tally`]), and it tells what happens to those who
//! [listen](Events::listen): a task was queued, was started, has finished; a worker was born, has
//! died; the number of workers was changed; bytes were moved. `stats()`, progress displays, traces
//! and pages are all made from this.
//!
//! ```
//! use hands::event::EventKind;
//! use hands::pool::{Pool, ThreadPool};
//!
//! let pool = ThreadPool::with_workers(2)?;
//! let mut listener = pool.events().listen()?;
//! pool.submit(|n: u64| n * n, 12).join()?;
//! pool.close();
//! pool.join();
//!
//! let mut finished = 0;
//! while let Some(event) = listener.next() {
//!     finished += u32::from(matches!(event.kind, EventKind::Finished { .. }));
//! }
//! assert_eq!((finished, listener.lost()), (1, 0));
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # How it works
//!
//! While nobody listens, an event costs the look whether somebody does: one load of a word that
//! hardly ever changes. Each listener has a ring of its own, without locks and of a fixed
//! size. Who tells never waits: what does not fit is counted as lost, and the listener can say so.
//!
//! An event has a fixed size and holds no text, but the [name](Name) of a task's function. What has
//! text (a command line, a URL, a reason) is told by those that have it, under the task's number.

#[cfg(feature = "opentelemetry")]
mod export;
#[cfg(feature = "metrics")]
mod figures;
mod hub;
mod name;
mod ring;
mod tally;
mod trace;
mod words;

use std::time::Duration;

#[cfg(feature = "opentelemetry")]
pub use export::MetricsExport;
#[cfg(feature = "metrics")]
pub use figures::{WorkFigures, WorkerFigures};
#[cfg(feature = "async")]
pub(crate) use hub::AtomicBegun;
pub use hub::{Begun, Events, Listener, TooManyListeners};
pub(crate) use hub::{Ending, Moment};
pub use name::Name;
pub use tally::Tally;
pub use trace::{Trace, TraceSummary};
#[doc(hidden)]
pub use trace::{TraceFile, quoted};

/// The number of the first place of a coroutine, among the workers.
pub(crate) const PLACES: u32 = 1 << 31;

/// Something that has happened, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkEvent {
    /// Since the [`Events`] were made; [`Events::began`] says when that was.
    pub at: Duration,
    /// What it was.
    pub kind: EventKind,
}

/// What has happened.
///
/// A *task* has a number that no other task of the same [`Events`] has. A *worker* is a thread by
/// its number, a process by its place in the pool, a job slot of a batch, a place among the
/// coroutines in flight (numbered from 2³¹): it has one task at a time, and what is started in the
/// same place later has the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A task waits for a worker.
    Queued {
        /// Its number.
        task: u64,
        /// Its function.
        name: Name,
    },
    /// A worker has begun a task.
    Started {
        /// The task's number.
        task: u64,
        /// Its function.
        name: Name,
        /// The worker's number.
        worker: u32,
        /// How long it had been queued; `None` if it was queued before anybody listened.
        waited: Option<Duration>,
    },
    /// A task has its outcome.
    Finished {
        /// The task's number.
        task: u64,
        /// Its function.
        name: Name,
        /// The worker that ran it last; `None` if none did.
        worker: Option<u32>,
        /// How it went.
        how: TaskEnd,
        /// How long it ran.
        wall: Duration,
        /// For how long of that it was on a CPU, where that is known.
        cpu: Option<Duration>,
    },
    /// There is a further worker.
    WorkerBorn {
        /// Its number.
        worker: u32,
        /// Its process, if it is one.
        pid: Option<u32>,
    },
    /// There is a worker less.
    WorkerDied {
        /// Its number.
        worker: u32,
        /// The process that it was, if it was one.
        pid: Option<u32>,
        /// Why.
        why: Parting,
    },
    /// The number of workers that there are to be was set. A pool that does so itself says why in
    /// [`Stats::sizing`](crate::pool::Stats::sizing).
    Sized {
        /// Before.
        from: u32,
        /// From now on.
        to: u32,
    },
    /// A task has moved bytes: a download has received them, a job has written them.
    Moved {
        /// The task's number.
        task: u64,
        /// Since it last said so.
        bytes: u64,
        /// How many there will be in all; 0 if that is not known.
        of: u64,
    },
}

/// How a task went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskEnd {
    /// It came to its end.
    Well,
    /// It panicked.
    Panicked,
    /// It ended with what counts as a failure: a job's exit code, a server's answer.
    Failed,
    /// It was cancelled, or timed out, before it began.
    NotRun,
    /// Its worker died while it ran.
    Died,
    /// It ran for longer than it was allowed to.
    TimedOut,
    /// It was cancelled while it ran.
    Cancelled,
    /// It is to be started again.
    Retried,
}

/// Why a worker is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Parting {
    /// It was not needed any more, and ended of its own.
    Dismissed,
    /// Its process ended with this code.
    Exited(i32),
    /// Its process was killed by this signal.
    Killed(i32),
}

impl TaskEnd {
    const ALL: [TaskEnd; 8] = [
        TaskEnd::Well,
        TaskEnd::Panicked,
        TaskEnd::Failed,
        TaskEnd::NotRun,
        TaskEnd::Died,
        TaskEnd::TimedOut,
        TaskEnd::Cancelled,
        TaskEnd::Retried,
    ];
}
