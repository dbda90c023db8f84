//! What happens to locks, noted by nobody: the feature `diagnose` puts its graph in the place of
//! this.

/// A lock's number, which without the feature it does not have.
#[derive(Debug)]
pub(super) struct Number;

impl Number {
    pub(super) const fn new() -> Number {
        Number
    }
}

/// How a lock is held.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mode {
    Exclusive,
    Shared,
    Upgradable,
}

#[inline]
pub(super) fn ordered(_: &Number, _: Mode) {}

#[inline]
pub(super) fn acquired(_: &Number, _: Mode) {}

#[inline]
pub(super) fn released(_: &Number, _: Mode) {}

#[inline]
pub(super) fn changed(_: &Number, _: Mode, _: Mode) {}

#[inline]
pub(super) fn awaiting(_: &Number, _: Mode, _: bool, wait: impl FnOnce()) {
    wait();
}
