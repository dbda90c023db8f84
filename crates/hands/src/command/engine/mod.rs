//! One event loop for any number of children: pidfds, pipes and timers in one epoll, no thread.
//!
//! # What it promises
//!
//! - Reading both outputs and writing the input never deadlocks, and holds one buffer, whatever a child writes.
//! - A child is over when it has been reaped *and* its pipes are at their end, so that no output of a grandchild is lost.
//!   A [terminated](Engine::terminate) child is over in bounded time all the same: TERM to its group, after `grace`
//!   KILL to all its kin, after [`GIVE_UP`] the pipes are closed on whoever still holds them.
//! - An event can never reach the wrong child: each names a generation, and a descriptor leaves epoll *before* it is
//!   closed. (A child between `clone` and `execve` holds a copy of each of our descriptors; closing ours does not
//!   remove the kernel's registration while such a copy lives.)
//!
//! # How it stays fast
//!
//! A wake-up costs more than the work it brings. The pipes of a new child are watched only after [`WATCH_AFTER`]: one
//! that ends sooner costs one wake-up, for its pidfd, and its output is read then. Longer ones are watched for good.

mod child;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, test_kill_process_group};

pub use self::child::Stream;
pub(crate) use self::child::{Cause, Ended, Key};
use self::child::{Child, Feed, Pipe};
use super::sys::spawn::{ArgBlock, Failed, Launch, Launcher, Setting, Stage};
use super::sys::watchdog::Watchdog;
use super::sys::{tree, wait};

/// How long a child runs before its pipes are watched. A pipe holds 64 KiB meanwhile.
const WATCH_AFTER: Duration = Duration::from_millis(4);

/// How long after SIGKILL a pipe is still waited for.
const GIVE_UP: Duration = Duration::from_secs(1);

/// Bytes read at once; also the size of a pipe.
const BUFFER: usize = 64 * 1024;

/// Reads in a row from one pipe before the others get their turn.
const READS: usize = 8;

/// Groups with processes left behind that are remembered before those that have ended since are forgotten.
const LEFTOVERS: usize = 1024;

/// What a child's stdin is.
#[derive(Debug)]
pub(crate) enum Source {
    /// A descriptor of ours.
    Fd(RawFd),
    /// These bytes, then end of file.
    Bytes(Vec<u8>),
}

/// Where a child's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the engine's caller.
    Capture,
    /// To a descriptor of ours.
    Fd(RawFd),
    /// For stderr: where stdout goes.
    Stdout,
}

/// One child to start.
pub(crate) struct Start<'a> {
    pub(crate) program: &'a CStr,
    pub(crate) argv: &'a mut ArgBlock,
    pub(crate) environ: &'a [*const c_char],
    pub(crate) setting: &'a Setting,
    pub(crate) stdin: Source,
    pub(crate) stdout: Target,
    pub(crate) stderr: Target,
    pub(crate) timeout: Option<Duration>,
    pub(crate) grace: Duration,
    /// The `NAME=value` entry in `environ` that no other child has.
    pub(crate) mark: &'a CString,
}

/// What the receiver of output wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// Stop reading this pipe until [`Engine::resume`]; the child blocks when the pipe is full.
    Pause,
}

/// Receives output as it is read.
pub(crate) type Receiver<'a> = &'a mut dyn FnMut(Key, Stream, &[u8]) -> Flow;

/// What happened in a [turn](Engine::turn).
#[derive(Debug)]
pub(crate) enum Event {
    /// The child is over; its key is dead.
    Finished(Key, Ended),
    /// The descriptor given to [`Engine::watch`] with this number is ready.
    Ready(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    TimeOut,
    Kill,
    GiveUp,
}

pub(crate) struct Engine {
    epoll: OwnedFd,
    launcher: Launcher,
    watchdog: Option<Watchdog>,
    children: Vec<Option<Child>>,
    free: Vec<u32>,
    running: usize,
    /// Groups of jobs that are over but had left members behind.
    leftovers: Vec<Pid>,
    generation: u32,
    alarms: BinaryHeap<Reverse<(Instant, Key, Alarm)>>,
    /// When to look for children whose pipes are to be watched.
    watch_at: Option<Instant>,
    buffer: Box<[u8]>,
}

impl Engine {
    pub(crate) fn new(watchdog: Option<Watchdog>) -> io::Result<Engine> {
        Ok(Engine {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            launcher: Launcher::new()?,
            watchdog,
            children: Vec::new(),
            free: Vec::new(),
            running: 0,
            leftovers: Vec::new(),
            generation: 0,
            alarms: BinaryHeap::new(),
            watch_at: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        })
    }

    /// Children that are not over.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Groups that finished children had led and that were not empty then.
    pub(crate) fn leftovers(&self) -> &[Pid] {
        &self.leftovers
    }

    /// The pid of a child that is not over.
    pub(crate) fn pid(&self, key: Key) -> Option<Pid> {
        self.child(key).map(|child| child.pid)
    }

    /// Reports [`Event::Ready`] with `id` when `fd` is readable (or, if `writable`, can be written to). Level-triggered.
    pub(crate) fn watch(&self, fd: impl AsFd, id: u32, writable: bool) -> io::Result<()> {
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
                Part::Pidfd,
            ),
            flags,
        )?)
    }

    /// Takes a descriptor back out.
    pub(crate) fn unwatch(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    pub(crate) fn start(&mut self, start: Start<'_>) -> Result<Key, Failed> {
        let shortage = |error: Errno| Failed {
            stage: Stage::Clone,
            error: error.into(),
        };
        let (stdin, feed) = match start.stdin {
            Source::Fd(fd) => (Given::Ours(fd), None),
            Source::Bytes(bytes) => {
                let (theirs, ours) = pipe().map_err(shortage)?;
                unblock(&ours).map_err(shortage)?;
                (
                    Given::Pipe(theirs),
                    Some(Feed {
                        fd: ours,
                        bytes,
                        sent: 0,
                        watched: false,
                    }),
                )
            }
        };
        let output = |target: Target| match target {
            Target::Fd(fd) => Ok((Given::Ours(fd), None)),
            Target::Capture | Target::Stdout => {
                let (ours, theirs) = pipe()?;
                unblock(&ours)?;
                Ok((
                    Given::Pipe(theirs),
                    Some(Pipe {
                        fd: ours,
                        watched: false,
                        paused: false,
                    }),
                ))
            }
        };
        let (stdout, stdout_pipe) = output(start.stdout).map_err(shortage)?;
        let (stderr, stderr_pipe) = match start.stderr {
            Target::Stdout => (Given::Ours(stdout.raw()), None),
            other => output(other).map_err(shortage)?,
        };
        let launch = Launch {
            program: start.program,
            argv: start.argv,
            environ: start.environ,
            stdio: [stdin.raw(), stdout.raw(), stderr.raw()],
            setting: start.setting,
        };
        let started = Instant::now();
        let child = self.launcher.start(launch)?;
        drop((stdin, stdout, stderr));

        self.generation = self.generation.wrapping_add(1);
        let index = self.free.pop().unwrap_or_else(|| {
            self.children.push(None);
            u32::try_from(self.children.len() - 1)
                .expect("fewer than 2^32 children, each of which needs a pid")
        });
        let key = Key {
            index,
            generation: self.generation,
        };
        if let Some(watchdog) = &self.watchdog {
            watchdog.guard(index as usize, child.pid);
        }
        let watched = epoll::add(
            &self.epoll,
            &child.pidfd,
            token(key, Part::Pidfd),
            epoll::EventFlags::IN,
        );
        if let Some(after) = start.timeout {
            self.alarms
                .push(Reverse((started + after, key, Alarm::TimeOut)));
        }
        self.children[index as usize] = Some(Child {
            generation: key.generation,
            pid: child.pid,
            pidfd: Some(child.pidfd),
            status: None,
            pipes: [stdout_pipe, stderr_pipe],
            feed,
            started,
            wall: Duration::ZERO,
            grace: start.grace,
            cause: None,
            killed: false,
            cut_off: false,
            mark: start.mark.as_bytes().into(),
        });
        self.running += 1;
        if let Err(error) = watched {
            // Without a place in epoll it could never be reaped: undo.
            self.kill(key);
            if let Some(child) = self.children[index as usize].take() {
                child.pidfd.iter().for_each(wait::reap);
            }
            self.retire(index);
            return Err(shortage(error));
        }
        self.feed(key);
        self.watch_at.get_or_insert(started + WATCH_AFTER);
        Ok(key)
    }

    /// Waits for the next events, not beyond `until`, and hands on what they bring. May return with none.
    pub(crate) fn turn(
        &mut self,
        until: Option<Instant>,
        receive: Receiver<'_>,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        let alarm = self.alarms.peek().map(|Reverse((at, ..))| *at);
        let wake = [until, alarm, self.watch_at].into_iter().flatten().min();
        let timeout = wake.map(|at| in_milliseconds(at.saturating_duration_since(Instant::now())));
        let mut ready = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; 64];
        let (ready, _) = match epoll::wait(&self.epoll, &mut ready, timeout.as_ref()) {
            Ok(ready) => ready,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in ready.iter() {
            let (key, part) = from_token({ event.data }.u64());
            if key.index == u32::MAX {
                events.push(Event::Ready(key.generation));
                continue;
            }
            match part {
                Part::Pidfd => self.reap(key, receive),
                Part::Stdout => self.read(key, Stream::Stdout, receive),
                Part::Stderr => self.read(key, Stream::Stderr, receive),
                Part::Stdin => self.feed(key),
            }
            self.finish_if_over(key, events);
        }
        if wake.is_some() {
            self.ring(Instant::now(), events);
        }
        Ok(())
    }

    /// TERM to the child's process group, and, once `grace` has passed, KILL to all it started. Without a grace there is
    /// no KILL unless it is asked for.
    pub(crate) fn terminate(&mut self, key: Key, cause: Cause, grace: Option<Duration>) {
        let now = Instant::now();
        let Some(child) = self.child_mut(key) else {
            return;
        };
        child.cause.get_or_insert(cause);
        tree::signal(child.kin(), Signal::TERM);
        // A stopped process would not see it.
        tree::signal(child.kin(), Signal::CONT);
        if let Some(grace) = grace {
            self.alarms.push(Reverse((now + grace, key, Alarm::Kill)));
        }
    }

    /// Limits the child's whole run time to `after`.
    pub(crate) fn limit(&mut self, key: Key, after: Duration) {
        if let Some(child) = self.child(key) {
            self.alarms
                .push(Reverse((child.started + after, key, Alarm::TimeOut)));
        }
    }

    /// KILL to all that the child started.
    pub(crate) fn kill(&mut self, key: Key) {
        self.kill_all(&[key]);
    }

    /// [`kill`](Self::kill) for many at the price of one look through `/proc`.
    pub(crate) fn kill_all(&mut self, keys: &[Key]) {
        let kins: Vec<_> = keys
            .iter()
            .filter_map(|&key| self.child(key))
            .map(Child::kin)
            .collect();
        tree::kill(&kins);
        let give_up = Instant::now() + GIVE_UP;
        for &key in keys {
            let Some(child) = self.child_mut(key) else {
                continue;
            };
            child.killed = true;
            child.cause.get_or_insert(Cause::Asked);
            self.alarms.push(Reverse((give_up, key, Alarm::GiveUp)));
        }
    }

    /// Sends a signal to the child's process group.
    pub(crate) fn signal(&self, key: Key, signal: Signal) {
        if let Some(child) = self.child(key) {
            tree::signal(child.kin(), signal);
        }
    }

    /// Reads on from a pipe whose receiver had said [`Flow::Pause`].
    pub(crate) fn resume(&mut self, key: Key) {
        if let Some(child) = self.child_mut(key) {
            for pipe in child.pipes.iter_mut().flatten() {
                pipe.paused = false;
            }
        }
        self.watch_pipes(key);
    }

    /// Keys of all children that are not over.
    pub(crate) fn keys(&self) -> Vec<Key> {
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

    fn child(&self, key: Key) -> Option<&Child> {
        self.children
            .get(key.index as usize)?
            .as_ref()
            .filter(|child| child.generation == key.generation)
    }

    fn child_mut(&mut self, key: Key) -> Option<&mut Child> {
        self.children
            .get_mut(key.index as usize)?
            .as_mut()
            .filter(|child| child.generation == key.generation)
    }

    /// The pidfd is readable: the child has ended.
    fn reap(&mut self, key: Key, receive: Receiver<'_>) {
        let Some(child) = self
            .children
            .get_mut(key.index as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        let Some(pidfd) = child
            .pidfd
            .as_ref()
            .filter(|_| child.generation == key.generation)
        else {
            return;
        };
        if let Some(watchdog) = &self.watchdog {
            watchdog.release(key.index as usize);
        }
        let ended = match wait::try_reap(pidfd) {
            Ok(None) => return,
            Ok(Some(ended)) => ended,
            // Reaped behind our back; that it ended is all there is to know.
            Err(_) => Default::default(),
        };
        let _ = epoll::delete(&self.epoll, pidfd);
        child.wall = child.started.elapsed();
        child.status = Some(ended);
        child.pidfd = None;
        if let Some(feed) = child.feed.take()
            && feed.watched
        {
            let _ = epoll::delete(&self.epoll, &feed.fd);
        }
        for stream in Stream::BOTH {
            self.read(key, stream, receive);
        }
        // What is left open is held by a grandchild, or was more than one turn's reading.
        self.watch_pipes(key);
    }

    /// Reads what there is, up to a bound, and closes the pipe at its end.
    fn read(&mut self, key: Key, stream: Stream, receive: Receiver<'_>) {
        let Some(child) = self
            .children
            .get_mut(key.index as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        if child.generation != key.generation {
            return;
        }
        let slot = &mut child.pipes[stream as usize];
        let Some(pipe) = slot.as_mut().filter(|pipe| !pipe.paused) else {
            return;
        };
        for _ in 0..READS {
            match rustix::io::read(&pipe.fd, &mut *self.buffer) {
                Ok(0) => {}
                Ok(got) => {
                    if receive(key, stream, &self.buffer[..got]) == Flow::Pause {
                        pipe.paused = true;
                        if std::mem::take(&mut pipe.watched) {
                            let _ = epoll::delete(&self.epoll, &pipe.fd);
                        }
                        return;
                    }
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                // A pipe has no other error; treat one as its end.
                Err(_) => {}
            }
            if pipe.watched {
                let _ = epoll::delete(&self.epoll, &pipe.fd);
            }
            *slot = None;
            return;
        }
    }

    /// Writes what the child's stdin takes, and closes it behind the last byte.
    fn feed(&mut self, key: Key) {
        let Some(child) = self
            .children
            .get_mut(key.index as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        let Some(feed) = child
            .feed
            .as_mut()
            .filter(|_| child.generation == key.generation)
        else {
            return;
        };
        while feed.sent < feed.bytes.len() {
            match rustix::io::write(&feed.fd, &feed.bytes[feed.sent..]) {
                Ok(sent) => feed.sent += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if !feed.watched {
                        let flags = epoll::EventFlags::OUT;
                        feed.watched =
                            epoll::add(&self.epoll, &feed.fd, token(key, Part::Stdin), flags)
                                .is_ok();
                    }
                    return;
                }
                // It has closed its stdin: it wants no more, which is its right (`head`).
                Err(_) => break,
            }
        }
        if feed.watched {
            let _ = epoll::delete(&self.epoll, &feed.fd);
        }
        child.feed = None;
    }

    fn watch_pipes(&mut self, key: Key) {
        let Some(child) = self
            .children
            .get_mut(key.index as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        if child.generation != key.generation {
            return;
        }
        for (pipe, part) in child.pipes.iter_mut().zip([Part::Stdout, Part::Stderr]) {
            if let Some(pipe) = pipe
                && !pipe.watched
                && !pipe.paused
            {
                pipe.watched = epoll::add(
                    &self.epoll,
                    &pipe.fd,
                    token(key, part),
                    epoll::EventFlags::IN,
                )
                .is_ok();
            }
        }
    }

    /// Everything that was due at `now`.
    fn ring(&mut self, now: Instant, events: &mut Vec<Event>) {
        if self.watch_at.is_some_and(|at| at <= now) {
            self.watch_at = None;
            for key in self.keys() {
                let Some(child) = self.child(key) else {
                    continue;
                };
                if child
                    .pipes
                    .iter()
                    .flatten()
                    .all(|pipe| pipe.watched || pipe.paused)
                {
                    continue;
                }
                if child.started + WATCH_AFTER <= now {
                    self.watch_pipes(key);
                } else {
                    self.watch_at = Some(now + WATCH_AFTER);
                }
            }
        }
        while let Some(&Reverse((at, key, alarm))) = self.alarms.peek() {
            if at > now {
                break;
            }
            self.alarms.pop();
            let Some(child) = self.child_mut(key) else {
                continue;
            };
            match alarm {
                Alarm::TimeOut if child.cause.is_none() => {
                    let grace = child.grace;
                    self.terminate(key, Cause::TimedOut, Some(grace));
                }
                Alarm::TimeOut => {}
                Alarm::Kill if !child.killed => self.kill(key),
                Alarm::Kill => {}
                Alarm::GiveUp if child.status.is_some() => {
                    child.cut_off = true;
                    let pipes = std::mem::take(&mut child.pipes);
                    for pipe in pipes.iter().flatten().filter(|pipe| pipe.watched) {
                        let _ = epoll::delete(&self.epoll, &pipe.fd);
                    }
                    self.finish_if_over(key, events);
                }
                // Killed, but the kernel has not let it go yet (a stuck disk): its pidfd will tell.
                Alarm::GiveUp => self
                    .alarms
                    .push(Reverse((now + GIVE_UP, key, Alarm::GiveUp))),
            }
        }
    }

    fn finish_if_over(&mut self, key: Key, events: &mut Vec<Event>) {
        let Some(child) = self.child(key).filter(|child| child.is_over()) else {
            return;
        };
        let (status, usage) = child.status.unwrap_or_default();
        let (wall, cause, cut_off, pid) = (child.wall, child.cause, child.cut_off, child.pid);
        if test_kill_process_group(pid).is_ok() {
            if self.leftovers.len() >= LEFTOVERS {
                self.leftovers
                    .retain(|&group| test_kill_process_group(group).is_ok());
            }
            self.leftovers.push(pid);
        }
        events.push(Event::Finished(
            key,
            Ended {
                status,
                usage,
                wall,
                cause,
                cut_off,
            },
        ));
        self.retire(key.index);
    }

    fn retire(&mut self, index: u32) {
        self.children[index as usize] = None;
        self.free.push(index);
        self.running -= 1;
    }
}

/// No child outlives its engine: what is still running when the caller gives up, or panics, is killed and reaped.
impl Drop for Engine {
    fn drop(&mut self) {
        let keys = self.keys();
        if keys.is_empty() {
            return;
        }
        self.kill_all(&keys);
        for child in self.children.iter().flatten() {
            child.pidfd.iter().for_each(wait::reap);
        }
    }
}

/// A descriptor that becomes one of the child's first three.
enum Given {
    Ours(RawFd),
    Pipe(OwnedFd),
}

impl Given {
    fn raw(&self) -> RawFd {
        match self {
            Given::Ours(fd) => *fd,
            Given::Pipe(fd) => fd.as_raw_fd(),
        }
    }
}

/// A pipe whose ends are not among 0, 1 and 2, so that setting up the child's cannot overwrite them.
fn pipe() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((above_stdio(read)?, above_stdio(write)?))
}

pub(crate) fn above_stdio(fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        Ok(fd)
    } else {
        rustix::io::fcntl_dupfd_cloexec(&fd, 3)
    }
}

fn unblock(fd: &OwnedFd) -> rustix::io::Result<()> {
    rustix::fs::fcntl_setfl(fd, rustix::fs::OFlags::NONBLOCK)
}

/// Rounded up: waking just before an alarm would mean waking again at once.
fn in_milliseconds(duration: Duration) -> Timespec {
    let millis = i64::try_from(duration.as_nanos().div_ceil(1_000_000))
        .unwrap_or(i64::MAX)
        .min(i64::from(i32::MAX));
    Timespec {
        tv_sec: millis / 1000,
        tv_nsec: millis % 1000 * 1_000_000,
    }
}

/// Which descriptor of a child.
#[derive(Clone, Copy)]
enum Part {
    Pidfd = 0,
    Stdout = 1,
    Stderr = 2,
    Stdin = 3,
}

/// Layout: generation in the upper 32 bits, then 30 bits of index, then the part.
fn token(key: Key, part: Part) -> epoll::EventData {
    let index = key.index.min(0x3fff_ffff);
    epoll::EventData::new_u64(u64::from(key.generation) << 32 | u64::from(index) << 2 | part as u64)
}

fn from_token(token: u64) -> (Key, Part) {
    let index = (token >> 2) as u32 & 0x3fff_ffff;
    let index = if index == 0x3fff_ffff {
        u32::MAX
    } else {
        index
    };
    let part = match token & 3 {
        0 => Part::Pidfd,
        1 => Part::Stdout,
        2 => Part::Stderr,
        _ => Part::Stdin,
    };
    (
        Key {
            index,
            generation: (token >> 32) as u32,
        },
        part,
    )
}
