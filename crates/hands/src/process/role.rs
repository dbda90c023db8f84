//! What a copy of the program is told to be.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// The second word of such a process's command line.
pub(super) const MARK: &str = "--hands-worker";

/// What it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Forks others on request.
    Zygote,
    /// Works itself.
    Worker,
}

impl Role {
    pub(super) fn word(self) -> &'static str {
        match self {
            Role::Zygote => "zygote",
            Role::Worker => "worker",
        }
    }
}

/// Ends a copy of the program that cannot work.
pub(crate) fn stop(why: &str) -> ! {
    // Nobody but a person who reads the terminal could be told.
    let _ = writeln!(std::io::stderr(), "hands: {why}");
    std::process::exit(2)
}

/// A copy of this program would come by `enter`.
static READY: AtomicBool = AtomicBool::new(false);

pub(super) fn is_ready() -> bool {
    READY.load(Ordering::Relaxed)
}

/// From now on one would.
pub(super) fn note_ready() {
    READY.store(true, Ordering::Relaxed);
}
