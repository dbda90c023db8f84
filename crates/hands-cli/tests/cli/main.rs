//! The program as its users meet it: what it prints, and what it exits with.

mod auto;
#[path = "../../../hands-web/tests/it/browser.rs"]
#[allow(dead_code, reason = "each crate's tests use a part of it")]
mod browser;
mod cluster;
mod documented;
mod dry_run;
mod elders;
mod faults;
mod fetch;
mod generate;
mod halt;
mod help;
mod inputs;
mod joblog;
mod json;
mod kit;
mod memory;
mod names;
mod output;
mod parallel;
mod pipe;
mod placeholders;
mod progress;
mod records;
mod replacements;
mod results;
mod resume;
mod retries;
mod seen;
mod sem;
mod signals;
mod sources;
mod stage;
mod streams;
mod survivors;
mod timeout;
mod top;
mod tune;
mod usage;
mod web;

use assert_cmd::Command;

/// `hands` with these words, stdin empty.
fn hands(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hands"));
    command.args(words).env("LC_ALL", "C.UTF-8").write_stdin("");
    command
}

/// What it printed on stdout, after checking that it exited with `code`.
#[track_caller]
fn stdout_of(words: &[&str], code: i32) -> String {
    let output = hands(words).assert().code(code).get_output().clone();
    String::from_utf8(output.stdout).expect("text")
}

/// What it printed on stderr, after checking that it exited with `code` and left stdout alone.
#[track_caller]
fn stderr_of(words: &[&str], code: i32) -> String {
    let output = hands(words).assert().code(code).get_output().clone();
    assert!(output.stdout.is_empty(), "stdout is for results");
    String::from_utf8(output.stderr).expect("text")
}
