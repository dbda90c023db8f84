//! Two downloads: one after the other; then both at once, in two processes, in two threads, and as
//! a type that is a thread.
//!
//! ```console
//! $ cargo run --release --example downloads          # a "second" takes 10 ms
//! $ cargo run --release --example downloads -- 1000  # as many milliseconds as you like
//! ```
//!
//! Each takes from 5 to 10 seconds. One after the other that is their sum; at once, the longer of
//! the two.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "what it prints is what it is for, and sleeping stands for a download"
)]

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use hands::thread::{JoinError, Run, run, spawn};
use hands::{process, thread};

const FILES: [&str; 2] = ["a tour of threads.pdf", "many hands.avi"];

/// Returns how many seconds it took.
fn download((file, second): (String, Duration)) -> u32 {
    let seconds = 5 + (RandomState::new().hash_one(()) % 6) as u32;
    println!("  {file}: begins, in process {}", std::process::id());
    std::thread::sleep(second * seconds);
    println!("  {file}: done after {seconds} s");
    seconds
}

/// A type that is a thread: it has what it needs, and says what it does.
struct Download {
    file: String,
    second: Duration,
}

impl Run for Download {
    type Output = u32;

    fn run(self) -> u32 {
        download((self.file, self.second))
    }
}

fn timed(
    how: &str,
    second: Duration,
    all: impl FnOnce() -> hands::Result<Vec<u32>>,
) -> hands::Result<()> {
    println!("{how}:");
    let start = Instant::now();
    let each = all()?;
    let took = start.elapsed().as_secs_f64() / second.as_secs_f64();
    println!("  {} files took {took:.1} s", each.len());
    Ok(())
}

#[hands::main]
fn main() -> hands::Result<()> {
    let scale = std::env::args()
        .nth(1)
        .map_or(Ok(10), |text| text.parse())?;
    let second = Duration::from_millis(scale);
    let files = || FILES.map(|file| (file.to_owned(), second));

    timed("one after the other", second, || {
        Ok(files().map(download).to_vec())
    })?;

    timed("in two processes", second, || {
        let [one, other] = files().map(|file| process::spawn(download, file));
        let (one, other) = (one?, other?);
        Ok(vec![one.join()?, other.join()?])
    })?;

    timed("in two threads", second, || {
        let threads = files().map(|file| spawn(move || download(file)));
        Ok(threads
            .into_iter()
            .map(thread::JoinHandle::join)
            .collect::<Result<_, JoinError>>()?)
    })?;

    timed("as a type that is a thread", second, || {
        let threads = files().map(|(file, second)| run(Download { file, second }));
        Ok(threads
            .into_iter()
            .map(thread::JoinHandle::join)
            .collect::<Result<_, JoinError>>()?)
    })
}
