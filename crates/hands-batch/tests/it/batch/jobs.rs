//! What a job is given, where it runs, and what is kept of it.

use std::time::Duration;

use hands_batch::input::Pull;
use hands_batch::policy::Retries;
use hands_batch::{Batch, BatchError, Commands, Grouping, Job, JobPlace, Sink, Work, WorkError};

use crate::recorder::{Recorder, Shared, shell};
use crate::support::{TAG, Tag, folder, in_time};

/// Jobs made before the batch.
struct Made(Vec<Job>, usize);

impl Work for Made {
    type Item = usize;

    fn next(&mut self) -> Result<Pull<(u64, usize)>, WorkError> {
        self.1 += 1;
        let more = self.1 <= self.0.len();
        Ok(if more {
            Pull::Item((self.1 as u64, self.1 - 1))
        } else {
            Pull::End
        })
    }

    fn job(&mut self, at: &mut usize, _: JobPlace) -> Result<Job, WorkError> {
        Ok(self.0[*at].clone())
    }
}

fn job(words: &[&[u8]]) -> Job {
    Job {
        argv: words.iter().map(|word| word.to_vec()).collect(),
        ..Job::default()
    }
}

#[test]
fn a_slot_is_the_lowest_free_one_and_never_shared() {
    // The recorder checks each start against what runs.
    let lines = (0..300).map(|n| match n % 7 {
        0 => "sleep 0.05".to_owned(),
        3 => "sleep 0.01; exit 1".to_owned(),
        _ => format!("exit $(({n} % 2))"),
    });
    let work = Commands::new(shell(lines));
    let batch = Batch::new()
        .jobs(6)
        .retries(Retries::times(2).with_delay(Duration::ZERO));
    in_time(move || {
        let mut recorder = Recorder::default();
        batch.run(work, &mut recorder).expect("it runs");
        assert_eq!(recorder.most_running, 6);
    });
}

#[test]
fn a_job_knows_its_number_and_its_slot() {
    let out = Shared::default();
    let batch = Batch::new()
        .jobs(1)
        .env("HANDS_SEQ", "not this")
        .env("SHARED", "by all")
        .stdout(out.sink());
    let work = Commands::new(shell(["echo $HANDS_SEQ $HANDS_SLOT $SHARED"; 3]));
    in_time(move || batch.run(work, &mut ())).expect("it runs");
    assert_eq!(out.text(), "1 1 by all\n2 1 by all\n3 1 by all\n");
}

#[test]
fn a_variable_that_no_environment_can_hold_fails_each_job_and_says_why() {
    for (name, value, why) in [
        ("A=B", "c", "\"A=B\""),
        ("", "c", "empty"),
        ("A", "\0", "NUL"),
    ] {
        let batch = Batch::new().jobs(1).env(name, value);
        let work = Commands::new(shell(["echo started"]));
        in_time(move || {
            let mut recorder = Recorder::default();
            let summary = batch.run(work, &mut recorder).expect("it runs");
            assert_eq!((summary.succeeded, summary.failed), (0, 1));
            let said = recorder.end(1).error.clone().expect("a reason");
            assert!(said.contains(why), "{said}");
        });
    }
}

#[test]
fn jobs_run_under_the_batchs_conditions() {
    let folder = folder();
    let out = Shared::default();
    let batch = Batch::new()
        .jobs(1)
        .cwd(folder.path())
        .nice(2)
        .memory_limit(1 << 30)
        .cpu_limit(Duration::from_secs(77))
        .stdout(out.sink());
    let work = Commands::new(shell(["pwd -P; ulimit -v; ulimit -t; nice"]));
    in_time(move || batch.run(work, &mut ())).expect("it runs");
    let lines = out.lines();
    let real = folder.path().canonicalize().expect("a path");
    assert_eq!(lines[0], real.to_str().expect("text"));
    assert_eq!(lines[1..3], ["1048576", "77"]);
    assert!(lines[3].parse::<i32>().expect("a number") >= 2);
}

#[test]
fn arguments_and_stdin_are_any_bytes() {
    let all: Vec<u8> = (1..=255).collect();
    let every: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let out = Shared::default();
    let jobs = vec![
        job(&[b"printf", b"%s", &all]),
        Job {
            stdin: Some(every.clone()),
            ..job(&[b"cat"])
        },
        Job {
            stdin: Some(every.clone()),
            ..job(&[b"true"])
        },
        job(&[b"cat"]),
    ];
    let batch = Batch::new().jobs(1).stdout(out.sink());
    let summary = in_time(move || batch.run(Made(jobs, 0), &mut ())).expect("it runs");
    assert_eq!(summary.succeeded, 4);
    assert!(out.bytes() == [all, every].concat());
}

#[test]
fn a_job_that_cannot_start_fails_alone_and_says_why() {
    let out = Shared::default();
    let jobs = vec![
        job(&[b"no-such-program"]),
        job(&[b"echo", b"fine"]),
        job(&[b"/etc/passwd"]),
        job(&[b"echo", b"a\0b"]),
        job(&[]),
        job(&[b"echo", b"fine too"]),
    ];
    let batch = Batch::new()
        .jobs(1)
        .retries(Retries::times(3))
        .stdout(out.sink());
    let summary = in_time(move || {
        let mut recorder = Recorder::default();
        let summary = batch.run(Made(jobs, 0), &mut recorder).expect("it runs");
        let said = |number| recorder.end(number).error.clone().expect("a reason");
        assert!(said(1).contains("`no-such-program`") && said(1).contains("not found"));
        assert!(said(3).contains("`/etc/passwd`") && said(3).contains("permission denied"));
        assert!(said(4).contains("`echo`") && said(4).contains("NUL"));
        assert!(said(5).contains("empty"));
        let codes = [1, 3, 4, 5].map(|number| recorder.end(number).exit);
        assert_eq!(codes, [127, 126, 126, 127]);
        assert_eq!(
            recorder.ends.len(),
            6,
            "no second try: the program will not appear meanwhile"
        );
        summary
    });
    assert_eq!(
        (summary.succeeded, summary.failed, summary.exit_code),
        (2, 4, 4)
    );
    assert_eq!(out.text(), "fine\nfine too\n");
}

#[test]
fn a_working_directory_that_is_not_there_fails_each_job() {
    let batch = Batch::new().cwd("/no/such/folder");
    let work = Commands::new(shell(["true"; 2]));
    in_time(move || {
        let mut recorder = Recorder::default();
        let summary = batch.run(work, &mut recorder).expect("it runs");
        assert_eq!(summary.failed, 2);
        let said = recorder.end(1).error.clone().expect("a reason");
        assert!(said.contains("working directory"), "{said}");
    });
}

#[test]
fn results_are_kept_as_files() {
    let folder = folder();
    let place = |name: &str| folder.path().join("a").join(name);
    let job = |name: &str, line: &[u8]| Job {
        results: Some(place(name)),
        ..job(&[b"sh", b"-c", line])
    };
    let jobs = vec![
        job("one", b"printf 'out\\0'; echo err >&2"),
        job("two", b"head -c 500000 /dev/zero"),
    ];
    let out = Shared::default();
    let batch = Batch::new().grouping(Grouping::Ordered).stdout(out.sink());
    let batch = batch.stderr(Shared::default().sink());
    in_time(move || batch.run(Made(jobs, 0), &mut ())).expect("it runs");
    let read = |name: &str, file: &str| std::fs::read(place(name).join(file)).expect("a file");
    assert_eq!(read("one", "stdout"), b"out\0");
    assert_eq!(read("one", "stderr"), b"err\n");
    assert_eq!(read("one", "seq"), b"1\n");
    assert!(read("two", "stdout") == vec![0; 500_000]);
    assert_eq!(read("two", "stderr"), b"");
    assert_eq!(out.bytes().len(), 500_004, "and shown as well");
}

#[test]
fn results_that_cannot_be_written_end_the_batch_and_name_the_folder() {
    let tag = Tag::new();
    let jobs = vec![
        job(&[b"sh", b"-c", b"setsid sleep 1000 & sleep 1000"]),
        Job {
            results: Some("/dev/null/x".into()),
            ..job(&[b"sleep", b"1000"])
        },
        job(&[b"echo", b"not this"]),
    ];
    let batch = Batch::new()
        .jobs(2)
        .env(TAG, tag.value())
        .grace(Duration::from_millis(100));
    let error = in_time(move || batch.run(Made(jobs, 0), &mut ())).expect_err("no folder");
    assert!(matches!(error, BatchError::Results { .. }));
    assert!(error.to_string().contains("`/dev/null/x`"), "{error}");
    tag.assert_gone();
}

#[test]
fn bytes_that_a_job_wrote_are_counted() {
    let jobs = vec![job(&[b"sh", b"-c", b"head -c 100000 /dev/zero; echo >&2"])];
    let batch = Batch::new()
        .stdout(Shared::default().sink())
        .stderr(Shared::default().sink());
    in_time(move || {
        let mut recorder = Recorder::default();
        batch.run(Made(jobs, 0), &mut recorder).expect("it runs");
        assert_eq!(recorder.end(1).received, 100_001);
    });
}

#[test]
fn what_a_finished_job_left_running_is_ended_with_the_batch() {
    let tag = Tag::new();
    let work = Commands::new(shell([
        "sleep 1000 > /dev/null 2>&1 & exit 0",
        "(trap '' TERM; sleep 1000; :) > /dev/null 2>&1 & exit 0",
        "echo fine",
    ]));
    let batch = Batch::new()
        .env(TAG, tag.value())
        .stdout(Shared::default().sink());
    in_time(move || {
        let mut recorder = Recorder::default();
        let summary = batch.run(work, &mut recorder).expect("it runs");
        assert_eq!(summary.succeeded, 3);
        assert_eq!(recorder.noticed("Leftovers"), 1, "{:?}", recorder.notices);
    });
    tag.assert_gone();
}

#[test]
fn what_a_finished_job_left_running_may_end_by_itself() {
    let folder = folder();
    let path = folder.path().join("written");
    let line = format!(
        "(sleep 0.3; echo late > {}) > /dev/null 2>&1 & exit 0",
        path.display()
    );
    let work = Commands::new(shell([line]));
    in_time(move || {
        let mut recorder = Recorder::default();
        Batch::new().run(work, &mut recorder).expect("it runs");
        assert!(recorder.notices.is_empty(), "{:?}", recorder.notices);
    });
    assert_eq!(
        std::fs::read(path).expect("it was left in peace"),
        b"late\n"
    );
}

#[test]
fn a_daemon_with_a_session_of_its_own_may_stay() {
    let tag = Tag::new();
    let work = Commands::new(shell(["setsid -f sleep 1000 > /dev/null 2>&1"]));
    let batch = Batch::new().env(TAG, tag.value());
    in_time(move || batch.run(work, &mut ())).expect("it runs");
    assert_eq!(tag.alive().len(), 1);
}

#[test]
fn what_was_left_running_is_ended_with_a_batch_that_fails() {
    let tag = Tag::new();
    let (read, write) = std::io::pipe().expect("a pipe");
    drop(read);
    let sink = Sink::fd(std::os::fd::AsFd::as_fd(&write)).expect("a sink");
    let batch = Batch::new().jobs(1).env(TAG, tag.value()).stdout(sink);
    let lines = [
        "sleep 1000 > /dev/null 2>&1 & exit 0",
        "echo nobody reads this",
    ];
    let work = Commands::new(shell(lines));
    let error = in_time(move || batch.run(work, &mut ())).expect_err("nobody reads");
    assert!(matches!(error, BatchError::OutputClosed));
    tag.assert_gone();
}
