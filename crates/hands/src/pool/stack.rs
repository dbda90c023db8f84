//! Halves of work that was split, for other workers to take.
//!
//! # Protocol
//!
//! - Each worker has a stack. It alone pushes there and pops from the end; others steal from the front, where the
//!   largest pieces are. All under the stack's lock, so a half is had by one of them.
//! - A half lies on its owner's call stack. The owner does not return before it has popped it or, if it was stolen, seen it
//!   done: that is what makes the pointer good as long as somebody has it.
//! - `halves` counts what is in all stacks, and never less. It is raised before the owner looks whether somebody sleeps, and a worker says
//!   that it sleeps before it looks whether there are halves; with sequential consistency one of them sees the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use super::fork::Half;
use crate::primitive::Padded;

/// The stack of one worker.
#[derive(Default)]
pub(super) struct Stack(Padded<Mutex<VecDeque<Half>>>);

/// Those of all workers.
#[derive(Default)]
pub(super) struct Stacks {
    stacks: RwLock<Vec<Arc<Stack>>>,
    halves: Padded<AtomicUsize>,
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
        self.halves.fetch_add(1, Ordering::SeqCst);
        stack.0.lock().push_back(half);
    }

    /// Takes back the half that was pushed last. `None`: it was stolen.
    pub(super) fn pop(&self, stack: &Stack) -> Option<Half> {
        let half = stack.0.lock().pop_back()?;
        self.halves.fetch_sub(1, Ordering::SeqCst);
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
            .unwrap_or(0);
        let (before, after) = stacks.split_at(from);
        // Beginning behind oneself, so that not all steal from the same.
        let half = after
            .iter()
            .chain(before)
            .find_map(|stack| stack.0.lock().pop_front())?;
        self.halves.fetch_sub(1, Ordering::SeqCst);
        Some(half)
    }

    pub(super) fn seem_empty(&self) -> bool {
        self.halves.load(Ordering::SeqCst) == 0
    }
}
