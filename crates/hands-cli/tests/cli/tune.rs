//! `hands tune`: a command is tried, measured and judged; what cannot be is refused.

use std::fs::File;

use rustix::process::Signal;

use crate::stage::{Ended, Run, Stage};

/// `hands tune` for a short time, with these words.
fn tune(stage: &Stage, words: &[&str]) -> Run {
    stage.hands([&["tune", "--time", "50ms"], words].concat())
}

/// The sizes in the table.
fn sizes(ended: &Ended) -> Vec<usize> {
    let mut lines = ended.out().lines();
    assert!(lines.next().is_some_and(|header| header.contains("jobs/s")));
    lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

#[test]
fn a_command_without_inputs_is_repeated_as_it_is() {
    let stage = Stage::new();
    let ended = tune(&stage, &["--sizes", "1,3", "echo x; echo x >> ran"]);
    let ended = ended.end().with_code(0);
    assert_eq!(sizes(&ended), [1, 3]);
    assert!(
        ended.out().contains("at once would fill the core"),
        "{}",
        ended.out()
    );
    assert!(ended.out().contains("Use `-j "), "{}", ended.out());
    assert!(!ended.out().contains('\u{1b}') && ended.stderr.is_empty());
    let ran = stage.text("ran");
    assert!(ran.lines().count() >= 1 + 1 + 3 && ran.lines().all(|line| line == "x"));
}

#[test]
fn sizes_are_found_where_none_are_given() {
    let stage = Stage::new();
    let ended = tune(&stage, &["sleep", "0.001"]).end().with_code(0);
    let sizes = sizes(&ended);
    let cores = hands::cores().get();
    assert!(sizes.starts_with(&[1]) && sizes.len() >= 2, "{sizes:?}");
    assert!(
        sizes.contains(&if cores == 1 { 2 } else { cores }),
        "{sizes:?}"
    );
}

#[test]
fn inputs_are_used_again_and_again() {
    let job = "echo {} >> ran";
    let cases: [&[&str]; 3] = [
        &["--sizes", "2", job, ":::", "a", "b", "it's"],
        &["--sizes", "2", job, "::::", "names"],
        &["--sizes", "2", "-a", "-", job],
    ];
    for words in cases {
        let stage = Stage::new();
        stage.write("names", "a\nb\nit's\n");
        let run = tune(&stage, words).stdin("a\nb\nit's\n");
        run.end().with_code(0).calmly();
        let ran = stage.sorted("ran");
        assert!(ran.len() >= 3, "{ran:?}");
        let mut kinds = ran.clone();
        kinds.dedup();
        assert!(
            kinds
                .iter()
                .all(|name| ["a", "b", "it's"].contains(&name.as_str()))
        );
        let most = kinds
            .iter()
            .map(|kind| ran.iter().filter(|name| *name == kind).count());
        let (least, most) = (most.clone().min(), most.max());
        assert!(
            most.zip(least)
                .is_some_and(|(most, least)| most - least <= 1),
            "{ran:?}"
        );
    }
}

#[test]
fn stdin_is_left_alone_unless_it_is_named() {
    let stage = Stage::new();
    let run = tune(&stage, &["--sizes", "1", "echo \"$#\" >> ran"]).stdin("a\nb\n");
    run.end().with_code(0);
    assert!(stage.text("ran").lines().all(|line| line == "0"));
}

#[test]
fn a_command_that_fails_at_once_is_an_error_with_what_it_said() {
    let stage = Stage::new();
    let ended = tune(&stage, &["echo no such thing >&2; exit 3"]).end();
    let ended = ended
        .with_code(255)
        .says("tried once, the command exited with 3\n  no such thing");
    assert_eq!(ended.out(), "");
}

#[test]
fn jobs_that_fail_later_are_counted_and_told() {
    let stage = Stage::new();
    let job = "[ ! -e ran ] || exit 7; : > ran";
    let ended = tune(&stage, &["--sizes", "1", job]).end();
    assert!((1..=101).contains(&ended.code), "{}", ended.code);
    let ended = ended.says("failed, the first exited with 7;");
    assert_eq!(sizes(&ended), [1]);
}

#[test]
fn what_cannot_be_tried_is_refused() {
    let stage = Stage::new();
    let cases: [(&[&str], &str); 9] = [
        (&["tune"], "there is no command to try"),
        (
            &["tune", "gzip", "{}"],
            "there are none\n  hint: give some to try after `:::`",
        ),
        (&["tune", "no-such-program"], "cannot run `no-such-program`"),
        (
            &["tune", "--time", "0", "true"],
            "`--time 0` leaves no time",
        ),
        (&["tune", "--time", "soon", "true"], "soon"),
        (&["tune", "--sizes", "0", "true"], "--sizes"),
        (&["tune", "--sizes", "1,x", "true"], "--sizes"),
        (
            &["tune", "--sizes", "100000", "true"],
            "`--sizes 100000` is more than the ",
        ),
        (
            &["tune", "true", ":::"],
            "there are no inputs to try the command on",
        ),
    ];
    for (words, told) in cases {
        let ended = stage.hands(words).end().with_code(255).says(told).calmly();
        assert_eq!(ended.out(), "", "{words:?}");
    }
}

#[test]
fn limits_hold_for_the_jobs() {
    let stage = Stage::new();
    let words = ["tune", "--timeout", "0.05", "sleep", "60"];
    let ended = stage.hands(words).end().with_code(255);
    ended.says("tried once, the command timed out after 0.05s");
}

#[test]
fn an_interrupted_trial_waits_for_its_jobs_and_gives_no_advice() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut gate = stage.gate();
    let job = "exec 9>bell; echo x >&9; read _ < gate; echo x >> ran";
    let playing = stage.hands(["tune", "--sizes", "2", job]).start();
    bell.rings(1);
    gate.open(1);
    bell.rings(3);
    playing.signal(Signal::INT);
    gate.open(1000);
    let ended = playing.end().with_code(130).calmly();
    assert!(!ended.out().contains("Use `-j"), "{}", ended.out());
    bell.silence();
}

#[test]
fn a_reader_that_has_left_ends_it_quietly() {
    let stage = Stage::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ended = tune(&stage, &["true"]).stdout_to(writer).with_code(141);
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_table_that_cannot_be_written_is_an_error() {
    let stage = Stage::new();
    let full = File::create("/dev/full").expect("/dev/full");
    let ended = tune(&stage, &["true"]).stdout_to(full).with_code(255);
    ended.says("cannot write to stdout").calmly();
}
