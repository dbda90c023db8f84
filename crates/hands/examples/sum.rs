//! The sum of 1 to 100,000,000: 5000000050000000, by every way there is.
//!
//! ```console
//! $ cargo run --release --example sum
//! $ cargo run --release --example sum -- 1000000
//! ```
//!
//! The list is there before the clock starts, as in the tutorial. What is sent to a process is
//! copied; what is shared is not.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::ops::Range;
use std::time::Instant;

use hands::prelude::*;
use hands::process;
use hands::shared::{Queue, Slice};

const PIECES: usize = 8;

fn sum_of(numbers: Vec<u64>) -> u64 {
    numbers.iter().sum()
}

/// For a process that puts its result into a queue.
fn sum_into((numbers, results): (Vec<u64>, Queue<u64>)) -> Result<(), String> {
    results
        .put(sum_of(numbers))
        .map_err(|refused| refused.to_string())
}

/// A part of what all processes have in common. Its numbers are copied in pieces that stay in the
/// cache.
fn sum_of_slice((numbers, range): (Slice<u64>, Range<usize>)) -> u64 {
    let mut piece = vec![0; 4096];
    let mut sum = 0;
    for at in range.clone().step_by(piece.len()) {
        let count = piece.len().min(range.end - at);
        numbers.read(at, &mut piece[..count]);
        sum += piece[..count].iter().sum::<u64>();
    }
    sum
}

async fn sum_of_range(range: Range<u64>) -> u64 {
    let mut sum = 0;
    for piece in hands::split(range, 16) {
        sum += piece.fold(0, |sum, n| sum + std::hint::black_box(n));
        tokio::task::yield_now().await; // others have their turn
    }
    sum
}

fn timed(how: &str, sum: impl FnOnce() -> hands::Result<u64>) -> hands::Result<()> {
    let start = Instant::now();
    let sum = sum()?;
    println!(
        "{how:<40}{sum:>18}{:>10.1} ms",
        start.elapsed().as_secs_f64() * 1000.0
    );
    Ok(())
}

#[hands::main]
fn main() -> hands::Result<()> {
    let last = std::env::args()
        .nth(1)
        .map_or(Ok(100_000_000), |text| text.parse())?;
    let list: Vec<u64> = (1..=last).collect();
    let pieces = hands::split(0..list.len(), PIECES);

    timed("one list", || {
        Ok(list.iter().map(|n| std::hint::black_box(*n)).sum())
    })?;

    let threads = ThreadPool::new()?;
    timed("threads", || {
        Ok(threads.reduce(&list[..], || 0, |sum, n| sum + n, |a, b| a + b))
    })?;

    timed("8 processes and a queue of results", || {
        let results = Queue::bounded(PIECES)?;
        let start = |range: &Range<usize>| {
            process::spawn(sum_into, (list[range.clone()].to_vec(), results.clone()))
        };
        let processes: Vec<_> = pieces.iter().map(start).collect::<Result<_, _>>()?;
        for process in processes {
            process.join()??;
        }
        Ok((0..PIECES)
            .map(|_| results.try_get())
            .sum::<Result<u64, _>>()?)
    })?;

    let pool = ProcessPool::new()?;
    timed("a pool of processes, pieces sent", || {
        let parts = pieces.iter().map(|range| list[range.clone()].to_vec());
        Ok(pool.map(sum_of, parts).chunk(1).sum::<Result<u64, _>>()?)
    })?;

    let shared = Slice::from_slice(&list)?;
    timed("a pool of processes, the list shared", || {
        let parts = pieces.iter().map(|range| (shared.clone(), range.clone()));
        Ok(pool
            .map(sum_of_slice, parts)
            .chunk(1)
            .sum::<Result<u64, _>>()?)
    })?;

    let coroutines = ProcessPool::builder().coroutines(4).build()?;
    timed("coroutines in processes", || {
        let parts = hands::split(1..last + 1, PIECES).into_iter();
        let tasks: Vec<_> = parts
            .map(|range| coroutines.submit_async(sum_of_range, range))
            .collect();
        Ok(tasks
            .into_iter()
            .map(Handle::join)
            .sum::<Result<u64, _>>()?)
    })
}
