//! One lock around a collection, for orders in which the next item to get may be the one put last.

use std::collections::BinaryHeap;
use std::mem;
use std::task::{Poll, Waker};

use super::core::{Core, Refusal, Shutdown};
use super::error::GetError;
use crate::foreign::{dispose, wake, wake_each};
use crate::primitive::{AtomicU64, Mutex, Ordering};
use crate::sync::waiters::{Ticket, Waiters, join_line};

/// The collection, with the order in it.
pub trait Store<T>: Default {
    #[doc(hidden)]
    fn push(&mut self, item: T);
    #[doc(hidden)]
    fn pop(&mut self) -> Option<T>;
    #[doc(hidden)]
    fn len(&self) -> usize;
    /// What is in it, in no certain order.
    #[doc(hidden)]
    fn into_items(self) -> Vec<T>;
}

/// Last in, first out.
impl<T> Store<T> for Vec<T> {
    fn push(&mut self, item: T) {
        self.push(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.pop()
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn into_items(self) -> Vec<T> {
        self
    }
}

/// Lowest first; among equals, the one put first.
#[derive(Debug)]
pub struct Heap<T> {
    heap: BinaryHeap<PileEntry<T>>,
    pushed: u64,
}

#[derive(Debug)]
struct PileEntry<T> {
    item: T,
    number: u64,
}

impl<T: Ord> Ord for PileEntry<T> {
    /// Reversed: the standard library's heap hands out the greatest.
    fn cmp(&self, other: &PileEntry<T>) -> std::cmp::Ordering {
        let by_item = other.item.cmp(&self.item);
        by_item.then_with(|| other.number.cmp(&self.number))
    }
}

impl<T: Ord> PartialOrd for PileEntry<T> {
    fn partial_cmp(&self, other: &PileEntry<T>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for PileEntry<T> {
    fn eq(&self, other: &PileEntry<T>) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for PileEntry<T> {}

impl<T: Ord> Default for Heap<T> {
    fn default() -> Heap<T> {
        Heap::new()
    }
}

impl<T: Ord> Store<T> for Heap<T> {
    fn push(&mut self, item: T) {
        self.pushed += 1;
        let number = self.pushed;
        self.heap.push(PileEntry { item, number });
    }

    fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|entry| entry.item)
    }

    fn len(&self) -> usize {
        self.heap.len()
    }

    fn into_items(self) -> Vec<T> {
        self.heap.into_iter().map(|entry| entry.item).collect()
    }
}

#[derive(Debug)]
pub struct PileCore<S> {
    capacity: usize,
    /// Items put so far; written under the lock.
    put: AtomicU64,
    pile: Mutex<Pile<S>>,
}

#[derive(Debug)]
struct Pile<S> {
    items: S,
    shut_down: bool,
    getters: Waiters,
    putters: Waiters,
}

impl<S> PileCore<S> {
    #[cfg(not(hands_loom))]
    pub(super) const fn unbounded(items: S) -> PileCore<S> {
        PileCore {
            capacity: usize::MAX,
            put: AtomicU64::new(0),
            pile: Mutex::new(Pile {
                items,
                shut_down: false,
                getters: Waiters::new(),
                putters: Waiters::new(),
            }),
        }
    }
}

impl<T: Ord> Heap<T> {
    pub(super) const fn new() -> Heap<T> {
        Heap {
            heap: BinaryHeap::new(),
            pushed: 0,
        }
    }
}

impl<T, S: Store<T>> Core<T> for PileCore<S> {
    fn with_capacity(capacity: Option<usize>) -> PileCore<S> {
        PileCore {
            capacity: capacity.unwrap_or(usize::MAX),
            put: AtomicU64::new(0),
            pile: Mutex::new(Pile {
                items: S::default(),
                shut_down: false,
                getters: Waiters::default(),
                putters: Waiters::default(),
            }),
        }
    }

    fn capacity(&self) -> Option<usize> {
        (self.capacity < usize::MAX).then_some(self.capacity)
    }

    fn try_put(&self, item: T) -> Result<(), (Refusal, T)> {
        let mut pile = self.pile.lock();
        if pile.shut_down {
            return Err((Refusal::ShutDown, item));
        }
        if pile.items.len() >= self.capacity {
            return Err((Refusal::Full, item));
        }
        // First: should comparing items panic, the item is in all the same.
        self.put.fetch_add(1, Ordering::Release);
        pile.items.push(item);
        let woken = pile.getters.first();
        drop(pile);
        if let Some(waker) = woken {
            wake(waker);
        }
        Ok(())
    }

    fn try_get(&self) -> Result<T, GetError> {
        let mut pile = self.pile.lock();
        let Some(item) = pile.items.pop() else {
            return Err(if pile.shut_down {
                GetError::ShutDown
            } else {
                GetError::Empty
            });
        };
        let woken = pile.putters.first();
        drop(pile);
        if let Some(waker) = woken {
            wake(waker);
        }
        Ok(item)
    }

    fn await_space(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> bool {
        let polled = join_line(waker, |caller| {
            let mut pile = self.pile.lock();
            if pile.shut_down || pile.items.len() < self.capacity {
                return Some(Poll::Ready(()));
            }
            pile.putters.enlist(ticket, caller, ())
        });
        polled.is_pending()
    }

    fn await_item(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> bool {
        let polled = join_line(waker, |caller| {
            let mut pile = self.pile.lock();
            if pile.shut_down || pile.items.len() > 0 {
                return Some(Poll::Ready(()));
            }
            pile.getters.enlist(ticket, caller, ())
        });
        polled.is_pending()
    }

    fn leave_space(&self, ticket: Ticket) {
        let mut pile = self.pile.lock();
        let left = pile.putters.leave(ticket);
        let passes_on = left.is_none() && pile.items.len() < self.capacity;
        let woken = if passes_on {
            pile.putters.first()
        } else {
            None
        };
        drop(pile);
        dispose(left);
        wake_each(woken);
    }

    fn leave_item(&self, ticket: Ticket) {
        let mut pile = self.pile.lock();
        let left = pile.getters.leave(ticket);
        let passes_on = left.is_none() && pile.items.len() > 0;
        let woken = if passes_on {
            pile.getters.first()
        } else {
            None
        };
        drop(pile);
        dispose(left);
        wake_each(woken);
    }

    fn len(&self) -> usize {
        self.pile.lock().items.len()
    }

    fn put_so_far(&self) -> u64 {
        self.put.load(Ordering::Acquire)
    }

    fn shut_down(&self, how: Shutdown) -> Vec<T> {
        let mut pile = self.pile.lock();
        pile.shut_down = true;
        let mut discarded = S::default();
        if how == Shutdown::Now {
            discarded = mem::take(&mut pile.items);
        }
        let woken = [pile.putters.all(), pile.getters.all()];
        drop(pile);
        wake_each(woken.into_iter().flatten());
        discarded.into_items()
    }

    fn is_shut_down(&self) -> bool {
        self.pile.lock().shut_down
    }
}
