//! Whether who finds the queue full parks at once.
//!
//! Parking at once is best where there are fewer threads than cores: until the producer is awake
//! again the consumer has made much room, and so one wake-up serves many items. With more threads
//! than cores the woken producer takes the place of a consumer, fills what little room there is and
//! parks again: two context switches for every item or two, ten times the time. There it is better
//! to give the core away first.
//!
//! Which of both it is shows in the items that came in since somebody last parked at once. Measured
//! on two cores, ns an item with places for 1,024 items of 256 bytes:
//!
//! | producers and consumers | park | yield, then park | whichever |
//! |---|--:|--:|--:|
//! | 1 and 1 | 49 | 135 | 48 |
//! | 2 and 2 | 79 | 65 | 56 |
//! | 4 and 4 | 226 – 450 | 61 | 58 |
//!
//! Yielding in `get` gained nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// A wake-up that served this number of items was worth its cost.
const WORTHWHILE: u64 = 8;
const YIELDS: usize = 2;

#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Items put when somebody last parked at once. Only an estimate hangs on it, so no order does.
    parked_at: AtomicU64,
}

impl Patience {
    pub(super) const fn new() -> Patience {
        Patience {
            parked_at: AtomicU64::new(0),
        }
    }

    /// How often to yield and look again before parking, when this many items have been put so far.
    pub(super) fn yields(&self, put_so_far: u64) -> usize {
        if put_so_far.wrapping_sub(self.parked_at.load(Ordering::Relaxed)) < WORTHWHILE {
            return YIELDS;
        }
        self.parked_at.store(put_so_far, Ordering::Relaxed);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::{Patience, WORTHWHILE, YIELDS};

    #[test]
    fn yields_until_parking_has_paid() {
        let patience = Patience::default();
        assert_eq!(patience.yields(1), YIELDS);
        assert_eq!(patience.yields(WORTHWHILE), 0);
        assert_eq!(patience.yields(WORTHWHILE + 1), YIELDS);
        assert_eq!(patience.yields(2 * WORTHWHILE), 0);
    }
}
