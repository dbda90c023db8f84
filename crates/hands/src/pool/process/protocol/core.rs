//! Two that wait for each other by looking belong on two cores.
//!
//! The kernel puts a process that is woken where its waker is, often enough, and sees no reason to
//! move it: neither of the two is ever long without the core. But as long as one looks, the other
//! cannot answer, and a round trip takes 50 microseconds rather than one. So a worker that has
//! looked in vain, while a waiter for it is on the same core, goes to another.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// At most so often, as it may come to nothing where all cores are busy.
const REST: Duration = Duration::from_millis(5);

/// The core that the caller runs on just now, from 1.
pub(in crate::pool::process) fn own() -> u32 {
    u32::try_from(sched_getcpu()).map_or(0, |core| core.wrapping_add(1))
}

/// When a worker has moved last.
#[derive(Debug, Default)]
pub(in crate::pool::process) struct Mover {
    last: Cell<Option<Instant>>,
}

impl Mover {
    /// Leaves the core if it is this one, and may come back at once.
    pub(in crate::pool::process) fn leave(&self, core: u32) {
        let is_rested = self.last.get().is_none_or(|last| last.elapsed() >= REST);
        if core == 0 || core != own() || !is_rested {
            return;
        }
        self.last.set(Some(Instant::now()));
        let Ok(all) = sched_getaffinity(None) else {
            return;
        };
        let mut others: CpuSet = all;
        others.unset(core as usize - 1);
        if others.count() > 0 && sched_setaffinity(None, &others).is_ok() {
            let _ = sched_setaffinity(None, &all);
        }
    }
}
