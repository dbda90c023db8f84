//! A queue shared over the network: one program puts, any number of others work. The tutorial's
//! "distributed processes", without a manager of our own: a server keeps the queues.
//!
//! ```console
//! $ nats-server -js &
//! $ cargo run --release --example shared_queue -- work nats://127.0.0.1:4222
//! $ cargo run --release --example shared_queue -- put nats://127.0.0.1:4222
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::time::Duration;

use hands::queue::{GetError, WorkQueue};
use hands_cluster::Cluster;

/// Puts ten numbers, and takes their squares out of the other queue.
fn put(cluster: &Cluster) -> hands::Result<()> {
    let tasks = cluster.queue::<u64>("tasks").open()?;
    let results = cluster.queue::<(u64, u64)>("results").open()?;
    for n in 1..=10 {
        println!("put {n}");
        tasks.put(n)?;
    }
    tasks.join();
    let mut sum = 0;
    for _ in 1..=10 {
        let (n, square) = results.get()?;
        results.task_done()?;
        println!("{n} * {n} = {square}");
        sum += square;
    }
    println!("the sum is {sum}");
    Ok(())
}

/// Works until nothing has come for a while. Whatever ends this program, nothing is lost: what it
/// has not finished comes to another.
fn work(cluster: &Cluster) -> hands::Result<()> {
    let tasks = cluster.queue::<u64>("tasks").open()?;
    let results = cluster.queue::<(u64, u64)>("results").open()?;
    loop {
        match tasks.get_timeout(Duration::from_secs(5)) {
            Ok(n) => {
                println!("got {n}");
                results.put((n, n * n))?;
                tasks.task_done()?;
            }
            Err(GetError::TimedOut) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn main() -> hands::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["put", url] => put(&Cluster::connect(url)?),
        ["work", url] => work(&Cluster::connect(url)?),
        _ => Err("write `put nats://HOST` or `work nats://HOST`".into()),
    }
}
