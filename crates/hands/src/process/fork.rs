//! A copy of a process that has one thread; and copies that a task makes of the process it runs in.

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open};

/// Which of the two the caller is.
pub(super) enum Forked {
    Child { parent: Pid },
    Parent { pid: Pid, pidfd: OwnedFd },
}

/// Copies the calling process. Nobody else reaps it, so the number is the copy's until it has been
/// reaped by its pidfd.
///
/// # Safety
///
/// The calling process has no other thread: what others had locked would stay locked in the copy.
pub(super) unsafe fn fork() -> io::Result<Forked> {
    let parent = getpid();
    // SAFETY: no other thread runs, as the caller says, so the copy is whole.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        super::identity::forget();
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

/// A byte that is 0 in copies of this process, however they were made: the kernel sees to that.
static ORIGINAL: AtomicPtr<AtomicU8> = AtomicPtr::new(null_mut());

/// Copies of the calling process are [copies](is_copy) from now on.
pub(crate) fn mark_original() {
    let length = rustix::param::page_size();
    let (flags, access) = (
        rustix::mm::MapFlags::PRIVATE,
        rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
    );
    // SAFETY: a new mapping, of which nobody else knows.
    let Ok(page) = (unsafe { rustix::mm::mmap_anonymous(null_mut(), length, access, flags) })
    else {
        return;
    };
    // SAFETY: the page is ours, and has nothing in it.
    let wiped = unsafe { rustix::mm::madvise(page, length, rustix::mm::Advice::LinuxWipeOnFork) };
    if wiped.is_err() {
        return;
    }
    let byte = page.cast::<AtomicU8>();
    // SAFETY: the page is mapped and writable, and stays so; any byte is an atomic one.
    unsafe { &*byte }.store(1, Ordering::Relaxed);
    ORIGINAL.store(byte, Ordering::Relaxed);
}

/// Whether this is a copy that a task has made of its worker by `fork`, and has returned from, as
/// the worker itself.
pub(crate) fn is_copy() -> bool {
    let byte = ORIGINAL.load(Ordering::Relaxed);
    // SAFETY: it is null, or that of a page that stays mapped.
    unsafe { byte.as_ref() }.is_some_and(|byte| byte.load(Ordering::Relaxed) == 0)
}

/// Ends a copy: it has nothing to answer, and nothing that the original has is its own.
pub(crate) fn end_if_copy() {
    if is_copy() {
        // SAFETY: ends this process only, without what is done at the end of a program, which the
        // original does.
        unsafe { libc::_exit(0) }
    }
}
