//! `a | b | c` without a shell.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use hands::command::{Command, CommandError};

use crate::support::{TAG, Tag, in_time};

#[test]
fn three_stages_work_on_each_others_output() {
    let pipeline = Command::new("tr")
        .args(["a-z", "A-Z"])
        .stdin("b\na\nb\n")
        .pipe(Command::new("sort"))
        .pipe(Command::new("uniq"));
    let output = in_time(move || pipeline.output()).expect("it runs");
    assert_eq!(output.stdout(), b"A\nB\n");
    assert!(output.success());
    assert_eq!(output.stages.len(), 3);
}

#[test]
fn megabytes_pass_through_every_stage() {
    let input: Vec<u8> = (0..10_000_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let pipeline = Command::new("cat")
        .stdin(input.clone())
        .pipe(Command::new("tee").arg("/dev/stderr"))
        .pipe(Command::new("cat"));
    let output = in_time(move || pipeline.output()).expect("it runs");
    assert!(output.stdout() == input);
    assert!(output.stages[1].stderr == input);
}

#[test]
fn a_last_stage_that_has_enough_ends_an_endless_first_one() {
    let pipeline = Command::new("yes").pipe(Command::new("head").arg("-1"));
    let output = in_time(move || pipeline.output()).expect("it runs");
    assert_eq!(output.stdout(), b"y\n");
    assert_eq!(output.stages[0].status.signal(), Some(libc::SIGPIPE));
    assert!(
        output.success(),
        "the reader had enough, which is no failure"
    );
}

#[test]
fn a_failing_stage_is_told_and_the_rest_is_kept() {
    let pipeline = Command::new("echo")
        .arg("text")
        .pipe(Command::shell("cat; echo oops >&2; exit 3"))
        .pipe(Command::new("cat"));
    let output = in_time(move || pipeline.output()).expect("it runs");
    assert!(!output.success());
    assert_eq!(output.stdout(), b"text\n");
    let codes: Vec<_> = output
        .stages
        .iter()
        .map(|stage| stage.status.code())
        .collect();
    assert_eq!(codes, [Some(0), Some(3), Some(0)]);
    assert_eq!(output.stages[1].stderr, b"oops\n");
    assert_eq!(output.stages[2].stderr, b"");
}

#[test]
fn merged_stderr_goes_down_the_pipe() {
    let pipeline = Command::shell("echo out; echo err >&2")
        .merge_stderr()
        .pipe(Command::new("cat"));
    let output = in_time(move || pipeline.output()).expect("it runs");
    assert_eq!(output.stdout(), b"out\nerr\n");
}

#[test]
fn a_stage_that_cannot_start_ends_those_that_have() {
    let tag = Tag::new();
    let pipeline = Command::shell("setsid sleep 1000 & sleep 1000")
        .env(TAG, tag.value())
        .pipe(Command::new("sleep").arg("1000").env(TAG, tag.value()))
        .pipe(Command::new("no-such-program"));
    let error = in_time(move || pipeline.output())
        .expect_err("not found")
        .to_string();
    assert!(
        error.contains("`no-such-program`") && error.contains("not found"),
        "{error}"
    );
    tag.assert_gone();
}

#[test]
fn too_much_output_ends_all_stages() {
    let tag = Tag::new();
    let pipeline = Command::new("yes").env(TAG, tag.value()).pipe(
        Command::new("cat")
            .capture_limit(5000)
            .env(TAG, tag.value()),
    );
    let error = in_time(move || pipeline.output()).expect_err("too much");
    let CommandError::TooMuchOutput {
        program, output, ..
    } = error
    else {
        panic!("another error: {error}");
    };
    assert_eq!((&*program, output.stdout.len()), (&b"cat"[..], 5000));
    tag.assert_gone();
}

#[test]
fn a_stage_whose_time_is_up_ends_all_of_them() {
    for (first, second) in [
        ("exec sleep 1000", "cat"),
        ("sleep 1000", "exec sleep 1000"),
    ] {
        let tag = Tag::new();
        let limited = |line: &str, limit: bool| {
            let command = Command::shell(line).env(TAG, tag.value());
            if limit {
                command.timeout(Duration::from_millis(200))
            } else {
                command
            }
        };
        let pipeline = limited(first, second == "cat").pipe(limited(second, second != "cat"));
        let error = in_time(move || pipeline.output()).expect_err("its time is up");
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        tag.assert_gone();
    }
}
