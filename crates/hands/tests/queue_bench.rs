//! The benchmark of the queues still runs, and no library in it loses an item; its figures are not
//! judged here.

#[path = "../benches/queue/main.rs"]
mod queue;

use queue::race::{Item as _, Tally, check};
use queue::shape::Shape;

fn options(words: &[&str]) -> Result<queue::options::Options, String> {
    queue::options_from(words.iter().map(|&word| word.to_owned()))
}

#[test]
fn every_library_moves_every_item_once() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.json");
    // A lost item, or one that came twice, is an error.
    let report = queue::run(&options(&["--quick", "--json", json.to_str().unwrap()]).unwrap());
    let table = report.unwrap().to_string();

    let figures: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let lines = figures["lines"].as_array().unwrap();
    let libraries = |workload: &str| -> Vec<&str> {
        lines
            .iter()
            .filter(|line| line["workload"] == workload && line["median"].as_f64() > Some(0.0))
            .map(|line| line["library"].as_str().unwrap())
            .collect()
    };
    let shared = [
        "hands",
        "crossbeam-channel",
        "flume",
        "async-channel",
        "kanal",
    ];
    for workload in ["2p2c-u64", "2p2c-256", "4p4c-u64", "4p4c-256"] {
        assert_eq!(libraries(workload), shared, "{workload} in\n{table}");
    }
    for workload in ["1p1c-u64", "1p1c-256"] {
        let all = [&shared[..], &["std", "tokio"]].concat();
        assert_eq!(libraries(workload), all, "{workload} in\n{table}");
    }
    assert_eq!(
        libraries("async"),
        ["hands", "flume", "async-channel", "kanal", "tokio"],
        "{table}"
    );
    for workload in ["done-1p1c", "done-2p2c"] {
        let both = ["hands", "hands, `task_done`"];
        assert_eq!(libraries(workload), both, "{workload} in\n{table}");
    }
    for workload in ["orders-1p1c", "orders-2p2c"] {
        let orders = [
            "hands `Queue`",
            "hands `LifoQueue`",
            "hands `PriorityQueue`",
        ];
        assert_eq!(libraries(workload), orders, "{workload} in\n{table}");
    }
    let rows = table.lines().filter(|line| line.starts_with('|')).count();
    assert_eq!(rows, 2 + lines.len(), "{table}");
    for library in figures["libraries"].as_array().unwrap() {
        let version = library["version"].as_str().unwrap();
        assert_ne!(version, "unknown", "{library}");
    }
}

#[test]
fn a_workload_that_does_not_exist_is_refused() {
    let told = options(&["--only", "1p1c"]).err().unwrap();
    assert!(told.starts_with("`1p1c` is not a workload"), "{told}");
}

#[test]
fn only_what_was_asked_for_is_measured() {
    let report = queue::run(&options(&["--quick", "--only", "async"]).unwrap()).unwrap();
    let table = report.to_string();
    assert!(table.contains("coroutines"), "{table}");
    assert!(!table.contains("`task_done`"), "{table}");
}

fn tally(numbers: &[u64]) -> Tally {
    let mut tally = Tally::default();
    numbers.iter().for_each(|number| tally.count(number));
    tally
}

#[test]
fn a_lost_or_doubled_item_is_an_error() {
    let shape = Shape {
        producers: 1,
        consumers: 2,
        items: 4,
    };
    assert_eq!(check(shape, &[tally(&[1, 3]), tally(&[2, 4])]), Ok(()));
    for wrong in [
        [&[1, 3][..], &[4]],
        [&[1, 2, 3], &[3, 4]],
        [&[1, 3], &[3, 4]],
    ] {
        assert!(check(shape, &wrong.map(tally)).is_err(), "{wrong:?}");
    }
}

#[test]
fn an_item_put_together_from_two_is_neither() {
    let mut item = <[u8; 256]>::numbered(3);
    assert_eq!(item.number(), 3);
    item[248..].copy_from_slice(&<[u8; 256]>::numbered(4)[248..]);
    assert_eq!(item.number(), 0);
}
