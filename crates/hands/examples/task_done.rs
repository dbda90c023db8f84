//! A hundred items, ten workers, and a `join` that returns when the last item is done: not when the
//! queue is empty, which is sooner.
//!
//! ```console
//! $ cargo run --example task_done
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hands::queue::Queue;
use hands::thread::{Builder, current};

const ITEMS: u32 = 100;
const WORKERS: u32 = 10;

#[hands::main]
fn main() -> hands::Result<()> {
    let queue: Arc<Queue<u32>> = Arc::new((0..ITEMS).collect());
    let done = Arc::new(AtomicU32::new(0));
    for n in 0..WORKERS {
        let (queue, done) = (Arc::clone(&queue), Arc::clone(&done));
        let worker = move || {
            while let Ok(item) = queue.get() {
                println!("{}: {item}", current().name());
                done.fetch_add(1, Ordering::Relaxed);
                // One for each item that was put; more are an error, which an unread result would
                // hide.
                queue.task_done().expect("one for each item");
            }
        };
        // Daemons: they wait for more until the program ends.
        Builder::new()
            .name(format!("worker-{n}"))
            .daemon(true)
            .spawn(worker)?;
    }
    queue.join();
    println!("{} of {ITEMS} done", done.load(Ordering::Relaxed));
    Ok(())
}
