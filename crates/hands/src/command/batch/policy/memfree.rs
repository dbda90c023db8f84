//! `--memfree`: start nothing while memory is short.
//!
//! Memory is short where it runs out first: on the machine (`MemAvailable`, the kernel's own estimate of what can be had without swapping)
//! or in a control group we are in. A group's use includes the files it has cached, which the kernel gives up on
//! demand, so those count as available there as they do in `MemAvailable`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Verdict;
use crate::cgroup::{self, Cgroups};

/// Lets a job start while at least so many bytes of memory are available.
///
/// The control groups are found once; their numbers are read anew each time.
#[derive(Debug)]
pub struct MemFreeGate {
    needed: u64,
    meminfo: PathBuf,
    groups: Vec<Group>,
}

#[derive(Debug)]
enum Group {
    Version1(PathBuf),
    Version2(PathBuf),
}

impl MemFreeGate {
    /// A gate that wants `needed` bytes and reads `proc` and `sys` under `root`, which is `/` but for tests.
    #[must_use]
    pub fn new(needed: u64, root: &Path) -> Self {
        let cgroups = Cgroups::of_self(root);
        let version_2 = cgroups.unified().into_iter().map(Group::Version2);
        let version_1 = cgroups
            .controller("memory")
            .into_iter()
            .map(Group::Version1);
        Self {
            needed,
            meminfo: root.join("proc/meminfo"),
            groups: version_2.chain(version_1).collect(),
        }
    }

    /// May another job start now?
    ///
    /// # Errors
    ///
    /// `proc/meminfo` cannot be read or does not say `MemAvailable`; the error names it.
    pub fn allows(&self) -> io::Result<Verdict> {
        let machine = self.machine()?;
        let group = self.groups.iter().filter_map(Group::available).min();
        let (available, place) = match group {
            Some(group) if group < machine => (group, " in this control group"),
            _ => (machine, ""),
        };
        if available >= self.needed {
            return Ok(Verdict::Start);
        }
        Ok(Verdict::Wait {
            why: format!(
                "{} of memory are available{place}, {} are wanted",
                Bytes(available),
                Bytes(self.needed)
            ),
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

impl Group {
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

/// A size for people.
struct Bytes(u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, unit)| self.0 >= *unit) {
            Some((name, unit)) => write!(f, "{:.1} {name}", self.0 as f64 / *unit as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const FREE_64_MIB: (&str, &str) = (
        "proc/meminfo",
        "MemTotal:  999999 kB\nMemFree:   10 kB\nMemAvailable:   65536 kB\n",
    );

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        root
    }

    fn starts(needed: u64, files: &[(&str, &str)]) -> bool {
        let root = machine(files);
        MemFreeGate::new(needed, root.path())
            .allows()
            .expect("a verdict")
            == Verdict::Start
    }

    #[test]
    fn enough_available_on_the_machine_lets_a_job_start() {
        assert!(starts(64 * MIB, &[FREE_64_MIB]));
        assert!(!starts(64 * MIB + 1, &[FREE_64_MIB]));
    }

    #[test]
    fn waiting_says_why() {
        let root = machine(&[FREE_64_MIB]);
        let verdict = MemFreeGate::new(1 << 30, root.path())
            .allows()
            .expect("a verdict");
        let why = "64.0 MiB of memory are available, 1.0 GiB are wanted".to_owned();
        assert_eq!(verdict, Verdict::Wait { why });
    }

    #[test]
    fn a_version_2_limit_above_us_counts_and_cached_files_are_available() {
        let files = [
            FREE_64_MIB,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.current", "5\n"),
            ("sys/fs/cgroup/a/memory.max", "41943040\n"),
            ("sys/fs/cgroup/a/memory.high", "max\n"),
            ("sys/fs/cgroup/a/memory.current", "31457280\n"),
            (
                "sys/fs/cgroup/a/memory.stat",
                "anon 1\ninactive_file 1048576\nactive_file 1048576\n",
            ),
        ];
        assert!(starts(12 * MIB, &files));
        assert!(!starts(12 * MIB + 1, &files));
        let root = machine(&files);
        let verdict = MemFreeGate::new(13 * MIB, root.path())
            .allows()
            .expect("a verdict");
        let Verdict::Wait { why } = verdict else {
            panic!("12 MiB are not 13")
        };
        assert!(why.contains("control group"), "{why}");
    }

    #[test]
    fn a_version_1_limit_counts() {
        let files = [
            FREE_64_MIB,
            ("proc/self/cgroup", "4:memory:/a\n0::/\n"),
            ("sys/fs/cgroup/unified/cgroup.procs", ""),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "20971520\n"),
            ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "15728640\n"),
            (
                "sys/fs/cgroup/memory/a/memory.stat",
                "inactive_file 9\ntotal_inactive_file 1048576\n",
            ),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "15728640\n"),
        ];
        assert!(starts(6 * MIB, &files));
        assert!(!starts(6 * MIB + 1, &files));
    }

    #[test]
    fn numbers_that_are_not_known_are_an_error_that_names_the_file() {
        for text in [
            "",
            "MemFree: 10 kB\n",
            "MemAvailable: x kB\n",
            "MemAvailable: 10\n",
        ] {
            let root = machine(&[("proc/meminfo", text)]);
            let error = MemFreeGate::new(1, root.path())
                .allows()
                .expect_err(text)
                .to_string();
            assert!(error.contains("proc/meminfo"), "{error}");
        }
    }

    #[test]
    fn this_machine_can_be_asked() {
        let gate = MemFreeGate::new(1, Path::new("/"));
        assert_eq!(gate.allows().expect("memory"), Verdict::Start);
    }
}
