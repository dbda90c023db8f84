//! A task on its way to a worker, and what comes of it.

use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::event::{Ending, TaskEnd};
use crate::sync::cancel::Watch;
use crate::task::remote::Remote;
use crate::task::{Options, TaskError};
use crate::wire::message::Letter;

/// A task that waits for a worker, or has one.
pub(in crate::pool::process) struct ProcessJob {
    pub(in crate::pool::process) remote: Arc<dyn Remote>,
    /// Which of the pool's functions.
    pub(in crate::pool::process) function: u16,
    /// The arguments, one behind the other.
    pub(in crate::pool::process) payload: Vec<u8>,
    /// How much of that precedes them: the context.
    pub(in crate::pool::process) context: usize,
    /// Where each of them ends; nothing for a single one.
    pub(in crate::pool::process) ends: Vec<u32>,
    pub(in crate::pool::process) descriptors: Vec<OwnedFd>,
    /// How many have an outcome.
    pub(in crate::pool::process) done: u64,
    pub(in crate::pool::process) count: u64,
    pub(in crate::pool::process) options: Options,
    /// Kept, it cancels this with the work that it was submitted by.
    pub(in crate::pool::process) _outer: Option<Watch>,
    /// How often it may be started again after its worker died.
    pub(in crate::pool::process) retries: u32,
    /// Its number among the events.
    pub(in crate::pool::process) number: u64,
    /// Workers that have ended with it next in line, before they had taken it.
    pub(in crate::pool::process) undelivered: u32,
}

impl ProcessJob {
    /// The context, and the arguments without an outcome.
    pub(in crate::pool::process) fn rest(&self) -> Cow<'_, [u8]> {
        let from = match usize::try_from(self.done) {
            Ok(0) | Err(_) => return Cow::Borrowed(&self.payload),
            Ok(done) => self.ends.get(done - 1).map_or(0, |end| *end as usize),
        };
        let rest = &self.payload[from.min(self.payload.len())..];
        match self.context {
            0 => Cow::Borrowed(rest),
            length => Cow::Owned([&self.payload[..length], rest].concat()),
        }
    }
}

/// The worker is done with a task: what the events say of that.
#[derive(Clone, Copy)]
pub(in crate::pool::process) struct LastReply {
    pub(in crate::pool::process) ending: Ending,
    pub(in crate::pool::process) worker: u32,
    /// It was given up before.
    pub(in crate::pool::process) given_up: Option<TaskEnd>,
}

/// What came of a task, to be told without the lock.
pub(in crate::pool::process) enum TaskEvent {
    /// Outcomes, `count` of them.
    Came {
        remote: Arc<dyn Remote>,
        payload: Vec<u8>,
        /// How many have come before these.
        first: u64,
        count: u64,
        last: Option<LastReply>,
    },
    /// As many, in a message of their own, or why that cannot be received.
    CameApart {
        remote: Arc<dyn Remote>,
        letter: std::io::Result<Letter>,
        /// The task's number with its worker.
        number: u64,
        first: u64,
        count: u64,
        last: Option<LastReply>,
    },
    /// The outcome of this number is this.
    Failed {
        remote: Arc<dyn Remote>,
        why: TaskError,
        number: u64,
    },
    /// It will not run, for this reason.
    Refused {
        remote: Arc<dyn Remote>,
        why: TaskError,
    },
    /// It has been begun, and is to be again.
    Again,
    /// It has not begun, and has an outcome.
    Over,
    /// It had begun, and has an outcome.
    Ended,
}
