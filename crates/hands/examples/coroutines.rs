//! Coroutines: two that wait at the same time on one thread, then a hundred thousand.
//!
//! ```console
//! $ cargo run --release --example coroutines
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::time::{Duration, Instant};

use hands::pool::AsyncPool;
use hands::thread::current;
use tokio::time::sleep;

const MANY: u64 = 100_000;

async fn hello(n: u64) -> String {
    println!("hello from {n}, on {}", current().name());
    sleep(Duration::from_millis(50)).await; // the thread runs the other meanwhile
    println!("hello again from {n}, on {}", current().name());
    current().name().to_owned()
}

async fn wait(n: u64) -> u64 {
    sleep(Duration::from_millis(100)).await;
    n
}

#[hands::main]
fn main() -> hands::Result<()> {
    let one = AsyncPool::builder().threads(1).in_flight(2).build()?;
    let both = [1, 2].map(|n| one.spawn(hello(n)));
    let [first, second] = both.map(|coroutine| coroutine.join());
    println!("one thread: {}", first? == second?);

    let start = Instant::now();
    let pool = AsyncPool::builder().in_flight(MANY as usize).build()?;
    let sum: u64 = pool
        .map_async(wait, 0..MANY)
        .unordered()
        .blocking()
        .sum::<Result<_, _>>()?;
    let alone = Duration::from_millis(100) * MANY as u32;
    println!(
        "{MANY} coroutines that wait 100 ms each have ended; the sum of their numbers is {sum}"
    );
    println!(
        "one after the other: {alone:?}; at once: {:?}",
        start.elapsed()
    );
    Ok(())
}
