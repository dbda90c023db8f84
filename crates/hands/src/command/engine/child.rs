//! One running child as the [engine](super) sees it.

use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::command::sys::tree::Kin;
use crate::command::sys::wait::Usage;

/// Names a child for as long as the engine lives; never matches a later child in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub index: u32,
    pub generation: u32,
}

/// Which of a child's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl OutputStream {
    pub const BOTH: [OutputStream; 2] = [OutputStream::Stdout, OutputStream::Stderr];

    /// `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            OutputStream::Stdout => "stdout",
            OutputStream::Stderr => "stderr",
        }
    }
}

/// The read end of a pipe that a child writes to.
#[derive(Debug)]
pub(super) struct ChildPipe {
    pub(super) fd: OwnedFd,
    /// In epoll. A new child's pipes are not, until they have proved worth the wake-ups.
    pub(super) watched: bool,
    /// The receiver asked for no more for now.
    pub(super) paused: bool,
}

/// What a child is still to read from its stdin.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) fd: OwnedFd,
    pub(super) bytes: Vec<u8>,
    pub(super) sent: usize,
    pub(super) watched: bool,
}

/// Why the engine ended a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its time-out passed.
    TimedOut,
    /// The caller asked.
    Asked,
}

#[derive(Debug)]
pub(super) struct EngineChild {
    pub(super) generation: u32,
    pub(super) pid: Pid,
    /// `None` once reaped.
    pub(super) pidfd: Option<OwnedFd>,
    pub(super) ended: Option<(Option<ExitStatus>, Usage)>,
    pub(super) delay: Option<Duration>,
    pub(super) pipes: [Option<ChildPipe>; 2],
    pub(super) feed: Option<Feed>,
    pub(super) started: Instant,
    pub(super) wall: Duration,
    pub(super) grace: Duration,
    pub(super) linger: Option<Duration>,
    /// It has ended, and its pipes were left to the processes that hold them.
    pub(super) is_held: bool,
    pub(super) cause: Option<Cause>,
    /// When SIGKILL follows a TERM, and how long to wait before looking again whether everybody has
    /// obeyed.
    pub(super) kill_at: Option<Instant>,
    pub(super) look_again: Duration,
    /// SIGKILL has been sent.
    pub(super) killed: bool,
    /// Its output was cut off because something that could not be killed still held the pipe.
    pub(super) cut_off: bool,
    /// The cookie entry of its environment.
    pub(super) mark: Box<[u8]>,
}

impl EngineChild {
    pub(super) fn kin(&self) -> Kin<'_> {
        Kin {
            leader: self.pid,
            reaped: self.pidfd.is_none(),
            mark: &self.mark,
        }
    }

    /// It has ended, and what is left of its output waits for nobody but our own reader.
    pub(super) fn waits_for_us(&self) -> bool {
        let mut open = self.pipes.iter().flatten().peekable();
        self.ended.is_some() && open.peek().is_some() && open.all(|pipe| pipe.paused)
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some() && self.pipes.iter().all(Option::is_none)
    }
}

/// How a child ended.
#[derive(Clone, Copy, Debug)]
pub struct ChildEnd {
    /// `None` when somebody else took it: the host program ignores SIGCHLD, or waits for all
    /// children.
    pub status: Option<ExitStatus>,
    pub usage: Usage,
    /// How long it was ready to run without a core; where that is
    /// [noted](super::Engine::note_delays).
    pub delay: Option<Duration>,
    pub wall: Duration,
    pub cause: Option<Cause>,
    pub cut_off: bool,
    /// Something that it has started still holds its output.
    pub is_held: bool,
}
