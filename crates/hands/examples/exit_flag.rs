//! Three workers, five words. First with a flag that tells them to end and a lock around the queue,
//! which is looked into again and again; then with what a queue can do by itself.
//!
//! ```console
//! $ cargo run --example exit_flag
//! ```
//!
//! The first way burns a core while it waits, and has to get three things right: the lock, the
//! flag, and who sets it when. The second waits without cost, and ends when the queue is shut down
//! and empty.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use hands::queue::{Queue, Shutdown};
use hands::sync::Mutex;
use hands::thread::{self, current};

const WORDS: [&str; 5] = ["one", "two", "three", "four", "five"];
const WORKERS: usize = 3;

fn with_a_flag() {
    let (queue, exit) = (Mutex::new(VecDeque::new()), AtomicBool::new(false));
    let work = || {
        while !exit.load(Ordering::Acquire) {
            let word = queue.lock().pop_front();
            match word {
                Some(word) => println!("{} has {word}", current().name()),
                None => std::thread::yield_now(),
            }
        }
    };
    thread::scope(|scope| {
        (0..WORKERS).for_each(|_| drop(scope.spawn(work)));
        queue.lock().extend(WORDS);
        while !queue.lock().is_empty() {
            std::thread::yield_now();
        }
        exit.store(true, Ordering::Release);
    });
}

fn with_a_queue() -> hands::Result<()> {
    let queue = Queue::bounded(10);
    let work = || {
        for word in &queue {
            println!("{} has {word}", current().name());
        }
    };
    thread::scope(|scope| {
        (0..WORKERS).for_each(|_| drop(scope.spawn(work)));
        for word in WORDS {
            queue.put(word)?;
        }
        queue.shutdown(Shutdown::Drain);
        Ok(())
    })
}

#[hands::main]
fn main() -> hands::Result<()> {
    println!("with a flag:");
    with_a_flag();
    println!("with a queue:");
    with_a_queue()?;
    println!("main has ended");
    Ok(())
}
