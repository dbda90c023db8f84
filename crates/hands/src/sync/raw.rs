//! `parking_lot`'s raw locks, noting what happens to them: with the feature `diagnose` in a graph,
//! and otherwise nowhere, at no cost. So the locks have the same types with and without it.
//!
//! **Invariant:** locking and unlocking is left to the raw lock; what is noted decides nothing but
//! whether to abort *before* a wait. So the guarantees of a lock are those of the raw one, whatever
//! the graph knows or does not.

use std::time::{Duration, Instant};

use parking_lot::lock_api::{
    RawMutexFair, RawMutexTimed, RawRwLockDowngrade, RawRwLockFair, RawRwLockRecursive,
    RawRwLockRecursiveTimed, RawRwLockTimed, RawRwLockUpgrade, RawRwLockUpgradeDowngrade,
    RawRwLockUpgradeFair, RawRwLockUpgradeTimed,
};
use parking_lot::{RawMutex as PlainMutex, RawRwLock as PlainRwLock, lock_api};

#[cfg(feature = "diagnose")]
use super::diagnose::graph::{acquired, awaiting, changed, ordered, released};
#[cfg(feature = "diagnose")]
use super::diagnose::number::{LockMode, LockNumber};
#[cfg(not(feature = "diagnose"))]
use super::notes::{LockMode, LockNumber, acquired, awaiting, changed, ordered, released};

/// What is behind a [`Mutex`](super::Mutex).
pub struct RawMutex {
    raw: PlainMutex,
    number: LockNumber,
}

impl RawMutex {
    fn note(&self, got: bool) -> bool {
        if got {
            acquired(&self.number, LockMode::Exclusive);
        }
        got
    }
}

// SAFETY: exclusion is that of `raw`: each of these returns as locked only when `raw` said so, and
// nothing else unlocks it but the `unlock` below, whose caller has promised to hold it.
unsafe impl lock_api::RawMutex for RawMutex {
    const INIT: RawMutex = RawMutex {
        raw: PlainMutex::INIT,
        number: LockNumber::new(),
    };

    // Not that of `parking_lot`, which is up to features that any crate of the program may ask for.
    type GuardMarker = lock_api::GuardNoSend;

    fn lock(&self) {
        ordered(&self.number, LockMode::Exclusive);
        if !self.raw.try_lock() {
            awaiting(&self.number, LockMode::Exclusive, false, || self.raw.lock());
        }
        self.note(true);
    }

    fn try_lock(&self) -> bool {
        self.note(self.raw.try_lock())
    }

    unsafe fn unlock(&self) {
        released(&self.number, LockMode::Exclusive);
        // SAFETY: the caller holds the lock: this function's own contract.
        unsafe { self.raw.unlock() }
    }

    fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }
}

// SAFETY: as above; fairness is that of `raw`.
unsafe impl RawMutexFair for RawMutex {
    unsafe fn unlock_fair(&self) {
        released(&self.number, LockMode::Exclusive);
        // SAFETY: the caller holds the lock: this function's own contract.
        unsafe { self.raw.unlock_fair() }
    }

    unsafe fn bump(&self) {
        // SAFETY: the caller holds the lock: this function's own contract.
        unsafe { self.raw.bump() }
    }
}

// SAFETY: as above; a lock counts as got only when `raw` said so within the time.
unsafe impl RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_for(&self, timeout: Duration) -> bool {
        ordered(&self.number, LockMode::Exclusive);
        self.note(self.raw.try_lock_for(timeout))
    }

    fn try_lock_until(&self, timeout: Instant) -> bool {
        ordered(&self.number, LockMode::Exclusive);
        self.note(self.raw.try_lock_until(timeout))
    }
}

/// What is behind an [`RwLock`](super::RwLock).
pub struct RawRwLock {
    raw: PlainRwLock,
    number: LockNumber,
}

impl RawRwLock {
    fn note(&self, mode: LockMode, got: bool) -> bool {
        if got {
            acquired(&self.number, mode);
        }
        got
    }

    fn lock(&self, mode: LockMode, got: bool, wait: impl FnOnce()) {
        if !got {
            awaiting(&self.number, mode, false, wait);
        }
        acquired(&self.number, mode);
    }
}

// SAFETY: exclusion is that of `raw`: each of these returns as locked only when `raw` said so, and
// it is unlocked only by the functions below, whose callers have promised to hold it in that way.
unsafe impl lock_api::RawRwLock for RawRwLock {
    const INIT: RawRwLock = RawRwLock {
        raw: PlainRwLock::INIT,
        number: LockNumber::new(),
    };

    type GuardMarker = lock_api::GuardNoSend;

    fn lock_shared(&self) {
        ordered(&self.number, LockMode::Shared);
        let got = self.raw.try_lock_shared();
        self.lock(LockMode::Shared, got, || self.raw.lock_shared());
    }

    fn try_lock_shared(&self) -> bool {
        self.note(LockMode::Shared, self.raw.try_lock_shared())
    }

    unsafe fn unlock_shared(&self) {
        released(&self.number, LockMode::Shared);
        // SAFETY: the caller holds it for reading: this function's own contract.
        unsafe { self.raw.unlock_shared() }
    }

    fn lock_exclusive(&self) {
        ordered(&self.number, LockMode::Exclusive);
        let got = self.raw.try_lock_exclusive();
        self.lock(LockMode::Exclusive, got, || self.raw.lock_exclusive());
    }

    fn try_lock_exclusive(&self) -> bool {
        self.note(LockMode::Exclusive, self.raw.try_lock_exclusive())
    }

    unsafe fn unlock_exclusive(&self) {
        released(&self.number, LockMode::Exclusive);
        // SAFETY: the caller holds it for writing: this function's own contract.
        unsafe { self.raw.unlock_exclusive() }
    }

    fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    fn is_locked_exclusive(&self) -> bool {
        self.raw.is_locked_exclusive()
    }
}

// SAFETY: as above; fairness is that of `raw`.
unsafe impl RawRwLockFair for RawRwLock {
    unsafe fn unlock_shared_fair(&self) {
        released(&self.number, LockMode::Shared);
        // SAFETY: the caller holds it for reading: this function's own contract.
        unsafe { self.raw.unlock_shared_fair() }
    }

    unsafe fn unlock_exclusive_fair(&self) {
        released(&self.number, LockMode::Exclusive);
        // SAFETY: the caller holds it for writing: this function's own contract.
        unsafe { self.raw.unlock_exclusive_fair() }
    }

    unsafe fn bump_shared(&self) {
        // SAFETY: the caller holds it for reading: this function's own contract.
        unsafe { self.raw.bump_shared() }
    }

    unsafe fn bump_exclusive(&self) {
        // SAFETY: the caller holds it for writing: this function's own contract.
        unsafe { self.raw.bump_exclusive() }
    }
}

// SAFETY: as above; the writer becomes a reader in `raw`.
unsafe impl RawRwLockDowngrade for RawRwLock {
    unsafe fn downgrade(&self) {
        // SAFETY: the caller holds it for writing: this function's own contract.
        unsafe { self.raw.downgrade() }
        changed(&self.number, LockMode::Exclusive, LockMode::Shared);
    }
}

// SAFETY: as above; a lock counts as got only when `raw` said so within the time.
unsafe impl RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    fn try_lock_shared_for(&self, timeout: Duration) -> bool {
        ordered(&self.number, LockMode::Shared);
        self.note(LockMode::Shared, self.raw.try_lock_shared_for(timeout))
    }

    fn try_lock_shared_until(&self, timeout: Instant) -> bool {
        ordered(&self.number, LockMode::Shared);
        self.note(LockMode::Shared, self.raw.try_lock_shared_until(timeout))
    }

    fn try_lock_exclusive_for(&self, timeout: Duration) -> bool {
        ordered(&self.number, LockMode::Exclusive);
        self.note(
            LockMode::Exclusive,
            self.raw.try_lock_exclusive_for(timeout),
        )
    }

    fn try_lock_exclusive_until(&self, timeout: Instant) -> bool {
        ordered(&self.number, LockMode::Exclusive);
        self.note(
            LockMode::Exclusive,
            self.raw.try_lock_exclusive_until(timeout),
        )
    }
}

// SAFETY: as above; a recursive reader is one reader more in `raw`.
unsafe impl RawRwLockRecursive for RawRwLock {
    fn lock_shared_recursive(&self) {
        ordered(&self.number, LockMode::Shared);
        let got = self.raw.try_lock_shared_recursive();
        self.lock(LockMode::Shared, got, || self.raw.lock_shared_recursive());
    }

    fn try_lock_shared_recursive(&self) -> bool {
        self.note(LockMode::Shared, self.raw.try_lock_shared_recursive())
    }
}

// SAFETY: as above; a lock counts as got only when `raw` said so within the time.
unsafe impl RawRwLockRecursiveTimed for RawRwLock {
    fn try_lock_shared_recursive_for(&self, timeout: Duration) -> bool {
        let got = self.raw.try_lock_shared_recursive_for(timeout);
        self.note(LockMode::Shared, got)
    }

    fn try_lock_shared_recursive_until(&self, timeout: Instant) -> bool {
        let got = self.raw.try_lock_shared_recursive_until(timeout);
        self.note(LockMode::Shared, got)
    }
}

// SAFETY: as above; who may upgrade, and when that is done, `raw` decides.
unsafe impl RawRwLockUpgrade for RawRwLock {
    fn lock_upgradable(&self) {
        ordered(&self.number, LockMode::Upgradable);
        let got = self.raw.try_lock_upgradable();
        self.lock(LockMode::Upgradable, got, || self.raw.lock_upgradable());
    }

    fn try_lock_upgradable(&self) -> bool {
        self.note(LockMode::Upgradable, self.raw.try_lock_upgradable())
    }

    unsafe fn unlock_upgradable(&self) {
        released(&self.number, LockMode::Upgradable);
        // SAFETY: the caller holds it upgradably: this function's own contract.
        unsafe { self.raw.unlock_upgradable() }
    }

    unsafe fn upgrade(&self) {
        // SAFETY: the caller holds it upgradably: this function's own contract.
        let got = unsafe { self.raw.try_upgrade() };
        if !got {
            awaiting(&self.number, LockMode::Exclusive, true, || {
                // SAFETY: the caller holds it upgradably still: the attempt above has failed.
                unsafe { self.raw.upgrade() }
            });
        }
        changed(&self.number, LockMode::Upgradable, LockMode::Exclusive);
    }

    unsafe fn try_upgrade(&self) -> bool {
        // SAFETY: the caller holds it upgradably: this function's own contract.
        let got = unsafe { self.raw.try_upgrade() };
        if got {
            changed(&self.number, LockMode::Upgradable, LockMode::Exclusive);
        }
        got
    }
}

// SAFETY: as above; fairness is that of `raw`.
unsafe impl RawRwLockUpgradeFair for RawRwLock {
    unsafe fn unlock_upgradable_fair(&self) {
        released(&self.number, LockMode::Upgradable);
        // SAFETY: the caller holds it upgradably: this function's own contract.
        unsafe { self.raw.unlock_upgradable_fair() }
    }

    unsafe fn bump_upgradable(&self) {
        // SAFETY: the caller holds it upgradably: this function's own contract.
        unsafe { self.raw.bump_upgradable() }
    }
}

// SAFETY: as above; each change is made by `raw`.
unsafe impl RawRwLockUpgradeDowngrade for RawRwLock {
    unsafe fn downgrade_upgradable(&self) {
        // SAFETY: the caller holds it upgradably: this function's own contract.
        unsafe { self.raw.downgrade_upgradable() }
        changed(&self.number, LockMode::Upgradable, LockMode::Shared);
    }

    unsafe fn downgrade_to_upgradable(&self) {
        // SAFETY: the caller holds it for writing: this function's own contract.
        unsafe { self.raw.downgrade_to_upgradable() }
        changed(&self.number, LockMode::Exclusive, LockMode::Upgradable);
    }
}

// SAFETY: as above; a lock counts as got only when `raw` said so within the time.
unsafe impl RawRwLockUpgradeTimed for RawRwLock {
    fn try_lock_upgradable_for(&self, timeout: Duration) -> bool {
        ordered(&self.number, LockMode::Upgradable);
        self.note(
            LockMode::Upgradable,
            self.raw.try_lock_upgradable_for(timeout),
        )
    }

    fn try_lock_upgradable_until(&self, timeout: Instant) -> bool {
        ordered(&self.number, LockMode::Upgradable);
        let got = self.raw.try_lock_upgradable_until(timeout);
        self.note(LockMode::Upgradable, got)
    }

    unsafe fn try_upgrade_for(&self, timeout: Duration) -> bool {
        // SAFETY: the caller holds it upgradably: this function's own contract.
        let got = unsafe { self.raw.try_upgrade_for(timeout) };
        if got {
            changed(&self.number, LockMode::Upgradable, LockMode::Exclusive);
        }
        got
    }

    unsafe fn try_upgrade_until(&self, timeout: Instant) -> bool {
        // SAFETY: the caller holds it upgradably: this function's own contract.
        let got = unsafe { self.raw.try_upgrade_until(timeout) };
        if got {
            changed(&self.number, LockMode::Upgradable, LockMode::Exclusive);
        }
        got
    }
}
