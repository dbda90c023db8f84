//! The same function on threads, processes, coroutines and machines. The kind of worker is one
//! line.
//!
//! ```console
//! $ cargo run --release --example anywhere -- --on threads
//! $ cargo run --release --example anywhere -- --on processes
//! $ cargo run --release --example anywhere -- --on coroutines
//! ```
//!
//! On machines, with a server (`nats-server -js`) and any number of workers:
//!
//! ```console
//! $ cargo run --release --example anywhere -- --work nats://127.0.0.1:4222
//! $ cargo run --release --example anywhere -- --on nats://127.0.0.1:4222
//! ```

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::ops::Range;

use hands::prelude::*;
use hands_cluster::Cluster;

/// Primes in a range, without any cleverness. The attribute lets it run on other machines.
#[hands::task]
fn primes(range: Range<u64>) -> usize {
    let is_prime = |n: &u64| {
        *n > 1
            && (2..)
                .take_while(|d| d * d <= *n)
                .all(|d| !n.is_multiple_of(d))
    };
    range.filter(is_prime).count()
}

/// Where they are counted is up to the caller.
fn count(pool: &impl Pool, below: u64) -> hands::Result<usize> {
    let parts = pool.map(primes, hands::split(0..below, 64));
    Ok(parts.sum::<Result<usize, TaskError>>()?)
}

#[hands::main]
fn main() -> hands::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let below = 1_000_000;
    let primes = match words[..] {
        [] | ["--on", "threads"] => count(&ThreadPool::new()?, below)?,
        ["--on", "processes"] => count(&ProcessPool::new()?, below)?,
        ["--on", "coroutines"] => count(&AsyncPool::new()?, below)?,
        ["--on", url] if url.contains("://") => count(&Cluster::connect(url)?, below)?,
        ["--work", url] => return Ok(hands_cluster::worker(url).run()?),
        _ => {
            return Err(
                "write `--on threads`, `--on processes`, `--on coroutines` or `--on nats://HOST`"
                    .into(),
            );
        }
    };
    println!("{primes} primes below {below}");
    Ok(())
}
