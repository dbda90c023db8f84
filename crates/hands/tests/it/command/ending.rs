//! How a command ends: by itself, by a signal, or because its time is up, with everything it has
//! started.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use hands::command::{Command, CommandError, Output};

use crate::support::{TAG, Tag, in_time};

/// Enough for a shell to start and set its traps even on a machine that is busy; the longest any of
/// these tests waits.
const SHORT: Duration = Duration::from_millis(700);

/// The output of a command that must run into its time-out, and whose processes must all be gone
/// then.
#[track_caller]
fn timed_out(line: &str, grace: Duration) -> Output {
    let tag = Tag::new();
    let command = Command::shell(line)
        .timeout(SHORT)
        .grace(grace)
        .env(TAG, tag.value());
    let error = in_time(move || command.output()).expect_err("its time is up");
    let text = error.to_string();
    assert!(
        text.contains("`/bin/sh`") && text.contains("700ms"),
        "{text}"
    );
    let CommandError::TimedOut { after, output, .. } = error else {
        panic!("another error: {text}");
    };
    assert_eq!(after, SHORT);
    tag.assert_gone();
    *output
}

#[test]
fn an_exit_code_is_no_error_and_is_told() {
    for code in [0, 1, 7, 126, 127, 255] {
        let command = Command::shell(format!("exit {code}"));
        let output = in_time(move || command.output()).expect("sh runs");
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(output.success(), code == 0);
    }
}

#[test]
fn a_deadly_signal_is_told() {
    for signal in [1, 6, 9, 11, 15] {
        let command = Command::shell(format!("ulimit -c 0; kill -{signal} $$"));
        let output = in_time(move || command.output()).expect("sh runs");
        assert_eq!(output.status.signal(), Some(signal));
        assert_eq!(output.status.code(), None);
        assert!(!output.success());
    }
}

#[test]
fn what_a_trap_for_term_writes_is_kept() {
    let output = timed_out(
        "trap 'echo bye; exit 3' TERM; echo ready; sleep 1000 & wait",
        Duration::from_secs(30),
    );
    assert_eq!(output.stdout_text(), "ready\nbye\n");
    assert_eq!(output.status.code(), Some(3));
    assert!(!output.cut_off);
}

#[test]
fn who_ignores_term_is_killed() {
    let output = timed_out(
        "trap '' TERM; echo ready; sleep 1000",
        Duration::from_millis(50),
    );
    assert_eq!(output.stdout_text(), "ready\n");
    assert_eq!(output.status.signal(), Some(9));
}

#[test]
fn who_is_stopped_is_ended_too() {
    let output = timed_out("kill -STOP $$", Duration::from_secs(30));
    assert_eq!(output.status.signal(), Some(15));
}

#[test]
fn a_grandchild_in_a_session_of_its_own_that_holds_the_pipe_is_killed() {
    let output = timed_out(
        "setsid sh -c 'trap \"\" TERM; echo in; sleep 1000' & wait",
        Duration::from_millis(50),
    );
    assert_eq!(output.stdout_text(), "in\n");
}

#[test]
fn a_daemon_that_holds_the_pipe_is_killed_after_its_parents_are_gone() {
    let output = timed_out(
        "echo out; setsid sh -c 'trap \"\" TERM; (trap \"\" TERM; sleep 1000) & exit'",
        Duration::from_millis(50),
    );
    assert_eq!(output.stdout_text(), "out\n");
    assert_eq!(output.status.code(), Some(0), "it had ended by itself");
}

#[test]
fn a_time_out_ends_a_grandchild_in_a_session_of_its_own_that_has_let_go_of_the_pipe() {
    timed_out(
        "setsid sleep 1000 > /dev/null 2>&1 & sleep 1000",
        Duration::from_secs(30),
    );
}

#[test]
fn a_time_out_ends_a_grandchild_that_ignores_term_and_has_let_go_of_the_pipe() {
    timed_out(
        "(trap '' TERM; exec sleep 1000) > /dev/null 2>&1 & sleep 1000",
        Duration::from_millis(50),
    );
}

#[test]
fn a_grandchild_that_breeds_is_ended_to_the_last() {
    timed_out(
        "trap '' TERM; i=0; while [ $i -lt 30 ]; do setsid sleep 1000 & i=$((i+1)); done; wait",
        Duration::from_millis(50),
    );
}

#[test]
fn output_of_a_grandchild_counts_until_it_lets_go() {
    let command = Command::shell("(sleep 0.2; echo late) & echo early");
    let output = in_time(move || command.output()).expect("sh runs");
    assert_eq!(output.stdout_text(), "early\nlate\n");
}

#[test]
fn a_background_process_without_the_pipe_holds_nobody_up() {
    let tag = Tag::new();
    let command = Command::shell("sleep 1000 < /dev/null > /dev/null 2>&1 & echo gone");
    let command = command.env(TAG, tag.value());
    let output = in_time(move || command.output()).expect("sh runs");
    assert_eq!(output.stdout_text(), "gone\n");
    assert_eq!(tag.alive().len(), 1, "a daemon may stay");
}

#[test]
fn a_command_within_its_time_is_left_alone() {
    let command = Command::shell("sleep 0.1; echo in time").timeout(Duration::from_secs(50));
    let output = in_time(move || command.output()).expect("in time");
    assert_eq!(output.stdout_text(), "in time\n");
}

#[test]
fn a_timeout_ends_an_endless_writer_and_an_endless_reader() {
    let tag = Tag::new();
    let command = Command::new("yes").timeout(SHORT).env(TAG, tag.value());
    let error = in_time(move || {
        let mut got = 0;
        command.stream(|_, piece| {
            got += piece.len();
            Ok(())
        })
    });
    assert!(matches!(error, Err(CommandError::TimedOut { .. })));
    let command = Command::new("sleep")
        .arg("1000")
        .stdin(vec![0; 1_000_000])
        .timeout(SHORT);
    let command = command.env(TAG, tag.value());
    let error = in_time(move || command.output());
    assert!(matches!(error, Err(CommandError::TimedOut { .. })));
    tag.assert_gone();
}
