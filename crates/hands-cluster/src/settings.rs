//! How a pool is to be.

use std::time::Duration;

/// What all programs of one pool should say the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) replicas: usize,
    pub(crate) keep: Duration,
    pub(crate) hold: Duration,
    pub(crate) start_timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) most_starts: u32,
}
