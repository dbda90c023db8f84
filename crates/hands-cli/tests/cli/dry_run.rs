//! `--dry-run`: what would run, to be read and to be pasted.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::kit::{HOSTILE, assert_nothing_ran, bytes, out, out_of, refusal, words};
use crate::stage::Stage;

#[test]
fn each_command_is_a_line_in_the_order_of_the_inputs() {
    assert_eq!(
        out(&[
            "-j4",
            "--dry-run",
            "echo {1}{2} {#}",
            ":::",
            "1",
            "2",
            ":::",
            "a",
            "b c"
        ]),
        "echo 1a 1\necho '1b c' 2\necho 2a 3\necho '2b c' 4\n"
    );
    assert_eq!(
        out(&["--dry-run", "sort {} | uniq >{.}.out", ":::", "a b.txt"]),
        "sort 'a b.txt' | uniq >'a b'.out\n"
    );
    assert_eq!(out_of(&["--dry-run"], "echo $x\n"), "echo $x\n");
    assert_eq!(out(&["--dry-run", "-n0", "echo x", ":::", "a"]), "echo x\n");
}

#[test]
fn nothing_is_run_and_nothing_written() {
    let stage = Stage::new();
    let flags = [
        "--dry-run",
        "--results=kept",
        "--joblog=log",
        "touch",
        ":::",
        "made",
    ];
    assert_eq!(bytes(stage.run(flags)), b"touch made\n");
    for name in ["made", "kept", "log"] {
        assert!(!stage.path(name).exists(), "{name}");
    }
}

#[test]
fn a_log_that_is_there_is_left_alone_and_says_what_is_done() {
    let stage = Stage::new();
    stage
        .run(["--joblog=log", "true", ":::", "a"])
        .end()
        .with_code(0);
    let log = stage.bytes("log");
    let again =
        |flag: &str| bytes(stage.run(["--dry-run", "--joblog=log", flag, "true", ":::", "a", "b"]));
    assert_eq!(again("-k"), b"true a\ntrue b\n");
    assert_eq!(again("--resume"), b"true b\n");
    assert_eq!(stage.bytes("log"), log);
}

#[test]
fn a_command_that_cannot_run_is_refused_all_the_same() {
    let told = refusal(&["--dry-run", "no-such-program-anywhere", ":::", "a"]);
    assert!(told.contains("`no-such-program-anywhere`"), "{told}");
    let told = refusal(&["--dry-run", "echo 'a", ":::", "a"]);
    assert!(told.contains("never closed"), "{told}");
}

/// Whether every POSIX shell reads the line: `$'…'` is for bash, zsh, ksh and the newest others.
fn is_for_any_shell(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| !name.chars().any(char::is_control))
}

fn is_there(shell: &str) -> bool {
    Command::new(shell).args(["-c", ":"]).status().is_ok()
}

#[test]
fn a_line_that_is_pasted_into_a_shell_does_the_same() {
    for (command, shell) in [
        (&["printf", "%s\\0", "{}"][..], "sh"),
        (&[r"printf '%s\0' {} | cat"], "sh"),
        (&[r#"for x in {}; do printf "%s\0" "<$x>"; done"#], "sh"),
        (&["printf", "%s\\0", "{}"], "bash"),
        (&[r"printf '%s\0' {} | cat"], "bash"),
    ] {
        let names = || {
            let any = move |name: &&&[u8]| shell == "bash" || is_for_any_shell(name);
            HOSTILE.iter().filter(any).copied()
        };
        if !is_there(shell) {
            // Any system has `sh`; where there is no bash nothing can be pasted into it.
            continue;
        }
        let stage = Stage::new();
        let run = |flag: &str| {
            let line = [&[flag, "-k"], command, &[":::"]].concat();
            bytes(stage.run(words(&line, names())))
        };
        let (real, script) = (run("--no-run-if-empty"), run("--dry-run"));
        assert_eq!(
            script.iter().filter(|&&byte| byte == b'\n').count(),
            names().count(),
            "a line each"
        );
        let pasted = Command::new(shell)
            .arg("-c")
            .arg(OsStr::from_bytes(&script))
            .current_dir(stage.folder())
            .output()
            .expect(shell);
        assert_eq!(
            String::from_utf8_lossy(&pasted.stdout),
            String::from_utf8_lossy(&real),
            "{command:?} in {shell}"
        );
        assert!(pasted.stdout == real);
        assert_nothing_ran(&stage);
    }
}

#[test]
fn what_is_known_is_shown_while_the_input_still_comes() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut feed = crate::kit::Feed::new(&stage.path("feed"));
    let run = stage
        .shell("exec \"$HANDS\" run --dry-run echo <feed >bell")
        .start();
    feed.send("a\n");
    assert_eq!(bell.rings(1), ["echo a"]);
    feed.send("b\n");
    assert_eq!(bell.rings(2), ["echo a", "echo b"]);
    drop(feed);
    run.end().with_code(0);
}
