//! Wrong usage: 255, nothing on stdout, and a message that says what to do.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::{hands, stderr_of};

#[test]
fn every_usage_error_exits_with_255() {
    let wrong: &[&[&str]] = &[
        &["run", "--no-such-flag", "echo"],
        &["run", "-j", "many", "echo"],
        &["run", "-j"],
        &["run", "--resume", "echo"],
        &["run", "-u", "-k", "echo"],
        &["nonsense"],
        &["--nonsense"],
        &["completions"],
        &["man", "extra"],
    ];
    for words in wrong {
        let told = stderr_of(words, 255);
        assert!(told.starts_with("error: "), "{words:?}: {told}");
    }
}

#[test]
fn a_command_without_run_is_told_how() {
    let told = stderr_of(&["gzip", "-k", "{}", ":::", "a b"], 255);
    assert!(
        told.contains("`gzip` is not a command of `hands`"),
        "{told}"
    );
    assert!(told.contains("hands run gzip -k '{}' ::: 'a b'"), "{told}");
    let told = stderr_of(&["-j4", "gzip", ":::", "a"], 255);
    assert!(told.contains("hands run -j4 gzip ::: a"), "{told}");
    let told = stderr_of(&["completion", "bash"], 255);
    assert!(told.contains("did you mean `hands completions`?"), "{told}");
}

#[test]
fn a_command_that_is_no_text_is_told_how_too() {
    let word = OsStr::from_bytes(b"caf\xe9");
    hands(&[]).arg(word).assert().code(255);
}

#[test]
fn a_mistyped_flag_is_told_the_right_one() {
    let told = stderr_of(&["run", "--keep-oder", "echo"], 255);
    assert!(told.contains("--keep-order"), "{told}");
}

#[test]
fn contradictions_end_with_a_hint() {
    let told = stderr_of(&["run", "--resume", "echo", ":::", "a"], 255);
    assert!(told.contains("`--resume` needs `--joblog`"), "{told}");
    assert!(told.contains("\n  hint: "), "{told}");
    let told = stderr_of(&["run", "--pipe", "wc", ":::", "a"], 255);
    assert!(
        told.contains("`--pipe` and `:::` cannot be used together"),
        "{told}"
    );
}
