//! [`Prioritized`]: a priority for items that have no order of their own.

use std::cmp::Ordering;

/// An item with its priority, by which alone it is compared: the lowest is got first.
///
/// ```
/// use hands::queue::{Prioritized, PriorityQueue};
///
/// let queue = PriorityQueue::bounded(8);
/// queue.put(Prioritized::new(2, "later")).unwrap();
/// queue.put(Prioritized::new(1, "first")).unwrap();
/// queue.put(Prioritized::new(2, "last")).unwrap();
/// assert_eq!(queue.get().unwrap().item, "first");
/// assert_eq!(queue.get().unwrap().item, "later");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Prioritized<P, T> {
    /// Lower is sooner. `std::cmp::Reverse` turns that round.
    pub priority: P,
    /// What is to be got.
    pub item: T,
}

impl<P, T> Prioritized<P, T> {
    /// `item` with `priority`.
    pub fn new(priority: P, item: T) -> Prioritized<P, T> {
        Prioritized { priority, item }
    }
}

impl<P: Ord, T> Ord for Prioritized<P, T> {
    fn cmp(&self, other: &Prioritized<P, T>) -> Ordering {
        self.priority.cmp(&other.priority)
    }
}

impl<P: Ord, T> PartialOrd for Prioritized<P, T> {
    fn partial_cmp(&self, other: &Prioritized<P, T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P: Ord, T> PartialEq for Prioritized<P, T> {
    fn eq(&self, other: &Prioritized<P, T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<P: Ord, T> Eq for Prioritized<P, T> {}
