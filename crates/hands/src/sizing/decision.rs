//! What a controller answers.

use std::fmt;
use std::time::Duration;

/// A size, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// How many workers there should be.
    pub size: usize,
    /// How many there were before the last change.
    pub before: usize,
    /// How many would fill the cores if tasks waited for nothing that is scarce; the maximum if
    /// tasks use no CPU.
    pub target: f64,
    /// CPU time of a task; `None` until one is done.
    pub x: Option<Duration>,
    /// Waiting time of a task, without that for a core or for our own locks; `None` until one is
    /// done.
    pub wait: Option<Duration>,
    /// The reason.
    pub why: Why,
}

/// Why a pool has its size. Its text is a sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// Nothing has been measured.
    Start {
        /// One worker for each.
        cores: f64,
    },
    /// On the way to the target or there.
    Target {
        /// Workers.
        size: usize,
        /// Cores to fill.
        cores: f64,
        /// The CPU's share of a task's time; `None`: next to nothing.
        cpu_share: Option<f64>,
        /// CPU and waiting time of a task.
        task: Option<(Duration, Duration)>,
        /// The target.
        target: f64,
    },
    /// Tasks of uneven length leave cores idle at the target's size.
    Uneven {
        /// Workers.
        size: usize,
        /// The target.
        target: f64,
        /// The share of the cores that was idle.
        idle: f64,
    },
    /// Nothing is queued.
    NothingQueued,
    /// No core is idle.
    NoIdleCore,
    /// Tasks wait for a core, so more of them would only wait longer.
    Delayed {
        /// The share of their time in which tasks are ready to run without a core.
        share: f64,
    },
    /// No core is idle, but tasks that hardly use one may do more in greater number: a look whether
    /// they do.
    TryMore {
        /// Workers.
        size: usize,
        /// The smaller number before.
        before: usize,
    },
    /// All workers are in tasks that have waited for a while, none has ended, and others are
    /// queued.
    AllBlocked {
        /// Workers.
        size: usize,
    },
    /// More did no more.
    NoGain {
        /// The smaller number.
        size: usize,
        /// The greater number that was tried.
        tried: usize,
        /// By which part these did more.
        gain: f64,
    },
    /// A look whether fewer do as much.
    TryFewer {
        /// Workers.
        size: usize,
        /// The greater number before.
        before: usize,
    },
    /// Fewer did as much.
    AsMuch {
        /// Workers.
        size: usize,
        /// The greater number before.
        before: usize,
    },
    /// Fewer did less.
    FewerDidLess {
        /// Workers.
        size: usize,
        /// The smaller number that was tried.
        tried: usize,
        /// By which part these did less.
        loss: f64,
    },
    /// More workers than the target.
    TooMany {
        /// Workers.
        size: usize,
        /// The greater number before.
        before: usize,
        /// The target.
        target: f64,
        /// The share of their time in which tasks are ready to run without a core.
        delay: f64,
    },
    /// What was tried could not be judged: the queue ran dry.
    Unjudged {
        /// Workers.
        size: usize,
        /// The number tried.
        tried: usize,
    },
    /// The maximum.
    AtLimit {
        /// The maximum.
        max: usize,
    },
}

/// A share in whole per cent.
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} %", 100.0 * self.0)
    }
}

/// At most one decimal, and none that is zero.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (10.0 * self.0).round();
        let decimals = usize::from(tenths % 10.0 != 0.0);
        write!(f, "{:.decimals$}", self.0)
    }
}

fn plural(count: f64) -> &'static str {
    if count == 1.0 { "" } else { "s" }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Why::Start { cores } => {
                write!(f, "one worker for each of {} cores", Short(cores))
            }
            Why::Target {
                size,
                cpu_share: None,
                ..
            } => write!(
                f,
                "{size} worker{}: tasks hardly use the CPU",
                plural(size as f64)
            ),
            Why::Target {
                size,
                cores,
                cpu_share: Some(share),
                task,
                target,
            } => {
                let s = plural(size as f64);
                write!(
                    f,
                    "{size} worker{s}: tasks use the CPU {} of their time",
                    Percent(share)
                )?;
                let cores_s = plural(cores);
                let cores = Short(cores);
                let target = Short(target);
                let Some((x, wait)) = task else {
                    return write!(f, ", so {cores} core{cores_s} / {share:.2} = {target}");
                };
                let (x, wait) = (1e3 * x.as_secs_f64(), 1e3 * wait.as_secs_f64());
                write!(
                    f,
                    " (x {x:.1} ms, wait {wait:.1} ms), so {cores} core{cores_s} x ({x:.1} + {wait:.1}) / {x:.1} = {target}"
                )
            }
            Why::Uneven { size, target, idle } => write!(
                f,
                "{size} workers: {} would do for tasks of even length, but these left {} of the cores idle",
                Short(target),
                Percent(idle)
            ),
            Why::NothingQueued => f.write_str("not grown: nothing is queued"),
            Why::NoIdleCore => f.write_str("not grown: no core is idle"),
            Why::Delayed { share } => write!(
                f,
                "not grown: tasks wait for a core {} of their time",
                Percent(share)
            ),
            Why::TryMore { size, before } => write!(
                f,
                "no core is idle, but tasks hardly use one: a look whether {size} do more than {before}"
            ),
            Why::AllBlocked { size } => write!(
                f,
                "{size} workers: all others were waiting in their tasks, and none went on"
            ),
            Why::NoGain { size, tried, gain } => write!(
                f,
                "not grown: {tried} workers did only {} more than {size}",
                Percent(gain.max(0.0))
            ),
            Why::TryFewer { size, before } => {
                write!(f, "a look whether {size} do as much as {before}")
            }
            Why::AsMuch { size, before } => {
                write!(
                    f,
                    "shrunk to {size}: {before} workers did no more than {size}"
                )
            }
            Why::FewerDidLess { size, tried, loss } => write!(
                f,
                "not shrunk: {tried} did {} less than {size}",
                Percent(loss)
            ),
            Why::TooMany {
                size,
                before,
                target,
                delay,
            } => write!(
                f,
                "shrunk from {before} to {size}: {} fill the cores, and tasks wait for a core {} of their time",
                Short(target),
                Percent(delay)
            ),
            Why::Unjudged { size, tried } => {
                write!(f, "back to {size}: nothing was queued to judge {tried} by")
            }
            Why::AtLimit { max } => write!(f, "at the limit of {max}"),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}
