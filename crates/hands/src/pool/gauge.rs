//! What a worker's time goes into, told without asking the worker.
//!
//! The kernel counts for each thread how long it was on a CPU and how long it was ready to run
//! without one (`/proc/…/schedstat`, see `Documentation/scheduler/sched-stats.rst`). The worker
//! itself notes when it has nothing to do and when it waits for our own queues and handles. What is
//! left of its time is waiting, for a disk, a network, another program's lock. So a task pays
//! nothing for being measured, and a long one is measured while it runs.
//!
//! Of each class of task, one now and then is measured alone: the next one that a worker begins
//! after somebody has asked.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use crate::sync::park::Stretch;

/// Where one worker's time went, all in nanoseconds since it began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    pub(super) wall: u64,
    pub(super) cpu: u64,
    pub(super) delay: u64,
    pub(super) idle: u64,
    pub(super) own_wait: u64,
}

/// One worker's clocks.
pub(super) struct Gauge {
    since: Instant,
    /// Its own; `None` where there is no such file.
    schedstat: Option<File>,
    /// It has nothing to do.
    pub(super) idle: Stretch,
    /// It waits within a task for what is ours.
    pub(super) own_wait: Arc<Stretch>,
    /// The next task is to be measured alone.
    pub(super) asked: AtomicBool,
}

impl Gauge {
    /// To be made on the worker.
    pub(super) fn new() -> Gauge {
        Gauge {
            since: Instant::now(),
            schedstat: File::open("/proc/thread-self/schedstat").ok(),
            idle: Stretch::default(),
            own_wait: Arc::default(),
            asked: AtomicBool::new(false),
        }
    }

    /// On a CPU, and ready to run without one. `None`: this system does not tell.
    fn scheduled(&self) -> Option<(u64, u64)> {
        let mut text = [0; 64];
        let length = self.schedstat.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..length]).ok()?;
        let mut words = text.split_whitespace().map(str::parse);
        Some((words.next()?.ok()?, words.next()?.ok()?))
    }

    /// From whatever thread.
    pub(super) fn spent(&self) -> Option<Spent> {
        let (cpu, delay) = self.scheduled()?;
        Some(Spent {
            wall: nanos(self.since.elapsed()),
            cpu,
            delay,
            idle: self.idle.so_far(),
            own_wait: self.own_wait.so_far(),
        })
    }

    /// Runs a task of some class, and notes what it took if somebody has asked. On the worker.
    pub(super) fn measured<T>(
        &self,
        classes: &Classes,
        class: &'static str,
        run: impl FnOnce() -> T,
    ) -> T {
        if !self.asked.swap(false, Ordering::Relaxed) {
            return run();
        }
        let before = (
            Instant::now(),
            thread_cpu(),
            self.scheduled(),
            self.own_wait.so_far(),
        );
        let result = run();
        let wall = nanos(before.0.elapsed());
        let cpu = thread_cpu().saturating_sub(before.1);
        let delay = match (before.2, self.scheduled()) {
            (Some(before), Some(after)) => after.1.saturating_sub(before.1),
            _ => 0,
        };
        let own_wait = self.own_wait.so_far().saturating_sub(before.3);
        let wait = wall
            .saturating_sub(cpu)
            .saturating_sub(delay)
            .saturating_sub(own_wait);
        classes.add(class, [cpu, wait, delay]);
        result
    }
}

/// The caller's own CPU time. The file lags behind by up to a tick of the scheduler; this does not.
fn thread_cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    nanos(Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    ))
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What tasks of one class take, on average over those that were measured.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Class {
    /// The type of the function, as the compiler calls it.
    pub name: &'static str,
    /// How many were measured.
    pub measured: u64,
    /// On a CPU: *x* of the formula.
    pub cpu: Duration,
    /// Waiting for something that is neither a CPU nor ours: *y* of the formula.
    pub wait: Duration,
    /// Ready to run without a CPU.
    pub delay: Duration,
}

/// Sums of CPU, waiting and delay, by class.
#[derive(Default)]
pub(super) struct Classes(Mutex<HashMap<&'static str, (u64, [u64; 3])>>);

impl Classes {
    fn add(&self, class: &'static str, times: [u64; 3]) {
        let mut classes = self.0.lock();
        let (measured, sums) = classes.entry(class).or_default();
        *measured += 1;
        for (sum, time) in sums.iter_mut().zip(times) {
            *sum = sum.saturating_add(time);
        }
    }

    /// Those that were measured most come first.
    pub(super) fn all(&self) -> Vec<Class> {
        let classes = self.0.lock();
        let mut all: Vec<Class> = classes
            .iter()
            .map(|(name, (measured, sums))| {
                let [cpu, wait, delay] = sums.map(|sum| Duration::from_nanos(sum / measured));
                Class {
                    name,
                    measured: *measured,
                    cpu,
                    wait,
                    delay,
                }
            })
            .collect();
        all.sort_by_key(|class| std::cmp::Reverse(class.measured));
        all
    }
}
