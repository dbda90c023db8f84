//! Who takes part, and the words each is started with.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::workload::{Kind, LINES_A_JOB, Workload};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Not a program: the bare loop of `floor.rs`.
    Floor,
    Hands,
    Xargs,
    Make,
    Moreutils,
    GnuParallel,
    RustParallel,
}

/// A program that is here.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) which: Which,
    pub(crate) name: &'static str,
    path: PathBuf,
    /// The first line of what it says to `--version`.
    pub(crate) version: String,
}

/// Files in which a workload's inputs lie ready, so that making them is nobody's time.
pub(crate) struct Inputs {
    /// The numbers from 1, one a line.
    pub(crate) lines: PathBuf,
    /// The same as phony targets that run the command.
    pub(crate) makefile: PathBuf,
}

impl Program {
    /// Those that are installed, the floor and hands first; and the names of the others.
    pub(crate) fn find_all(hands: &Path) -> (Vec<Self>, Vec<&'static str>) {
        let floor = Self {
            which: Which::Floor,
            name: "floor",
            path: PathBuf::new(),
            version: String::new(),
        };
        let mut found = vec![floor, Self::at(Which::Hands, "hands", hands.to_owned())];
        let mut skipped = Vec::new();
        // Debian calls them `parallel` both; the one that comes second is `parallel.moreutils`
        // then.
        let candidates: [(Which, &'static str, &[&str]); 5] = [
            (Which::Xargs, "xargs", &["xargs"]),
            (Which::Make, "make", &["make"]),
            (
                Which::Moreutils,
                "moreutils parallel",
                &["parallel.moreutils", "parallel"],
            ),
            (
                Which::GnuParallel,
                "GNU parallel",
                &["parallel", "parallel.gnu"],
            ),
            (Which::RustParallel, "rust-parallel", &["rust-parallel"]),
        ];
        for (which, name, files) in candidates {
            let mut program = files
                .iter()
                .filter_map(|file| in_path(file))
                .map(|path| Self::at(which, name, path))
                .find(|program| program.is_what_it_is_called());
            if let Some(program) = program
                .as_mut()
                .filter(|program| program.which == Which::Moreutils)
            {
                program.version = "moreutils parallel".to_owned();
            }
            match program {
                Some(program) => found.push(program),
                None => skipped.push(name),
            }
        }
        (found, skipped)
    }

    fn at(which: Which, name: &'static str, path: PathBuf) -> Self {
        let output = Command::new(&path)
            .arg("--version")
            .stdin(Stdio::null())
            .output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        let version = String::from_utf8_lossy(&text)
            .lines()
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        Self {
            which,
            name,
            path,
            version,
        }
    }

    fn is_what_it_is_called(&self) -> bool {
        match self.which {
            Which::GnuParallel => self.version.starts_with("GNU parallel"),
            // It knows no `--version` and tells its usage.
            Which::Moreutils => self.version.starts_with("parallel [OPTIONS]"),
            _ => true,
        }
    }

    /// The words for `workload`; `None` when this program cannot do it, or when it would be no
    /// comparison.
    ///
    /// `say` replaces `/bin/true` with `/bin/echo`, which shows whether the jobs are really run.
    pub(crate) fn command(
        &self,
        workload: &Workload,
        inputs: &Inputs,
        say: bool,
    ) -> Option<Command> {
        let job = if say || workload.kind == Kind::Ordered {
            "/bin/echo"
        } else {
            "/bin/true"
        };
        let (one, ordered) = (workload.kind == Kind::One, workload.kind == Kind::Ordered);
        let lines_a_job = (workload.kind == Kind::Lines).then(|| LINES_A_JOB.to_string());
        let mut command = Command::new(&self.path);
        // What a user has set up for every day is not what is measured here.
        for variable in ["MAKEFLAGS", "MAKELEVEL", "PARALLEL"] {
            command.env_remove(variable);
        }
        let two = |command: &mut Command, flag: &str| {
            if !one {
                command.arg(flag);
            }
        };
        match self.which {
            Which::Floor => return None,
            Which::Hands => {
                command.arg("run");
                two(&mut command, "-j2");
                command.args(ordered.then_some("-k"));
                command.args(lines_a_job.iter().flat_map(|lines| ["-n", lines]));
                command.args([job, "{}"]);
            }
            Which::Xargs if ordered => return None,
            Which::Xargs => {
                two(&mut command, "-P2");
                command.args(["-n", lines_a_job.as_deref().unwrap_or("1"), job]);
            }
            Which::Make if lines_a_job.is_some() => return None,
            Which::Make => {
                two(&mut command, "-j2");
                command.args(ordered.then_some("-O"));
                command
                    .arg("-f")
                    .arg(&inputs.makefile)
                    .arg(format!("JOB={job}"));
            }
            Which::Moreutils if ordered || lines_a_job.is_some() => return None,
            Which::Moreutils => {
                two(&mut command, "-j2");
                // Its inputs are arguments.
                command
                    .args([job, "--"])
                    .args((1..=workload.lines).map(|line| line.to_string()));
            }
            Which::GnuParallel => {
                command.arg("--will-cite");
                two(&mut command, "-j2");
                command.args(ordered.then_some("-k"));
                command.args(lines_a_job.iter().flat_map(|lines| ["-n", lines]));
                command.args([job, "{}"]);
            }
            Which::RustParallel if lines_a_job.is_some() => return None,
            Which::RustParallel => {
                two(&mut command, "-j2");
                command.args(ordered.then_some("-k"));
                command.arg(job);
            }
        }
        Some(command)
    }

    /// Whether its output comes in the order of the inputs. `make -O` keeps jobs apart, in the
    /// order they end.
    pub(crate) fn keeps_order(&self) -> bool {
        self.which != Which::Make
    }
}

impl Inputs {
    /// Writes the files for so many lines into `directory`.
    pub(crate) fn write(
        directory: &Path,
        lines: u64,
        with_makefile: bool,
    ) -> std::io::Result<Self> {
        let numbers: Vec<String> = (1..=lines).map(|line| line.to_string()).collect();
        let inputs = Self {
            lines: directory.join("lines"),
            makefile: directory.join("Makefile"),
        };
        fs::write(&inputs.lines, numbers.join("\n") + "\n")?;
        if with_makefile {
            let targets = numbers.join(" ");
            let text = format!(".PHONY: all {targets}\nall: {targets}\n{targets}:\n\t@$(JOB) $@\n");
            fs::write(&inputs.makefile, text)?;
        }
        Ok(inputs)
    }
}

fn in_path(file: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|directory| directory.join(file))
        .find(|path| path.is_file())
}
