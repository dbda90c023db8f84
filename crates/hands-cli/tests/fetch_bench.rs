//! The benchmark of downloads still runs, and no program in it leaves something out; its figures
//! are not judged here.

#[path = "../benches/fetch/main.rs"]
mod fetch;

#[test]
fn every_program_fetches_everything() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.json");
    let words = ["--quick", "--json", json.to_str().unwrap()];
    let options = fetch::options_from(words.map(str::to_owned)).unwrap();
    let table = fetch::run(&options).unwrap().to_string();
    let figures: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let lines = figures["lines"].as_array().unwrap();
    // Peers are measured where they are installed.
    let ours = lines
        .iter()
        .filter(|line| line["library"].as_str().unwrap().starts_with("hands"));
    assert_eq!(ours.count(), 8, "{table}");
    assert!(!table.contains("unknown"), "{table}");
}
