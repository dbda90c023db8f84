//! `--retries`: how often a failing job is tried, and how long to wait in between.

use std::num::NonZeroU32;
use std::time::Duration;

/// How often to try a job that fails, and when.
///
/// As with GNU parallel the number counts *tries*, the first one included, and 0 means for ever.
/// The wait doubles with each failed try up to a cap, so that a service that is down is not
/// hammered. There is no jitter: the schedule is the same in every run, and jobs that failed
/// together are spread by the free slots they have to wait for.
///
/// ```
/// use std::time::Duration;
/// use hands_batch::policy::Retries;
///
/// let retries = Retries::times(3).with_delay(Duration::from_secs(1));
/// assert_eq!(retries.delay_before(1), Some(Duration::ZERO));
/// assert_eq!(retries.delay_before(2), Some(Duration::from_secs(1)));
/// assert_eq!(retries.delay_before(3), Some(Duration::from_secs(2)));
/// assert_eq!(retries.delay_before(4), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    tries: Option<NonZeroU32>,
    delay: Duration,
    cap: Duration,
}

impl Retries {
    /// The wait before the second try, where none is given.
    pub const DELAY: Duration = Duration::from_millis(100);

    /// The wait before any further try is this many times the one before.
    pub const FACTOR: u32 = 2;

    /// No wait grows past this, unless the first one given is longer: then all are as long as that.
    pub const CAP: Duration = Duration::from_secs(60);

    /// Each job is tried once.
    pub const NONE: Self = Self {
        tries: Some(NonZeroU32::MIN),
        delay: Self::DELAY,
        cap: Self::CAP,
    };

    /// Each job is tried up to `tries` times in all; 0 means until it succeeds.
    #[must_use]
    pub fn times(tries: u32) -> Self {
        Self {
            tries: NonZeroU32::new(tries),
            ..Self::NONE
        }
    }

    /// The wait before the second try; zero tries again at once, every time.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        Self {
            delay,
            cap: Self::CAP.max(delay),
            ..self
        }
    }

    /// How long to wait before try number `attempt`, counted from 1; `None` if the job has been
    /// tried often enough.
    #[must_use]
    pub fn delay_before(&self, attempt: u32) -> Option<Duration> {
        if self.tries.is_some_and(|tries| attempt > tries.get()) {
            return None;
        }
        if attempt < 2 {
            return Some(Duration::ZERO);
        }
        let factor = Self::FACTOR.saturating_pow(attempt - 2);
        Some(self.delay.saturating_mul(factor).min(self.cap))
    }

    /// The tries a job gets in all; `None` for no end.
    #[must_use]
    pub fn tries(&self) -> Option<NonZeroU32> {
        self.tries
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_retries_there_is_one_try() {
        assert_eq!(Retries::default().delay_before(1), Some(Duration::ZERO));
        assert_eq!(Retries::default().delay_before(2), None);
    }

    #[test]
    fn the_wait_doubles_up_to_the_cap() {
        let retries = Retries::times(0).with_delay(Duration::from_secs(10));
        let waits = [2, 3, 4, 5, 6, 40, u32::MAX]
            .map(|n| retries.delay_before(n).expect("no end").as_secs());
        assert_eq!(waits, [10, 20, 40, 60, 60, 60, 60]);
    }

    #[test]
    fn a_long_first_wait_is_kept() {
        let retries = Retries::times(3).with_delay(Duration::from_secs(300));
        assert_eq!(retries.delay_before(2), Some(Duration::from_secs(300)));
        assert_eq!(retries.delay_before(3), Some(Duration::from_secs(300)));
    }

    #[test]
    fn a_wait_of_zero_stays_zero() {
        let retries = Retries::times(9).with_delay(Duration::ZERO);
        assert_eq!(retries.delay_before(9), Some(Duration::ZERO));
    }
}
