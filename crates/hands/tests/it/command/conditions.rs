//! Environment, directory, priority, limits: what a command runs under, and the account of what it
//! used.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use hands::command::Command;

use crate::support::{folder, in_time, script};

fn text(command: Command) -> String {
    let output = in_time(move || command.output()).expect("it runs");
    assert!(
        output.success(),
        "{}: {}",
        output.status,
        output.stderr_text()
    );
    output.stdout_text().into_owned()
}

#[test]
fn the_environment_is_the_callers_with_the_changes_made() {
    let shown = text(
        Command::shell("echo \"$A|$B|${C-unset}|${PATH:+path}\"")
            .env("A", "1")
            .env("A", "2 ")
            .env("B", "it's \"b\"")
            .env("C", "3")
            .env_remove("C"),
    );
    assert_eq!(shown, "2 |it's \"b\"|unset|path\n");
}

#[test]
fn a_cleared_environment_has_what_is_set_afterwards_and_the_job_mark() {
    let shown = text(Command::new("env").env("A", "1").env_clear().env("B", "2"));
    let names: Vec<_> = shown
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    assert_eq!(names, ["B", "HANDS_JOB"]);
}

#[test]
fn the_program_is_looked_up_in_the_path_it_will_see() {
    let folder = folder();
    script(folder.path(), "only-here", "#!/bin/sh\necho found\n");
    assert_eq!(
        text(Command::new("only-here").env("PATH", folder.path())),
        "found\n"
    );
    let elsewhere = Command::new("only-here");
    in_time(move || elsewhere.output()).expect_err("not in the caller's PATH");
}

#[test]
fn a_relative_program_is_found_from_the_directory_it_starts_in() {
    let folder = folder();
    script(folder.path(), "tool", "#!/bin/sh\npwd -P\n");
    let real = folder.path().canonicalize().expect("a path");
    let expected = format!("{}\n", real.display());
    assert_eq!(text(Command::new("./tool").cwd(folder.path())), expected);
    assert_eq!(
        text(Command::new("pwd").arg("-P").cwd(folder.path())),
        expected
    );
}

#[test]
fn a_relative_folder_in_path_is_found_from_the_directory_it_starts_in() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("bin")).expect("mkdir");
    script(
        &folder.path().join("bin"),
        "tool",
        "#!/bin/sh\necho found\n",
    );
    let command = Command::new("tool")
        .env("PATH", "bin:/usr/bin:/bin")
        .cwd(folder.path());
    assert_eq!(text(command), "found\n");
}

#[test]
fn the_nice_value_is_added() {
    let own: i32 = text(Command::new("nice")).trim().parse().expect("a number");
    let raised: i32 = text(Command::new("nice").nice(3))
        .trim()
        .parse()
        .expect("a number");
    assert_eq!(raised, (own + 3).min(19));
}

/// Needs some 150 MB.
const GLUTTON: &str = "$x = 'a' x 150_000_000; print length $x";

#[test]
fn a_memory_limit_bites() {
    assert_eq!(
        text(Command::new("perl").args(["-e", GLUTTON])),
        "150000000"
    );
    let limited = Command::new("perl")
        .args(["-e", GLUTTON])
        .memory_limit(100 << 20);
    let output = in_time(move || limited.output()).expect("it starts");
    assert!(!output.success());
    assert_eq!(output.stdout, b"");
    // Enough is enough.
    let command = Command::new("perl")
        .args(["-e", GLUTTON])
        .memory_limit(1 << 30);
    assert_eq!(text(command), "150000000");
}

#[test]
fn a_memory_limit_holds_for_grandchildren() {
    let command = Command::shell(format!("perl -e '{}'; :", GLUTTON.replace('\'', "\"")));
    let command = command.memory_limit(100 << 20);
    let output = in_time(move || command.output()).expect("it starts");
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_cpu_limit_bites_and_cannot_be_ignored() {
    let command = Command::new("perl")
        .args([
            "-e",
            "$SIG{XCPU} = sub { syswrite STDOUT, 'told' }; 1 while 1",
        ])
        .cpu_limit(Duration::from_millis(500));
    let output = in_time(move || command.output()).expect("it starts");
    assert!(output.stdout.starts_with(b"told"), "SIGXCPU comes first");
    assert_eq!(output.status.signal(), Some(9));
}

#[test]
fn limits_as_large_as_they_can_be_said_are_no_limits() {
    let command = Command::new("echo")
        .arg("fine")
        .cpu_limit(Duration::MAX)
        .timeout(Duration::MAX)
        .grace(Duration::MAX);
    assert_eq!(text(command), "fine\n");
}

#[test]
fn the_account_shows_what_was_used() {
    let busy = Command::new("perl").args(["-e", "$i++ while $i < 3_000_000"]);
    let output = in_time(move || busy.output()).expect("perl runs");
    assert!(output.cpu_user > Duration::ZERO);
    assert!(output.max_rss > 100_000, "{} bytes", output.max_rss);
    assert!(output.wall >= output.cpu_user.saturating_sub(Duration::from_millis(50)));

    let kernel = Command::shell("head -c 300000000 /dev/zero > /dev/null");
    let output = in_time(move || kernel.output()).expect("sh runs");
    assert!(
        // Which of the two a short time is counted as, the kernel decides by samples.
        output.cpu_user + output.cpu_system > Duration::ZERO,
        "of a descendant that was waited for"
    );

    let large = Command::shell(format!("perl -e '{}'; :", GLUTTON.replace('\'', "\"")));
    let output = in_time(move || large.output()).expect("sh runs");
    assert!(output.max_rss > 140_000_000, "{} bytes", output.max_rss);
    assert!(output.max_rss < 1_000_000_000, "{} bytes", output.max_rss);
}
