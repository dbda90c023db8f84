//! `kill -9` of the program: none of its processes survives it, and `--resume` completes the batch.

use std::collections::HashMap;
use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::stage::{HEADER, RING, Stage, await_ready};

/// Marks every process of a test in its environment.
const TAG: &str = "HANDS_TEST_TAG";

fn tag(stage: &Stage) -> String {
    stage.folder().display().to_string()
}

/// Waits until no process has the tag in its environment.
#[track_caller]
fn await_gone(tag: &str) {
    let entry = format!("{TAG}={tag}");
    let has_it = |environ: &[u8]| {
        environ
            .split(|&byte| byte == 0)
            .any(|found| found == entry.as_bytes())
    };
    loop {
        let mut alive = Vec::new();
        for process in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = process
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            // Opened first: if it is the tagged one that is read afterwards, this is it.
            let Some(pidfd) =
                Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            else {
                continue;
            };
            if fs::read(process.path().join("environ")).is_ok_and(|environ| has_it(&environ)) {
                alive.push(pidfd);
            }
        }
        if alive.is_empty() {
            return;
        }
        for process in alive {
            await_ready(process, "the end of a process that survived");
        }
    }
}

/// How often each number is in the file.
fn counts(stage: &Stage, name: &str) -> HashMap<u64, usize> {
    let mut counts = HashMap::new();
    for line in stage.sorted(name) {
        *counts.entry(line.parse().expect("a number")).or_default() += 1;
    }
    counts
}

/// The numbers in a log as a kill leaves it: whole rows, and perhaps a torn one.
fn logged(stage: &Stage) -> Vec<u64> {
    let log = stage.text("log");
    let rows = log.strip_prefix(HEADER).expect("the header");
    rows.split_inclusive('\n')
        .filter(|row| row.ends_with('\n'))
        .map(|row| {
            row.split('\t')
                .next()
                .and_then(|seq| seq.parse().ok())
                .expect("a number")
        })
        .collect()
}

/// Resumes a batch of 1,000 and checks that each input was completed, and none that was logged ran
/// again.
#[track_caller]
fn complete(stage: &Stage, words: &[&str]) {
    let before = logged(stage);
    let ran_before = counts(stage, "ran");
    assert!(
        !before.is_empty() && before.len() < 1000,
        "{}",
        before.len()
    );
    stage.write("again", "");
    stage
        .run(words.iter().chain(&["--resume", JOB]))
        .stdin(numbers())
        .end()
        .with_code(0);
    let ran = counts(stage, "ran");
    for number in 1..=1000 {
        assert!(
            ran.contains_key(&number),
            "input {number} was never completed"
        );
    }
    for number in before {
        assert_eq!(
            ran[&number], ran_before[&number],
            "{number} was logged and ran again"
        );
    }
    let rows = stage.rows("log");
    let mut seqs: Vec<u64> = rows.iter().map(|row| row.seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=1000).collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row.exit == 0 && row.signal == 0));
}

/// Appends its number; in the first run, from the middle on, starts a family and hangs.
const JOB: &str = "if [ {} -ge 500 ] && [ ! -e again ]; then exec 9>bell; sleep 1000 & setsid sleep 1000 & \
     (trap '' TERM HUP; sleep 1000; sleep 1000) & echo {} >&9; sleep 1000; fi; echo {} >> ran";

fn numbers() -> String {
    (1..=1000).map(|number| format!("{number}\n")).collect()
}

#[test]
fn a_batch_killed_half_way_leaves_nobody_and_is_completed_by_resuming() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let words = ["-j4", "--joblog", "log"];
    let playing = stage
        .run(words.iter().chain(&[JOB]))
        .env(TAG, tag(&stage))
        .stdin(numbers())
        .start();
    bell.rings(4);
    playing.signal(Signal::KILL);
    playing.end().with_code(128 + 9);
    bell.silence();
    await_gone(&tag(&stage));
    complete(&stage, &words);
}

#[test]
fn a_batch_killed_at_full_speed_is_completed_by_resuming() {
    let stage = Stage::new();
    // It is killed before the first job that would hang, and while others are in any state.
    let words = ["-j8", "--joblog", "log", "-v"];
    let mut playing = stage
        .run(words.iter().chain(&[JOB]))
        .env(TAG, tag(&stage))
        .stdin(numbers())
        .start();
    playing.told("echo 300 >> ran");
    playing.signal(Signal::KILL);
    playing.end().with_code(128 + 9);
    await_gone(&tag(&stage));
    complete(&stage, &words[..3]);
}

/// Runs `job` beside a quick one, kills `hands` and waits until all is gone.
#[track_caller]
fn dies_with_it(flags: &[&str], job: &str) {
    let stage = Stage::new();
    let mut bell = stage.bell();
    // The quick one ends before the last one starts: by then the batch is under way and guarded.
    let job = format!("[ {{}} = quick ] && exit; {RING} {job}");
    let words = flags
        .iter()
        .copied()
        .chain(["-j2", &job, ":::", "quick", "a", "b"]);
    let playing = stage.run(words).env(TAG, tag(&stage)).start();
    bell.rings(2);
    playing.signal(Signal::KILL);
    playing.end().with_code(128 + 9);
    bell.silence();
    await_gone(&tag(&stage));
}

#[test]
fn nobody_survives_a_kill_however_it_was_started() {
    for job in [
        "sleep 1000",
        "sleep 1000 & sleep 1000 & wait",
        "trap '' TERM HUP INT; while :; do sleep 1000; done",
        "setsid sh -c 'setsid sleep 1000 & sleep 1000'",
        "(setsid sleep 1000 > /dev/null 2>&1 < /dev/null &) ; sleep 1000",
        "nohup setsid sleep 1000 > /dev/null 2>&1 & sleep 1000",
        "yes > /dev/null",
    ] {
        dies_with_it(&[], job);
    }
}

#[test]
fn nobody_survives_a_kill_whatever_becomes_of_the_output() {
    for flags in [&["-u"][..], &["-k"], &["--line-buffer"], &["--json"]] {
        dies_with_it(flags, "sleep 1000 & sleep 1000");
    }
}

#[test]
fn a_batch_inside_a_job_goes_down_with_the_outer_one() {
    dies_with_it(&[], "\"$HANDS\" run 'sleep {} & sleep {}' ::: 1000 1001");
}

#[test]
fn a_batch_inside_a_job_that_is_killed_takes_its_jobs_with_it() {
    let stage = Stage::new();
    let bell = stage.bell();
    let job = format!("{RING} \"$HANDS\" run 'setsid sleep {{}} & sleep {{}}' ::: 1000 1001");
    stage
        .run(["--timeout", "1", "--grace", "0.1", "-N1", &job, ":::", "a"])
        .env(TAG, tag(&stage))
        .end()
        .with_code(1);
    bell.silence();
    await_gone(&tag(&stage));
}

#[test]
fn a_batch_that_ended_leaves_no_process_of_its_own() {
    let stage = Stage::new();
    stage
        .run(["-j2", "true", ":::", "a", "b", "c"])
        .env(TAG, tag(&stage))
        .end()
        .with_code(0);
    await_gone(&tag(&stage));
}

#[test]
fn what_a_job_left_in_the_background_ends_with_the_batch() {
    let stage = Stage::new();
    let bell = stage.bell();
    let job = format!("{RING} sleep 1000 > /dev/null 2>&1 &");
    stage
        .run([&job, ":::", "a"])
        .end()
        .with_code(0)
        .says("ended 1 process that a job had left in the background");
    bell.silence();
}

#[test]
fn who_made_a_session_of_its_own_may_stay_when_all_went_well() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    // `setsid` may fork, so the one that stays says itself who it is.
    let job = "setsid sh -c 'exec 9>bell; echo $$ >&9; exec sleep 1000' > /dev/null 2>&1 &";
    let ended = stage.run(["-n0", job, ":::", "a"]).end().with_code(0);
    assert_eq!(ended.stderr, "");
    let pid = bell.rings(1)[0].parse().ok().and_then(Pid::from_raw);
    let pid = pid.expect("its pid");
    kill_process(pid, Signal::KILL).expect("it stayed");
    bell.silence();
}

#[test]
fn killed_by_its_first_job_it_leaves_nobody() {
    let stage = Stage::new();
    let tag = tag(&stage);
    for _ in 0..12 {
        let job = "kill -9 $PPID; sleep 1000; echo {}";
        let words = ["-j2", job, ":::", "a", "b"];
        stage.run(words).env(TAG, &tag).end();
        await_gone(&tag);
    }
}

#[test]
fn who_holds_a_job_s_output_does_not_hold_up_the_batch() {
    let stage = Stage::new();
    let tag = tag(&stage);
    let job = "echo before {}; setsid sh -c 'read _ < gate; echo late {}' & exit {}";
    let mut gate = stage.gate();
    let words = ["-k", "-j1", job, ":::", "0", "3"];
    let ended = stage.run(words).env(TAG, &tag).end().with_code(1);
    assert_eq!(ended.out(), "before 0\nbefore 3\n");
    assert_eq!(
        ended.stderr.matches("still holds its output").count(),
        1,
        "{}",
        ended.stderr
    );
    gate.open(2);
    await_gone(&tag);
    // Who wants it waits.
    let words = ["--wait-pipes", "-j1", job, ":::", "0"];
    let waiting = stage.run(words).env(TAG, &tag).start();
    gate.open(1);
    let ended = waiting.end().with_code(0);
    assert_eq!(ended.out(), "before 0\nlate 0\n");
}
