//! Waiting at a word that several processes have.
//!
//! A woken waiter may be killed before it has done what it was woken for, and others would sleep
//! on. So nobody sleeps for longer than [`SLICE`] without looking again: a wake-up that died with
//! its process costs that much, and no more.

use std::time::{Duration, Instant};

#[cfg(not(hands_loom))]
use rustix::thread::futex;

use crate::primitive::AtomicU32;

/// As long as anybody sleeps in one piece.
const SLICE: Duration = Duration::from_millis(100);

/// Sleeps until woken, or for a while, if the word is `value`. False: `deadline` has passed.
pub(crate) fn wait(word: &AtomicU32, value: u32, deadline: Option<Instant>) -> bool {
    let left = match deadline {
        None => SLICE,
        Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
            None => return false,
            Some(left) => left.min(SLICE),
        },
    };
    #[cfg(not(hands_loom))]
    {
        let timeout = futex::Timespec {
            tv_sec: 0,
            tv_nsec: left.subsec_nanos().into(),
        };
        // Whatever it returns for, the caller looks again.
        let _ = futex::wait(word, futex::Flags::empty(), value, Some(&timeout));
    }
    // No time passes in a model: who is not woken sleeps for ever, which is what it is to find.
    #[cfg(hands_loom)]
    {
        let _ = left;
        word.sleep(value);
    }
    true
}

/// Sleeps until woken, if the word is `value`: where a process that wakes is sure to live as long
/// as the caller.
pub(crate) fn sleep(word: &AtomicU32, value: u32) {
    #[cfg(not(hands_loom))]
    let _ = futex::wait(word, futex::Flags::empty(), value, None);
    #[cfg(hands_loom)]
    word.sleep(value);
}

/// Wakes up to `most` of those who sleep there.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    #[cfg(not(hands_loom))]
    let _ = futex::wake(word, futex::Flags::empty(), count);
    #[cfg(hands_loom)]
    {
        let _ = count;
        word.wake();
    }
}

pub(crate) const ALL: u32 = i32::MAX as u32;

/// When a wait that begins now is to end.
pub(super) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
