//! `hands run` and its peers, measured side by side in one go; `benches/README.md` says how to read
//! the table.
//!
//! ```text
//! options ─▶ workloads × programs ─▶ rounds, interleaved ─▶ report: table, JSON
//!              (workload)  (program)    (measure, floor)       (report)
//! ```
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark is there to be read"
)]

mod floor;
mod measure;
pub(crate) mod options;
mod program;
mod report;
mod rounds;
#[path = "../../../../benches/shared.rs"]
mod shared;
mod workload;

use std::process::ExitCode;

use options::Options;
use program::Program;
use report::Report;
use workload::Workload;

#[allow(
    dead_code,
    reason = "the smoke test includes this file as a module and calls `run`"
)]
fn main() -> ExitCode {
    let options = match Options::from_words(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(told) => {
            eprintln!("{told}");
            return ExitCode::from(2);
        }
    };
    // `cargo bench` starts this in the folder of the crate; paths were given from where the user
    // is.
    let moved = std::env::var_os("HANDS_BENCH_FROM").map_or(Ok(()), std::env::set_current_dir);
    match moved.and_then(|()| run(&options)) {
        Ok(report) => {
            println!("{report}");
            if options.check && !report.all_met() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            }
        }
        Err(error) => {
            eprintln!("the benchmark could not run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures all that `options` ask for. A program that fails is a line of the report.
pub(crate) fn run(options: &Options) -> std::io::Result<Report> {
    let (programs, skipped) = Program::find_all(&options.hands);
    let mut report = Report::new(options.runs, skipped, &programs);
    for workload in Workload::all(options.quick) {
        if options.only.is_empty() || options.only.iter().any(|name| name == workload.name) {
            report.add(rounds::measure(&workload, &programs, options.runs)?);
        }
    }
    if let Some(path) = &options.json {
        std::fs::write(path, report.json())?;
    }
    Ok(report)
}
