//! Wakes wakers at their time.
//!
//! ```text
//!  set ─▶ alarms, by time ──timer: moves those that are due──▶ due ──ringer: wakes one after the other
//! ```
//!
//! The *timer* is one thread for the whole program, started when it is first needed, and runs no
//! foreign code. *Ringers* do, as a waker may belong to a task whose callbacks run then: they may
//! block, panic, and use a whole stack. When none of the ringers has taken a waker for [`STUCK`]
//! though some are due, another ringer is started. So what one alarm sets off delays another one by
//! no more than that.
//!
//! Threads that wait know their deadlines themselves, and need no alarm.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::foreign::{dispose, wake};

static TIMER: Timer = Timer {
    state: Mutex::new(TimerState {
        alarms: BTreeMap::new(),
        set: 0,
        due: VecDeque::new(),
        taken: 0,
        ringers: 0,
        idle: 0,
    }),
    sooner: Condvar::new(),
    ring: Condvar::new(),
    started: Mutex::new(false),
};

/// Ringers that take nothing for this long, though something is due, are stuck in foreign code.
const STUCK: Duration = Duration::from_millis(5);
/// A ringer that is not the only one ends when it has had nothing to do for this long.
const KEPT: Duration = Duration::from_secs(10);
/// The most ringers. With that many callbacks that block, alarms come late.
const MOST: usize = 1024;

struct Timer {
    state: Mutex<TimerState>,
    /// For the timer: another alarm has become the next one.
    sooner: Condvar,
    /// For a ringer: something is due.
    ring: Condvar,
    /// Whether the timer and a ringer run.
    started: Mutex<bool>,
}

struct TimerState {
    alarms: BTreeMap<(Instant, u64), Waker>,
    set: u64,
    due: VecDeque<Waker>,
    /// How many of them have been taken by ringers so far.
    taken: u64,
    ringers: usize,
    /// Ringers that sleep.
    idle: usize,
}

impl Timer {
    /// Starts the timer and a ringer, if they do not run yet.
    fn start(&'static self) -> io::Result<()> {
        let mut started = self.started.lock();
        if *started {
            return Ok(());
        }
        if self.state.lock().ringers == 0 {
            self.start_ringer()?;
        }
        let timer = std::thread::Builder::new().name("hands-timer".to_owned());
        timer.spawn(|| self.run())?;
        *started = true;
        Ok(())
    }

    fn start_ringer(&'static self) -> io::Result<()> {
        self.state.lock().ringers += 1;
        let ringer = std::thread::Builder::new().name("hands-ringer".to_owned());
        let started = ringer.spawn(|| self.ring());
        if started.is_err() {
            self.state.lock().ringers -= 1;
        }
        started.map(drop)
    }

    fn run(&'static self) {
        let mut state = self.state.lock();
        // What the ringers had taken at the last look, and since when.
        let mut seen = (state.taken, Instant::now());
        loop {
            let now = Instant::now();
            while let Some(first) = state.alarms.first_entry()
                && first.key().0 <= now
            {
                let waker = first.remove();
                state.due.push_back(waker);
            }
            if state.taken != seen.0 || state.due.is_empty() {
                seen = (state.taken, now);
            }
            if !state.due.is_empty() {
                if state.idle > 0 {
                    self.ring.notify_one();
                }
                if now.saturating_duration_since(seen.1) >= STUCK && state.ringers < MOST {
                    drop(state);
                    // Refused, it is asked for again.
                    let _ = self.start_ringer();
                    state = self.state.lock();
                    seen = (state.taken, Instant::now());
                }
            }
            let next = state.alarms.keys().next().map(|&(at, _)| at);
            let look = (!state.due.is_empty()).then(|| now + STUCK);
            match [next, look].into_iter().flatten().min() {
                Some(at) => {
                    self.sooner.wait_until(&mut state, at);
                }
                None => self.sooner.wait(&mut state),
            }
        }
    }

    fn ring(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(waker) = state.due.pop_front() {
                state.taken += 1;
                drop(state);
                wake(waker);
                state = self.state.lock();
                continue;
            }
            state.idle += 1;
            let timed_out = self.ring.wait_for(&mut state, KEPT).timed_out();
            state.idle -= 1;
            if timed_out && state.due.is_empty() && state.ringers > 1 {
                state.ringers -= 1;
                return;
            }
        }
    }
}

/// Has `waker` woken at once, on a thread that may block: for what is the user's and must not run
/// where it has come up. The timer must have been [prepared](Alarm::prepare).
pub(crate) fn soon(waker: Waker) {
    let mut state = TIMER.state.lock();
    state.due.push_back(waker);
    let is_idle = state.idle >= state.due.len();
    drop(state);
    match is_idle {
        true => TIMER.ring.notify_one(),
        // It sees to it that somebody comes, if all are stuck.
        false => TIMER.sooner.notify_one(),
    };
}

/// Wakes a waker when its time has come, unless it is dropped before.
#[derive(Debug)]
pub(crate) struct Alarm {
    key: (Instant, u64),
}

impl Alarm {
    /// Makes sure that alarms can be set: after this, setting one cannot fail.
    pub(crate) fn prepare() -> io::Result<()> {
        TIMER.start()
    }

    /// When it goes off.
    pub(crate) fn at(&self) -> Instant {
        self.key.0
    }

    /// Has `waker` woken at that time, on a thread of its own kind.
    ///
    /// # Errors
    ///
    /// When the timer's threads do not run yet and the system refuses them.
    pub(crate) fn set(at: Instant, waker: Waker) -> io::Result<Alarm> {
        TIMER.start()?;
        let mut state = TIMER.state.lock();
        state.set += 1;
        let key = (at, state.set);
        let is_next = state.alarms.keys().next().is_none_or(|next| key < *next);
        state.alarms.insert(key, waker);
        drop(state);
        if is_next {
            TIMER.sooner.notify_one();
        }
        Ok(Alarm { key })
    }

    /// Wakes this one instead.
    pub(crate) fn rouse(&self, waker: &Waker) {
        let is_known = |known: &Waker| known.will_wake(waker);
        if TIMER
            .state
            .lock()
            .alarms
            .get(&self.key)
            .is_none_or(is_known)
        {
            return;
        }
        let mut clone = waker.clone();
        if let Some(known) = TIMER.state.lock().alarms.get_mut(&self.key) {
            std::mem::swap(known, &mut clone);
        }
        dispose(clone);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let waker = TIMER.state.lock().alarms.remove(&self.key);
        dispose(waker);
    }
}
