//! The counts that all figures are made from.

use std::sync::atomic::{AtomicU64, Ordering};

use super::TaskEnd;

/// How many tasks have ended, and how.
#[derive(Debug, Default)]
pub struct Tally {
    counts: [AtomicU64; TaskEnd::ALL.len()],
    finished: AtomicU64,
    replaced: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    /// Counts tasks that have ended so.
    pub fn add(&self, how: TaskEnd, tasks: u64) {
        self.counts[how as usize].fetch_add(tasks, Ordering::Relaxed);
    }

    /// The number of tasks that have ended so. Each [`Retried`](TaskEnd::Retried) is one further
    /// start.
    pub fn of(&self, how: TaskEnd) -> u64 {
        self.counts[how as usize].load(Ordering::Relaxed)
    }

    /// Tasks that had ended so have not ended after all: they are begun again.
    pub fn take_back(&self, how: TaskEnd, tasks: u64) {
        self.counts[how as usize].fetch_sub(tasks, Ordering::Relaxed);
    }

    /// Counts tasks that have an outcome, whatever it is.
    pub fn add_finished(&self, tasks: u64) {
        self.finished.fetch_add(tasks, Ordering::Relaxed);
    }

    /// The number of tasks that have an outcome.
    pub fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }

    /// Counts a worker that takes the place of another.
    pub fn add_replaced(&self) {
        self.replaced.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of workers that have taken the place of others.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Counts bytes that were moved.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The number of bytes that were moved.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
