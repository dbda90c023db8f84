//! `hands sem`: so many at once, and nothing keeps a place but those that run.

use std::fs;

use crate::stage::{Run, Stage};

fn sem(stage: &Stage, words: &[&str]) -> Run {
    let run = stage.hands([&["sem", "--id", "it"], words].concat());
    run.env("XDG_RUNTIME_DIR", stage.path("runtime"))
}

#[test]
fn no_more_run_than_there_are_places_and_all_are_waited_for() {
    let stage = Stage::new();
    fs::create_dir(stage.path("in")).expect("a folder");
    for number in 0..12 {
        let line = format!(
            "touch in/{number}; ls in | wc -l >> seen; sleep 0.02; rm in/{number}; echo {number} >> done"
        );
        sem(&stage, &["-j3", &line]).end().with_code(0);
    }
    sem(&stage, &["--wait"]).end().with_code(0);
    assert_eq!(stage.sorted("done").len(), 12);
    let seen = stage.sorted("seen");
    assert!(
        seen.iter()
            .all(|count| count.trim().parse::<u32>().expect("a number") <= 3),
        "{seen:?}"
    );
}

#[test]
fn in_the_foreground_it_is_the_command() {
    let stage = Stage::new();
    sem(&stage, &["--fg", "exit 7"]).end().with_code(7);
    let ended = sem(&stage, &["--fg", "echo", "a  b", "$x"])
        .end()
        .with_code(0);
    assert_eq!(ended.out(), "a  b $x\n");
}

#[test]
fn who_is_killed_has_given_its_place_back() {
    let stage = Stage::new();
    let mut gate = stage.gate();
    sem(
        &stage,
        &["exec >&- 2>&-; echo $$ > pid; read _ < gate; sleep 1000"],
    )
    .end()
    .with_code(0);
    gate.open(1);
    sem(&stage, &["--timeout", "0.05", "true"])
        .end()
        .with_code(1);
    let pid = stage.text("pid");
    stage.shell(&format!("kill -9 -{}", pid.trim())).end();
    sem(&stage, &["--fg", "--timeout", "100", "echo mine"])
        .end()
        .with_code(0);
}

#[test]
fn what_makes_no_sense_is_told() {
    let stage = Stage::new();
    for (words, told) in [
        (&["sem"][..], "there is no command"),
        (&["sem", "--wait", "true"], "takes none"),
        (&["sem", "--id", "../x", "true"], "no name of a semaphore"),
        (&["sem", "-j", "0", "true"], "invalid value"),
        (
            &["sem", "--fg", "no-such-program", "x"],
            "cannot be started",
        ),
    ] {
        let run = stage
            .hands(words)
            .env("XDG_RUNTIME_DIR", stage.path("runtime"));
        run.end().with_code(255).calmly().says(told);
    }
}
