//! Whose turn it is with a coroutine: who puts it in the line, who polls it, and that no wake-up is
//! lost.
//!
//! ```text
//!          wake: the caller lines it up      begin            rest
//!   Idle ─────────────────────────────▶ Lined ─────▶ Running ─────▶ Idle
//!                                         ▲             │ wake        end: Over
//!                                         │             ▼
//!                                         └── rest ── Woken
//! ```
//!
//! A thread that makes it *lined* puts it in the line, and nobody else does: so it is there once,
//! and polled by one thread at a time. A wake while it runs has it polled once more.
//!
//! Each step reads and writes, also a wake that changes nothing: so a thread that polls next sees
//! what had been done before that wake. A mere look could be overtaken by the poll, and what it was
//! about be seen by nobody. (Model-checked: `task::model`.)

use crate::primitive::{AtomicU64, Ordering};

const IDLE: u64 = 0;
const LINED: u64 = 1;
const RUNNING: u64 = 2;
const WOKEN: u64 = 3;
const OVER: u64 = 4;

pub(crate) struct Turn(AtomicU64);

impl Turn {
    pub(crate) fn new() -> Turn {
        Turn(AtomicU64::new(IDLE))
    }

    /// It is to be polled. True: the caller puts it in the line.
    pub(crate) fn wake(&self) -> bool {
        let mut state = self.0.load(Ordering::Relaxed);
        loop {
            let next = match state {
                IDLE => LINED,
                RUNNING => WOKEN,
                other => other,
            };
            let (had, not) = (Ordering::AcqRel, Ordering::Relaxed);
            match self.0.compare_exchange(state, next, had, not) {
                Ok(_) => return state == IDLE,
                Err(now) => state = now,
            }
        }
    }

    /// It was in the line, and is polled now.
    pub(crate) fn begin(&self) {
        self.0.swap(RUNNING, Ordering::AcqRel);
    }

    /// It was polled and is not ready. True: it was woken meanwhile, and the caller puts it in the
    /// line again.
    pub(crate) fn rest(&self) -> bool {
        let (had, not) = (Ordering::AcqRel, Ordering::Relaxed);
        if self.0.compare_exchange(RUNNING, IDLE, had, not).is_ok() {
            return false;
        }
        self.0.swap(LINED, Ordering::AcqRel);
        true
    }

    /// It is not polled any more. False: nor was it before.
    pub(crate) fn end(&self) -> bool {
        self.0.swap(OVER, Ordering::AcqRel) != OVER
    }
}
