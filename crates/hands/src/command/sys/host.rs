//! What a program that runs batches may want to know or change about itself.

use std::mem::MaybeUninit;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::spawn::ResourceLimit;

/// Whether the program was started with this signal ignored, as `nohup` does with SIGHUP. Such a
/// signal should stay ignored: do not install a handler for it.
pub fn signal_is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only reads the disposition, into a local.
    if unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: filled in by the successful call above.
    let action = unsafe { action.assume_init() };
    action.sa_sigaction == libc::SIG_IGN
}

/// Makes sure that the exit codes of children reach this program: a program started with SIGCHLD
/// ignored would have them thrown away by the kernel. Call it early in `main`; a library should
/// not.
pub fn keep_exit_codes() {
    if signal_is_ignored(libc::SIGCHLD) {
        // SAFETY: the default disposition runs no code.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    }
}

/// Bytes of arguments that a command may have: what the system allows (`ARG_MAX`, which follows the
/// limit on the stack), less the environment and some room for what is added to that, and no more
/// than 128 KiB. Each argument counts 9 beyond its bytes, for its NUL and the pointer to it.
pub fn room_for_arguments() -> usize {
    const MOST: usize = 128 * 1024;
    // POSIX asks `xargs` for 2 KiB; jobs are told their number and slot as well.
    const SPARE: usize = 4096;
    // SAFETY: it reads a number.
    let limit = unsafe { libc::sysconf(libc::_SC_ARG_MAX) };
    let limit = usize::try_from(limit).unwrap_or(MOST);
    let variables = std::env::vars_os().map(|(name, value)| name.len() + value.len() + 2 + 8);
    let taken: usize = variables.sum();
    limit.saturating_sub(taken + SPARE).clamp(SPARE, MOST)
}

/// Makes a file that may not grow further (`ulimit -f`) an error of the write, as a full disk is,
/// instead of the end of the program. Commands are still started with the signal's default. Call it
/// early in `main`; a library should not.
pub fn keep_file_limit_errors() {
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// The soft limit on open descriptors as the program was started, once it has been raised.
static STARTED_WITH: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit on open descriptors to the hard one, for as many jobs at once as possible.
/// Commands are still started with the limit that the program was started with: some close every
/// descriptor they may have.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        STARTED_WITH.get_or_init(|| limit);
    }
}

/// What to set in a child when the limit has been raised.
pub(crate) fn descriptor_limit_of_children() -> Option<ResourceLimit> {
    let limit = STARTED_WITH.get()?;
    let infinite = u64::MAX;
    Some(ResourceLimit {
        resource: libc::RLIMIT_NOFILE,
        soft: limit.current.unwrap_or(infinite),
        hard: limit.maximum.unwrap_or(infinite),
    })
}
