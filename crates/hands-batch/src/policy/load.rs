//! `--load`: start nothing while the machine is busy.
//!
//! What counts is the number of processes and threads that run or wait for a core *now*, the fourth
//! field of `/proc/loadavg`. The averages before it lag by a minute: a gate on them stays open
//! until far too many jobs run, then shut long after they are gone. GNU make changed to the same
//! number in 4.4 for that reason. Processes that wait for a disk are not in it.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{InvalidRule, Verdict};

/// How busy the machine may be for another job to start: `6`, `2.5`, `80%` of the cores, `+2` or
/// `-1` cores, or `auto` (`100%`).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Load {
    /// As many as there are cores.
    #[default]
    Auto,
    /// This many running processes; 0 means a wholly idle machine.
    Processes(f64),
    /// This many percent of the cores.
    Percent(f64),
    /// This many more, or fewer, than there are cores.
    Beside(f64),
}

impl FromStr for Load {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let parsed = if text == "auto" {
            Some(Self::Auto)
        } else if let Some(percent) = text.strip_suffix('%') {
            decimal(percent).map(Self::Percent)
        } else if let Some(more) = text.strip_prefix('+') {
            decimal(more).map(Self::Beside)
        } else if let Some(fewer) = text.strip_prefix('-') {
            decimal(fewer).map(|fewer| Self::Beside(-fewer))
        } else {
            decimal(text).map(Self::Processes)
        };
        parsed.ok_or_else(|| {
            InvalidRule::new(format!(
                "`{text}` is no load: use a number of running processes (`6`), a percentage of the cores (`80%`), or `auto`"
            ))
        })
    }
}

/// A plain decimal number; no sign, no exponent, no `inf`.
fn decimal(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

impl Load {
    /// Fewer running processes than this let a job start, on a machine with `cores` cores.
    #[must_use]
    pub fn resolve(self, cores: NonZeroUsize) -> f64 {
        let cores = cores.get() as f64;
        let limit = match self {
            Self::Auto => cores,
            Self::Processes(limit) => limit,
            Self::Percent(percent) => cores * percent / 100.0,
            Self::Beside(more) => cores + more,
        };
        // As GNU parallel: 0 still lets a job start when nothing at all is running.
        limit.max(0.01)
    }
}

/// Lets a job start while fewer processes run than the limit.
#[derive(Debug, Clone)]
pub struct LoadGate {
    limit: f64,
    file: PathBuf,
}

impl LoadGate {
    /// A gate that reads `proc/loadavg` under `root`, which is `/` but for tests.
    #[must_use]
    pub fn new(load: Load, cores: NonZeroUsize, root: &Path) -> Self {
        Self {
            limit: load.resolve(cores),
            file: root.join("proc/loadavg"),
        }
    }

    /// May another job start now?
    ///
    /// # Errors
    ///
    /// `proc/loadavg` cannot be read or is not of the kernel's form; the error names it.
    pub fn allows(&self) -> io::Result<Verdict> {
        let named = |what: String| io::Error::other(format!("`{}` {what}", self.file.display()));
        let text = fs::read_to_string(&self.file)
            .map_err(|error| named(format!("cannot be read, so the load is unknown: {error}")))?;
        let Some(running) = running(&text) else {
            return Err(named(format!(
                "does not say how many processes run: `{}`",
                text.trim_end()
            )));
        };
        if (running as f64) < self.limit {
            return Ok(Verdict::Start);
        }
        Ok(Verdict::Wait {
            why: format!("load is {running}, the limit {}", self.limit),
        })
    }
}

/// The running processes in `0.20 0.18 0.12 3/80 11206`, without ourselves: the one that reads the
/// file is running.
fn running(text: &str) -> Option<u64> {
    let (running, _) = text.split_ascii_whitespace().nth(3)?.split_once('/')?;
    running.parse::<u64>().ok().map(|all| all.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> f64 {
        let cores = NonZeroUsize::new(4).expect("not zero");
        text.parse::<Load>().expect(text).resolve(cores)
    }

    fn gate(load: &str, file: &str) -> io::Result<Verdict> {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(root.path().join("proc")).expect("a folder");
        fs::write(root.path().join("proc/loadavg"), file).expect("a file");
        let cores = NonZeroUsize::new(4).expect("not zero");
        LoadGate::new(load.parse().expect(load), cores, root.path()).allows()
    }

    #[test]
    fn the_limit_is_counted_by_cores_where_asked() {
        let limits = ["auto", "6", "2.5", "50%", "+2", "-1", "0", "-9"].map(limit);
        assert_eq!(limits, [4.0, 6.0, 2.5, 2.0, 6.0, 3.0, 0.01, 0.01]);
    }

    #[test]
    fn what_is_no_load_is_refused_by_name() {
        for text in ["", "x", "+", "-", "%", "1e3", "inf", "nan", "1..2", "--1"] {
            let error = text.parse::<Load>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn fewer_running_processes_than_the_limit_let_a_job_start() {
        let start = |load, file| matches!(gate(load, file), Ok(Verdict::Start));
        assert!(start("4", "9.00 9.00 9.00 4/80 11206\n"));
        assert!(!start("4", "0.00 0.00 0.00 5/80 11206\n"));
        assert!(start("0", "0.00 0.00 0.00 1/80 11206\n"));
        assert!(!start("0", "0.00 0.00 0.00 2/80 11206\n"));
    }

    #[test]
    fn waiting_says_why() {
        let verdict = gate("auto", "0.00 0.00 0.00 9/80 11206\n").expect("a verdict");
        let why = "load is 8, the limit 4".to_owned();
        assert_eq!(verdict, Verdict::Wait { why });
    }

    #[test]
    fn a_file_that_says_nothing_is_an_error_that_names_it() {
        for file in ["", "0.1 0.2\n", "0.1 0.2 0.3 x/y 5\n", "0.1 0.2 0.3 4 5\n"] {
            let error = gate("1", file).expect_err(file).to_string();
            assert!(error.contains("proc/loadavg"), "{error}");
        }
        let nowhere = LoadGate::new(Load::Auto, NonZeroUsize::MIN, Path::new("/nonexistent"));
        assert!(nowhere.allows().is_err());
    }

    #[test]
    fn this_machine_can_be_asked() {
        let gate = LoadGate::new(Load::Processes(1e9), NonZeroUsize::MIN, Path::new("/"));
        assert_eq!(gate.allows().expect("a load"), Verdict::Start);
    }
}
