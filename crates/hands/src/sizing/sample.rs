//! What a controller is told.

use std::time::Duration;

/// What a pool did since the last sample. Times are sums over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Wall time since the last sample.
    pub elapsed: Duration,
    /// CPU time used by tasks.
    pub cpu: Duration,
    /// Time in tasks that were neither on a CPU, nor ready to run, nor waiting for our own locks.
    pub wait: Duration,
    /// Time in tasks that were ready to run but had no CPU.
    pub delay: Duration,
    /// Time in tasks that waited for our own locks, queues and handles.
    pub own_wait: Duration,
    /// Tasks finished.
    pub done: u64,
    /// Tasks that wait in the queue now.
    pub queued: usize,
    /// CPU time is that of the tasks that run, and not only of those that have ended.
    pub is_live: bool,
    /// The share of the usable cores' time that nobody used, 0 to 1, where the system tells.
    pub machine_idle: Option<f64>,
}

/// Bounds of a pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The fewest workers; at least one.
    pub min: usize,
    /// The most workers.
    pub max: usize,
    /// Cores the program may use: a fraction where a quota says so.
    pub cores: f64,
    /// The share of these cores that the pool may fill, up to 1.
    pub utilisation: f64,
}

impl Limits {
    /// From one worker up to `max`, filling `cores`.
    pub fn new(cores: f64, max: usize) -> Limits {
        Limits {
            min: 1,
            max,
            cores,
            utilisation: 1.0,
        }
    }

    /// The nearest limits that make sense.
    pub(super) fn sane(self) -> Limits {
        let min = self.min.max(1);
        // Of a number and NaN, `max` returns the number.
        Limits {
            min,
            max: self.max.max(min),
            cores: self.cores.max(0.01).clamp(0.01, 1e6),
            utilisation: self.utilisation.max(0.01).clamp(0.01, 1.0),
        }
    }

    /// The cores the pool means to fill.
    pub(super) fn share(&self) -> f64 {
        self.cores * self.utilisation
    }

    /// As a number of workers, within the bounds.
    pub(super) fn clamp(&self, workers: f64) -> usize {
        // `as` saturates.
        (workers as usize).clamp(self.min, self.max)
    }
}
