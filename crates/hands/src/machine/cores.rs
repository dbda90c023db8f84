//! How many cores this process may use.
//!
//! Three things bound it, and the tightest wins: the machine, the affinity mask (`taskset`,
//! cpusets, a batch system), and the CPU quota of our control group or of any group above it
//! (containers). A quota of one and a half CPUs counts as two: half a core left idle costs more
//! than a little throttling.
//!
//! The answer is not cached: a quota may change while a program runs. Asking costs a system call
//! and one small file for each level of control groups, some tens of microseconds.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::cgroup::{self, Cgroups};

/// The number of cores this process may use, at least one.
///
/// It is the affinity mask's size, or the CPU quota of the control groups we are in (both versions,
/// groups above included, rounded up) where that is smaller.
///
/// ```
/// assert!(hands::cores().get() >= 1);
/// ```
///
/// # Platforms
///
/// Linux.
#[must_use]
pub fn cores() -> NonZeroUsize {
    within(Path::new("/"), affinity())
}

/// `affinity`, or the quota that the machine laid out under `root` sets, where that is less.
fn within(root: &Path, affinity: NonZeroUsize) -> NonZeroUsize {
    let Some(quota) = quota(root) else {
        return affinity;
    };
    // `as` saturates.
    let whole = NonZeroUsize::new(quota.cores.ceil() as usize).unwrap_or(NonZeroUsize::MIN);
    whole.min(affinity)
}

fn affinity() -> NonZeroUsize {
    let counted = rustix::thread::sched_getaffinity(None)
        .ok()
        .and_then(|set| NonZeroUsize::new(set.count() as usize));
    // The fixed-size mask is too small for machines with more than 1,024 CPUs; the standard
    // library's is not.
    counted
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}

/// A CPU quota, and the control group that has it.
pub(crate) struct Quota {
    pub(crate) cores: f64,
    pub(crate) level: PathBuf,
}

/// The tightest CPU quota over us.
pub(crate) fn quota(root: &Path) -> Option<Quota> {
    let groups = Cgroups::of_self(root);
    let of = |levels: Vec<PathBuf>, read: fn(&Path) -> Option<f64>| {
        levels.into_iter().filter_map(move |level| {
            Some(Quota {
                cores: read(&level)?,
                level,
            })
        })
    };
    let version_2 = of(groups.unified(), version_2_quota);
    let version_1 = of(groups.controller("cpu"), version_1_quota);
    version_2
        .chain(version_1)
        .min_by(|one, other| one.cores.total_cmp(&other.cores))
}

/// `cpu.max` holds `quota period` in microseconds, or `max period` for none.
fn version_2_quota(level: &Path) -> Option<f64> {
    let text = fs::read_to_string(level.join("cpu.max")).ok()?;
    let (quota, period) = text.trim_end().split_once(' ')?;
    ratio(quota.parse().ok()?, period.parse().ok()?)
}

/// No quota is written as `-1`, which is no unsigned number and so is skipped.
fn version_1_quota(level: &Path) -> Option<f64> {
    let quota = cgroup::number(&level.join("cpu.cfs_quota_us"))?;
    let period = cgroup::number(&level.join("cpu.cfs_period_us"))?;
    ratio(quota, period)
}

fn ratio(quota: u64, period: u64) -> Option<f64> {
    (period != 0).then(|| quota as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores_on(files: &[(&str, &str)]) -> usize {
        let root = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let affinity = NonZeroUsize::new(16).expect("not zero");
        within(root.path(), affinity).get()
    }

    #[test]
    fn no_quota_leaves_the_affinity() {
        assert_eq!(cores_on(&[]), 16);
        assert_eq!(
            cores_on(&[
                ("proc/self/cgroup", "0::/a\n"),
                ("sys/fs/cgroup/a/cpu.max", "max 100000\n")
            ]),
            16
        );
        assert_eq!(
            cores_on(&[
                ("proc/self/cgroup", "3:cpu:/a\n"),
                ("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n"),
                ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n")
            ]),
            16
        );
    }

    #[test]
    fn a_version_2_quota_rounds_up() {
        let with = |quota: &str| {
            cores_on(&[
                ("proc/self/cgroup", "0::/a\n"),
                ("sys/fs/cgroup/a/cpu.max", quota),
            ])
        };
        assert_eq!(with("150000 100000\n"), 2);
        assert_eq!(with("400000 100000\n"), 4);
        assert_eq!(with("1000 100000\n"), 1);
        assert_eq!(with("0 100000\n"), 1);
        assert_eq!(
            with("9900000 100000\n"),
            16,
            "more than the affinity is not had"
        );
    }

    #[test]
    fn a_quota_on_a_group_above_binds_us() {
        assert_eq!(
            cores_on(&[
                ("proc/self/cgroup", "0::/a/b/c\n"),
                ("sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n"),
                ("sys/fs/cgroup/a/b/cpu.max", "800000 100000\n"),
                ("sys/fs/cgroup/a/cpu.max", "250000 100000\n"),
            ]),
            3
        );
    }

    #[test]
    fn a_version_1_quota_counts_beside_version_2() {
        assert_eq!(
            cores_on(&[
                ("proc/self/cgroup", "4:cpu,cpuacct:/a\n0::/\n"),
                ("sys/fs/cgroup/unified/cgroup.procs", "1\n"),
                ("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n"),
                ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ]),
            1
        );
    }

    #[test]
    fn nonsense_in_the_files_is_ignored() {
        for text in [
            "",
            "max\n",
            "12\n",
            "a b\n",
            "5 0\n",
            "-3 100000\n",
            "\u{0}",
        ] {
            assert_eq!(
                cores_on(&[
                    ("proc/self/cgroup", "0::/\n"),
                    ("sys/fs/cgroup/cpu.max", text)
                ]),
                16,
                "{text:?}"
            );
        }
    }
}
