//! A running median in bounded memory.

use std::collections::BTreeMap;
use std::time::Duration;

/// The median of any number of durations, to within 1 %, in some kilobytes at most.
///
/// Each duration falls into a bucket at most 1.6 % wide, on a logarithmic scale from one
/// microsecond, and the middle of a bucket stands for all in it. From a microsecond to a century
/// that is fewer than 2,900 buckets, of which a batch of similar jobs uses a handful. Keeping every
/// sample would be exact, and cost a million jobs eight megabytes.
///
/// ```
/// use std::time::Duration;
/// use hands_batch::policy::Median;
///
/// let mut median = Median::default();
/// for seconds in [3, 100, 2] {
///     median.record(Duration::from_secs(seconds));
/// }
/// let middle = median.get().unwrap().as_secs_f64();
/// assert!((2.97..3.03).contains(&middle));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Median {
    buckets: BTreeMap<u16, u64>,
    samples: u64,
}

/// Buckets for each doubling. Half a bucket, less than 0.8 %, is the error.
const STEPS: u128 = 64;

impl Median {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        *self.buckets.entry(bucket(duration)).or_default() += 1;
        self.samples += 1;
    }

    /// How many durations were counted.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The median (of an even number, the lower of the two in the middle); `None` before the first
    /// sample.
    #[must_use]
    pub fn get(&self) -> Option<Duration> {
        let middle = self.samples.div_ceil(2);
        let mut below = 0;
        self.buckets
            .iter()
            .find(|(_, count)| {
                below += **count;
                below >= middle
            })
            .map(|(bucket, _)| middle_of(*bucket))
    }
}

/// The exponent of a duration in microseconds, and the six bits behind its first one. Whole numbers
/// only: a logarithm would be as good and would make every program load the mathematics library.
fn bucket(duration: Duration) -> u16 {
    let micros = duration.as_micros();
    let shift = (micros | 1).ilog2().saturating_sub(STEPS.ilog2());
    let bucket = u128::from(shift) * STEPS + (micros >> shift);
    // 2^85 microseconds, the longest duration there is, falls far below that.
    u16::try_from(bucket).unwrap_or(u16::MAX)
}

fn middle_of(bucket: u16) -> Duration {
    let bucket = u128::from(bucket);
    // Buckets below 2 * STEPS are one microsecond wide.
    let shift = (bucket / STEPS).saturating_sub(1);
    let bottom = (bucket - shift * STEPS) << shift;
    let micros = bottom + ((1 << shift) >> 1);
    u64::try_from(micros).map_or(Duration::MAX, Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(Median::default().get(), None);
    }

    #[test]
    fn extremes_are_counted() {
        let mut median = Median::default();
        median.record(Duration::ZERO);
        assert!(median.get() <= Some(Duration::from_micros(2)));
        median.record(Duration::MAX);
        median.record(Duration::MAX);
        assert!(median.get() >= Some(Duration::from_secs(1 << 50)));
    }

    #[test]
    fn a_million_samples_stay_small() {
        let mut median = Median::default();
        for n in 1..=1_000_000u64 {
            median.record(Duration::from_micros(n * 37));
        }
        assert_eq!(median.samples(), 1_000_000);
        assert!(median.buckets.len() < 1000);
    }

    proptest! {
        #[test]
        fn it_is_within_one_percent_of_the_exact_one(
            mut micros in proptest::collection::vec(1..10_000_000_000u64, 1..200)
        ) {
            let mut median = Median::default();
            for &sample in &micros {
                median.record(Duration::from_micros(sample));
            }
            micros.sort_unstable();
            let exact = micros[(micros.len() - 1) / 2] as f64 / 1e6;
            let found = median.get().expect("samples").as_secs_f64();
            prop_assert!((found / exact - 1.0).abs() < 0.0101, "{found} for {exact}");
        }
    }
}
