//! The benchmark still runs, and every program in it really does its work; its figures are not
//! judged here.
//!
//! A program of its own, and one test at a time: the benchmark's floor waits for any child of its
//! process.

#[path = "../benches/batch/main.rs"]
mod batch;

use std::sync::{Mutex, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

fn options(words: &[&str]) -> batch::options::Options {
    batch::options::Options::from_words(words.iter().map(|&word| word.to_owned()))
        .expect("options that exist")
}

#[test]
fn a_hands_that_fails_is_told_in_the_table() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for (program, how) in [
        ("/bin/false", "failed (exit status: 1)"),
        ("/bin/true", "failed (output not complete: 0 of 20 inputs)"),
        (
            "/nowhere/hands",
            "failed (No such file or directory (os error 2))",
        ),
    ] {
        let report =
            batch::run(&options(&["--quick", "--only", "true", "--hands", program])).unwrap();
        let table = report.to_string();
        assert!(table.contains(how), "{how} is not in\n{table}");
        assert!(table.contains("| floor | "), "{table}");
        assert!(!report.all_met());
    }
}

#[test]
fn the_benchmark_measures_every_program_it_finds() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.json");
    let report = batch::run(&options(&["--quick", "--json", json.to_str().unwrap()])).unwrap();

    let table = report.to_string();
    for workload in [
        "/bin/true`, two at a time",
        "order kept",
        "start to exit",
        "peak memory",
        "input lines",
    ] {
        assert!(table.contains(workload), "no {workload} in\n{table}");
    }
    // moreutils' parallel exits now and then before its last job's output has come: told in the
    // table, and not our fault.
    let failed = |line: &&str| line.contains("failed") && !line.contains("| moreutils parallel |");
    assert_eq!(table.lines().find(failed), None, "{table}");

    let figures: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let lines = figures["lines"].as_array().unwrap();
    let of_hands: Vec<_> = lines
        .iter()
        .filter(|line| line["program"] == "hands")
        .collect();
    assert_eq!(of_hands.len(), 5, "{figures:#}");
    assert!(
        of_hands
            .iter()
            .all(|line| line["median"].as_f64() > Some(0.0)),
        "{figures:#}"
    );
}
