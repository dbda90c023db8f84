//! The benchmark of the pool of coroutines still runs, and nobody in it gets a wrong result; its
//! figures are not judged here.
#![cfg(feature = "async")]

#[path = "../benches/coroutines/main.rs"]
mod coroutines;

hands::entry!();

#[test]
fn everybody_does_every_task() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.json");
    let words = ["--quick", "--json", json.to_str().unwrap()];
    let options = coroutines::options_from(words.map(str::to_owned)).unwrap();
    let table = coroutines::run(&options).unwrap().to_string();
    let figures: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let lines = figures["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 10, "{table}");
    assert!(!table.contains("unknown"), "{table}");
}
