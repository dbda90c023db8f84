//! Two threads that each count down from five: as they come, and one after the other, by a lock.
//!
//! ```console
//! $ cargo run --example ordered
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use hands::sync::Mutex;
use hands::thread::{self, current};

fn count_down() {
    for left in (0..5).rev() {
        println!("{}: {left}", current().name());
        // Let the other have a turn, if it may.
        std::thread::yield_now();
    }
}

fn in_two_threads(work: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(&work);
        }
    });
}

#[hands::main]
fn main() {
    println!("as they come:");
    in_two_threads(count_down);

    println!("one after the other:");
    let turn = Mutex::new(());
    in_two_threads(|| {
        let _turn = turn.lock(); // until the end of the block, also if it panics
        count_down();
    });
    println!("main has ended");
}
