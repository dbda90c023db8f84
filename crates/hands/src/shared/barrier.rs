//! [`Barrier`]: processes that go on only when all have come.

use std::io;
use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use super::mutex::{LockError, Mutex, SharedMutexGuard};
use super::signals::Condvar;
use super::wait::deadline;
use crate::primitive::Ordering;
use crate::sync::Broken;

/// A point that threads of several processes pass together. A clone is the same point.
///
/// One that gives up, or dies at an unlucky moment, breaks it for all; a [`reset`](Self::reset)
/// mends it.
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hands::shared::Barrier;
///
/// # let _hands = hands::init();
/// let barrier = Barrier::new(3)?;
/// let wait = |barrier: Barrier| barrier.wait().is_ok();
/// let others = [(); 2].map(|()| hands::process::spawn(wait, barrier.clone()));
/// barrier.wait()?;
/// for other in others {
///     assert_eq!(other?.join(), Ok(true));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Barrier {
    state: Mutex<SharedBarrierState>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct SharedBarrierState {
    parties: u32,
    arrived: u32,
    /// How often all have come, or a reset has sent away who had.
    rounds: u32,
    /// The round that ended by a reset.
    reset: u32,
    is_broken: u32,
}

impl Barrier {
    /// A barrier for `threads` threads; 0 is taken for 1.
    ///
    /// # Errors
    ///
    /// When the system has not enough memory or descriptors.
    pub fn new(parties: u32) -> io::Result<Barrier> {
        let state = SharedBarrierState {
            parties: parties.max(1),
            ..SharedBarrierState::zeroed()
        };
        Ok(Barrier {
            state: Mutex::new(state)?,
            changed: Condvar::new()?,
        })
    }

    /// Waits until all have come. Returns how many were still to come: 0 for the last.
    ///
    /// # Errors
    ///
    /// [`Broken`] when somebody gave up, called [`abort`](Self::abort) or [`reset`](Self::reset),
    /// or died in this very operation.
    pub fn wait(&self) -> Result<u32, Broken> {
        self.wait_until(None)
    }

    /// Waits until all have come, but no longer than this: then it breaks the barrier.
    ///
    /// # Errors
    ///
    /// [`Broken`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<u32, Broken> {
        self.wait_until(Some(deadline(timeout)).flatten())
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<u32, Broken> {
        let mut state = self.look_until(deadline)?;
        if self.is_broken_in(&state) {
            return Err(Broken);
        }
        // Others write there, too.
        state.arrived = state.arrived.saturating_add(1);
        let left = state.parties.saturating_sub(state.arrived);
        if left == 0 {
            state.arrived = 0;
            state.rounds = state.rounds.wrapping_add(1);
            drop(state);
            self.changed.notify_all();
            return Ok(0);
        }
        let round = state.rounds;
        loop {
            if self.is_broken_in(&state) {
                return Err(Broken);
            }
            if state.rounds != round {
                let was_reset = state.reset == round.wrapping_add(1);
                return if was_reset { Err(Broken) } else { Ok(left) };
            }
            let left_to_wait = match deadline {
                None => Duration::MAX,
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            };
            if left_to_wait.is_zero() {
                state.is_broken = 1;
                drop(state);
                self.changed.notify_all();
                return Err(Broken);
            }
            state = match self.changed.wait_timeout(state, left_to_wait) {
                Ok((state, _)) => state,
                Err(_) => self.look_until(deadline)?,
            };
        }
    }

    /// What a process that died in the middle of it has left cannot be counted on.
    fn look(&self) -> SharedMutexGuard<'_, SharedBarrierState> {
        self.state.lock().unwrap_or_else(|_| {
            let mut state = self.state.recover();
            state.is_broken = 1;
            state
        })
    }

    /// Whether it is broken, be it by one who could not have the lock in time.
    fn is_broken_in(&self, state: &SharedBarrierState) -> bool {
        state.is_broken != 0 || self.state.spare().load(Ordering::SeqCst) != 0
    }

    /// As [`look`](Self::look). One who does not get to look in time breaks it all the same.
    fn look_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<SharedMutexGuard<'_, SharedBarrierState>, Broken> {
        match self.state.lock_until(deadline) {
            Ok(state) => Ok(state),
            Err(LockError::TimedOut) => {
                self.state.spare().store(1, Ordering::SeqCst);
                self.changed.notify_all();
                Err(Broken)
            }
            Err(LockError::Poisoned { .. }) => Ok(self.look()),
        }
    }

    /// Breaks it: a waiter, and a process that comes, is told.
    pub fn abort(&self) {
        self.look().is_broken = 1;
        self.changed.notify_all();
    }

    /// Makes it as new. A waiter is told that it was broken.
    pub fn reset(&self) {
        {
            let mut state = self.look();
            state.rounds = state.rounds.wrapping_add(1);
            state.reset = state.rounds;
            state.arrived = 0;
            state.is_broken = 0;
            self.state.spare().store(0, Ordering::SeqCst);
        }
        self.changed.notify_all();
    }

    /// How many it is for.
    pub fn parties(&self) -> u32 {
        self.look().parties
    }

    /// How many have come and wait.
    pub fn waiting(&self) -> u32 {
        self.look().arrived
    }

    /// Whether it is broken.
    pub fn is_broken(&self) -> bool {
        self.is_broken_in(&self.look())
    }
}
