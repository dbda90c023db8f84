//! Figures of a pool.

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
}
