//! Starting a child: its pipes, its process, its places in epoll and in the watchdog's table.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::child::{ChildPipe, EngineChild, Feed};
use super::token::{TokenPart, token};
use super::{Engine, EngineAlarm, FIRST_LOOK, Key, WATCH_AFTER};
use crate::command::sys::spawn::{ArgBlock, Failed, Launch, Pointers, Setting, SpawnStage};
use crate::command::sys::wait;

/// What a child's stdin is.
#[derive(Debug)]
pub enum StdinSource<'a> {
    /// A descriptor of ours.
    Fd(RawFd),
    /// These bytes, then end of file. Taken only when the child has started.
    Bytes(&'a mut Vec<u8>),
}

/// Where a child's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputTarget {
    /// To the engine's caller.
    Capture,
    /// To a descriptor of ours.
    Fd(RawFd),
    /// For stderr: where stdout goes.
    Stdout,
}

/// One child to start.
pub struct JobStart<'a> {
    pub program: &'a CStr,
    pub argv: &'a mut ArgBlock,
    pub environ: &'a Pointers<'a>,
    pub setting: &'a Setting,
    pub stdin: StdinSource<'a>,
    pub stdout: OutputTarget,
    pub stderr: OutputTarget,
    pub timeout: Option<Duration>,
    pub grace: Duration,
    /// How long its pipes are waited for when it has ended and others hold them; `None`: to their
    /// end.
    pub linger: Option<Duration>,
    /// The `NAME=value` entry in `environ` that no other child has.
    pub mark: &'a CString,
}

impl Engine {
    pub fn start(&mut self, start: JobStart<'_>) -> Result<Key, Failed> {
        let shortage = |error: Errno| Failed {
            stage: SpawnStage::Clone,
            error: error.into(),
        };
        let Pipes {
            given: [stdin, stdout, stderr],
            mut feed,
            output,
        } = Pipes::new(start.stdin, start.stdout, start.stderr).map_err(shortage)?;
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
            token(key, TokenPart::Pidfd),
            epoll::EventFlags::IN,
        );
        if let Some(after) = start.timeout {
            self.set_alarm(started, after, key, EngineAlarm::TimeOut);
        }
        self.children[index as usize] = Some(EngineChild {
            generation: key.generation,
            pid: child.pid,
            pidfd: Some(child.pidfd),
            ended: None,
            delay: None,
            pipes: output,
            feed: feed.take().map(|(fd, bytes)| Feed {
                fd,
                bytes: std::mem::take(bytes),
                sent: 0,
                watched: false,
            }),
            started,
            wall: Duration::ZERO,
            grace: start.grace,
            linger: start.linger,
            is_held: false,
            cause: None,
            kill_at: None,
            look_again: FIRST_LOOK,
            killed: false,
            cut_off: false,
            mark: start.mark.as_bytes().into(),
        });
        self.running += 1;
        if let Err(error) = watched {
            self.undo(key);
            return Err(shortage(error));
        }
        self.feed(key);
        self.watch_at.get_or_insert(started + WATCH_AFTER);
        Ok(key)
    }

    /// Ends a child that has just been started: without a place in epoll it could never be reaped.
    fn undo(&mut self, key: Key) {
        self.kill(key);
        if let Some(watchdog) = &self.watchdog {
            watchdog.release(key.index as usize);
        }
        if let Some(child) = self.children[key.index as usize].take() {
            child.pidfd.iter().for_each(wait::reap);
        }
        self.retire(key.index);
    }
}

/// What a child reads and writes, at its end and at ours.
struct Pipes<'a> {
    given: [Given; 3],
    feed: Option<(OwnedFd, &'a mut Vec<u8>)>,
    output: [Option<ChildPipe>; 2],
}

impl<'a> Pipes<'a> {
    fn new(
        stdin: StdinSource<'a>,
        stdout: OutputTarget,
        stderr: OutputTarget,
    ) -> Result<Pipes<'a>, Errno> {
        let (stdin, feed) = match stdin {
            StdinSource::Fd(fd) => (Given::Ours(fd), None),
            StdinSource::Bytes(bytes) => {
                let (theirs, ours) = pipe()?;
                unblock(&ours)?;
                (Given::Pipe(theirs), Some((ours, bytes)))
            }
        };
        let output = |target: OutputTarget| match target {
            OutputTarget::Fd(fd) => Ok((Given::Ours(fd), None)),
            OutputTarget::Capture | OutputTarget::Stdout => {
                let (ours, theirs) = pipe()?;
                unblock(&ours)?;
                let pipe = ChildPipe {
                    fd: ours,
                    watched: false,
                    paused: false,
                };
                Ok::<_, Errno>((Given::Pipe(theirs), Some(pipe)))
            }
        };
        let (stdout, of_stdout) = output(stdout)?;
        let (stderr, of_stderr) = match stderr {
            OutputTarget::Stdout => (Given::Ours(stdout.raw()), None),
            other => output(other)?,
        };
        Ok(Pipes {
            given: [stdin, stdout, stderr],
            feed,
            output: [of_stdout, of_stderr],
        })
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

/// A pipe whose ends are not among 0, 1 and 2, so that setting up the child's cannot overwrite
/// them.
fn pipe() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((above_stdio(read)?, above_stdio(write)?))
}

pub fn above_stdio(fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        Ok(fd)
    } else {
        rustix::io::fcntl_dupfd_cloexec(&fd, 3)
    }
}

fn unblock(fd: &OwnedFd) -> rustix::io::Result<()> {
    rustix::fs::fcntl_setfl(fd, rustix::fs::OFlags::NONBLOCK)
}
