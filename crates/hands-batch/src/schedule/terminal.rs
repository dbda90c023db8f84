//! The program's terminal, and which job has it.
//!
//! Jobs lead groups of their own, which are in the background: one that reads the terminal is
//! stopped by the system. It gets the terminal when it is the only one that runs, or is told of.
//! The process that has it hears what is typed, Ctrl-C too: if it dies of that the program takes it
//! as meant for all.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use super::Scheduler;
use crate::builder::TerminalUse;
use crate::observer::Notice;
use crate::work::Work;
use hands::command::engine::{ChildEnd, Key};
use hands::command::engine::{block_signals, set_signal_mask};

#[derive(Debug)]
pub(super) struct Terminal {
    fd: OwnedFd,
    own: Pid,
    wanted: TerminalUse,
    lent_to: Option<Key>,
    told: HashSet<u64>,
}

impl Terminal {
    /// `None`: there is none, or none is wanted.
    pub(super) fn open(wanted: TerminalUse) -> Option<Terminal> {
        if wanted == TerminalUse::Never {
            return None;
        }
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let fd = rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()?;
        let fd = hands::command::engine::above_stdio(fd).ok()?;
        Some(Terminal {
            fd,
            own: getpgrp(),
            wanted,
            lent_to: None,
            told: HashSet::new(),
        })
    }

    pub(super) fn is_for_all(&self) -> bool {
        self.wanted == TerminalUse::Always
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Whether the program has it now, and so may lend it.
    fn is_ours(&self) -> bool {
        tcgetpgrp(&self.fd).is_ok_and(|group| group == self.own)
    }

    /// From the background this would stop us, but for the signal being blocked.
    fn give(&self, group: Pid) -> bool {
        let mask = block_signals();
        let given = tcsetpgrp(self.fd.as_fd(), group);
        set_signal_mask(mask);
        given.is_ok()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.lent_to.is_some() {
            self.give(self.own);
        }
    }
}

impl<W: Work> Scheduler<'_, W> {
    /// A job is stopped: because it wants the terminal, or because the user has stopped it
    /// there.
    pub(super) fn job_stopped(&mut self, key: Key, signal: i32) {
        let Some(job) = self.running.get(&key) else {
            return;
        };
        let wants = [libc::SIGTTIN, libc::SIGTTOU].contains(&signal);
        let is_alone = self.running.len() == 1 || self.batch.terminal == TerminalUse::Always;
        let Some(terminal) = &mut self.terminal else {
            return;
        };
        if signal == libc::SIGTSTP && terminal.lent_to == Some(key) {
            // Ctrl-Z is meant for all.
            terminal.give(terminal.own);
            terminal.lent_to = None;
            self.suspend();
            self.lend(key);
        } else if wants && is_alone && (terminal.is_ours() || terminal.lent_to == Some(key)) {
            if terminal.lent_to.is_none() {
                let number = job.place.number;
                self.observer.notice(&Notice::HasTerminal { number });
            }
            self.lend(key);
        } else if wants && terminal.told.insert(job.place.number) {
            let notice = Notice::WantsTerminal {
                number: job.place.number,
                display: job.display.clone(),
            };
            self.observer.notice(&notice);
        }
    }

    /// Gives a job the terminal, and lets it go on.
    pub(super) fn lend(&mut self, key: Key) {
        let Some(pid) = self.engine.pid(key) else {
            return;
        };
        if let Some(terminal) = &mut self.terminal
            && terminal.give(pid)
        {
            terminal.lent_to = Some(key);
            self.engine.signal(key, Signal::CONT);
        }
    }

    /// A job has ended; what it had is ours again.
    pub(super) fn take_terminal_back(&mut self, key: Key, ended: &ChildEnd) {
        let Some(terminal) = &mut self.terminal else {
            return;
        };
        if terminal.lent_to != Some(key) {
            return;
        }
        terminal.lent_to = None;
        terminal.give(terminal.own);
        let signal = ended.status.and_then(|status| status.signal());
        if signal == Some(libc::SIGINT) {
            let _ = kill_process(getpid(), Signal::INT);
        }
    }
}
