//! Wakes wakers at their time: one sleeping thread for the whole program, started when it is first needed.
//!
//! For coroutines only. A thread that waits knows its deadline itself.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::task::Waker;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

static TIMER: LazyLock<Timer> = LazyLock::new(Timer::start);

struct Timer {
    state: Mutex<State>,
    /// Another alarm has become the next one.
    sooner: Condvar,
}

#[derive(Default)]
struct State {
    alarms: BTreeMap<(Instant, u64), Waker>,
    set: u64,
}

impl Timer {
    fn start() -> Timer {
        let started = std::thread::Builder::new()
            .name("hands-timer".to_owned())
            .stack_size(64 * 1024)
            .spawn(|| TIMER.run());
        if let Err(error) = started {
            // Without it a coroutine would sleep for ever.
            panic!("cannot start the timer's thread: {error}");
        }
        Timer {
            state: Mutex::default(),
            sooner: Condvar::new(),
        }
    }

    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            let due: Vec<_> = {
                let later = state.alarms.split_off(&(now, u64::MAX));
                std::mem::replace(&mut state.alarms, later)
                    .into_values()
                    .collect()
            };
            if !due.is_empty() {
                parking_lot::MutexGuard::unlocked(&mut state, || {
                    due.into_iter().for_each(Waker::wake);
                });
                continue;
            }
            match state.alarms.keys().next() {
                Some(&(at, _)) => {
                    self.sooner.wait_until(&mut state, at);
                }
                None => self.sooner.wait(&mut state),
            }
        }
    }
}

/// Wakes a waker when its time has come, unless it is dropped before.
#[derive(Debug)]
pub(crate) struct Alarm {
    key: (Instant, u64),
}

impl Alarm {
    /// When it goes off.
    pub(crate) fn at(&self) -> Instant {
        self.key.0
    }

    /// # Panics
    ///
    /// If the timer's thread cannot be started.
    pub(crate) fn set(at: Instant, waker: &Waker) -> Alarm {
        let mut state = TIMER.state.lock();
        state.set += 1;
        let key = (at, state.set);
        let is_next = state.alarms.keys().next().is_none_or(|next| key < *next);
        state.alarms.insert(key, waker.clone());
        drop(state);
        if is_next {
            TIMER.sooner.notify_one();
        }
        Alarm { key }
    }

    /// Wakes this one instead.
    pub(crate) fn rouse(&self, waker: &Waker) {
        if let Some(known) = TIMER.state.lock().alarms.get_mut(&self.key) {
            known.clone_from(waker);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        TIMER.state.lock().alarms.remove(&self.key);
    }
}
