//! Help, version, completions and the man page.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use crate::{stderr_of, stdout_of};

#[test]
fn help_goes_to_stdout_and_exits_with_0() {
    for words in [
        &["--help"][..],
        &["-h"],
        &["run", "--help"],
        &["run", "-h"],
        &["help", "run"],
    ] {
        let help = stdout_of(words, 0);
        assert!(help.contains("Usage: hands"), "{words:?}");
        assert!(help.contains("Examples:"), "{words:?}");
    }
    assert_eq!(
        stdout_of(&["--version"], 0),
        format!("hands {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn the_help_of_run_documents_the_exit_codes_in_both_lengths() {
    for length in ["-h", "--help"] {
        let help = stdout_of(&["run", length], 0);
        assert!(help.contains("Exit codes:"), "{help}");
        for code in ["101", "130", "255"] {
            assert!(help.contains(code), "{help}");
        }
    }
}

#[test]
fn no_words_at_all_is_wrong_usage_and_shows_the_help() {
    let told = stderr_of(&[], 255);
    assert!(told.contains("Usage: hands <COMMAND>"), "{told}");
}

#[test]
fn completions_know_the_flags_of_run() {
    for (shell, flag) in [
        ("bash", "--keep-order"),
        ("zsh", "--keep-order"),
        ("fish", "keep-order"),
    ] {
        let script = stdout_of(&["completions", shell], 0);
        assert!(script.contains(flag), "{shell}");
        assert!(script.contains("hands"), "{shell}");
    }
    assert!(stderr_of(&["completions", "tcsh"], 255).contains("bash, zsh, fish"));
}

#[test]
fn the_bash_completion_is_a_script_bash_can_read() {
    let script = stdout_of(&["completions", "bash"], 0);
    let mut bash = Command::new("sh");
    // Any POSIX system has `sh`; where `bash` is not installed there is nothing to check.
    bash.args([
        "-c",
        "command -v bash >/dev/null || exit 0; exec bash -n /dev/stdin",
    ]);
    assert_cmd::Command::from_std(bash)
        .write_stdin(script)
        .assert()
        .success();
}

#[test]
fn the_man_page_is_a_man_page() {
    let page = stdout_of(&["man"], 0);
    assert!(page.contains(".TH hands 1"), "{page}");
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT CODES", "EXAMPLES"] {
        assert!(
            page.contains(&format!(".SH {section}\n"))
                || page.contains(&format!(".SH \"{section}\"")),
            "{section}"
        );
    }
    assert!(page.contains(r"\-\-keep\-order"));
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    for words in [&["man"][..], &["completions", "bash"], &["run", "--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_hands"))
            .args(words)
            .stdout(writer)
            .output()
            .expect("hands");
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    for words in [&["man"][..], &["run", "--help"]] {
        let full = File::create("/dev/full").expect("/dev/full");
        let mut child = Command::new(env!("CARGO_BIN_EXE_hands"))
            .args(words)
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .expect("hands");
        let mut told = String::new();
        let mut stderr = child.stderr.take().expect("stderr");
        stderr.read_to_string(&mut told).expect("text");
        assert_eq!(child.wait().expect("its end").code(), Some(255));
        assert!(told.contains("stdout cannot be written"), "{told}");
    }
}
