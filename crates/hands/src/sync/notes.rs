//! What happens to locks, noted by nobody: the feature `diagnose` puts its graph in the place of
//! this.

/// A lock's number, which without the feature it does not have.
#[derive(Debug)]
pub(super) struct LockNumber;

impl LockNumber {
    pub(super) const fn new() -> LockNumber {
        LockNumber
    }
}

/// How a lock is held.
#[derive(Clone, Copy, Debug)]
pub(super) enum LockMode {
    Exclusive,
    Shared,
    Upgradable,
}

#[inline]
pub(super) fn ordered(_: &LockNumber, _: LockMode) {}

#[inline]
pub(super) fn acquired(_: &LockNumber, _: LockMode) {}

#[inline]
pub(super) fn released(_: &LockNumber, _: LockMode) {}

#[inline]
pub(super) fn changed(_: &LockNumber, _: LockMode, _: LockMode) {}

#[inline]
pub(super) fn awaiting(_: &LockNumber, _: LockMode, _: bool, wait: impl FnOnce()) {
    wait();
}
