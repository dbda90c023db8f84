//! How a figure is come by.

use std::time::Instant;

use super::shared::median;

pub(crate) type Figure = Result<f64, String>;

/// As a message for the benchmark's user.
pub(crate) fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The median of so many, in nanoseconds.
pub(crate) fn medians(count: u64, mut one: impl FnMut(u64) -> Result<(), String>) -> Figure {
    let mut times = Vec::new();
    for n in 0..count {
        let start = Instant::now();
        one(n)?;
        times.push(start.elapsed().as_nanos() as f64);
    }
    Ok(median(times))
}

/// Nanoseconds that each has taken.
pub(crate) fn each(count: u64, start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64 / count as f64
}
