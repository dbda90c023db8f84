//! `--retries`, and what else decides when and under which conditions a job runs.

use std::process::Command;

use crate::stage::{RING, Stage};

#[test]
fn a_job_that_fails_is_tried_again_until_it_succeeds() {
    let stage = Stage::new();
    let job = "echo {} >> tries; echo try $(grep -c {} tries); [ $(grep -c {} tries) -eq 3 ]";
    let words = [
        "-k",
        "--retries",
        "5",
        "--retry-delay",
        "0",
        "--joblog",
        "log",
        job,
        ":::",
    ];
    let ended = stage
        .run(words.into_iter().chain(["a", "b"]))
        .end()
        .with_code(0)
        .says("job 1 exited with 1; trying again")
        .says("job 1 exited with 1 (try 2); trying again");
    assert_eq!(ended.out(), "try 3\ntry 3\n", "failed tries are not shown");
    assert_eq!(stage.sorted("tries"), ["a", "a", "a", "b", "b", "b"]);
    let rows = stage.rows("log");
    assert_eq!(rows.len(), 2, "one row for each job");
    assert!(rows.iter().all(|row| row.exit == 0));
    assert!(!ended.stderr.contains("failed"), "{}", ended.stderr);
}

#[test]
fn a_job_that_never_succeeds_counts_once_and_is_logged_once() {
    let stage = Stage::new();
    let words = ["--retries", "3", "--retry-delay", "0", "--joblog", "log"];
    stage
        .run(
            words
                .into_iter()
                .chain(["echo {} >> tries; exit 9", ":::", "a"]),
        )
        .end()
        .with_code(1)
        .says("1 of 1 job failed")
        .says("# job 1 exited with 9 (try 3)");
    assert_eq!(stage.sorted("tries"), ["a", "a", "a"]);
    let rows = stage.rows("log");
    assert_eq!((rows.len(), rows[0].exit), (1, 9));
}

#[test]
fn each_wait_is_twice_the_one_before() {
    let stage = Stage::new();
    let words = [
        "--retries",
        "4",
        "--retry-delay",
        "0.01",
        "false",
        ":::",
        "a",
    ];
    stage
        .run(words)
        .end()
        .with_code(1)
        .says("trying again in 0.01s")
        .says("trying again in 0.02s")
        .says("trying again in 0.04s");
}

#[test]
fn others_run_while_a_failed_job_waits_for_its_next_try() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let words = ["-j1", "--retries", "2", "--retry-delay", "1000"];
    let job = format!("{RING} [ {{}} != bad ]");
    let mut playing = stage
        .run(
            words
                .into_iter()
                .chain([job.as_str(), ":::", "bad", "good", "fine"]),
        )
        .start();
    playing.told("trying again in 16m40s");
    assert_eq!(bell.rings(3), ["bad", "fine", "good"]);
}

#[test]
fn zero_retries_means_for_ever() {
    let stage = Stage::new();
    let job = "echo {} >> tries; [ $(wc -l < tries) -eq 12 ]";
    stage
        .run(["--retries", "0", "--retry-delay", "0", job, ":::", "a"])
        .end()
        .with_code(0);
}

#[test]
fn a_halt_rule_counts_jobs_not_tries() {
    let stage = Stage::new();
    let job = "echo {} >> tries; [ $(wc -l < tries) -ge 3 ]";
    let words = [
        "-j1",
        "--halt",
        "now,fail=1",
        "--retries",
        "3",
        "--retry-delay",
        "0",
    ];
    stage
        .run(words.into_iter().chain([job, ":::", "a", "b"]))
        .end()
        .with_code(0);
}

#[test]
fn two_starts_are_as_far_apart_as_delay_says() {
    let stage = Stage::new();
    stage
        .run([
            "-j8", "--delay", "0.15", "--joblog", "log", "true", ":::", "a", "b", "c",
        ])
        .end()
        .with_code(0);
    let mut starts: Vec<f64> = stage.rows("log").iter().map(|row| row.start).collect();
    starts.sort_by(f64::total_cmp);
    for pair in starts.windows(2) {
        assert!(pair[1] - pair[0] >= 0.149, "{starts:?}");
    }
}

/// With `-j rule`, exactly `expected` jobs run at once.
#[track_caller]
fn at_once(rule: &str, expected: usize) {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut gate = stage.gate();
    let inputs: String = (0..expected * 2).map(|n| format!("{n}\n")).collect();
    let job = "exec 9>bell; echo {%} >&9; read _ < gate";
    let playing = stage.run(["-j", rule, job]).stdin(inputs).start();
    let slots: Vec<usize> = bell
        .rings(expected)
        .iter()
        .map(|slot| slot.parse().expect("a slot"))
        .collect();
    gate.open(expected * 2);
    playing.end().with_code(0);
    // Numbers of slots are given out from the lowest, so that one too many would be seen.
    let highest = bell
        .rings(expected * 2)
        .iter()
        .filter_map(|slot| slot.parse().ok())
        .max();
    assert_eq!(slots.len(), expected, "-j {rule}");
    assert_eq!(highest, Some(expected), "-j {rule}");
}

#[test]
fn as_many_jobs_run_at_once_as_are_asked_for() {
    let cores = hands::cores().get();
    at_once("1", 1);
    at_once("3", 3);
    at_once("auto", cores);
    at_once("+2", cores + 2);
    at_once("100%", cores);
    at_once("300%", cores * 3);
}

#[test]
fn a_small_percentage_is_one_job_at_least() {
    at_once("1%", (hands::cores().get() / 100).max(1));
}

#[test]
fn jobs_are_as_nice_as_told() {
    let own = Command::new("nice").output().expect("`nice`");
    let own: i32 = String::from_utf8_lossy(&own.stdout)
        .trim()
        .parse()
        .expect("a number");
    let stage = Stage::new();
    for (asked, expected) in [("3", (own + 3).min(19)), ("19", 19), ("0", own)] {
        let ended = stage
            .run(["--nice", asked, "-n0", "nice", ":::", "a"])
            .end();
        assert_eq!(ended.out().trim(), expected.to_string());
    }
}

#[test]
fn jobs_run_in_the_directory_and_environment_they_are_given() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("with space")).expect("a folder");
    let words = [
        "--workdir",
        "with space",
        "--env",
        "A=1=2 ",
        "--env",
        "B=",
        "--env",
        "A=x",
    ];
    let job = "pwd; env | grep -E '^(A|B|KEPT)='";
    let ended = stage
        .run(words.into_iter().chain(["-n0", job, ":::", "a"]))
        .env("KEPT", "yes")
        .env("A", "outer")
        .end()
        .with_code(0);
    let mut lines: Vec<&str> = ended.out().lines().collect();
    assert!(lines.remove(0).ends_with("/with space"));
    lines.sort();
    assert_eq!(lines, ["A=x", "B=", "KEPT=yes"]);
    stage
        .run(["--workdir", "nowhere", "true", ":::", "a"])
        .end()
        .with_code(255)
        .says("`--workdir nowhere` is not a directory");
}

#[test]
fn jobs_know_their_number_and_slot() {
    let ended = Stage::new()
        .run([
            "-k",
            "-j1",
            "-n0",
            "echo $HANDS_SEQ $HANDS_SLOT",
            ":::",
            "a",
            "b",
        ])
        .end();
    assert_eq!(ended.out(), "1 1\n2 1\n");
}

#[test]
fn limits_on_memory_and_processor_time_hold() {
    let stage = Stage::new();
    let ended = stage
        .run([
            "--memory-limit",
            "300M",
            "--cpu-limit",
            "1.5",
            "-n0",
            "ulimit -v; ulimit -t",
            ":::",
            "a",
        ])
        .end();
    assert_eq!(ended.out(), "307200\n2\n");
    let words = [
        "--cpu-limit",
        "1",
        "--joblog",
        "log",
        "-n0",
        "while :; do :; done",
        ":::",
        "a",
    ];
    stage
        .run(words)
        .end()
        .with_code(1)
        .says("was killed by signal 24 (XCPU)");
    assert_eq!(stage.rows("log")[0].signal, 24);
}

#[test]
fn a_job_that_is_to_be_tried_again_is_not_waited_for_by_those_it_waits_for() {
    let stage = Stage::new();
    // The first fails once. Without a disk for their output, the others wait for it to be written
    // first.
    let command =
        "case {} in 1) [ -e tried ] || { touch tried; exit 1; };; esac; head -c 3000000 /dev/zero";
    let words = [
        "-k",
        "-j2",
        "--retries",
        "2",
        "--retry-delay",
        "0.1",
        "--tmpdir",
        "/proc",
    ];
    let ended = stage
        .run(words.iter().chain(&[command, ":::", "1", "2", "3"]))
        .end()
        .with_code(0);
    assert_eq!(ended.stdout.len(), 9_000_000);
}

#[test]
fn behind_the_last_job_no_delay_is_waited_for() {
    let stage = Stage::new();
    // Longer than any test waits.
    let ended = stage.run(["--delay", "100000", "echo", ":::", "a"]).end();
    assert_eq!(ended.with_code(0).stdout, b"a\n");
}
