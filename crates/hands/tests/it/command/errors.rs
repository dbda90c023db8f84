//! Every error names the program and the reason.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use hands::command::{Command, CommandError, SpawnReason};

use crate::support::{folder, in_time, script};

/// Fails unless the command is refused with a text that has all of `parts`.
#[track_caller]
fn refused(command: Command, parts: &[&str]) -> SpawnReason {
    let error = in_time(move || command.output()).expect_err("it cannot run");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
    match error {
        CommandError::Spawn { reason, .. } => reason,
        other => panic!("another error: {other:?}"),
    }
}

#[test]
fn a_program_that_is_nowhere_is_not_found() {
    refused(
        Command::new("no-such-program"),
        &["`no-such-program`", "not found"],
    );
    refused(
        Command::new("/no/such/program"),
        &["`/no/such/program`", "not found"],
    );
    refused(
        Command::new("/etc/passwd/x"),
        &["`/etc/passwd/x`", "not found"],
    );
    refused(
        Command::new("true").env("PATH", ""),
        &["`true`", "not found"],
    );
    refused(Command::new("./true"), &["`./true`", "not found"]);
}

#[test]
fn a_name_that_is_not_text_is_shown_as_far_as_it_can_be() {
    refused(
        Command::new(OsStr::from_bytes(b"caf\xe9")),
        &["`caf\u{fffd}`", "not found"],
    );
}

#[test]
fn a_variable_that_no_environment_can_hold_is_refused() {
    for name in ["A=B", "", "=A"] {
        let shown = format!("{name:?}");
        let reason = refused(
            Command::new("true").env(name, "c"),
            &["`true`", &shown, "variable"],
        );
        assert!(matches!(reason, SpawnReason::Variable(known) if known == name));
        let reason = refused(Command::new("true").env_remove(name), &["variable"]);
        assert!(matches!(reason, SpawnReason::Variable(_)));
    }
    let reason = refused(Command::new("true").env("A", "b\0"), &["NUL"]);
    assert!(matches!(reason, SpawnReason::NulByte));
}

#[test]
fn a_program_written_a_moment_ago_starts_while_other_threads_start_theirs() {
    let folder = folder();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let folder = folder.path();
            scope.spawn(move || {
                for round in 0..50 {
                    let path = folder.join(format!("{thread}-{round}"));
                    std::fs::copy("/bin/true", &path).expect("a copy");
                    let output = Command::new(&path).output().expect("it starts");
                    assert!(output.success());
                }
            });
        }
    });
}

#[test]
fn a_file_that_is_not_executable_is_refused_for_that() {
    let folder = folder();
    let path = folder.path().join("plain");
    std::fs::write(&path, "#!/bin/sh\n").expect("write");
    refused(
        Command::new(&path),
        &["plain`", "permission denied", "chmod"],
    );
    let by_name = Command::new("plain").env("PATH", folder.path());
    refused(by_name, &["`plain`", "permission denied", "chmod"]);
}

#[test]
fn a_file_that_is_not_executable_does_not_hide_one_that_is() {
    let (first, second) = (folder(), folder());
    std::fs::write(first.path().join("tool"), "").expect("write");
    std::fs::create_dir(second.path().join("other")).expect("mkdir");
    script(second.path(), "tool", "#!/bin/sh\necho second\n");
    let path = std::env::join_paths([first.path(), second.path()]).expect("a PATH");
    let command = Command::new("tool").env("PATH", &path);
    assert_eq!(
        in_time(move || command.output()).expect("it runs").stdout,
        b"second\n"
    );
    refused(
        Command::new("other").env("PATH", path),
        &["`other`", "not found"],
    );
}

#[test]
fn a_folder_is_no_program_and_chmod_is_no_advice() {
    let folder = folder();
    let command = Command::new(folder.path());
    let error = in_time(move || command.output())
        .expect_err("a folder")
        .to_string();
    assert!(
        error.contains("directory") && !error.contains("chmod"),
        "{error}"
    );
}

#[test]
fn a_script_whose_interpreter_is_missing_says_so() {
    let folder = folder();
    let path = script(folder.path(), "tool", "#!/no/such/interpreter\n");
    refused(Command::new(&path), &["tool`", "interpreter", "not found"]);
    let from_there = Command::new("./tool").cwd(folder.path());
    refused(from_there, &["`./tool`", "interpreter", "not found"]);
}

#[test]
fn a_working_directory_that_cannot_be_entered_is_named_as_the_reason() {
    let missing = Command::new("true").cwd("/no/such/folder");
    refused(missing, &["`true`", "working directory", "No such file"]);
    let file = Command::new("true").cwd("/etc/passwd");
    refused(file, &["`true`", "working directory", "Not a directory"]);
}

#[test]
fn a_nul_byte_is_refused_wherever_it_is() {
    let commands = [
        Command::new("tr\0ue"),
        Command::new("true").arg("a\0b"),
        Command::new("true").env("A\0", "x"),
        Command::new("true").env("A", "x\0"),
        Command::new("true").cwd("/tmp\0"),
    ];
    for command in commands {
        refused(command, &["NUL byte"]);
    }
}

#[test]
fn arguments_that_are_too_long_are_counted() {
    let one = Command::new("true").arg("x".repeat(200_000));
    refused(
        one,
        &["`true`", "200006 bytes", "longer than the system allows"],
    );
    let many = Command::new("true").args(std::iter::repeat_n("x".repeat(1000), 10_000));
    refused(many, &["`true`", "longer than the system allows"]);
}

#[test]
fn an_empty_name_is_refused() {
    refused(Command::new(""), &["``", "empty"]);
}

#[test]
fn a_script_without_a_first_line_runs_under_sh() {
    let folder = folder();
    let path = script(folder.path(), "tool", "printf '%s|' \"$0\" \"$@\"\n");
    let odd = OsStr::from_bytes(b"it's \xff\n");
    let command = Command::new(&path).args([OsStr::new("a b"), odd]);
    let output = in_time(move || command.output()).expect("it runs");
    let mut expected = path.as_os_str().as_bytes().to_vec();
    expected.extend_from_slice(b"|a b|it's \xff\n|");
    assert_eq!(output.stdout, expected);
}

#[test]
fn the_shells_codes_for_what_cannot_run() {
    let code = |command: Command| {
        let error = in_time(move || command.output()).expect_err("it cannot run");
        error.shell_code()
    };
    assert_eq!(code(Command::new("no-such-program")), Some(127));
    assert_eq!(code(Command::new("/etc/passwd")), Some(126));
}
