//! A process that was started: what is known of it, shared by its handle and by those who wait for
//! it at the program's end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::net::RecvFlags;
use rustix::process::{Pid, Signal, getpid};

use super::order::Told;
use super::spawner;
use crate::wire::answer::Answer;
use crate::wire::codec::{self};
use crate::wire::message as wire;

/// What a process used, with all descendants it waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resources {
    /// CPU time in its own code.
    pub cpu_user: Duration,
    /// CPU time in the kernel.
    pub cpu_system: Duration,
    /// Bytes of the largest of its processes at its peak.
    pub max_rss: u64,
}

pub(super) struct RunningProcess {
    pub(super) pid: Pid,
    pub(super) name: Option<Arc<str>>,
    pub(super) is_daemon: bool,
    pub(super) leads_group: bool,
    pub(super) answers: OwnedFd,
    pub(super) heard: Mutex<Heard>,
    /// The process that started it.
    pub(super) owner: Pid,
}

#[derive(Default)]
pub(super) struct Heard {
    pub(super) answer: Option<(Answer, Vec<OwnedFd>)>,
    /// Why an answer that came could not be received.
    pub(super) lost: Option<String>,
    pub(super) ended: Option<ProcessEnd>,
}

#[derive(Clone, Copy)]
pub(super) struct ProcessEnd {
    /// `None`: nobody is left who could tell.
    pub(super) status: Option<ExitStatus>,
    pub(super) resources: Resources,
}

impl RunningProcess {
    pub(super) fn new(
        pid: Pid,
        name: Option<Arc<str>>,
        is_daemon: bool,
        leads_group: bool,
        answers: OwnedFd,
    ) -> RunningProcess {
        RunningProcess {
            pid,
            name,
            is_daemon,
            leads_group,
            answers,
            heard: Mutex::default(),
            owner: getpid(),
        }
    }

    pub(super) fn answers(&self) -> BorrowedFd<'_> {
        self.answers.as_fd()
    }

    /// Whether the calling process has started it, rather than the one that the caller is a copy
    /// of.
    pub(super) fn is_ours(&self) -> bool {
        self.owner == getpid()
    }

    /// Takes in what has been said, and returns whether it was the last.
    pub(super) fn has_ended(&self) -> bool {
        let mut heard = self.heard.lock();
        while heard.ended.is_none() {
            let message = match wire::receive(&self.answers, RecvFlags::DONTWAIT) {
                Ok(Some(message)) => message,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // It still tells when it ends.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    heard.lost = Some(error.to_string());
                    continue;
                }
                // The zygote has been killed, and the process with it.
                Ok(None) | Err(_) => {
                    heard.ended = Some(ProcessEnd {
                        status: None,
                        resources: Resources::default(),
                    });
                    break;
                }
            };
            match codec::decode::<Told>(&message.bytes) {
                Ok(Told::Answer(answer)) => heard.answer = Some((answer, message.descriptors)),
                Ok(Told::Ended {
                    status,
                    cpu_user,
                    cpu_system,
                    max_rss,
                }) => {
                    heard.ended = Some(ProcessEnd {
                        status: Some(ExitStatus::from_raw(status)),
                        resources: Resources {
                            cpu_user: Duration::from_nanos(cpu_user),
                            cpu_system: Duration::from_nanos(cpu_system),
                            max_rss,
                        },
                    });
                }
                Err(_) => {}
            }
        }
        true
    }

    /// Waits for its end, not beyond `deadline`; false if that has passed.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> bool {
        loop {
            if self.has_ended() {
                return true;
            }
            if !super::await_readable(&self.answers, deadline) {
                return self.has_ended();
            }
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        if self.is_ours() && !self.has_ended() {
            spawner::signal(self.pid, signal, self.leads_group);
        }
    }
}
