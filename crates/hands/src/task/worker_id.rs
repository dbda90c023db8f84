//! Which worker of a pool of processes this one is.

/// The number of the worker that this process is.
static OWN: std::sync::OnceLock<usize> = std::sync::OnceLock::new();

/// A worker of a [`ProcessPool`](crate::pool::ProcessPool).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WorkerId {
    /// Its place in the pool, from 0; its successor has the same.
    pub number: usize,
    /// Its process.
    pub pid: u32,
}

impl WorkerId {
    pub(crate) fn new(number: usize, pid: u32) -> WorkerId {
        WorkerId { number, pid }
    }

    /// The one that the caller runs in. `None`: this process is no worker of a pool.
    pub fn current() -> Option<WorkerId> {
        let number = OWN.get()?;
        Some(WorkerId::new(*number, std::process::id()))
    }

    /// This process is that one.
    pub(crate) fn become_it(number: usize) {
        let _ = OWN.set(number);
    }
}
