//! The benchmark of processes still runs, and nobody in it gets a wrong result; its figures are not
//! judged here.

#[path = "../benches/process/main.rs"]
mod process;

hands::entry!();

#[test]
fn everybody_does_everything() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.json");
    let words = ["--quick", "--json", json.to_str().unwrap()];
    // The floors fork this process, which has the harness's threads; so they are left to the
    // benchmark.
    let only = ["spawn-1g", "queue", "bytes"].map(|name| ["--only", name]);
    let words = words.into_iter().chain(only.into_iter().flatten());
    let options = process::options_from(words.map(str::to_owned)).unwrap();
    let table = process::run(&options).unwrap().to_string();

    let figures: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let lines = figures["lines"].as_array().unwrap();
    assert!(lines.len() >= 4, "{table}");
    for line in lines {
        assert!(line["median"].as_f64() > Some(0.0), "{line}");
    }
}
