//! [`fork`], for those who know what they do.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;

use rustix::process::Pid;

use super::fork::Forked as Copied;
use crate::command::sys::wait;

/// Which of the two the caller of [`fork`] is.
#[derive(Debug)]
pub enum Fork {
    /// The copy.
    Child,
    /// The one that was copied.
    Parent(RawFork),
}

/// The copy, as the one that was copied sees it. It is a child of this process, and is not ended or
/// waited for by the guard of [`init`](crate::init).
#[derive(Debug)]
pub struct RawFork {
    pid: Pid,
    pidfd: OwnedFd,
}

impl RawFork {
    /// Its number, until it has been waited for.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// When the program ignores `SIGCHLD`, or waits for any child elsewhere: then nobody can tell.
    pub fn wait(self) -> io::Result<ExitStatus> {
        super::await_readable(&self.pidfd, None);
        match wait::try_reap(&self.pidfd)? {
            Some((status, _)) => Ok(status),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// Copies this process, as `fork(2)` does. [`spawn`](super::spawn) is what nearly everybody wants
/// instead.
///
/// # Safety
///
/// The copy has everything that this process has, and much of it twice from then on. The caller
/// sees to it that the copy does not do what must be done once (write out a buffer, delete a file,
/// end a transaction), and does not use what belongs to this process, above all handles of threads,
/// pools and [processes](super::Process).
///
/// # Errors
///
/// When this process has other threads: their locks would stay locked in the copy for ever, and
/// what they were doing would stay half done. And when the system refuses it.
///
/// ```
/// use hands::process::{Fork, fork};
///
/// // The harness of this example may have a thread of its own.
/// // SAFETY: the copy ends at once, and touches nothing.
/// match unsafe { fork() } {
///     Ok(Fork::Child) => std::process::exit(3),
///     Ok(Fork::Parent(copy)) => assert_eq!(copy.wait()?.code(), Some(3)),
///     Err(refused) => println!("{refused}"),
/// }
/// # std::io::Result::Ok(())
/// ```
pub unsafe fn fork() -> io::Result<Fork> {
    let others = super::threads()?.saturating_sub(1);
    if others > 0 {
        let s = if others == 1 { "" } else { "s" };
        return Err(io::Error::other(format!(
            "this process has {others} other thread{s}, whose locks would stay locked in a copy; use `hands::process::spawn`"
        )));
    }
    // SAFETY: no other thread runs, and the caller vouches for the rest.
    Ok(match unsafe { super::fork::fork() }? {
        Copied::Child { .. } => Fork::Child,
        Copied::Parent { pid, pidfd } => Fork::Parent(RawFork { pid, pidfd }),
    })
}
