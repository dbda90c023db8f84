//! A copy of a process that has one thread.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;

use rustix::process::{Pid, getpid};

/// What the C library keeps about the calling thread and sets anew in a copy that it makes itself.
///
/// A system call of our own leaves it as it was: so we tell the kernel where the thread's id is, for it to be written, and
/// name the list of robust locks again.
pub(super) struct Thread {
    /// Null where the kernel does not tell.
    id: *mut libc::c_int,
    robust_locks: *mut libc::c_void,
    robust_length: usize,
}

impl Thread {
    pub(super) fn own() -> Thread {
        let mut id: *mut libc::c_int = ptr::null_mut();
        // SAFETY: stores one pointer, the one that the C library has given the kernel for this thread, or fails.
        unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut id) };
        let mut robust_locks: *mut libc::c_void = ptr::null_mut();
        let mut robust_length = 0_usize;
        // SAFETY: stores a pointer and a length in these two, or fails.
        unsafe {
            libc::syscall(
                libc::SYS_get_robust_list,
                0,
                &raw mut robust_locks,
                &raw mut robust_length,
            )
        };
        Thread {
            id,
            robust_locks,
            robust_length,
        }
    }
}

/// Which of the two the caller is.
pub(super) enum Forked {
    Child { parent: Pid },
    Parent { pid: Pid, pidfd: OwnedFd },
}

/// Copies the calling process, which has no other thread. No signal is sent when the copy ends.
///
/// `fork` of the C library would send one and give no pidfd, so that a number might be another's before it was opened.
pub(super) fn fork(thread: &Thread) -> io::Result<Forked> {
    let parent = getpid();
    let mut flags = libc::CLONE_PIDFD as libc::c_long;
    if !thread.id.is_null() {
        flags |= (libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID) as libc::c_long;
    }
    let mut pidfd: libc::c_int = -1;
    // SAFETY: without CLONE_VM the copy has memory of its own and goes on from here, on its copy of this stack. The kernel
    // stores the pidfd in a local, and the copy's id where the C library keeps it. Which of the last two arguments is the
    // id's place depends on the platform; the other is not looked at, as CLONE_SETTLS is not set.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags,
            ptr::null_mut::<libc::c_void>(),
            &raw mut pidfd,
            thread.id,
            thread.id,
        )
    };
    let pid = i32::try_from(pid).unwrap_or(-1);
    if pid == 0 {
        if !thread.robust_locks.is_null() {
            // SAFETY: names the list that this thread had before it was copied, and has still.
            unsafe {
                libc::syscall(
                    libc::SYS_set_robust_list,
                    thread.robust_locks,
                    thread.robust_length,
                )
            };
        }
        crate::shared::identity::forget();
        return Ok(Forked::Child { parent });
    }
    match Pid::from_raw(pid.max(0)) {
        Some(pid) => Ok(Forked::Parent {
            pid,
            // SAFETY: the kernel has made it for us, and nobody else knows of it.
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
        None => Err(io::Error::last_os_error()),
    }
}
