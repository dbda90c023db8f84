//! What a pool was asked to be.

use std::sync::Arc;
use std::time::Duration;

use super::super::child::state;
use crate::process::StartMethod;
use crate::wire::image::Code;

/// What a pool was asked to be.
#[derive(Debug)]
pub(in crate::pool::process) struct StateFunction {
    pub(in crate::pool::process) workers: usize,
    pub(in crate::pool::process) name: Arc<str>,
    pub(in crate::pool::process) method: StartMethod,
    pub(in crate::pool::process) environment: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    pub(in crate::pool::process) initializer: Option<Code>,
    pub(in crate::pool::process) timeout: Option<Duration>,
    pub(in crate::pool::process) grace: Duration,
    pub(in crate::pool::process) memory_limit: Option<u64>,
    pub(in crate::pool::process) cpu_limit: Option<Duration>,
    pub(in crate::pool::process) retries: u32,
    pub(in crate::pool::process) most_tasks: Option<u64>,
    pub(in crate::pool::process) heavy: Option<u64>,
    pub(in crate::pool::process) keeps_stderr: bool,
    pub(in crate::pool::process) coroutines: Option<usize>,
    pub(in crate::pool::process) heeds_interrupts: bool,
    pub(in crate::pool::process) start_timeout: Duration,
    pub(in crate::pool::process) state: Option<state::StatePlan>,
    /// Tasks whose time is up are begun again, too.
    pub(in crate::pool::process) retries_late: bool,
    /// Bytes that a worker may have in memory.
    pub(in crate::pool::process) resident_limit: Option<u64>,
}
