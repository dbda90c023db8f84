//! Who holds a lock, in one word that says enough to find out whether it still lives.
//!
//! A process's number alone would not do: it may be another's by now. So the word has, beside the number, nine bits made of
//! when the process began. A lock is taken away from its owner only when there is no process with that number, or one
//! that began at another time, or one that has ended and not been reaped: never from one that lives. (If the number has
//! been given to a process whose nine bits happen to be the same, the lock is held until that one ends.)

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// Process numbers have at most 22 bits on Linux.
const PID_BITS: u32 = 22;
const TAG_BITS: u32 = 9;

/// The bit that is left, for whoever uses the word.
pub(super) const FREE_BIT: u32 = 1 << (PID_BITS + TAG_BITS);

static OWN: AtomicU32 = AtomicU32::new(0);

/// The calling process. Never 0, and without the [`FREE_BIT`].
pub(super) fn own() -> u32 {
    match OWN.load(Ordering::Relaxed) {
        0 => find_out(),
        own => own,
    }
}

#[cold]
fn find_out() -> u32 {
    static ASKED: Once = Once::new();
    // A copy that the C library makes is another process; copies that we make say so themselves.
    // SAFETY: the handler stores one word.
    ASKED.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(forget_in_copy));
    });
    let pid = std::process::id();
    let own = word(pid, Seen::of(pid).map_or(0, |seen| seen.began));
    OWN.store(own, Ordering::Relaxed);
    own
}

extern "C" fn forget_in_copy() {
    forget();
}

/// For a process that has just become another one.
pub(crate) fn forget() {
    OWN.store(0, Ordering::Relaxed);
}

fn word(pid: u32, began: u64) -> u32 {
    // Fibonacci hashing: neighbouring times get different tags.
    let tag = began.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TAG_BITS);
    (tag as u32) << PID_BITS | pid & ((1 << PID_BITS) - 1)
}

/// The number of the process that a word names.
pub(super) fn pid(word: u32) -> u32 {
    word & ((1 << PID_BITS) - 1)
}

/// Whether the process that a word names still lives.
pub(super) fn is_alive(named: u32) -> bool {
    let named = named & !FREE_BIT;
    match Seen::of(pid(named)) {
        Some(seen) => !seen.has_ended && word(pid(named), seen.began) == named,
        None => false,
    }
}

struct Seen {
    has_ended: bool,
    /// In ticks since the machine started.
    began: u64,
}

impl Seen {
    /// `None`: there is no such process.
    fn of(pid: u32) -> Option<Seen> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may hold anything.
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let state = fields.next()?;
        Some(Seen {
            has_ended: matches!(state, "Z" | "X" | "x"),
            // Field 22 of the file, of which the state is the third.
            began: fields.nth(18)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_live() {
        assert_eq!(pid(own()), std::process::id());
        assert!(is_alive(own()) && is_alive(own() | FREE_BIT));
        assert_eq!(own() & FREE_BIT, 0);
    }

    #[test]
    fn a_number_that_is_anothers_by_now_does_not_live() {
        let began = Seen::of(std::process::id()).map_or(0, |seen| seen.began);
        assert!(!is_alive(word(std::process::id(), began + 1)));
        assert!(!is_alive(word(0, 0)), "there is no process 0");
    }

    #[test]
    fn the_largest_number_fits() {
        assert_eq!(pid(word((1 << 22) - 1, u64::MAX)), (1 << 22) - 1);
    }
}
