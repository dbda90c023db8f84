//! Nothing outlives the program, however it ends.

use std::io::{BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use hands_batch::{Batch, Commands, Finished, Grouping, Observer, Started};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::recorder::{Recorder, Shared, shell};
use crate::support::{
    Scene, TAG, Tag, children, descriptors, ends, fifo, folder, in_time, open, report, stat, var,
};

/// A job with a child in its group, one in a session of its own, and a daemon whose parents are
/// gone.
fn family(up: &str) -> String {
    format!("sleep 1000 & setsid sleep 1000 & sh -c 'setsid -f sleep 1000'; printf x > {up}; wait")
}

pub(crate) fn victim() {
    report(std::process::id());
    let grouping = match var("GROUPING").as_str() {
        "none" => Grouping::None,
        _ => Grouping::Ordered,
    };
    let work = Commands::new(shell(vec![family(&var("UP")); 3]));
    let _ = Batch::new().jobs(3).grouping(grouping).run(work, &mut ());
}

#[test]
fn a_program_killed_by_sigkill_leaves_no_process_behind() {
    for (grouping, whole_group, signal) in [
        ("ordered", false, Signal::KILL),
        ("none", true, Signal::KILL),
        ("ordered", true, Signal::TERM),
        ("ordered", false, Signal::ABORT),
    ] {
        let folder = folder();
        let up = fifo(folder.path(), "up");
        let tag = Tag::new();
        let mut host = Scene::new("victim")
            .through(["setsid"])
            .var("UP", &up)
            .var("GROUPING", grouping)
            .var(TAG, tag.value())
            .start();
        let mut lines = BufReader::new(host.stderr.take().expect("piped")).lines();
        let pid = lines.next().expect("the victim runs").expect("text");
        let pid = Pid::from_raw(pid.parse().expect("a pid")).expect("a pid");
        // Open for writing too, so that there is no end between two jobs.
        let up = std::fs::OpenOptions::new().read(true).write(true).open(&up);
        let mut up = up.expect("the FIFO");
        in_time(move || up.read_exact(&mut [0; 3]).expect("three jobs run"));
        // Three shells with three sleepers each, the victim, its watchdog, and those who started
        // it.
        assert!(tag.alive().len() >= 14, "{:?}", tag.alive());
        if whole_group {
            kill_process_group(pid, signal).expect("kill");
        } else {
            kill_process(pid, signal).expect("kill");
        }
        host.wait().expect("the victim has ended");
        tag.assert_gone();
    }
}

/// Panics when a job starts, or when one ends.
struct Panicking {
    at_start: bool,
}

impl Observer for Panicking {
    fn started(&mut self, _: &Started<'_>, _: &mut Vec<u8>) {
        if self.at_start {
            std::panic::resume_unwind(Box::new("expected"));
        }
    }

    fn finished(&mut self, _: &Finished<'_>, _: &mut Vec<u8>) {
        std::panic::resume_unwind(Box::new("expected"));
    }
}

#[test]
fn an_observer_that_panics_leaves_no_process_behind() {
    for at_start in [true, false] {
        let folder = folder();
        let up = fifo(folder.path(), "up");
        let tag = Tag::new();
        let lines = [
            family(&up.display().to_string()),
            format!("cat {}", up.display()),
        ];
        let work = Commands::new(shell(lines));
        let batch = Batch::new().jobs(2).env(TAG, tag.value());
        in_time(move || {
            let run = AssertUnwindSafe(|| batch.run(work, &mut Panicking { at_start }));
            catch_unwind(run).expect_err("the panic goes on");
        });
        tag.assert_gone();
    }
}

pub(crate) fn many_batches() {
    let round = || {
        let out = Shared::default();
        let batch = Batch::new().jobs(3).stdout(out.sink()).stderr(out.sink());
        let lines = [
            "echo a",
            "exit 1",
            "head -c 300000 /dev/zero >&2",
            "no-such-program",
        ];
        let summary = batch
            .run(Commands::new(shell(lines)), &mut ())
            .expect("it runs");
        assert_eq!((summary.succeeded, summary.failed), (2, 2));
    };
    round();
    let before = descriptors();
    for _ in 0..15 {
        round();
    }
    assert_eq!(descriptors(), before);
    let left = children();
    // The last watchdog is reaped when the next one starts.
    assert!(left.len() <= 1, "running or zombies: {left:?}");
}

#[test]
fn many_batches_leave_no_descriptor_open_and_no_zombie() {
    Scene::new("many_batches").succeed();
}

pub(crate) fn lost_watchdog() {
    let out = Shared::default();
    let batch = Batch::new().jobs(1).stdout(out.sink());
    let mut recorder = Recorder {
        on_start: Some(Box::new(|job| {
            let dogs = children().into_iter().filter(|&pid| pid != job.pid);
            for dog in dogs {
                // It makes that its first step, which the job does not wait for.
                let has_session = (0..10_000).any(|_| {
                    std::thread::park_timeout(Duration::from_millis(1));
                    stat(dog).expect("it runs")[3] == dog.to_string()
                });
                assert!(has_session, "a session of its own");
                let pid = Pid::from_raw(dog).expect("a pid");
                kill_process(pid, Signal::KILL).expect("kill");
                assert!(open(dog).is_none_or(|dog| ends(&dog)));
            }
        })),
        ..Recorder::default()
    };
    let summary = batch.run(Commands::new(shell(["echo 1", "echo 2"])), &mut recorder);
    assert_eq!(summary.expect("it runs").succeeded, 2);
    assert_eq!(out.text(), "1\n2\n");
    assert_eq!(children(), [0; 0]);
}

#[test]
fn a_batch_that_loses_its_watchdog_goes_on() {
    Scene::new("lost_watchdog").succeed();
}

#[test]
fn an_inner_batch_dies_with_the_job_that_runs_it() {
    use hands::command::{Command, CommandError};
    let folder = folder();
    let up = fifo(folder.path(), "up");
    let tag = Tag::new();
    let scene = std::env::current_exe().expect("our own path");
    let inner = Command::new(scene)
        .args(["--exact", "scene", "--nocapture", "--test-threads=1"])
        .env(crate::support::SCENE, "victim")
        .env("UP", &up)
        .env("GROUPING", "ordered")
        .env(TAG, tag.value())
        .capture_limit(1_000_000)
        .timeout(Duration::from_secs(2))
        .grace(Duration::ZERO);
    let gate = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&up)
        .expect("the FIFO");
    let error = in_time(move || inner.output()).expect_err("its time is up");
    assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
    drop(gate);
    tag.assert_gone();
}
