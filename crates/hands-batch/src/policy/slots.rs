//! `--jobs`: how many jobs run at once.

use std::num::NonZeroUsize;
use std::path::Path;
use std::str::FromStr;

use rustix::process::{Resource, getrlimit};

use super::InvalidRule;
use hands::machine::cgroup::{self, Cgroups};

/// How many jobs run at once: `8`, `50%` of the cores, `+2` or `-1` cores, `0` for as many as the
/// system allows, or `auto` for as many as prove to be of use.
///
/// ```
/// use std::num::NonZeroUsize;
/// use hands_batch::policy::Slots;
///
/// let four = NonZeroUsize::new(4).unwrap();
/// assert_eq!("50%".parse::<Slots>().unwrap().resolve(four).get(), 2);
/// assert_eq!("-9".parse::<Slots>().unwrap().resolve(four).get(), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slots {
    /// One for each core.
    #[default]
    Cores,
    /// As many as keep the cores busy, found out on the way: see
    /// [`Batch::auto`](crate::Batch::auto).
    Auto,
    /// This many.
    Count(NonZeroUsize),
    /// This many percent of the cores, rounded down, at least one.
    Percent(u32),
    /// This many more than there are cores.
    More(usize),
    /// This many fewer than there are cores, at least one.
    Fewer(usize),
    /// As many as descriptors and process limits allow; see [`Room`].
    AsManyAsFit,
}

impl FromStr for Slots {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let parsed = if text == "auto" {
            Some(Self::Auto)
        } else if let Some(percent) = text.strip_suffix('%') {
            digits(percent).map(Self::Percent)
        } else if let Some(more) = text.strip_prefix('+') {
            digits(more).map(Self::More)
        } else if let Some(fewer) = text.strip_prefix('-') {
            digits(fewer).map(Self::Fewer)
        } else {
            digits(text)
                .map(|count| NonZeroUsize::new(count).map_or(Self::AsManyAsFit, Self::Count))
        };
        parsed.ok_or_else(|| {
            InvalidRule::new(format!(
                "`{text}` is no number of jobs: use a number (`8`), a percentage of the cores (`50%`), cores and some (`+2`, `-1`), `0` for as many as possible, or `auto`"
            ))
        })
    }
}

fn digits<N: FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

impl Slots {
    /// The number of jobs on a machine with `cores` cores. `0` looks at this process's limits, see
    /// [`Room::now`]; `auto` begins with one for each core.
    #[must_use]
    pub fn resolve(self, cores: NonZeroUsize) -> NonZeroUsize {
        let jobs = match self {
            Self::Cores | Self::Auto => cores.get(),
            Self::Count(count) => count.get(),
            Self::Percent(percent) => {
                let jobs = cores.get() as u128 * u128::from(percent) / 100;
                usize::try_from(jobs).unwrap_or(usize::MAX)
            }
            Self::More(more) => cores.get().saturating_add(more),
            Self::Fewer(fewer) => cores.get().saturating_sub(fewer),
            Self::AsManyAsFit => return Room::now().jobs(),
        };
        NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN)
    }
}

/// What the system lets this process have, for `-j 0`.
///
/// A descriptor limit of 1,024 gives 160 jobs; raise the soft limit before asking, where more is
/// wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Descriptors this process may open; `None` for no limit.
    pub descriptors: Option<u64>,
    /// Processes that may still be started; `None` for no limit.
    pub processes: Option<u64>,
}

impl Room {
    /// No more jobs than this run at once, however much room there is. More only makes each switch
    /// dearer.
    pub const MOST: usize = 4096;

    /// A job holds its two output pipes, its input, its pidfd, and up to two spilled outputs.
    const DESCRIPTORS_A_JOB: u64 = 6;

    /// Descriptors kept for everything else: logs, results, inputs, the terminal.
    const DESCRIPTORS_KEPT: u64 = 64;

    /// A job is often a shell with a pipeline, and other programs of the user count too.
    const PROCESSES_A_JOB: u64 = 4;

    /// What this process's limits (`ulimit -n`, `ulimit -u`) and its control groups' (`pids.max`)
    /// leave.
    #[must_use]
    pub fn now() -> Self {
        let user = getrlimit(Resource::Nproc).current;
        let group = pids_left(Path::new("/"));
        Self {
            descriptors: getrlimit(Resource::Nofile).current,
            processes: [user, group].into_iter().flatten().min(),
        }
    }

    /// How many jobs fit.
    #[must_use]
    pub fn jobs(&self) -> NonZeroUsize {
        let by_descriptors = self
            .descriptors
            .map(|limit| limit.saturating_sub(Self::DESCRIPTORS_KEPT) / Self::DESCRIPTORS_A_JOB);
        let by_processes = self.processes.map(|limit| limit / Self::PROCESSES_A_JOB);
        let fit = [by_descriptors, by_processes].into_iter().flatten().min();
        let jobs = fit.map_or(Self::MOST, |fit| usize::try_from(fit).unwrap_or(Self::MOST));
        NonZeroUsize::new(jobs.min(Self::MOST)).unwrap_or(NonZeroUsize::MIN)
    }
}

/// The processes our control groups still allow, on the machine laid out under `root`.
fn pids_left(root: &Path) -> Option<u64> {
    let groups = Cgroups::of_self(root);
    let mut levels = groups.unified();
    levels.extend(groups.controller("pids"));
    let left = |level: &Path| {
        let most = cgroup::number(&level.join("pids.max"))?;
        let now = cgroup::number(&level.join("pids.current")).unwrap_or(0);
        Some(most.saturating_sub(now))
    };
    levels.iter().filter_map(|level| left(level)).min()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn on_four(text: &str) -> usize {
        let cores = NonZeroUsize::new(4).expect("not zero");
        text.parse::<Slots>().expect(text).resolve(cores).get()
    }

    #[test]
    fn jobs_are_counted_by_cores_where_asked() {
        let counts = ["auto", "3", "100%", "50%", "250%", "+2", "+0", "-1"].map(on_four);
        assert_eq!(counts, [4, 3, 4, 2, 10, 6, 4, 3]);
    }

    #[test]
    fn at_least_one_job_runs() {
        assert_eq!(["-4", "-99", "1%", "0%"].map(on_four), [1, 1, 1, 1]);
        assert!(on_four("0") >= 1);
    }

    #[test]
    fn what_is_no_number_of_jobs_is_refused_by_name() {
        for text in [
            "",
            "x",
            "1.5",
            "+",
            "-",
            "%",
            "++1",
            "+1%",
            "--1",
            "1 ",
            "99999999999999999999",
        ] {
            let error = text.parse::<Slots>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn as_many_as_fit_is_bounded_by_descriptors_processes_and_sense() {
        let fit = |descriptors, processes| {
            Room {
                descriptors,
                processes,
            }
            .jobs()
            .get()
        };
        assert_eq!(fit(Some(1024), None), 160);
        assert_eq!(fit(Some(1_048_576), Some(400)), 100);
        assert_eq!(fit(None, None), Room::MOST);
        assert_eq!(fit(Some(u64::MAX), Some(u64::MAX)), Room::MOST);
        assert_eq!(fit(Some(10), Some(0)), 1);
    }

    #[test]
    fn the_tightest_group_of_processes_counts() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let groups = root.path().join("sys/fs/cgroup/a/b");
        fs::create_dir_all(&groups).expect("groups");
        fs::create_dir_all(root.path().join("proc/self")).expect("proc");
        fs::write(root.path().join("proc/self/cgroup"), "0::/a/b\n").expect("a listing");
        fs::write(groups.join("pids.max"), "max\n").expect("a limit");
        assert_eq!(pids_left(root.path()), None);
        fs::write(groups.with_file_name("pids.max"), "100\n").expect("a limit");
        fs::write(groups.with_file_name("pids.current"), "30\n").expect("a count");
        assert_eq!(pids_left(root.path()), Some(70));
    }
}
