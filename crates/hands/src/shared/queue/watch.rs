//! Coroutines that wait for a shared queue.
//!
//! What this process does to the queue wakes those that wait by the same handle at once. For what
//! others do a thread sleeps at the queue in their name, as long as there are any, and a little
//! longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

use super::QueueInner;
use crate::foreign::{dispose, wake_each};

/// The thread ends after this number of slices of sleep without anybody to wake.
const LINGER: u32 = 10;

/// The coroutines that wait by one handle and its clones.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<WatchState>,
    /// How many wait, so that who has nobody to wake need not take the lock.
    count: AtomicUsize,
}

#[derive(Default)]
struct WatchState {
    wakers: Vec<(u64, Waker)>,
    next: u64,
    is_watched: bool,
}

impl Watch {
    /// All of them look for themselves.
    pub(super) fn wake_all(&self) {
        // A waiter is counted before it looks at the queue once more, and we have changed that
        // before.
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let wakers = {
            let mut state = self.state.lock();
            self.count.store(0, Ordering::SeqCst);
            std::mem::take(&mut state.wakers)
        };
        wake_each(wakers.into_iter().map(|(_, waker)| waker));
    }
}

/// A coroutine's place among those who are woken; given up when dropped.
pub(super) struct WatchedHandle {
    pub(super) inner: Arc<QueueInner>,
    id: u64,
}

impl WatchedHandle {
    pub(super) fn new(inner: &Arc<QueueInner>, waker: &Waker) -> WatchedHandle {
        let mut is_refused = false;
        let own = waker.clone();
        let mut state = inner.watch.state.lock();
        let id = state.next;
        state.next += 1;
        state.wakers.push((id, own));
        inner
            .watch
            .count
            .store(state.wakers.len(), Ordering::SeqCst);
        if !state.is_watched {
            // Heeded from here on, before the caller looks at the queue once more.
            let seen = inner.ring.heed();
            let watched = Arc::clone(inner);
            let thread = std::thread::Builder::new().name("hands-queue".to_owned());
            let thread = thread.spawn(move || watch(&watched, seen));
            state.is_watched = thread.is_ok();
            if thread.is_err() {
                inner.ring.ignore();
                is_refused = true;
            }
        }
        drop(state);
        if is_refused {
            // Woken by this process's own doings, and by its poll being repeated.
            waker.wake_by_ref();
        }
        WatchedHandle {
            inner: Arc::clone(inner),
            id,
        }
    }
}

impl Drop for WatchedHandle {
    fn drop(&mut self) {
        let watch = &self.inner.watch;
        let mut state = watch.state.lock();
        let at = state.wakers.iter().position(|(id, _)| *id == self.id);
        let own = at.map(|at| state.wakers.remove(at));
        watch.count.store(state.wakers.len(), Ordering::SeqCst);
        drop(state);
        dispose(own);
    }
}

fn watch(inner: &QueueInner, mut seen: u32) {
    let mut idle = 0;
    loop {
        seen = inner.ring.await_change(seen);
        // Also when nothing is said to be new: a process that made it so may have been killed
        // before it could say so.
        inner.watch.wake_all();
        let mut state = inner.watch.state.lock();
        idle = if state.wakers.is_empty() { idle + 1 } else { 0 };
        if idle > LINGER {
            state.is_watched = false;
            inner.ring.ignore();
            return;
        }
    }
}
