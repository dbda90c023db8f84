//! A producer and a consumer: in threads, then in coroutines, then in processes. What changes is
//! the queue.
//!
//! ```console
//! $ cargo run --example producer_consumer
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::sync::Arc;

use hands::queue::{Queue, Shutdown, WorkQueue};
use hands::{process, shared, thread};

const ITEMS: u64 = 5;

/// The same for every kind of queue.
fn produce(queue: &impl WorkQueue<u64>) {
    for n in 0..ITEMS {
        println!("  put {n}");
        queue.put(n).expect("nobody shuts it down before us");
    }
    queue.shutdown(Shutdown::Drain);
}

/// Returns the sum of what it got. A queue that was shut down and is empty ends it.
fn consume(queue: &impl WorkQueue<u64>) -> u64 {
    let mut sum = 0;
    while let Ok(n) = queue.get() {
        println!("  got {n}");
        sum += n;
    }
    sum
}

async fn consume_async(queue: &Queue<u64>) -> u64 {
    let mut sum = 0;
    while let Ok(n) = queue.get_async().await {
        println!("  got {n}");
        sum += n;
    }
    sum
}

async fn produce_async(queue: &Queue<u64>) {
    for n in 0..ITEMS {
        println!("  put {n}");
        queue
            .put_async(n)
            .await
            .expect("nobody shuts it down before us");
    }
    queue.shutdown(Shutdown::Drain);
}

#[hands::main]
async fn main() -> hands::Result<()> {
    println!("threads:");
    let queue = Arc::new(Queue::bounded(2));
    let its = Arc::clone(&queue);
    let consumer = thread::spawn(move || consume(&*its));
    produce(&*queue);
    println!("  the sum is {}", consumer.join()?);

    println!("coroutines:");
    let queue = Queue::bounded(2);
    let (sum, ()) = tokio::join!(consume_async(&queue), produce_async(&queue));
    println!("  the sum is {sum}");

    println!("processes:");
    let queue = shared::Queue::bounded(2)?;
    let consumer = process::spawn(|queue: shared::Queue<u64>| consume(&queue), queue.clone())?;
    produce(&queue);
    println!("  the sum is {}", consumer.join_async().await?);
    Ok(())
}
