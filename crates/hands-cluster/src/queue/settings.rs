//! How a queue is to be.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct QueueSettings {
    pub(crate) name: String,
    pub(crate) capacity: Option<usize>,
    pub(crate) lanes: u32,
    pub(crate) hold: Duration,
    pub(crate) replicas: usize,
}
