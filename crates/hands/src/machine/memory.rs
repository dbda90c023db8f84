//! How much memory can be had without swapping.
//!
//! Memory is short where it runs out first: on the machine (`MemAvailable`, the kernel's own
//! estimate) or in a control group that this process is in. A group's use includes the files it has
//! cached, which the kernel gives up on demand, so those count as available there as they do in
//! `MemAvailable`.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cgroup::{self, Cgroups};

/// Tells how much memory is available.
///
/// The control groups are found once; their numbers are read anew each time.
///
/// ```
/// use hands::machine::AvailableMemory;
///
/// let available = AvailableMemory::of("/".as_ref()).now()?;
/// println!("{} can be had", available.bytes);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AvailableMemory {
    meminfo: PathBuf,
    groups: Vec<MemoryGroup>,
}

/// What is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Available {
    /// So much.
    pub bytes: ByteCount,
    /// A control group is what limits it, and not the machine.
    pub is_of_group: bool,
}

#[derive(Debug)]
enum MemoryGroup {
    Version1(PathBuf),
    Version2(PathBuf),
}

impl AvailableMemory {
    /// Reads `proc` and `sys` under `root`, which is `/` but for tests.
    #[must_use]
    pub fn of(root: &Path) -> AvailableMemory {
        let cgroups = Cgroups::of_self(root);
        let version_2 = cgroups.unified().into_iter().map(MemoryGroup::Version2);
        let version_1 = cgroups
            .controller("memory")
            .into_iter()
            .map(MemoryGroup::Version1);
        AvailableMemory {
            meminfo: root.join("proc/meminfo"),
            groups: version_2.chain(version_1).collect(),
        }
    }

    /// What is available now.
    ///
    /// # Errors
    ///
    /// `proc/meminfo` cannot be read or does not say `MemAvailable`; the error names it.
    pub fn now(&self) -> io::Result<Available> {
        let machine = self.machine()?;
        let group = self.groups.iter().filter_map(MemoryGroup::available).min();
        Ok(match group {
            Some(group) if group < machine => Available {
                bytes: ByteCount(group),
                is_of_group: true,
            },
            _ => Available {
                bytes: ByteCount(machine),
                is_of_group: false,
            },
        })
    }

    fn machine(&self) -> io::Result<u64> {
        let named = |what: String| io::Error::other(format!("`{}` {what}", self.meminfo.display()));
        let text = fs::read_to_string(&self.meminfo).map_err(|error| {
            named(format!(
                "cannot be read, so free memory is unknown: {error}"
            ))
        })?;
        text.lines()
            .find_map(|line| {
                let amount = line.strip_prefix("MemAvailable:")?;
                let kibibytes: u64 = amount.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
                kibibytes.checked_mul(1024)
            })
            .ok_or_else(|| named("does not say `MemAvailable`".to_owned()))
    }
}

impl MemoryGroup {
    /// What a process in this group can still get; `None` where the group has no limit.
    fn available(&self) -> Option<u64> {
        let (limit, used, stat, cached) = match self {
            Self::Version2(level) => {
                let hard = cgroup::number(&level.join("memory.max"));
                // From `high` on the kernel throttles the group: as good as full.
                let soft = cgroup::number(&level.join("memory.high"));
                let limit = [hard, soft].into_iter().flatten().min()?;
                let used = cgroup::number(&level.join("memory.current"))?;
                (
                    limit,
                    used,
                    level.join("memory.stat"),
                    ["inactive_file ", "active_file "],
                )
            }
            Self::Version1(level) => {
                // No limit is written as a number near 2^63, which no machine's memory is below.
                let limit = cgroup::number(&level.join("memory.limit_in_bytes"))?;
                let used = cgroup::number(&level.join("memory.usage_in_bytes"))?;
                (
                    limit,
                    used,
                    level.join("memory.stat"),
                    ["total_inactive_file ", "total_active_file "],
                )
            }
        };
        let stat = fs::read_to_string(stat).unwrap_or_default();
        let reclaimable: u64 = stat
            .lines()
            .filter_map(|line| cached.iter().find_map(|name| line.strip_prefix(name)))
            .filter_map(|amount| amount.trim_end().parse::<u64>().ok())
            .fold(0, u64::saturating_add);
        Some(limit.saturating_sub(used.saturating_sub(reclaimable)))
    }
}

/// A number of bytes, shown with a unit for people: `1.5 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(pub u64);

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, unit)| self.0 >= *unit) {
            Some((name, unit)) => write!(f, "{:.1} {name}", self.0 as f64 / *unit as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}
