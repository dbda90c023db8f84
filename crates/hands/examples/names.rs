//! Threads have names, and a thread that is joined has ended.
//!
//! ```console
//! $ cargo run --example names
//! main is running
//! reader is running
//! reader has ended
//! thread-1 is running
//! thread-1 has ended
//! main has ended
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use hands::thread::{Builder, current, spawn};

fn work() {
    println!("{} is running", current().name());
    println!("{} has ended", current().name());
}

#[hands::main]
fn main() -> hands::Result<()> {
    println!("{} is running", current().name());

    // With a name of its own, or with the next number.
    Builder::new().name("reader").spawn(work)?.join()?;
    spawn(work).join()?;

    // What a thread returns, or that it panicked and where, is what `join` returns.
    println!("{} has ended", current().name());
    Ok(())
}
