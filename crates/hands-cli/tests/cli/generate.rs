//! Completions and the man page, taken by the programs they are made for. A shell that is not
//! installed is not tested, but for bash, which `./test` itself needs.

use std::process::Command;

use crate::stage::{Ended, Stage};
use crate::stdout_of;

fn installed(program: &str) -> bool {
    let status = Command::new("sh")
        .args(["-c", "command -v \"$0\" >/dev/null", program])
        .status();
    status.expect("`sh`").success()
}

/// Runs `script` with the completions for `shell` in the file `completions`.
#[track_caller]
fn with_completions(shell: &str, script: &str) -> Ended {
    let stage = Stage::new();
    stage.write("completions", stdout_of(&["completions", shell], 0));
    stage.write("script", script);
    stage.shell(&format!("exec {shell} script")).end()
}

/// What bash offers for the last of these words.
#[track_caller]
fn bash_offers(words: &[&str]) -> Vec<String> {
    let script = format!(
        "source ./completions\n\
         complete -p hands >/dev/null || exit 9\n\
         COMP_WORDS=({})\n\
         COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         _hands hands \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        words.join(" ")
    );
    let ended = with_completions("bash", &script).with_code(0);
    ended.out().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    assert_eq!(bash_offers(&["hands", "comp"]), ["completions"]);
    assert_eq!(bash_offers(&["hands", "run", "--keep"]), ["--keep-order"]);
    assert_eq!(
        bash_offers(&["hands", "run", "--progress", "pl"]),
        ["plain"]
    );
    assert_eq!(bash_offers(&["hands", "completions", "z"]), ["zsh"]);
}

#[test]
fn zsh_and_fish_read_their_completions() {
    for shell in ["zsh", "fish"] {
        if !installed(shell) {
            continue;
        }
        let stage = Stage::new();
        stage.write("completions", stdout_of(&["completions", shell], 0));
        let check = format!("{shell} -n completions");
        let ended = stage.shell(&check).end().with_code(0);
        assert_eq!(ended.stderr, "", "{shell}");
    }
    if installed("fish") {
        let script = "source completions; complete -C 'hands run --keep'";
        let ended = with_completions("fish", script).with_code(0);
        assert!(ended.out().starts_with("--keep-order"), "{}", ended.out());
    }
}

#[test]
fn the_man_page_is_set_without_a_warning() {
    let stage = Stage::new();
    stage.write("hands.1", stdout_of(&["man"], 0));
    for (program, words) in [
        ("groff", "-man -Tutf8 -ww -rHY=0 hands.1"),
        ("mandoc", "-T lint -W warning hands.1"),
    ] {
        if !installed(program) {
            continue;
        }
        let ended = stage
            .shell(&format!("{program} {words}"))
            .end()
            .with_code(0);
        assert_eq!(ended.stderr, "", "{program}");
    }
}
