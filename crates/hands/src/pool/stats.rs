//! Figures of a pool.

use std::fmt;
use std::sync::Weak;

use parking_lot::Mutex;

use super::gauge::Class;
use crate::sizing::Decision;

/// What a pool does and has done; a moment's view, in which figures need not add up.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Workers there are.
    pub workers: usize,
    /// Workers that run a task.
    pub busy: usize,
    /// Tasks that wait for a worker.
    pub queued: usize,
    /// Tasks that have an outcome.
    pub finished: u64,
    /// Those of them that panicked.
    pub panicked: u64,
    /// Those of them that were cancelled, or timed out, before they began.
    pub not_run: u64,
    /// Those of them whose worker died under them. This and the following three are counted by
    /// pools of processes.
    pub died: u64,
    /// Those of them whose time was up.
    pub timed_out: u64,
    /// How often a task was begun again.
    pub retried: u64,
    /// Workers that have taken the place of others.
    pub replaced: u64,
    /// Why the pool has this number of workers.
    pub sizing: Sizing,
    /// What tasks take, by the type of their function; measured by pools that size themselves.
    pub classes: Vec<Class>,
}

/// Why a pool has the size it has. Its text says it in words.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sizing {
    /// Somebody set it.
    Fixed {
        /// Workers.
        workers: usize,
    },
    /// The pool did, by what it measured.
    Auto(Decision),
}

impl Default for Sizing {
    fn default() -> Sizing {
        Sizing::Fixed { workers: 0 }
    }
}

impl fmt::Display for Sizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sizing::Fixed { workers } => write!(f, "{workers} workers, as it was set"),
            Sizing::Auto(decision) => decision.fmt(f),
        }
    }
}

/// Reads the [`Stats`] of a pool, from [`Pool::stats_reader`](super::Pool::stats_reader).
///
/// ```
/// use hands::pool::{Pool, ThreadPool};
///
/// let pool = ThreadPool::with_workers(2)?;
/// let reader = pool.stats_reader();
/// pool.submit(|n: u64| n + 1, 1).join()?;
/// pool.close();
/// pool.join();
/// assert_eq!(reader.read().finished, 1);
/// drop(pool);
/// assert_eq!(reader.read().finished, 1);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct StatsReader {
    read: Box<dyn Fn() -> Option<Stats> + Send + Sync>,
    last: Mutex<Stats>,
}

impl StatsReader {
    /// Reads by `read`, as long as `pool` is there.
    #[doc(hidden)]
    pub fn new<P: Send + Sync + 'static>(
        pool: Weak<P>,
        read: impl Fn(&P) -> Stats + Send + Sync + 'static,
    ) -> StatsReader {
        let read = move || pool.upgrade().map(|pool| read(&pool));
        StatsReader {
            last: Mutex::new(read().unwrap_or_default()),
            read: Box::new(read),
        }
    }

    /// What the pool does and has done.
    pub fn read(&self) -> Stats {
        let mut last = self.last.lock();
        if let Some(stats) = (self.read)() {
            *last = stats;
        }
        last.clone()
    }

    /// Whether the pool is gone.
    pub fn is_over(&self) -> bool {
        (self.read)().is_none()
    }
}

impl fmt::Debug for StatsReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StatsReader").field(&self.read()).finish()
    }
}
