//! `--halt`: when a batch stops before its end, and what it then exits with.

use std::fmt;
use std::str::FromStr;

use super::{InvalidRule, exit_code};

/// When to stop a batch early.
///
/// Written as GNU parallel writes it: `never`, or *when*`,`*what*`=`*how many*, such as
/// `now,fail=1`, `soon,fail=10%` or `now,success=1`. Its old numbers work too: `0` never, `1`
/// `soon,fail=1`, `2` `now,fail=1`, `-1` `soon,success=1`, `-2` `now,success=1`, and `N%`
/// `soon,fail=N%`.
///
/// ```
/// use hands_batch::policy::{Halt, HaltState, HaltWhen};
///
/// let mut state = HaltState::new("now,fail=2".parse().unwrap());
/// assert_eq!(state.observe(false, None), None);
/// assert_eq!(state.observe(true, None), None);
/// assert_eq!(state.observe(false, None), Some(HaltWhen::Now));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Halt {
    /// Run every job, whatever happens.
    #[default]
    Never,
    /// Stop once enough jobs ended in a given way.
    At {
        /// How to stop.
        when: HaltWhen,
        /// Which jobs are counted.
        on: HaltOn,
        /// How many are enough.
        count: HaltCount,
    },
}

/// How a batch stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaltWhen {
    /// Start no new job; let the running ones end.
    Soon,
    /// Kill the running jobs and stop.
    Now,
}

/// Which jobs count towards stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaltOn {
    /// Those that failed.
    Fail,
    /// Those that succeeded.
    Success,
    /// Every one that ended.
    Done,
}

/// How many jobs are enough to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaltCount {
    /// A number of jobs, at least one.
    Jobs(u64),
    /// A percentage, 1 to 100, of all jobs of the batch. While their number is not known (lines of
    /// a file, of stdin), of those that have been started, once three count, as with GNU parallel.
    Percent(u8),
}

impl FromStr for Halt {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        match text {
            "never" | "0" => return Ok(Self::Never),
            "1" => return Ok(Self::at(HaltWhen::Soon, HaltOn::Fail)),
            "2" => return Ok(Self::at(HaltWhen::Now, HaltOn::Fail)),
            "-1" => return Ok(Self::at(HaltWhen::Soon, HaltOn::Success)),
            "-2" => return Ok(Self::at(HaltWhen::Now, HaltOn::Success)),
            _ => {}
        }
        if text.ends_with('%') && !text.contains(['=', ',']) {
            let count = text.parse()?;
            return Ok(Self::At {
                when: HaltWhen::Soon,
                on: HaltOn::Fail,
                count,
            });
        }
        let Some((when, rest)) = text.split_once(',') else {
            return Err(InvalidRule::new(format!(
                "`{text}` does not say when to stop: use `never`, `soon,fail=N`, `now,fail=N`, `now,success=N` or `now,done=N`, N a number or a percentage"
            )));
        };
        let when = match when {
            "soon" => HaltWhen::Soon,
            "now" => HaltWhen::Now,
            _ => {
                return Err(InvalidRule::new(format!(
                    "`{when}` is no time to stop: use `soon` or `now`, as in `now,fail=1`"
                )));
            }
        };
        let (on, count) = rest.split_once('=').unwrap_or((rest, ""));
        let on = match on {
            "fail" => HaltOn::Fail,
            "success" => HaltOn::Success,
            "done" => HaltOn::Done,
            _ => {
                return Err(InvalidRule::new(format!(
                    "`{on}` is nothing to count: use `fail`, `success` or `done`, as in `now,fail=1`"
                )));
            }
        };
        let count = count.parse()?;
        Ok(Self::At { when, on, count })
    }
}

impl Halt {
    fn at(when: HaltWhen, on: HaltOn) -> Self {
        let count = HaltCount::Jobs(1);
        Self::At { when, on, count }
    }

    /// Whether the rule can be judged only once the number of jobs is known, so that the input is
    /// best counted first.
    #[must_use]
    pub fn needs_total(&self) -> bool {
        matches!(
            self,
            Self::At {
                count: HaltCount::Percent(_),
                ..
            }
        )
    }
}

impl FromStr for HaltCount {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => digits(percent)
                .and_then(|percent| u8::try_from(percent).ok())
                .filter(|percent| *percent <= 100)
                .map(Self::Percent),
            None => digits(text).map(Self::Jobs),
        };
        parsed.ok_or_else(|| {
            InvalidRule::new(format!(
                "`{text}` is no number of jobs: use a number from 1 or a percentage from 1% to 100%, as in `now,fail=1` or `soon,fail=10%`"
            ))
        })
    }
}

/// A number from 1; `+1` and the like are not digits.
fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain
        .then(|| text.parse().ok())
        .flatten()
        .filter(|number| *number > 0)
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::At { when, on, count } = self else {
            return f.write_str("never");
        };
        let when = match when {
            HaltWhen::Soon => "soon",
            HaltWhen::Now => "now",
        };
        let on = match on {
            HaltOn::Fail => "fail",
            HaltOn::Success => "success",
            HaltOn::Done => "done",
        };
        match count {
            HaltCount::Jobs(jobs) => write!(f, "{when},{on}={jobs}"),
            HaltCount::Percent(percent) => write!(f, "{when},{on}={percent}%"),
        }
    }
}

/// A [`Halt`] at work: it counts how jobs ended and says when to stop.
///
/// A job counts once, by its last attempt: retries are not failures.
#[derive(Debug, Clone)]
pub struct HaltState {
    halt: Halt,
    failed: u64,
    succeeded: u64,
    started: u64,
    halted: Option<HaltWhen>,
}

impl HaltState {
    /// Nothing has ended yet.
    #[must_use]
    pub fn new(halt: Halt) -> Self {
        Self {
            halt,
            failed: 0,
            succeeded: 0,
            started: 0,
            halted: None,
        }
    }

    /// Notes the number of jobs that have been started, each counted once.
    pub fn have_started(&mut self, jobs: u64) {
        self.started = jobs;
    }

    /// A job ended. The answer is `Some` exactly once, at the job that makes it enough; jobs that
    /// end later are still counted.
    ///
    /// A percentage is of `total_known`, the number of jobs the batch has in all. While that is
    /// `None` it is of those that [have started](Self::have_started), once three count;
    /// [`HaltState::total_is_known`] looks again.
    pub fn observe(&mut self, succeeded: bool, total_known: Option<u64>) -> Option<HaltWhen> {
        if succeeded {
            self.succeeded += 1;
        } else {
            self.failed += 1;
        }
        self.judge(total_known)
    }

    /// A job that had failed is tried again, and counts when that has ended.
    pub fn forget_failure(&mut self) {
        self.failed = self.failed.saturating_sub(1);
    }

    /// The input has ended, so the number of jobs is known: stop now, if what has been counted was
    /// enough all along.
    pub fn total_is_known(&mut self, total: u64) -> Option<HaltWhen> {
        self.judge(Some(total))
    }

    fn judge(&mut self, total: Option<u64>) -> Option<HaltWhen> {
        let Halt::At { when, on, count } = self.halt else {
            return None;
        };
        let counted = match on {
            HaltOn::Fail => self.failed,
            HaltOn::Success => self.succeeded,
            HaltOn::Done => self.done(),
        };
        let enough = match count {
            HaltCount::Jobs(jobs) => counted >= jobs,
            // Nothing counted is never enough, not even of no jobs at all.
            HaltCount::Percent(percent) => {
                let (least, of) = match total {
                    Some(total) => (1, total),
                    None => (LEAST_OF_UNKNOWN, self.started.max(self.done())),
                };
                counted >= least
                    && u128::from(counted) * 100 >= u128::from(of) * u128::from(percent)
            }
        };
        if !enough || self.halted.is_some() {
            return None;
        }
        self.halted = Some(when);
        self.halted
    }

    /// How the batch is being stopped, if it is.
    #[must_use]
    pub fn halted(&self) -> Option<HaltWhen> {
        self.halted
    }

    /// The jobs that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// The jobs that ended, either way.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.failed + self.succeeded
    }

    /// What the batch exits with, as GNU parallel does.
    ///
    /// Not halted: [`exit_code`] of the failures. Halted by success: 0. Halted by the first failed
    /// (or the first ended) job: `own`, the code of the job at which [`observe`](Self::observe)
    /// answered (128 + N where signal N killed it). Halted by several: [`exit_code`]. Halted by a
    /// percentage: the percentage of `total` that failed, rounded up, so that a failure is never 0.
    #[must_use]
    pub fn exit_code(&self, own: u8, total: Option<u64>) -> u8 {
        let (Halt::At { on, count, .. }, Some(_)) = (self.halt, self.halted) else {
            return exit_code(self.failed);
        };
        match (on, count) {
            (HaltOn::Success, _) => 0,
            (_, HaltCount::Jobs(1)) => own,
            (_, HaltCount::Jobs(_)) => exit_code(self.failed),
            (_, HaltCount::Percent(_)) => {
                let total = u128::from(total.unwrap_or_else(|| self.done()).max(1));
                let percent = (u128::from(self.failed) * 100).div_ceil(total);
                u8::try_from(percent).unwrap_or(100).min(100)
            }
        }
    }
}

/// The number of jobs that must have started before a percentage is taken of an unknown total.
const LEAST_OF_UNKNOWN: u64 = 3;

#[cfg(test)]
mod tests;
