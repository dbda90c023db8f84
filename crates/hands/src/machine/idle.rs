//! How much of the cores that this process may use nobody used.
//!
//! The kernel counts the idle time of each core (`/proc/stat`) in ticks of a hundredth of a second,
//! waiting for a disk included. Behind a CPU quota that alone would not do: the machine may idle
//! while we have used up what is ours. So there the time that the quota's control group used counts
//! as well (`cpu.stat`, or `cpuacct.usage` in version 1), and the lesser of both is idle.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::cgroup;
use super::cores::{Quota, quota};

/// Looked at now and then.
pub struct IdleCores {
    cpus: Vec<String>,
    quota: Option<Quota>,
    /// Idle ticks, and microseconds used under the quota.
    last: Option<(u64, u64)>,
}

impl Default for IdleCores {
    fn default() -> IdleCores {
        IdleCores::new()
    }
}

impl IdleCores {
    /// Looks from now on.
    pub fn new() -> IdleCores {
        let set = rustix::thread::sched_getaffinity(None).ok();
        let cpus: Vec<String> = set.map_or_else(Vec::new, |set| {
            let all = 0..rustix::thread::CpuSet::MAX_CPU;
            all.filter(|cpu| set.is_set(*cpu))
                .map(|cpu| format!("cpu{cpu}"))
                .collect()
        });
        let quota = quota(Path::new("/")).filter(|quota| quota.cores < cpus.len() as f64);
        IdleCores {
            cpus,
            quota,
            last: None,
        }
    }

    /// The share of their time since the last call, which was `elapsed` ago. `None`: the system
    /// does not tell.
    pub fn share(&mut self, elapsed: Duration) -> Option<f64> {
        let ticks = self.idle_ticks()?;
        let used = match &self.quota {
            Some(quota) => used(&quota.level)?,
            None => 0,
        };
        let (ticks_before, used_before) = self.last.replace((ticks, used))?;
        let elapsed = elapsed.as_secs_f64();
        if elapsed <= 0.0 {
            return None;
        }
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        let idle = ticks.saturating_sub(ticks_before) as f64 / per_second / elapsed;
        let all = self.cpus.len() as f64;
        let share = match &self.quota {
            Some(quota) => {
                let used = used.saturating_sub(used_before) as f64 / 1e6 / elapsed;
                idle.min(quota.cores - used) / quota.cores
            }
            None => idle / all,
        };
        Some(share.clamp(0.0, 1.0))
    }

    fn idle_ticks(&self) -> Option<u64> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let idle = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let cpu = words.next()?;
            self.cpus.iter().any(|ours| ours == cpu).then_some(())?;
            // Idle, and idle with somebody waiting for a disk.
            let mut ticks = words.skip(3).map(str::parse::<u64>);
            Some(ticks.next()?.ok()? + ticks.next()?.ok()?)
        });
        (!self.cpus.is_empty()).then(|| idle.sum())
    }
}

/// Microseconds of CPU time that a control group and those below it have used.
fn used(level: &Path) -> Option<u64> {
    if let Ok(text) = fs::read_to_string(level.join("cpu.stat"))
        && let Some(used) = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "))
    {
        return used.trim_end().parse().ok();
    }
    Some(cgroup::number(&level.join("cpuacct.usage"))? / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_control_groups_tell_what_they_used() {
        let level = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(used(level.path()), None);
        fs::write(level.path().join("cpuacct.usage"), "5000999\n").expect("a file");
        assert_eq!(used(level.path()), Some(5000));
        fs::write(
            level.path().join("cpu.stat"),
            "usage_usec 77\nuser_usec 70\n",
        )
        .expect("a file");
        assert_eq!(used(level.path()), Some(77));
    }

    #[test]
    fn a_share_is_a_share() {
        let mut idle = IdleCores::new();
        assert_eq!(idle.share(Duration::from_secs(1)), None, "nothing before");
        let share = idle.share(Duration::from_millis(1));
        assert!(share.is_none_or(|share| (0.0..=1.0).contains(&share)));
    }
}
