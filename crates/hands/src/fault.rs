//! Killing a process at a chosen step, or stopping it, to try what the others make of it. With the
//! feature `faults` only, which is for tests.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// Steps that are left; 0 means any number.
static LEFT: AtomicU64 = AtomicU64::new(0);

/// It is stopped, not killed.
static STOPS: AtomicBool = AtomicBool::new(false);

/// Has this process stop itself at the `step`th of the steps that it does from now on, from 1.
pub fn stop_at(step: u64) {
    STOPS.store(true, Ordering::SeqCst);
    LEFT.store(step, Ordering::SeqCst);
}

/// Has this process kill itself at the `step`th of the steps that it does from now on, from 1.
pub fn kill_at(step: u64) {
    LEFT.store(step, Ordering::SeqCst);
}

/// One of the steps between which a process may be killed with something half done.
pub(crate) fn step() {
    let left = LEFT.load(Ordering::Relaxed);
    if left == 0 {
        return;
    }
    if left == 1 {
        let how = match STOPS.load(Ordering::Relaxed) {
            true => Signal::STOP,
            false => Signal::KILL,
        };
        let _ = kill_process(getpid(), how);
    }
    LEFT.store(left - 1, Ordering::Relaxed);
}
