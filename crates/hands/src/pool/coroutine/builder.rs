//! How a pool of coroutines is made.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{self, Handle as RuntimeHandle, Runtime};

use super::AsyncPool;
use super::crew::CoroutineCrew;
use super::driver::{Blocked, OnBlocked, StallWatch};
use crate::pool::ThreadPool;
use crate::sync::timer::Alarm;
use crate::thread::panic::{caught, watch_places};
use crate::thread::registry;

/// How a pool of coroutines is to be made.
///
/// ```
/// use std::time::Duration;
/// use hands::pool::AsyncPool;
///
/// let pool = AsyncPool::builder().in_flight(10_000).threads(1).name("crawl").build()?;
/// let task = pool.spawn(async { tokio::time::sleep(Duration::from_millis(1)).await; 7 });
/// assert_eq!(task.join(), Ok(7));
/// # std::io::Result::Ok(())
/// ```
#[must_use = "no pool is made before `build`"]
pub struct AsyncPoolBuilder {
    in_flight: usize,
    threads: Option<usize>,
    runtime: Option<RuntimeHandle>,
    name: String,
    functions: (usize, Option<usize>),
    blocked_after: Duration,
    on_blocked: Option<OnBlocked>,
}

/// A pool has no more in flight than this, unless told otherwise.
const IN_FLIGHT: usize = 1024;
/// The number of threads for each core that functions may have.
const MOST_FOR_A_CORE: usize = 32;

impl AsyncPoolBuilder {
    pub(super) fn new() -> AsyncPoolBuilder {
        AsyncPoolBuilder {
            in_flight: IN_FLIGHT,
            threads: None,
            runtime: None,
            name: "async".to_owned(),
            functions: (1, None),
            blocked_after: Duration::from_millis(100),
            on_blocked: None,
        }
    }

    /// The most coroutines that have begun and not ended; 1024 unless set.
    pub fn in_flight(mut self, coroutines: usize) -> AsyncPoolBuilder {
        self.in_flight = coroutines;
        self
    }

    /// The number of threads of the pool's own runtime; one for each [core](crate::cores()) unless
    /// set.
    pub fn threads(mut self, threads: usize) -> AsyncPoolBuilder {
        self.threads = Some(threads);
        self
    }

    /// Runs on this `tokio` runtime, not on one of its own. It must have time or I/O enabled if the
    /// coroutines use them.
    pub fn runtime(mut self, runtime: RuntimeHandle) -> AsyncPoolBuilder {
        self.runtime = Some(runtime);
        self
    }

    /// What the names of its threads begin with; `async` unless set.
    pub fn name(mut self, name: impl Into<String>) -> AsyncPoolBuilder {
        self.name = name.into();
        self
    }

    /// Functions that are no coroutines run on at least and at most these numbers of threads, and
    /// the pool chooses between the two by what it measures; from 1 to 32 for each core unless set.
    pub fn function_threads(mut self, least: usize, most: usize) -> AsyncPoolBuilder {
        self.functions = (least, Some(most));
        self
    }

    /// A coroutine that does not await for so long is reported; 100 ms unless set.
    pub fn blocked_after(mut self, time: Duration) -> AsyncPoolBuilder {
        self.blocked_after = time;
        self
    }

    /// Has `told` know of each coroutine that does not await for long, on a thread of its own. The
    /// pool's [`coroutines`](AsyncPool::coroutines) count them in any case, and with the feature
    /// `tracing` each is a warning.
    pub fn on_blocked(
        mut self,
        told: impl Fn(&Blocked) + Send + Sync + 'static,
    ) -> AsyncPoolBuilder {
        self.on_blocked = Some(Arc::new(told));
        self
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// When nothing may be in flight or there are to be no threads, the name has a NUL in it, or
    /// the system refuses a thread.
    pub fn build(self) -> io::Result<AsyncPool> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
        let cores = crate::cores().get();
        let most_functions = self.functions.1.unwrap_or(MOST_FOR_A_CORE * cores);
        if self.in_flight == 0 || self.in_flight >= u32::MAX as usize {
            return Err(invalid(format!(
                "{} coroutines in flight; it must be at least 1, and less than 4,294,967,295",
                self.in_flight
            )));
        }
        if self.threads == Some(0) || most_functions == 0 {
            return Err(invalid(
                "a pool of 0 threads would never run anything; give it at least 1".to_owned(),
            ));
        }
        if self.functions.0 > most_functions {
            return Err(invalid(format!(
                "functions cannot have at least {} and at most {most_functions} threads; let the minimum be the smaller",
                self.functions.0
            )));
        }
        if self.name.contains('\0') {
            let name = self.name.escape_debug();
            return Err(invalid(format!("the pool's name `{name}` has a NUL in it")));
        }
        watch_places();
        Alarm::prepare()?;
        let (runtime, own, drivers) = match self.runtime {
            Some(runtime) => {
                let drivers = runtime.metrics().num_workers().max(1);
                (runtime, None, drivers)
            }
            None => {
                let threads = self.threads.unwrap_or(cores);
                let own = own_runtime(&self.name, threads)?;
                (own.handle().clone(), Some(own), threads)
            }
        };
        let crew = Arc::new(CoroutineCrew::new(self.in_flight, drivers, runtime.clone()));
        let noted: Weak<CoroutineCrew> = Arc::downgrade(&crew);
        registry::note_pool(noted);
        let rescued = Arc::downgrade(&crew);
        let rescue = move |watch: &Arc<StallWatch>, blocked| {
            if let Some(crew) = rescued.upgrade() {
                crew.rescue(watch, blocked);
            }
        };
        let watch = StallWatch::new(self.blocked_after, self.on_blocked, Box::new(rescue));
        for number in 0..drivers {
            runtime.spawn(crew.driver(number, watch.driver()));
        }
        let functions = ThreadPool::builder()
            .events(crew.events.clone())
            .auto()
            .min_workers(self.functions.0)
            .max_workers(most_functions)
            .name(format!("{}-function", self.name));
        Ok(AsyncPool {
            crew,
            watch,
            runtime,
            own: Mutex::new(own),
            functions: OnceLock::new(),
            functions_plan: Mutex::new(Some(functions)),
            functions_stats: Arc::default(),
            functions_at_first: cores.clamp(self.functions.0, most_functions),
        })
    }
}

/// A runtime with one thread more than there are drivers: when all of them are blocked, it still
/// hears of sockets and the clock.
fn own_runtime(name: &str, threads: usize) -> io::Result<Runtime> {
    let mut builder = runtime::Builder::new_multi_thread();
    builder.thread_name(name).enable_all();
    builder.worker_threads(threads.saturating_add(1));
    // It panics where the system refuses the first thread.
    caught(|| builder.build()).unwrap_or_else(|caught| {
        Err(io::Error::new(
            io::ErrorKind::WouldBlock,
            caught.message().to_owned(),
        ))
    })
}

impl fmt::Debug for AsyncPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("AsyncPoolBuilder");
        shown.field("in_flight", &self.in_flight);
        shown.field("name", &self.name).finish_non_exhaustive()
    }
}
