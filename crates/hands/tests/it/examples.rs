//! The examples say what they promise to say. They are built with the tests.

use std::process::Command as Tool;

/// What an example prints.
fn output(name: &str) -> String {
    let tests = std::env::current_exe().expect("our own path");
    let folder = tests.parent().and_then(|deps| deps.parent());
    let example = folder.expect("target/PROFILE").join("examples").join(name);
    let output = Tool::new(&example).output().expect("built with the tests");
    assert!(output.status.success(), "{name}: {}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// Three million times a lock: with `diagnose`, half a minute.
#[cfg(not(feature = "diagnose"))]
#[test]
fn bank_account_loses_nothing_under_any_lock_and_something_without() {
    let output = output("bank_account");
    let lines: Vec<&str> = output.lines().collect();
    let [without, with @ ..] = &lines[..] else {
        panic!("{output}");
    };
    assert!(without.starts_with("no lock"), "{output}");
    assert!(!without.ends_with(" 0 lost"), "{output}");
    assert_eq!(with.len(), 5, "{output}");
    for line in with {
        assert!(line.ends_with("  1000000   0 lost"), "{output}");
    }
}

#[test]
fn daemon_is_abandoned_and_the_others_are_finished() {
    let output = output("daemon");
    let expected =
        "main: returns\nwriter: line 1\nwriter: line 2\nwriter: line 3\ncleaner: swept up\n";
    assert_eq!(output, expected);
}

#[test]
fn ping_and_pong_say_ten_words_in_all() {
    let output = output("ping_pong");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 11, "{output}");
    assert_eq!(lines[10], "10 words");
    let are_words = |line: &&str| ["Ping", "Pong"].contains(line);
    assert!(lines[..10].iter().all(are_words), "{output}");
}
