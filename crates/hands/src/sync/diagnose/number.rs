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
pub(in crate::sync) struct LockNumber(AtomicU64);

impl LockNumber {
    pub(in crate::sync) const fn new() -> LockNumber {
        LockNumber(AtomicU64::new(0))
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
pub enum LockMode {
    /// By one alone: a mutex, or a writer.
    Exclusive,
    /// With other readers.
    Shared,
    /// With other readers, and the right to become the writer.
    Upgradable,
}

impl LockMode {
    pub(super) fn excludes(self, other: LockMode) -> bool {
        let is_one_alone = self == LockMode::Exclusive || other == LockMode::Exclusive;
        is_one_alone || (self == LockMode::Upgradable && other == LockMode::Upgradable)
    }
}
