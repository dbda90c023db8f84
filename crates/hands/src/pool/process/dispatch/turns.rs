//! What was taken in first is told of first.
//!
//! A thread that takes in replies tells of them without a lock, as that runs the user's code. So
//! two threads could tell in another order than they have taken in. Each has a number, and waits
//! for those before it: not for long, as one of them may be stuck in the user's code.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Longer than this nobody is waited for.
const PATIENCE: Duration = Duration::from_millis(5);

/// When it is somebody's turn to tell; 0 if that does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool::process) struct DeliveryTurn(u64);

impl DeliveryTurn {
    pub(in crate::pool::process) const ANY: DeliveryTurn = DeliveryTurn(0);

    /// The first is 1.
    pub(in crate::pool::process) fn new(number: u64) -> DeliveryTurn {
        DeliveryTurn(number)
    }
}

#[derive(Default)]
pub(in crate::pool::process) struct Turns {
    /// All up to this have told, or were not waited for.
    told: Mutex<u64>,
    changed: Condvar,
}

impl Turns {
    pub(in crate::pool::process) fn wait_for(&self, DeliveryTurn(own): DeliveryTurn) {
        if own == 0 {
            return;
        }
        let mut told = self.told.lock();
        if *told + 1 >= own {
            return;
        }
        let until = Instant::now() + PATIENCE;
        while *told + 1 < own {
            if self.changed.wait_until(&mut told, until).timed_out() {
                return;
            }
        }
    }
}

/// Its turn is over when this is dropped.
pub(in crate::pool::process) struct Delivered<'a>(
    pub(in crate::pool::process) &'a Turns,
    pub(in crate::pool::process) DeliveryTurn,
);

impl Drop for Delivered<'_> {
    fn drop(&mut self) {
        let DeliveryTurn(own) = self.1;
        if own > 0 {
            let mut told = self.0.told.lock();
            *told = own.max(*told);
            drop(told);
            self.0.changed.notify_all();
        }
    }
}
