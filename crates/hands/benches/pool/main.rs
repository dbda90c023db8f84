//! The pool of threads and its peers, measured side by side in one go; `benches/README.md` says how
//! to read the table.
//!
//! ```text
//! options ─▶ workloads × contestants ─▶ rounds, interleaved ─▶ report: table, JSON
//! ```
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark is there to be read"
)]

#[path = "../../../../benches/contest.rs"]
mod contest;
mod contestants;
#[path = "../../../../benches/options.rs"]
pub(crate) mod options;
#[path = "../../../../benches/report.rs"]
mod report;
#[path = "../../../../benches/shared.rs"]
mod shared;
mod workload;

use std::process::ExitCode;

use options::Options;
use report::Report;

#[allow(
    dead_code,
    reason = "the smoke test includes this file as a module and calls `run`"
)]
fn main() -> ExitCode {
    let options = match options_from(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(told) => {
            eprintln!("{told}");
            return ExitCode::from(2);
        }
    };
    // `cargo bench` starts this in the folder of the crate; paths were given from where the user
    // is.
    let moved = std::env::var_os("HANDS_BENCH_FROM").map_or(Ok(()), std::env::set_current_dir);
    match moved
        .map_err(|error| error.to_string())
        .and_then(|()| run(&options))
    {
        Ok(report) => {
            println!("{report}");
            ExitCode::from(u8::from(options.check && !report.all_met()))
        }
        Err(error) => {
            eprintln!("the benchmark could not run: {error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn options_from(words: impl IntoIterator<Item = String>) -> Result<Options, String> {
    let names: Vec<_> = workload::all(true)
        .iter()
        .map(|workload| workload.name)
        .collect();
    Options::from_words(words, "pool", &names)
}

/// Measures all that `options` ask for. A contestant that gets a wrong result ends it all.
pub(crate) fn run(options: &Options) -> Result<Report, String> {
    let mut report = Report::new(
        options.runs,
        &["hands", "rayon", "threadpool", "tokio", "async-executor"],
    );
    for workload in workload::all(options.quick) {
        if options.only.is_empty() || options.only.iter().any(|name| name == workload.name) {
            report.add(workload.measure(options.runs)?);
        }
    }
    if let Some(path) = &options.json {
        std::fs::write(path, report.json())
            .map_err(|error| format!("`{}` was not written: {error}", path.display()))?;
    }
    Ok(report)
}
