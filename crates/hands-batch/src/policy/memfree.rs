//! `--memfree`: start nothing while memory is short, on the machine or in a control group.

use std::io;
use std::path::Path;

use super::Verdict;
use hands::machine::{AvailableMemory, ByteCount};

/// Lets a job start while at least `needed` bytes of memory are available.
#[derive(Debug)]
pub struct MemFreeGate {
    needed: u64,
    memory: AvailableMemory,
}

impl MemFreeGate {
    /// A gate that wants `needed` bytes and reads `proc` and `sys` under `root`, which is `/` but
    /// for tests.
    #[must_use]
    pub fn new(needed: u64, root: &Path) -> Self {
        Self {
            needed,
            memory: AvailableMemory::of(root),
        }
    }

    /// May another job start now?
    ///
    /// # Errors
    ///
    /// The system does not tell how much memory is available; the error says why.
    pub fn allows(&self) -> io::Result<Verdict> {
        let available = self.memory.now()?;
        if available.bytes.0 >= self.needed {
            return Ok(Verdict::Start);
        }
        let place = if available.is_of_group {
            " in this control group"
        } else {
            ""
        };
        Ok(Verdict::Wait {
            why: format!(
                "{} of memory are available{place}, {} are wanted",
                available.bytes,
                ByteCount(self.needed)
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
