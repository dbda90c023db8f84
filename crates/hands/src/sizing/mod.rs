//! How many workers a pool should have.
//!
//! A [`Controller`] is told every 20 to 50 ms what the pool did ([`Sample`]) and answers with a
//! size and the reason for it ([`Decision`]). It only calculates: no clock, no thread, no system
//! call; its time is the sum of the samples.
//!
//! # What it promises
//!
//! - The size is within `min..=max` ([`Limits`]), whatever the samples hold.
//! - It grows only while tasks are queued and cores are idle; time ready to run without a core, or
//!   behind our own locks, never counts as waiting. A neighbour who takes the cores therefore makes
//!   no pool grow.
//! - It keeps a growth only if the throughput rose, and never goes beyond twice what it has seen to
//!   be of use. Behind a saturated disk it ends near the smallest size that keeps the disk busy.
//! - Under steady work it comes to rest; what failed is tried again after 2 s, then 4 s, up to 60
//!   s.
//!
//! # How it works
//!
//! ```text
//!              target = cores x utilisation x sum(cpu + wait) / sum(cpu)
//!
//!           .------------ no core idle, nothing queued, at the target ----------.
//!           v                                                                   |
//!   start  REST --- a core idle, size below the target -----> TRIAL of more ----+--> kept, if it did more;
//!           |  \                                                                     else back, and a pause
//!           |   `-- a core idle, unknown what fewer can do -> TRIAL of fewer ------> kept, if it did no less;
//!           |                                                                        else back
//!           `------ size well above the target -------------> the target
//! ```
//!
//! After every change of size the tasks in progress are let go by, one for each worker; then a
//! period is measured that is long enough to judge: 150 ms, longer for small differences, and one
//! task for each worker. Throughput is the rate of tasks done, or, while these are few, of CPU time
//! used.
//!
//! The target alone does not do. Waiting for a disk that serves one at a time looks like any other
//! waiting, but the more workers, the longer each waits, and so the target runs away: hence the
//! trials. And with tasks of uneven length, the target's number of workers leaves cores idle now
//! and then: hence more while that lasts, in steps of a third and up to nearly twice the target.
#![forbid(unsafe_code)]

mod controller;
mod decision;
mod sample;
#[cfg(test)]
mod simulation;
mod sums;
#[cfg(test)]
mod tests;
mod thresholds;
mod trial;

pub use controller::Controller;
pub use decision::{Decision, Why};
pub use sample::{Limits, Sample};

/// How many workers keep `cores` cores busy with tasks that compute for `x` and wait for `y`:
/// N·(x+y)/x, rounded up; at least 1.
///
/// A pool that [sizes itself](crate::pool::ThreadPool::auto) measures both, and tries whether more
/// workers do more: a disk that is busy looks like any waiting.
///
/// ```
/// use std::time::Duration;
/// use hands::sizing::formula;
///
/// let ms = Duration::from_millis;
/// assert_eq!(formula(1, ms(50), ms(50)), 2);
/// assert_eq!(formula(1, ms(20), ms(80)), 5);
/// assert_eq!(formula(4, ms(10), ms(0)), 4);
/// ```
///
/// Source: the tutorial that this library was made after; B. Goetz et al., *Java Concurrency in
/// Practice*, section 8.2.
pub fn formula(cores: usize, x: std::time::Duration, y: std::time::Duration) -> usize {
    let (x, y) = (x.as_nanos(), y.as_nanos());
    // What never computes keeps no core busy.
    let workers = (cores as u128 * (x + y)).div_ceil(x.max(1));
    usize::try_from(workers).unwrap_or(usize::MAX).max(1)
}
