//! The numbers of locks, and the ways in which they are held.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a lock, from 1 on; no lock gets another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockId(u64);

impl fmt::Display for LockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lock {}", self.0)
    }
}

/// A lock's place for its number; 0 until it is first used.
#[derive(Debug)]
pub(in crate::sync) struct Number(AtomicU64);

impl Number {
    pub(in crate::sync) const fn new() -> Number {
        Number(AtomicU64::new(0))
    }

    pub(super) fn get(&self) -> LockId {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let known = self.0.load(Ordering::Relaxed);
        if known != 0 {
            return LockId(known);
        }
        let new = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let first = self
            .0
            .compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
        LockId(first.map_or_else(|other| other, |_| new))
    }
}

/// In which way a lock is held or wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By one alone: a mutex, or a writer.
    Exclusive,
    /// With other readers.
    Shared,
    /// With other readers, and the right to become the writer.
    Upgradable,
}

impl Mode {
    pub(super) fn excludes(self, other: Mode) -> bool {
        let is_one_alone = self == Mode::Exclusive || other == Mode::Exclusive;
        is_one_alone || (self == Mode::Upgradable && other == Mode::Upgradable)
    }
}
