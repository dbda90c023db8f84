//! A trial, and what trials have shown.

use super::sums::Sums;
use super::thresholds::{
    CLEAR, CLEAR_LOSS, PERIOD, PERIOD_DOWN, PERIOD_LONG, SOME_LOSS, TASKS_FEW, TASKS_FEWER,
    TASKS_MORE,
};

/// A size tried for a period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) from: usize,
    pub(super) before: Sums,
    /// The part by which throughput should rise, or, with fewer workers, fall, if each were of use.
    pub(super) promise: f64,
}

/// What trials have shown about the work at hand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// The greatest size that was seen to do less than a greater one; 0: none.
    pub(super) too_few: usize,
    /// The greatest size of which that is beyond doubt.
    pub(super) clearly_too_few: usize,
    /// The least number of workers that was of use, by what sizes above `too_few` did. 0: unknown.
    pub(super) of_use: f64,
    /// What the smallest size known to do as much as all greater ones did when that was found.
    pub(super) enough: Option<Sums>,
    /// Two sizes that did as much, and what the greater did more.
    pub(super) no_gain: Option<(usize, usize, f64)>,
    pub(super) retry_at: f64,
    pub(super) pause: f64,
    /// What the work looked like at this size.
    pub(super) fingerprint: Option<f64>,
}

impl Trial {
    /// Whether `period`, measured at `size`, is long enough for a verdict.
    pub(super) fn is_judged_by(&self, size: usize, period: &Sums) -> bool {
        let Sums { elapsed, done, .. } = *period;
        let gain = period.gain_over(&self.before).unwrap_or_default();
        if size > self.from {
            let clear = gain >= CLEAR * self.promise;
            let many_enough = clear || done >= TASKS_MORE || elapsed >= PERIOD_LONG;
            elapsed >= long_enough(self.promise)
                && many_enough
                && (done >= TASKS_FEW || self.promise > 0.5)
        } else {
            let loss = -gain;
            loss >= (CLEAR * self.promise).max(CLEAR_LOSS)
                || loss >= SOME_LOSS && done >= TASKS_MORE
                || elapsed >= PERIOD_DOWN && done >= TASKS_FEWER
                || elapsed >= PERIOD_LONG && done >= TASKS_FEW
        }
    }
}

/// Small differences take longer to tell from chance.
pub(super) fn long_enough(promise: f64) -> f64 {
    let blur = 0.5 / promise;
    (PERIOD * blur * blur).clamp(PERIOD, PERIOD_LONG)
}
