//! The limit on the size of files (`ulimit -f`), as an error instead of a signal that ends the
//! program.

use std::mem::MaybeUninit;

/// Calls `write`, which may make a file larger than files may be here (`ulimit -f`): that is its
/// error, and not the end of the program. Nothing else is changed about the program, which may not
/// want to know otherwise.
pub fn with_file_limit_as_error<T>(write: impl FnOnce() -> T) -> T {
    let (mut only, mut before) = (
        MaybeUninit::<libc::sigset_t>::zeroed(),
        MaybeUninit::<libc::sigset_t>::zeroed(),
    );
    // SAFETY: a set of our own.
    unsafe { libc::sigemptyset(only.as_mut_ptr()) };
    // SAFETY: as above, and the signal is a valid one.
    unsafe { libc::sigaddset(only.as_mut_ptr(), libc::SIGXFSZ) };
    // SAFETY: both are sets of our own.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, only.as_ptr(), before.as_mut_ptr()) };
    // SAFETY: filled in by the call above, which cannot fail for valid arguments; zeroes are a set,
    // too.
    let was_blocked = unsafe { libc::sigismember(before.as_ptr(), libc::SIGXFSZ) } == 1;
    let written = write();
    if !was_blocked {
        let now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: both are ours. The thread's own signal, which the write has raised, is taken back
        // before it is let through.
        unsafe { libc::sigtimedwait(only.as_ptr(), std::ptr::null_mut(), &now) };
        // SAFETY: the mask that this thread had.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        }
    }
    written
}
