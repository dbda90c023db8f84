//! A meeting point for a fixed number of threads.
//!
//! # How it works
//!
//! Each meeting is a [`Round`] of its own with one outcome. Who arrives joins the round of the
//! moment and waits for *its* outcome, so that a quick thread may be in the next round while slow
//! ones are still leaving the last. The last to arrive opens the next round, runs the action, and
//! then decides the outcome, unless somebody has broken the round meanwhile.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::park::deadline;
use crate::primitive::{Condvar, Mutex};

/// Lets a fixed number of threads wait for each other, again and again, with an action between.
///
/// A time-out, [`abort`](Self::abort) or an action that panics breaks it: everybody gets
/// [`Broken`], until [`reset`](Self::reset).
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::sync::Arc;
/// use hands::sync::Barrier;
///
/// let rounds = Arc::new(AtomicUsize::new(0));
/// let counted = Arc::clone(&rounds);
/// let barrier = Barrier::with_action(3, move || { counted.fetch_add(1, Ordering::Relaxed); });
/// std::thread::scope(|scope| {
///     for _ in 0..3 {
///         scope.spawn(|| {
///             for _ in 0..10 {
///                 barrier.wait().unwrap();
///             }
///         });
///     }
/// });
/// assert_eq!(rounds.load(Ordering::Relaxed), 10);
/// ```
pub struct Barrier {
    parties: usize,
    action: Option<Box<dyn Fn() + Send + Sync>>,
    state: Mutex<BarrierState>,
    decided: Condvar,
}

struct BarrierState {
    round: Arc<Round>,
    arrived: usize,
    broken: bool,
}

/// One meeting.
#[derive(Default)]
struct Round {
    /// Once it is decided: whether all met. Set under the barrier's lock, so that no waiter misses
    /// it.
    met: OnceLock<bool>,
}

impl Round {
    /// The first decision counts, and is returned.
    fn decide(&self, met: bool) -> bool {
        *self.met.get_or_init(|| met)
    }
}

// A panic leaves it as it was.
impl std::panic::UnwindSafe for Barrier {}
impl std::panic::RefUnwindSafe for Barrier {}

impl Barrier {
    /// A barrier for `parties` threads.
    ///
    /// # Panics
    ///
    /// If `parties` is 0.
    pub fn new(parties: usize) -> Barrier {
        Barrier::with(parties, None)
    }

    /// A barrier at which the last to arrive runs `action`, before anybody goes on. If it panics,
    /// that thread panics and the barrier is broken for all others.
    ///
    /// # Panics
    ///
    /// If `parties` is 0.
    pub fn with_action(parties: usize, action: impl Fn() + Send + Sync + 'static) -> Barrier {
        Barrier::with(parties, Some(Box::new(action)))
    }

    fn with(parties: usize, action: Option<Box<dyn Fn() + Send + Sync>>) -> Barrier {
        assert!(
            parties > 0,
            "a barrier for 0 threads would never open; it takes at least 1"
        );
        Barrier {
            parties,
            action,
            state: Mutex::new(BarrierState {
                round: Arc::default(),
                arrived: 0,
                broken: false,
            }),
            decided: Condvar::new(),
        }
    }

    /// Waits until all have arrived. Returns in which place this thread did: 0 was the first, and
    /// exactly one gets each number below `parties`.
    ///
    /// # Errors
    ///
    /// [`Broken`] if the barrier is broken, or gets so meanwhile.
    ///
    /// # Panics
    ///
    /// If this thread came last and the action panics.
    pub fn wait(&self) -> Result<usize, Broken> {
        self.meet(None)
    }

    /// [`wait`](Self::wait) for no longer than `timeout`: then the barrier is broken for all.
    ///
    /// # Errors
    ///
    /// [`Broken`] if the time was up, or the barrier is broken, or gets so meanwhile.
    ///
    /// # Panics
    ///
    /// If this thread came last and the action panics.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, Broken> {
        self.meet(Some(timeout))
    }

    fn meet(&self, timeout: Option<Duration>) -> Result<usize, Broken> {
        let deadline = timeout.and_then(deadline);
        let mut state = self.state.lock();
        if state.broken {
            return Err(Broken);
        }
        let round = Arc::clone(&state.round);
        let place = state.arrived;
        state.arrived += 1;
        if state.arrived == self.parties {
            state.arrived = 0;
            state.round = Arc::default();
            drop(state);
            return self.open(&round).then_some(place).ok_or(Broken);
        }
        loop {
            if let Some(met) = round.met.get().copied() {
                return met.then_some(place).ok_or(Broken);
            }
            match deadline {
                None => state = self.decided.wait(state),
                Some(deadline) => {
                    let timed_out;
                    (state, timed_out) = self.decided.wait_until(state, deadline);
                    if timed_out && round.met.get().is_none() {
                        round.decide(false);
                        self.break_up(&mut state);
                        return Err(Broken);
                    }
                }
            }
        }
    }

    /// All are there: runs the action, and lets them go.
    fn open(&self, round: &Round) -> bool {
        if let Some(action) = &self.action {
            let mut opening = Opening {
                barrier: self,
                round,
                panicked: true,
            };
            action();
            opening.panicked = false;
        }
        let _state = self.state.lock();
        let met = round.decide(true);
        self.decided.notify_all();
        met
    }

    fn break_up(&self, state: &mut BarrierState) {
        state.broken = true;
        state.arrived = 0;
        std::mem::take(&mut state.round).decide(false);
        self.decided.notify_all();
    }

    /// Breaks the barrier, for those who wait and those who come, until [`reset`](Self::reset).
    pub fn abort(&self) {
        self.break_up(&mut self.state.lock());
    }

    /// Makes the barrier as it was at first. Those who are waiting get [`Broken`].
    pub fn reset(&self) {
        let mut state = self.state.lock();
        if state.arrived > 0 {
            self.break_up(&mut state);
        }
        state.broken = false;
    }

    /// How many threads meet here.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many are waiting for the others.
    pub fn waiting(&self) -> usize {
        self.state.lock().arrived
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.state.lock().broken
    }
}

/// Breaks the barrier if the action panics.
struct Opening<'a> {
    barrier: &'a Barrier,
    round: &'a Round,
    panicked: bool,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if self.panicked {
            let mut state = self.barrier.state.lock();
            self.round.decide(false);
            self.barrier.break_up(&mut state);
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Barrier");
        shown.field("parties", &self.parties);
        shown.field("waiting", &self.waiting());
        shown.field("is_broken", &self.is_broken());
        shown.finish_non_exhaustive()
    }
}

/// The barrier is broken: somebody did not arrive in time, it was aborted or reset, or its action
/// panicked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the barrier is broken: a time-out, an abort, a reset or a panic; `reset` makes it usable again",
        )
    }
}

impl Error for Broken {}

debug_is_sentence!(Broken);
