//! Who holds a lock, in one word that says enough to find out whether it still lives.
//!
//! A process's number alone would not do: it may be another's by now. So the word has, beside the
//! number, nine bits made of when the process began. A lock is taken away from its owner only when
//! there is no process with that number, or one that began at another time, or one that has ended
//! and not been reaped: never from one that lives. (If the number has been given to a process whose
//! nine bits happen to be the same, the lock is held until that one ends.) What cannot be looked
//! at, for want of a descriptor or of `/proc`, lives.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, test_kill_process};

/// Process numbers have at most 22 bits on Linux.
const PID_BITS: u32 = 22;
const TAG_BITS: u32 = 9;

/// The bit that is left, for the code that uses the word.
pub(crate) const FREE_BIT: u32 = 1 << (PID_BITS + TAG_BITS);

static OWN: AtomicU32 = AtomicU32::new(0);

/// The calling process. Never 0, and without the [`FREE_BIT`].
pub(crate) fn own() -> u32 {
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
    let own = match SeenIdentity::of(pid) {
        SeenIdentity::There { began, .. } => word(pid, began),
        // The tag says that it is not known, for good: what a lock is taken with, it is left with.
        SeenIdentity::Gone | SeenIdentity::Hidden => pid & ((1 << PID_BITS) - 1),
    };
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
    tag(began) << PID_BITS | pid & ((1 << PID_BITS) - 1)
}

/// Never 0, which is that of a process that could not find out when it began.
fn tag(began: u64) -> u32 {
    // Fibonacci hashing: neighbouring times get different tags.
    let tag = began.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TAG_BITS);
    (tag as u32).max(1)
}

/// The number of the process that a word names.
pub(crate) fn pid(word: u32) -> u32 {
    word & ((1 << PID_BITS) - 1)
}

/// Whether the process that a word names still lives.
pub(crate) fn is_alive(named: u32) -> bool {
    let named = named & !FREE_BIT;
    match SeenIdentity::of(pid(named)) {
        SeenIdentity::There { has_ended, began } => {
            !has_ended && matches!(named >> PID_BITS, known if known == 0 || known == tag(began))
        }
        SeenIdentity::Gone => false,
        SeenIdentity::Hidden => true,
    }
}

enum SeenIdentity {
    There {
        has_ended: bool,
        /// In ticks since the machine started.
        began: u64,
    },
    Gone,
    /// It may be there.
    Hidden,
}

impl SeenIdentity {
    fn of(pid: u32) -> SeenIdentity {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let Some(number) = number else {
            return SeenIdentity::Gone;
        };
        let text = std::fs::read(format!("/proc/{pid}/stat"));
        if let Some(seen) = text.ok().and_then(|text| SeenIdentity::read(&text)) {
            return seen;
        }
        match test_kill_process(number) {
            Err(rustix::io::Errno::SRCH) => SeenIdentity::Gone,
            _ => SeenIdentity::Hidden,
        }
    }

    fn read(text: &[u8]) -> Option<SeenIdentity> {
        // The name, in parentheses, may hold any bytes, also half a character.
        let behind = text.iter().rposition(|&byte| byte == b')')? + 1;
        let fields = str::from_utf8(&text[behind..]).ok()?;
        let mut fields = fields.split_whitespace();
        // Fields 3, 20 and 22 of the file.
        let state = fields.next()?;
        let threads: i64 = fields.nth(16)?.parse().ok()?;
        let began = fields.nth(1)?.parse().ok()?;
        Some(SeenIdentity::There {
            // The state is that of the first thread, and others may run on.
            has_ended: matches!(state, "Z" | "X" | "x") && threads <= 1,
            began,
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
        let SeenIdentity::There { began, .. } = SeenIdentity::of(std::process::id()) else {
            panic!("we are there");
        };
        assert!(!is_alive(word(std::process::id(), began + 1)));
        assert!(!is_alive(word(0, 0)), "there is no process 0");
    }

    #[test]
    fn who_does_not_know_when_it_began_lives_all_the_same() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive((1 << PID_BITS) - 1), "the largest number of all");
    }

    #[test]
    fn a_name_may_be_any_bytes() {
        let stat = |name: &[u8], state: &str, threads: u32| {
            let rest =
                format!(") {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 {threads} 0 77 1 2");
            SeenIdentity::read(&[b"12 (", name, rest.as_bytes()].concat())
        };
        let seen = stat(b"a) Z 1 \xc3", "S", 3);
        assert!(matches!(
            seen,
            Some(SeenIdentity::There {
                has_ended: false,
                began: 77
            })
        ));
        assert!(matches!(
            stat(b"a", "Z", 1),
            Some(SeenIdentity::There {
                has_ended: true,
                ..
            })
        ));
        assert!(matches!(
            stat(b"a", "Z", 2),
            Some(SeenIdentity::There {
                has_ended: false,
                ..
            })
        ));
        assert!(SeenIdentity::read(b"").is_none() && SeenIdentity::read(b"1 (a) S").is_none());
    }

    #[test]
    fn the_largest_number_fits() {
        assert_eq!(pid(word((1 << 22) - 1, u64::MAX)), (1 << 22) - 1);
    }
}
