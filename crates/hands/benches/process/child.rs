//! Bare copies of the benchmark, for what the system itself takes.

/// Forks; the child runs `work` and ends. Returns the child's number.
pub(crate) fn child(work: impl FnOnce()) -> Result<i32, String> {
    // SAFETY: the copy runs `work`, which uses what it was given and nothing that another thread
    // might hold, and ends.
    match unsafe { libc::fork() } {
        0 => {
            work();
            // SAFETY: ends the copy, and runs no handler of the benchmark's.
            unsafe { libc::_exit(0) }
        }
        pid if pid > 0 => Ok(pid),
        _ => Err(format!("cannot fork: {}", std::io::Error::last_os_error())),
    }
}

/// Waits for its end.
pub(crate) fn reap(pid: i32) {
    // SAFETY: waits for a child of our own; its status is not wanted.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}
