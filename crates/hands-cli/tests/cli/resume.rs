//! `--resume` and `--resume-failed`: what is done is not done again, and another batch's log is
//! refused.

use std::fs;

use crate::stage::{HEADER, Stage, sorted};

/// `echo {} >> ran; exit {}` over `inputs`, with a log.
const JOB: &str = "echo {} >> ran; [ ! -e broken{} ]";

fn words<'a>(flags: &[&'a str], inputs: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["-j2", "--joblog", "log"];
    words.extend(flags);
    words.extend([JOB, ":::"]);
    words.extend(inputs);
    words
}

/// A run of three jobs of which the second fails.
fn first_run() -> Stage {
    let stage = Stage::new();
    stage.write("brokenb", "");
    stage.run(words(&[], &["a", "b", "c"])).end().with_code(1);
    fs::remove_file(stage.path("ran")).expect("it ran");
    fs::remove_file(stage.path("brokenb")).expect("it was broken");
    stage
}

#[test]
fn what_is_in_the_log_is_not_run_again() {
    let stage = first_run();
    stage
        .run(words(&["--resume"], &["a", "b", "c", "d", "e"]))
        .end()
        .with_code(1)
        .says("1 job failed in an earlier run; `--resume-failed` runs them again");
    assert_eq!(stage.sorted("ran"), ["d", "e"]);
    assert_eq!(stage.rows("log").len(), 5);
}

#[test]
fn what_failed_is_run_again_when_asked_for() {
    let stage = first_run();
    stage
        .run(words(&["--resume-failed"], &["a", "b", "c", "d"]))
        .end()
        .with_code(0);
    assert_eq!(stage.sorted("ran"), ["b", "d"]);
    // Its later row counts from now on.
    fs::remove_file(stage.path("ran")).expect("it ran");
    stage
        .run(words(&["--resume-failed"], &["a", "b", "c", "d"]))
        .end()
        .with_code(0);
    assert!(stage.sorted("ran").is_empty());
}

#[test]
fn a_failure_is_told_with_the_way_to_run_only_the_failed_ones() {
    let stage = Stage::new();
    stage.write("brokena", "");
    stage
        .run(words(&[], &["a"]))
        .end()
        .with_code(1)
        .says("the same `hands run` with `--resume-failed`");
}

#[test]
fn nothing_left_to_do_is_success() {
    let stage = first_run();
    stage
        .run(words(&["--resume-failed"], &["a", "b", "c"]))
        .end()
        .with_code(0);
    let log = stage.text("log");
    let ended = stage
        .run(words(&["--resume"], &["a", "b", "c"]))
        .end()
        .with_code(0);
    assert_eq!((ended.out(), ended.stderr.as_str()), ("", ""));
    assert_eq!(stage.text("log"), log);
}

#[test]
fn the_first_run_may_resume_from_nothing() {
    let stage = Stage::new();
    stage
        .run(words(&["--resume"], &["a", "b"]))
        .end()
        .with_code(0);
    assert_eq!(stage.sorted("ran"), ["a", "b"]);
    assert_eq!(stage.rows("log").len(), 2);
}

#[track_caller]
fn refused(stage: &Stage, flag: &str, inputs: &[&str], told: &str) {
    let log = stage.bytes("log");
    stage
        .run(words(&[flag], inputs))
        .end()
        .with_code(255)
        .says("error: the inputs changed since `log`")
        .says(told)
        .calmly();
    assert!(stage.sorted("ran").is_empty(), "nothing may run");
    assert_eq!(stage.bytes("log"), log, "the log is left as it was");
}

#[test]
fn inputs_that_have_changed_are_refused_and_nothing_is_run() {
    let stage = first_run();
    for flag in ["--resume", "--resume-failed"] {
        refused(&stage, flag, &["a", "X", "c", "d"], "job 2 was `echo b");
        refused(&stage, flag, &["new", "a", "b", "c"], "job 1 was `echo a");
        refused(&stage, flag, &["d", "e", "c"], "job 1 was `echo a");
    }
}

#[test]
fn inputs_that_have_become_fewer_are_refused() {
    let stage = first_run();
    refused(
        &stage,
        "--resume",
        &["a", "b"],
        "it goes up to job 3 and there are now 2",
    );
}

#[test]
fn a_change_at_the_end_is_seen_before_the_first_job_runs() {
    let stage = Stage::new();
    let rows: String = (1..=3000)
        .filter(|seq| *seq != 2)
        .map(|seq| format!("{seq}\t:\t1795418470.102\t     0.003\t0\t2\t0\t0\ttouch {seq}\n"))
        .collect();
    stage.write("log", format!("{HEADER}{rows}"));
    let inputs: String = (1..3000).map(|seq| format!("{seq}\n")).collect();
    stage
        .run(["--joblog", "log", "--resume", "touch"])
        .stdin(format!("{inputs}changed\n"))
        .end()
        .with_code(255)
        .says("job 3000 was `touch 3000` and is now `touch changed`");
    assert!(
        !stage.path("2").exists(),
        "job 2 was left to do, and must not have run"
    );
}

#[test]
fn another_command_is_refused_too() {
    let stage = first_run();
    stage
        .run(["--joblog", "log", "--resume", "touch", ":::", "a", "b", "c"])
        .end()
        .with_code(255)
        .says("and is now `touch a`");
    assert!(!stage.path("a").exists());
}

#[test]
fn a_half_written_last_row_is_cut_off_and_its_job_runs_again() {
    let stage = first_run();
    let whole = stage.bytes("log");
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .expect("a row before")
        + 1;
    let seq = String::from_utf8_lossy(&whole[last..])
        .split('\t')
        .next()
        .expect("a number")
        .to_owned();
    let again = ["a", "b", "c"][seq.parse::<usize>().expect("a number") - 1];
    for kept in [last + 1, last + 9, whole.len() - 1] {
        let _ = fs::remove_file(stage.path("ran"));
        stage.write("log", &whole[..kept]);
        stage
            .run(words(&["--resume"], &["a", "b", "c"]))
            .end()
            // One that is in the log had failed, unless it is that which runs again.
            .with_code(i32::from(again != "b"));
        assert_eq!(stage.sorted("ran"), [again], "{kept} bytes");
        let mut seqs: Vec<u64> = stage.rows("log").iter().map(|row| row.seq).collect();
        seqs.sort_unstable();
        assert_eq!(seqs, [1, 2, 3]);
    }
}

#[test]
fn a_half_written_header_is_begun_again() {
    let stage = Stage::new();
    for kept in [0, 1, 20, HEADER.len() - 1] {
        let _ = fs::remove_file(stage.path("ran"));
        stage.write("log", &HEADER[..kept]);
        stage.run(words(&["--resume"], &["a"])).end().with_code(0);
        assert_eq!(stage.sorted("ran"), ["a"]);
        assert_eq!(stage.rows("log").len(), 1);
    }
}

#[test]
fn a_log_with_a_line_that_is_no_row_is_refused() {
    let stage = first_run();
    let log = stage.text("log") + "what is this\n";
    stage.write("log", &log);
    stage
        .run(words(&["--resume"], &["a", "b", "c", "d"]))
        .end()
        .with_code(255)
        .says("`log` is not a job log: line 5 is `what is this`");
    assert_eq!(stage.text("log"), log);
    assert!(stage.sorted("ran").is_empty());
}

#[test]
fn a_log_of_gnu_parallel_is_understood() {
    let stage = Stage::new();
    stage.write(
        "log",
        format!(
            "{HEADER}2\t:\t1795418470.102\t     0.003\t0\t2\t0\t0\techo b\n\
             1\t:\t1795418470.102\t     0.003\t0\t2\t1\t0\techo a\n"
        ),
    );
    let again = |flag, code| {
        let words = ["--joblog", "log", flag, "echo", ":::", "a", "b", "c"];
        let ended = stage.run(words).end().with_code(code);
        sorted(ended.out())
    };
    assert_eq!(again("--resume", 1), ["c"]);
    assert_eq!(again("--resume-failed", 0), ["a"]);
}

#[test]
fn inputs_of_any_bytes_are_recognised() {
    let stage = Stage::new();
    let words = [
        "-0",
        "--joblog",
        "log",
        "--resume",
        "printf '%s\\n' {} >> ran",
    ];
    let first = &b"two\nlines\0a\ttab\0caf\xe9\0-n\0My brother's 12\" *** (costs $$$).jpg\0"[..];
    stage.run(words).stdin(first).end().with_code(0);
    let ran = stage.bytes("ran");
    let more = [first, b"new\0"].concat();
    stage.run(words).stdin(more).end().with_code(0);
    assert_eq!(stage.bytes("ran"), [&ran[..], b"new\n"].concat());
}

#[test]
fn jobs_that_name_their_slot_can_be_resumed() {
    let stage = Stage::new();
    let words = [
        "-j4",
        "--joblog",
        "log",
        "--resume",
        "echo {} {%} >> ran",
        ":::",
    ];
    let inputs = ["a", "b", "c", "d", "e", "f"];
    stage
        .run(words.iter().chain(&inputs[..4]))
        .end()
        .with_code(0);
    stage.run(words.iter().chain(&inputs)).end().with_code(0);
    let ran: Vec<String> = stage
        .sorted("ran")
        .iter()
        .map(|line| line[..1].to_owned())
        .collect();
    assert_eq!(ran, inputs);
}

#[test]
fn blocks_of_a_stream_can_be_resumed() {
    let stage = Stage::new();
    let words = [
        "-j1",
        "--pipe",
        "-N1",
        "--joblog",
        "log",
        "--resume",
        "--halt",
        "soon,done=2",
    ];
    let stream = "one\ntwo\nthree\nfour\n";
    for _ in 0..2 {
        stage
            .run(words.iter().chain(&["cat >> ran"]))
            .stdin(stream)
            .end()
            .with_code(0);
    }
    assert_eq!(stage.text("ran"), stream);
}

#[test]
fn resuming_without_a_log_is_wrong_usage() {
    for flag in ["--resume", "--resume-failed"] {
        Stage::new()
            .run([flag, "true", ":::", "a"])
            .end()
            .with_code(255)
            .says(&format!("`{flag}` needs `--joblog`"))
            .says("hint: ");
    }
}
