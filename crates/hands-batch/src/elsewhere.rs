//! [`Elsewhere`]: other machines, where a batch's jobs run instead of here.
//!
//! The batch keeps all its rules: order, retries, halting, the log, what is shown. It hands over
//! command lines, and hears what they write and how they end. What it cannot know is when a job
//! really begins, so what depends on that is done there: time-outs, and limits of what a job uses.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use hands::command::OutputStream;

use crate::work::JobPlace;

/// A command line on its way to another machine.
#[derive(Clone, Debug)]
pub struct ElsewhereJob {
    /// By which events of it are told apart from those of another job, or of another try.
    pub ticket: u64,
    /// Which job it is.
    pub place: JobPlace,
    /// Program and arguments.
    pub argv: Vec<Vec<u8>>,
    /// What its stdin holds; nothing if `None`.
    pub stdin: Option<Vec<u8>>,
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// Files that it needs there.
    pub send: Vec<Vec<u8>>,
    /// Files that it makes there and that are wanted here.
    pub fetch: Vec<Vec<u8>>,
}

/// What is heard of a job, in the order in which it happened.
#[derive(Debug)]
pub enum ElsewhereEvent {
    /// It has written something.
    Output {
        /// Which job.
        ticket: u64,
        /// Where to.
        stream: OutputStream,
        /// What.
        bytes: Vec<u8>,
    },
    /// It was begun, or begun anew: what it has written before does not count.
    Anew {
        /// Which job.
        ticket: u64,
        /// Why, in words.
        why: String,
    },
    /// It is over.
    Finished {
        /// Which job.
        ticket: u64,
        /// How it ended.
        end: ElsewhereEnd,
    },
}

/// How a job on another machine ended.
#[derive(Clone, Debug)]
pub struct ElsewhereEnd {
    /// Exit code or signal; `None` if it never started.
    pub status: Option<ExitStatus>,
    /// Why it never started, or has no status.
    pub why: Option<ElsewhereError>,
    /// It ran longer than it may.
    pub timed_out: bool,
    /// It was ended because the batch asked for that.
    pub was_asked: bool,
    /// The machines that it was begun on, one after the other.
    pub host: String,
    /// When it started, by that machine's clock.
    pub at: SystemTime,
    /// How long it ran.
    pub wall: Duration,
    /// CPU time in its own code and that of descendants it waited for.
    pub cpu_user: Duration,
    /// CPU time in the kernel, likewise.
    pub cpu_system: Duration,
    /// Bytes of the largest of its processes at its peak.
    pub max_rss: u64,
}

/// Why a job could not be run on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElsewhereError {
    /// In words.
    pub why: String,
    /// The exit code that a shell would give: 127 for a program that is not there.
    pub code: i32,
}

impl fmt::Display for ElsewhereError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for ElsewhereError {}

/// Other machines. None of its methods waits.
pub trait Elsewhere: Send {
    /// The number of jobs that they should have been given, of which some wait there.
    fn most(&mut self) -> usize;

    /// Takes a job.
    fn start(&mut self, job: ElsewhereJob);

    /// No job follows for now: those that were taken are to go.
    fn flush(&mut self);

    /// Becomes readable when there is something to hear.
    fn ready_fd(&self) -> BorrowedFd<'_>;

    /// What has happened. Nothing is told of a job that is [held up](Self::hold_up).
    fn next(&mut self) -> Option<ElsewhereEvent>;

    /// What this job writes has no room for now.
    fn hold_up(&mut self, ticket: u64);

    /// There is room again.
    fn go_on(&mut self, ticket: u64);

    /// Ends a job: one that waits does not begin. It is told of all the same.
    fn end(&mut self, ticket: u64);

    /// What this job wrote has been written, and it is not tried again: nothing of it need be kept.
    fn told(&mut self, number: u64);

    /// Nobody waits for what is under way: it is ended, as far as that is heard of.
    fn abandon(&mut self);
}

/// An [`Elsewhere`] as a part of what can be shown.
pub(crate) struct Machines(pub(crate) Box<dyn Elsewhere>);

impl fmt::Debug for Machines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Machines")
    }
}
