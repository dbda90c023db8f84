//! Halves of work that was split, for other workers to take.
//!
//! # Protocol
//!
//! - Each worker has a stack. It alone pushes there and pops from the end; others steal from the
//!   front, where the largest pieces are. All under the stack's lock, so a half is had by one of
//!   them.
//! - A half lies on its owner's call stack. The owner does not return before it has popped it or,
//!   if it was stolen, seen it done: that is what makes the pointer good as long as somebody has
//!   it.
//! - Who sleeps meanwhile is woken as [`calls`](super::calls) says.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::calls::Calls;
use super::fork::Half;
use crate::primitive::Padded;

/// The stack of one worker.
#[derive(Default)]
pub(super) struct Stack(Padded<Mutex<VecDeque<Half>>>);

impl Stack {
    pub(super) fn height(&self) -> usize {
        self.0.lock().len()
    }
}

/// Those of all workers.
#[derive(Default)]
pub(super) struct Stacks {
    stacks: RwLock<Vec<Arc<Stack>>>,
    pub(super) calls: Calls,
}

impl Stacks {
    pub(super) fn add(&self) -> Arc<Stack> {
        let stack = Arc::new(Stack::default());
        self.stacks.write().push(Arc::clone(&stack));
        stack
    }

    pub(super) fn remove(&self, stack: &Arc<Stack>) {
        self.stacks
            .write()
            .retain(|other| !Arc::ptr_eq(other, stack));
    }

    pub(super) fn push(&self, stack: &Stack, half: Half) {
        let mut halves = stack.0.lock();
        if halves.is_empty() {
            self.calls.offer();
        }
        halves.push_back(half);
    }

    /// Takes back the half that was pushed last. `None`: it was stolen.
    pub(super) fn pop(&self, stack: &Stack) -> Option<Half> {
        let mut halves = stack.0.lock();
        let half = halves.pop_back()?;
        if halves.is_empty() {
            self.calls.withdraw();
        }
        Some(half)
    }

    /// Takes the oldest half of another worker.
    pub(super) fn steal(&self, own: &Stack) -> Option<Half> {
        if self.seem_empty() {
            return None;
        }
        let stacks = self.stacks.read();
        let from = stacks
            .iter()
            .position(|stack| std::ptr::eq(&**stack, own))
            .map_or(0, |own| own + 1);
        let (before, after) = stacks.split_at(from);
        // Beginning behind oneself, so that not all steal from the same.
        after.iter().chain(before).find_map(|stack| {
            let mut halves = stack.0.lock();
            let half = halves.pop_front()?;
            if halves.is_empty() {
                self.calls.withdraw();
            }
            Some(half)
        })
    }

    /// Takes the oldest half of that stack which lies above the `base` oldest. If those have been
    /// stolen meanwhile, it may miss some.
    pub(super) fn steal_above(&self, stack: *const Stack, base: usize) -> Option<Half> {
        let stacks = self.stacks.read();
        let stack = stacks.iter().find(|known| Arc::as_ptr(known) == stack)?;
        let mut halves = stack.0.lock();
        let half = halves.remove(base)?;
        if halves.is_empty() {
            self.calls.withdraw();
        }
        Some(half)
    }

    pub(super) fn seem_empty(&self) -> bool {
        self.calls.seem_empty()
    }
}
