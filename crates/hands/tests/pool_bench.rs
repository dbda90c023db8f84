//! The benchmark of the pool of threads still runs, and no library in it gets a wrong result; its
//! figures are not judged here.

#[path = "../benches/pool/main.rs"]
mod pool;

fn options(words: &[&str]) -> Result<pool::options::Options, String> {
    pool::options_from(words.iter().map(|&word| word.to_owned()))
}

#[test]
fn every_library_does_every_task() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.json");
    // A wrong result is an error.
    let report = pool::run(&options(&["--quick", "--json", json.to_str().unwrap()]).unwrap());
    let table = report.unwrap().to_string();

    let figures: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let lines = figures["lines"].as_array().unwrap();
    let measured = |workload: &str| {
        let of = lines.iter().filter(|line| line["workload"] == workload);
        of.filter(|line| line["median"].as_f64() > Some(0.0))
            .count()
    };
    let all = [
        ("one-by-one", 7),
        ("together", 6),
        ("back-to-back", 4),
        ("idle", 4),
        ("rest", 2),
        ("sum", 2),
        ("fork", 2),
    ];
    for (workload, libraries) in all {
        assert_eq!(measured(workload), libraries, "{workload} in\n{table}");
    }
    let rows = table.lines().filter(|line| line.starts_with('|')).count();
    assert_eq!(rows, 2 + lines.len(), "{table}");
    assert!(!table.contains("unknown"), "{table}");
}

#[test]
fn a_workload_that_does_not_exist_is_refused() {
    let told = options(&["--only", "forks"]).err().unwrap();
    assert!(told.starts_with("`forks` is not a workload"), "{told}");
}
