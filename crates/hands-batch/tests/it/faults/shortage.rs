//! Descriptors or processes run out: slower, and nothing lost.

use std::path::{Path, PathBuf};
use std::process::Command as Tool;

use hands::command::Command;
use hands_batch::input::Pull;
use hands_batch::{Batch, Grouping, Job, JobPlace, Work, WorkError};

use crate::recorder::{Recorder, Shared};
use crate::support::{Scene, folder, report};

/// Jobs that print their numbers a moment later, so that many run at once, and keep them as results
/// if told to.
struct Numbers {
    last: u64,
    results: Option<PathBuf>,
}

const JOBS: u64 = 60;

impl Work for Numbers {
    type Item = u64;

    fn next(&mut self) -> Result<Pull<(u64, u64)>, WorkError> {
        self.last += 1;
        Ok(if self.last > JOBS {
            Pull::End
        } else {
            Pull::Item((self.last, self.last))
        })
    }

    fn job(&mut self, number: &mut u64, _: JobPlace) -> Result<Job, WorkError> {
        let line = format!("echo {number}; exec sleep 0.1");
        Ok(Job {
            argv: vec![b"sh".to_vec(), b"-c".to_vec(), line.into_bytes()],
            results: self
                .results
                .as_ref()
                .map(|folder| folder.join(number.to_string())),
            ..Job::default()
        })
    }
}

/// Runs more at once than the machine gives, and fails unless each has its say.
fn starved(results: Option<PathBuf>) {
    let out = Shared::default();
    let batch = Batch::new()
        .jobs(40)
        .grouping(Grouping::Ordered)
        .stdout(out.sink());
    let mut recorder = Recorder::default();
    let summary = batch.run(
        Numbers {
            last: 0,
            results: results.clone(),
        },
        &mut recorder,
    );
    let summary = summary.expect("it goes on");
    assert_eq!(
        (summary.succeeded, summary.failed, summary.exhausted),
        (JOBS, 0, true)
    );
    let expected: String = (1..=JOBS).map(|number| format!("{number}\n")).collect();
    assert_eq!(out.text(), expected);
    assert!(recorder.most_running < 40, "there was no shortage");
    assert!(recorder.noticed("Shortage") > 0, "it was not said");
    if let Some(folder) = results {
        for number in 1..=JOBS {
            let kept = std::fs::read_to_string(folder.join(format!("{number}/stdout")));
            assert_eq!(kept.expect("a file"), format!("{number}\n"));
        }
    }
    report(format_args!(
        "{} {:?}",
        recorder.most_running, recorder.notices
    ));
}

pub(crate) fn few_descriptors() {
    let results = std::env::var_os("RESULTS").map(PathBuf::from);
    starved(results);
}

#[test]
fn few_descriptors_make_a_batch_slower_and_are_told() {
    let played = Scene::new("few_descriptors")
        .through(["prlimit", "--nofile=40"])
        .succeed();
    assert!(
        played.report.contains("Too many open files"),
        "{}",
        played.report
    );
}

#[test]
fn few_descriptors_lose_no_results() {
    for limit in [
        "--nofile=40",
        "--nofile=41",
        "--nofile=42",
        "--nofile=43",
        "--nofile=44",
    ] {
        let folder = folder();
        Scene::new("few_descriptors")
            .through(["prlimit", limit])
            .var("RESULTS", folder.path())
            .succeed();
    }
}

/// A scene whose user may have only `processes`. Root is bound by no such limit, so it plays
/// somebody without a name.
fn limited(scene: &'static str, processes: u32, home: &Path) -> Scene {
    if !rustix::process::geteuid().is_root() {
        // Threads count, and those of his other programs too.
        let mine = tasks_of(rustix::process::getuid().as_raw());
        let limit = format!("--nproc={}", mine + processes as usize);
        return Scene::new(scene).through(["prlimit", &limit]);
    }
    let uid = (100_000 + std::process::id() % 50_000).to_string();
    let binary = home.join("it");
    let ours = std::env::current_exe().expect("our own path");
    let copied = Tool::new("cp").arg(ours).arg(&binary).status().expect("cp");
    assert!(copied.success());
    let opened = Tool::new("chmod")
        .arg("755")
        .args([home, &binary])
        .status()
        .expect("chmod");
    assert!(opened.success());
    let limit = format!("--nproc={processes}");
    let user = [format!("--reuid={uid}"), format!("--regid={uid}")];
    Scene::new(scene)
        .through([
            "setpriv",
            &user[0],
            &user[1],
            "--clear-groups",
            "prlimit",
            &limit,
        ])
        .binary(&binary)
}

/// Threads of a user's processes.
fn tasks_of(uid: u32) -> usize {
    use std::os::unix::fs::MetadataExt;
    crate::support::processes()
        .into_iter()
        .filter_map(|pid| {
            let folder = PathBuf::from(format!("/proc/{pid}/task"));
            let own = std::fs::metadata(&folder).ok()?.uid() == uid;
            own.then(|| std::fs::read_dir(folder).map_or(0, Iterator::count))
        })
        .sum()
}

pub(crate) fn few_processes() {
    starved(None);
}

#[test]
fn few_processes_make_a_batch_slower_and_are_told() {
    let folder = folder();
    let played = limited("few_processes", 14, folder.path()).succeed();
    assert!(
        played.report.contains("short of processes"),
        "{}",
        played.report
    );
}

pub(crate) fn no_process() {
    let error = Command::new("true")
        .output()
        .expect_err("no process is left");
    assert!(error.is_shortage());
    report(error);
    let work = Numbers {
        last: 0,
        results: None,
    };
    let error = Batch::new()
        .run(work, &mut ())
        .expect_err("no process is left");
    report(error);
}

#[test]
fn without_a_single_process_the_end_comes_with_a_reason() {
    let folder = folder();
    let played = limited("no_process", 1, folder.path()).succeed();
    let said: Vec<_> = played.report.lines().collect();
    for line in said {
        assert!(line.contains("short of processes"), "{line}");
    }
}
