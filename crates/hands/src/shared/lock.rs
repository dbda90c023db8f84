//! A lock in a word, which survives its owner.
//!
//! # Protocol
//!
//! - 0 is free; else it names the owner ([`identity`](crate::process::identity)), with [`FREE_BIT`]
//!   if somebody may be waiting.
//! - A waiter sets the bit first, and has it set when it gets the lock: others may wait too,
//!   and the one that leaves the lock must wake them.
//! - Now and then a waiter looks whether the owner lives. If not, it puts itself in its place
//!   by one exchange of the word, which only one can do; and says whom it inherited from.
//!
//! The word is another process's to scribble on. Any number in it is free, a process that lives, or
//! one that does not; so the worst it does is to keep us waiting, for as long as we are willing to.

use std::time::Instant;

use super::step;
use super::wait::{wait, wake};
use crate::primitive::{AtomicU32, Ordering};
use crate::process::identity::{self, FREE_BIT};

/// How often a lock is looked at before sleeping: locks are held for shorter than it takes to
/// sleep.
const LOOKS: u32 = if cfg!(hands_loom) { 1 } else { 100 };

/// How a lock was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Had {
    /// It was free.
    Free,
    /// The process of this number had it, and has ended.
    Inherited { pid: u32 },
}

/// Takes the lock; waits for it no longer than `deadline`. `None`: that has passed.
pub(super) fn lock(word: &AtomicU32, deadline: Option<Instant>) -> Option<Had> {
    let own = identity::own();
    let (had, not) = (Ordering::Acquire, Ordering::Relaxed);
    step();
    let locked = if word.compare_exchange(0, own, had, not).is_ok() {
        Some(Had::Free)
    } else {
        slow(word, own, deadline)
    };
    step();
    locked
}

/// Takes the lock if it is free, or its owner has ended.
pub(super) fn try_lock(word: &AtomicU32) -> Option<Had> {
    let own = identity::own();
    match word.compare_exchange(0, own, Ordering::Acquire, Ordering::Relaxed) {
        Ok(_) => Some(Had::Free),
        Err(seen) => inherit(word, seen, own | seen & FREE_BIT),
    }
}

#[cold]
fn slow(word: &AtomicU32, own: u32, deadline: Option<Instant>) -> Option<Had> {
    let (had, not) = (Ordering::Acquire, Ordering::Relaxed);
    for _ in 0..LOOKS {
        std::hint::spin_loop();
        if word.load(not) == 0 && word.compare_exchange(0, own, had, not).is_ok() {
            return Some(Had::Free);
        }
    }
    let mut looked_at = 0;
    loop {
        // Whatever somebody writes there all the time, it ends.
        let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let seen = word.load(not);
        if seen & !FREE_BIT == 0 {
            if word
                .compare_exchange(seen, own | FREE_BIT, had, not)
                .is_ok()
            {
                return Some(Had::Free);
            }
            if is_late {
                return None;
            }
            continue;
        }
        if is_late {
            return inherit(word, seen, own | FREE_BIT);
        }
        if seen & FREE_BIT == 0 {
            let _ = word.compare_exchange(seen, seen | FREE_BIT, not, not);
            step();
            continue;
        }
        // Seen twice, a slice apart: long enough to ask whether it lives.
        if seen == looked_at
            && let Some(had) = inherit(word, seen, own | FREE_BIT)
        {
            return Some(had);
        }
        looked_at = seen;
        let _ = wait(word, seen, deadline);
        step();
    }
}

/// Takes the place of an owner that has ended.
fn inherit(word: &AtomicU32, seen: u32, own: u32) -> Option<Had> {
    let owner = seen & !FREE_BIT;
    if owner == 0 || owner == identity::own() || identity::is_alive(seen) {
        return None;
    }
    word.compare_exchange(seen, own, Ordering::Acquire, Ordering::Relaxed)
        .ok()
        .map(|_| Had::Inherited {
            pid: identity::pid(seen),
        })
}

/// Whether the calling process has the lock: a copy of one that has it does not.
pub(super) fn is_own(word: &AtomicU32) -> bool {
    word.load(Ordering::Relaxed) & !FREE_BIT == identity::own()
}

/// Leaves the lock, if the calling process has it.
pub(super) fn unlock(word: &AtomicU32) {
    let own = identity::own();
    let (left, not) = (Ordering::Release, Ordering::Relaxed);
    step();
    let was = match word.compare_exchange(own, 0, left, not) {
        Ok(was) => was,
        // Somebody waits. Nobody but us takes that back.
        Err(seen) if seen == own | FREE_BIT => word.swap(0, left),
        // It is another's: we are a copy, or somebody has written what it likes there.
        Err(_) => return,
    };
    step();
    if was & FREE_BIT != 0 {
        wake(word, 1);
        step();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shared::wait::deadline;

    #[test]
    fn a_free_lock_is_had_and_a_held_one_is_not() {
        let word = AtomicU32::new(0);
        assert_eq!(lock(&word, None), Some(Had::Free));
        assert_eq!(try_lock(&word), None);
        assert_eq!(lock(&word, deadline(Duration::from_millis(5))), None);
        unlock(&word);
        assert_eq!(try_lock(&word), Some(Had::Free));
    }

    #[test]
    fn any_word_is_free_held_or_inherited() {
        let mut words = vec![FREE_BIT, u32::MAX, 1 << 22, 12_345 << 10];
        words.extend((0..32).map(|bit| 1 << bit));
        for scribbled in words {
            let word = AtomicU32::new(scribbled);
            // Twice the time after which an owner is looked for.
            match lock(&word, deadline(Duration::from_millis(250))) {
                Some(_) => unlock(&word),
                None => assert!(identity::is_alive(scribbled), "{scribbled:x}"),
            }
        }
    }

    #[test]
    fn threads_take_turns() {
        let word = AtomicU32::new(0);
        let count = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        assert_eq!(lock(&word, None), Some(Had::Free));
                        // Not one step, so that it shows when two have the lock.
                        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                        unlock(&word);
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 40_000);
    }
}
