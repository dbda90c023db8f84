//! One event loop for any number of children: pidfds, pipes and timers in one epoll, no thread.
//!
//! Public for the crate `hands-batch`, which is built on it. It may change in any release: use
//! [`Command`](super::Command), or a batch.
//!
//! # What it promises
//!
//! - Reading both outputs and writing the input never deadlocks, and holds one buffer, whatever a
//!   child writes.
//! - A child is over when it has been reaped *and* its pipes are at their end, so that no output of
//!   a grandchild is lost; or when they have been waited for as long as was asked (`linger`). A
//!   [terminated](Engine::terminate) child is over in bounded time all the same: TERM to its group,
//!   after `grace` KILL to all its kin that have not ended; after `GIVE_UP` the pipes are closed on
//!   the processes that still hold them.
//! - An event can never reach the wrong child: each names a generation, and a descriptor leaves
//!   epoll *before* it is closed. (A child between `clone` and `execve` holds a copy of each of our
//!   descriptors; closing ours does not remove the kernel's registration while such a copy lives.)
//!
//! # How it stays fast
//!
//! A wake-up costs more than the work it brings. The pipes of a new child are watched only after
//! `WATCH_AFTER`: one that ends sooner costs one wake-up, for its pidfd, and its output is read
//! then. Longer ones are watched for good.

mod child;
mod end;
mod start;
mod token;
mod turn;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::process::Pid;

use self::child::EngineChild;
pub use self::child::OutputStream;
pub use self::child::{Cause, ChildEnd, Key};
pub use self::start::{JobStart, OutputTarget, StdinSource, above_stdio};
use self::token::{TokenPart, token};
pub use super::builder::{Conditions, DEFAULT_GRACE};
pub use super::environ::{Changes, Environment};
pub use super::mark::RunMark;
pub use super::resolve::Resolver;
pub use super::run::open_null;
pub use super::sys::leftovers;
use super::sys::spawn::Launcher;
pub use super::sys::spawn::{ArgBlock, Pointers, Setting, block_signals, set_signal_mask};
pub use super::sys::wait::Usage;
pub use super::sys::watchdog::{COOKIE, Watchdog};
pub use crate::machine::with_file_limit_as_error;

/// How long a child runs before its pipes are watched. A pipe holds 64 KiB meanwhile.
const WATCH_AFTER: Duration = Duration::from_millis(4);

/// When to look for the first time whether what a terminated child left behind has ended; each
/// later wait is twice as long.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// How long to wait after the kernel's "not now".
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// How long after SIGKILL a pipe is still waited for.
const GIVE_UP: Duration = Duration::from_secs(1);

/// How often children are looked at that may be stopped.
const LOOK_FOR_STOPPED: Duration = Duration::from_millis(200);

/// Bytes read at once; also the size of a pipe.
const BUFFER: usize = 64 * 1024;

/// Reads in a row from one pipe before the others get their turn.
const READS: usize = 8;

/// Groups with processes left behind that are remembered before those that have ended since are
/// forgotten.
const LEFTOVERS: usize = 1024;

/// What the receiver of output wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// Stop reading this pipe until [`Engine::resume`]; the child blocks when the pipe is full.
    Pause,
}

/// Receives output as it is read.
pub type Receiver<'a> = &'a mut dyn FnMut(Key, OutputStream, &[u8]) -> Flow;

/// What happened in a [turn](Engine::turn).
#[derive(Debug)]
pub enum EngineEvent {
    /// The child is over; its key is dead.
    Finished(Key, ChildEnd),
    /// The system has stopped the child, by this signal.
    Stopped(Key, i32),
    /// The descriptor given to [`Engine::watch`] with this number is ready.
    Ready(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum EngineAlarm {
    TimeOut,
    Kill,
    /// Has what a terminated child left behind ended too?
    Look,
    /// A child that had ended could not be reaped.
    Reap,
    GiveUp,
    /// It has ended, and others hold its pipes.
    Linger,
}

pub struct Engine {
    epoll: OwnedFd,
    launcher: Launcher,
    watchdog: Option<Watchdog>,
    notes_delays: bool,
    children: Vec<Option<EngineChild>>,
    free: Vec<u32>,
    running: usize,
    /// Groups of jobs that are over but had left members behind.
    leftovers: Vec<Pid>,
    generation: u32,
    alarms: BinaryHeap<Reverse<(Instant, Key, EngineAlarm)>>,
    /// When to look for children whose pipes are to be watched.
    watch_at: Option<Instant>,
    /// When to look for children that are stopped, if that is wanted.
    look_at: Option<Instant>,
    buffer: Vec<u8>,
}

impl Engine {
    pub fn new() -> io::Result<Engine> {
        Ok(Engine {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            launcher: Launcher::new()?,
            watchdog: None,
            notes_delays: false,
            children: Vec::new(),
            free: Vec::new(),
            running: 0,
            leftovers: Vec::new(),
            generation: 0,
            alarms: BinaryHeap::new(),
            watch_at: None,
            look_at: None,
            // Never written to before it is read into: most jobs write little or nothing.
            buffer: Vec::with_capacity(BUFFER),
        })
    }

    /// From now on the children, those that run already too, die with the program.
    pub fn guard(&mut self, watchdog: Watchdog) {
        for (index, child) in self.children.iter().enumerate() {
            if let Some(child) = child.as_ref().filter(|child| child.pidfd.is_some()) {
                watchdog.guard(index, child.pid);
            }
        }
        self.watchdog = Some(watchdog);
    }

    /// From now on it is noted how long children were ready to run without a core; it costs a small
    /// file's reading each.
    pub fn note_delays(&mut self) {
        self.notes_delays = true;
    }

    /// From now on children that the system has stopped are reported, as long as they are.
    pub fn look_for_stopped(&mut self) {
        self.look_at = Some(Instant::now() + LOOK_FOR_STOPPED);
    }

    /// Children that are not over.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Groups that finished children had led and that were not empty then.
    pub fn leftovers(&self) -> &[Pid] {
        &self.leftovers
    }

    /// The pid of a child that is not over.
    pub fn pid(&self, key: Key) -> Option<Pid> {
        self.child(key).map(|child| child.pid)
    }

    /// Reports [`EngineEvent::Ready`] with `id` when `fd` is readable (or, if `writable`, can be
    /// written to). Level-triggered.
    pub fn watch(&self, fd: impl AsFd, id: u32, writable: bool) -> io::Result<()> {
        let flags = if writable {
            epoll::EventFlags::OUT
        } else {
            epoll::EventFlags::IN
        };
        Ok(epoll::add(
            &self.epoll,
            fd,
            token(
                Key {
                    index: u32::MAX,
                    generation: id,
                },
                TokenPart::Pidfd,
            ),
            flags,
        )?)
    }

    /// Takes a descriptor back out.
    pub fn unwatch(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Keys of all children that are not over.
    pub fn keys(&self) -> Vec<Key> {
        (0..)
            .zip(&self.children)
            .filter_map(|(index, child)| {
                Some(Key {
                    index,
                    generation: child.as_ref()?.generation,
                })
            })
            .collect()
    }

    /// Rings `alarm` at `since + after`: never, if that is beyond what the clock can say.
    fn set_alarm(&mut self, since: Instant, after: Duration, key: Key, alarm: EngineAlarm) {
        if let Some(at) = since.checked_add(after) {
            self.alarms.push(Reverse((at, key, alarm)));
        }
    }

    fn child(&self, key: Key) -> Option<&EngineChild> {
        self.children
            .get(key.index as usize)?
            .as_ref()
            .filter(|child| child.generation == key.generation)
    }

    fn child_mut(&mut self, key: Key) -> Option<&mut EngineChild> {
        find(&mut self.children, key)
    }

    fn retire(&mut self, index: u32) {
        self.children[index as usize] = None;
        self.free.push(index);
        self.running -= 1;
        // Time-outs of children that are over would pile up until they are due.
        if self.alarms.len() > 64 + 4 * self.running {
            let children = &self.children;
            self.alarms.retain(|Reverse((_, key, _))| {
                let child = children.get(key.index as usize).and_then(Option::as_ref);
                child.is_some_and(|child| child.generation == key.generation)
            });
        }
    }
}

/// The child that `key` names, unless it is over. Borrows no more of the engine than its children.
fn find(children: &mut [Option<EngineChild>], key: Key) -> Option<&mut EngineChild> {
    children
        .get_mut(key.index as usize)?
        .as_mut()
        .filter(|child| child.generation == key.generation)
}
