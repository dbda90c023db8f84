//! Killing a process at a chosen step, to try what the others make of it. With the feature `faults` only, which is for tests.

use std::sync::atomic::{AtomicU64, Ordering};

/// Steps that are left; 0 means any number.
static LEFT: AtomicU64 = AtomicU64::new(0);

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
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
    LEFT.store(left - 1, Ordering::Relaxed);
}
