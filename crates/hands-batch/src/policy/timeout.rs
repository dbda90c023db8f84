//! `--timeout`: how long a job may run.

use std::str::FromStr;
use std::time::Duration;

use super::{InvalidRule, Median, parse_duration};

/// How long a job may run: a duration (`10`, `2.5`, `1h30m`) or a percentage of the median run time
/// of the jobs that succeeded so far (`200%`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// This long.
    After(Duration),
    /// This many percent of the median run time.
    OfMedian(u32),
}

impl FromStr for Timeout {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        if let Some(percent) = text.strip_suffix('%') {
            return match percent.parse() {
                Ok(percent) if percent > 100 => Ok(Self::OfMedian(percent)),
                Ok(_) => Err(InvalidRule::new(format!(
                    "`{text}` of the median run time would kill half of the jobs: use more than `100%`, as in `300%`"
                ))),
                Err(_) => Err(InvalidRule::new(format!(
                    "`{text}` is not a percentage of the median run time: use a whole number above 100, as in `300%`"
                ))),
            };
        }
        match parse_duration(text) {
            Ok(Duration::ZERO) => Err(InvalidRule::new(format!(
                "`{text}` would kill every job at once: give a longer time, or no timeout for none"
            ))),
            Ok(limit) => Ok(Self::After(limit)),
            Err(_) => Err(InvalidRule::new(format!(
                "`{text}` is not a time limit: use seconds (`10`, `2.5`), units (`5m`, `1h30m`), or a percentage of the median run time (`300%`)"
            ))),
        }
    }
}

/// A [`Timeout`] at work: it learns how long jobs take and says how long the next may.
///
/// A percentage gives no limit before [`TimeLimit::NEEDED`] jobs have succeeded, and never one
/// below [`TimeLimit::SHORTEST`]. Jobs that run when the limit becomes known are best measured by
/// it too.
#[derive(Debug, Clone)]
pub struct TimeLimit {
    timeout: Timeout,
    median: Median,
}

impl TimeLimit {
    /// The number of jobs that must have succeeded before a percentage of their median is used.
    pub const NEEDED: u64 = 3;

    /// The least limit a percentage gives. Below this the machine's noise, not the job, would
    /// decide.
    pub const SHORTEST: Duration = Duration::from_millis(100);

    /// Nothing has run yet.
    #[must_use]
    pub fn new(timeout: Timeout) -> Self {
        Self {
            timeout,
            median: Median::default(),
        }
    }

    /// A job succeeded after `wall`. Failed and killed jobs are not counted: they would pull the
    /// median down.
    pub fn succeeded(&mut self, wall: Duration) {
        if matches!(self.timeout, Timeout::OfMedian(_)) {
            self.median.record(wall);
        }
    }

    /// How long a job may run in all; `None` while there is no limit yet.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        match self.timeout {
            Timeout::After(limit) => Some(limit),
            Timeout::OfMedian(percent) if self.median.samples() >= Self::NEEDED => {
                let seconds = self.median.get()?.as_secs_f64() * f64::from(percent) / 100.0;
                let limit = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
                Some(limit.max(Self::SHORTEST))
            }
            Timeout::OfMedian(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_percentages_are_told_apart() {
        assert_eq!("10".parse(), Ok(Timeout::After(Duration::from_secs(10))));
        assert_eq!(
            "1h30m".parse(),
            Ok(Timeout::After(Duration::from_secs(5400)))
        );
        assert_eq!("200%".parse(), Ok(Timeout::OfMedian(200)));
    }

    #[test]
    fn what_would_kill_every_job_is_refused() {
        for text in ["0", "0s", "100%", "50%", "0%", "-5", "%", "x", "", "1.5%"] {
            let error = text.parse::<Timeout>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn a_duration_is_the_limit_from_the_start() {
        let limit = TimeLimit::new(Timeout::After(Duration::from_secs(2)));
        assert_eq!(limit.limit(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_percentage_waits_for_three_successes() {
        let mut limit = TimeLimit::new(Timeout::OfMedian(200));
        for _ in 0..TimeLimit::NEEDED {
            assert_eq!(limit.limit(), None);
            limit.succeeded(Duration::from_secs(10));
        }
        let found = limit.limit().expect("enough samples").as_secs_f64();
        assert!((19.8..20.2).contains(&found), "{found}");
    }

    #[test]
    fn tiny_jobs_are_not_killed_by_noise() {
        let mut limit = TimeLimit::new(Timeout::OfMedian(150));
        for _ in 0..10 {
            limit.succeeded(Duration::from_millis(1));
        }
        assert_eq!(limit.limit(), Some(TimeLimit::SHORTEST));
    }
}
