//! What the benchmarks have in common: how figures are made of rounds, and the machine they are from.

use std::fs;
use std::io::{self, IsTerminal as _};

/// The middle one; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

/// Who is to go at `turn` of `round`. Whoever comes first finds the machine in another state than the others; so each
/// does in turn.
pub(crate) fn at_turn(turn: usize, round: usize, all: usize) -> usize {
    (round + turn) % all
}

/// What is going on, on a line that the next one replaces; for someone who watches.
pub(crate) fn tell(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

/// Processor, number of processors, kernel: what figures depend on.
pub(crate) fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let model = if model.is_empty() {
        std::env::consts::ARCH
    } else {
        model
    };
    format!("{model}, {cpus} CPUs, Linux {}", kernel.trim())
}

const LOCK: &str = include_str!("../Cargo.lock");

/// The version of a library that is measured: that in `Cargo.lock`, as nothing else can have been built.
#[allow(
    dead_code,
    reason = "the benchmark of commands measures programs, not libraries"
)]
pub(crate) fn locked(name: &str) -> Option<&'static str> {
    let head = format!("name = \"{name}\"");
    let mut lines = LOCK.lines().skip_while(|line| *line != head);
    lines
        .nth(1)?
        .strip_prefix("version = \"")?
        .strip_suffix('"')
}
