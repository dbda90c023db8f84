//! The benchmark of pools that size themselves still runs; its figures are not judged here.

#[path = "../benches/sizing/main.rs"]
mod sizing;

#[test]
fn one_kind_of_work_is_swept_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.json");
    let words = [
        "--quick",
        "--only",
        "95-wait",
        "--json",
        json.to_str().unwrap(),
    ];
    let options = sizing::options_from(words.map(str::to_owned)).unwrap();
    sizing::run(&options).unwrap();

    let figures: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let lines = figures["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["work"], "95-wait");
    let round = &lines[0]["rounds"][0];
    assert!(round["best_rate"].as_f64() > Some(0.0), "{round}");
    assert!(round["rate"].as_f64() > Some(0.0), "{round}");
    assert!(!round["why"].as_str().unwrap().is_empty(), "{round}");
}
