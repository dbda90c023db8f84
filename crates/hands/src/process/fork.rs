//! A copy of a process that has one thread.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open};

/// Which of the two the caller is.
pub(super) enum Forked {
    Child { parent: Pid },
    Parent { pid: Pid, pidfd: OwnedFd },
}

/// Copies the calling process. Nobody else reaps it, so the number is the copy's until it has been reaped by its pidfd.
///
/// # Safety
///
/// The calling process has no other thread: what others had locked would stay locked in the copy.
pub(super) unsafe fn fork() -> io::Result<Forked> {
    let parent = getpid();
    // SAFETY: no other thread runs, as the caller says, so the copy is whole.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        crate::shared::identity::forget();
        return Ok(Forked::Child { parent });
    }
    let Some(pid) = Pid::from_raw(pid.max(0)) else {
        return Err(io::Error::last_os_error());
    };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Forked::Parent { pid, pidfd }),
        Err(error) => {
            undo(pid);
            Err(error.into())
        }
    }
}

/// The caller is told that there is no copy, so there shall be none.
pub(super) fn undo(pid: Pid) {
    let _ = kill_process(pid, Signal::KILL);
    while let Err(rustix::io::Errno::INTR) =
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())
    {}
}
