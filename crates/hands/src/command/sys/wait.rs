//! Reaping a child through its pidfd, with the kernel's own account of what it used.
//!
//! `waitid` on a pidfd can only ever reap that one child: it neither steals a child from, nor loses
//! one to, other code in the program that waits for its own.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// What a child used, with all descendants it waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in the programs.
    pub cpu_user: Duration,
    /// CPU time in the kernel.
    pub cpu_system: Duration,
    /// Bytes of the largest process of the tree at its peak.
    pub max_rss: u64,
}

/// Reaps the child if it has ended. `ECHILD` means that somebody else did (a `SIGCHLD` set to be
/// ignored does that).
pub(crate) fn try_reap(pidfd: impl AsFd) -> io::Result<Option<(ExitStatus, Usage)>> {
    wait(pidfd, libc::WEXITED | libc::WNOHANG)
}

/// The signal by which the child is stopped at the moment, if it is.
pub(crate) fn stopped(pidfd: impl AsFd) -> Option<i32> {
    let found = wait(pidfd, libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT);
    let (status, _) = found.ok().flatten()?;
    status.signal()
}

/// Reaps a child that has ended or is about to. Used where its status does not matter.
pub(crate) fn reap(pidfd: impl AsFd) {
    while let Err(error) = wait(&pidfd, libc::WEXITED) {
        if error.kind() != io::ErrorKind::Interrupted {
            break;
        }
    }
}

fn wait(pidfd: impl AsFd, flags: i32) -> io::Result<Option<(ExitStatus, Usage)>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // Children that end silently, as a zygote's do, are waited for as well (`__WALL`). The C
    // library's `waitid` has no place for the fifth argument, which the system call has had for
    // ever. SAFETY: the descriptor is open for the call, and both structures are large enough for
    // the kernel to fill in.
    let result = unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PIDFD,
            pidfd.as_fd().as_raw_fd(),
            info.as_mut_ptr(),
            flags | libc::__WALL,
            usage.as_mut_ptr(),
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed above, which is a valid value, and then filled in by the kernel.
    let info = unsafe { info.assume_init() };
    // SAFETY: as above.
    let usage = unsafe { usage.assume_init() };
    // SAFETY: the kernel set the SIGCHLD fields, or left zeroes when nothing had ended.
    let pid = unsafe { info.si_pid() };
    if pid == 0 {
        return Ok(None);
    }
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    let raw = match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    };
    let usage = Usage {
        cpu_user: duration(usage.ru_utime),
        cpu_system: duration(usage.ru_stime),
        max_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    };
    Ok(Some((ExitStatus::from_raw(raw), usage)))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}
