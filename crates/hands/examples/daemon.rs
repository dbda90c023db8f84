//! What becomes of threads when `main` returns: those that are not daemons are finished, daemons
//! are abandoned.
//!
//! ```console
//! $ cargo run --example daemon
//! main: returns
//! writer: line 1
//! writer: line 2
//! writer: line 3
//! cleaner: swept up
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::io;
use std::sync::mpsc::channel;

use hands::thread::{self, Builder};

fn main() -> io::Result<()> {
    // First of all, so that it is dropped last: here the program waits for its threads. Try it
    // without.
    let _hands = hands::init();

    // A daemon: it would wait for work until the end of days, and nobody minds that the program
    // ends first.
    let (work, jobs) = channel::<String>();
    Builder::new().name("printer").daemon(true).spawn(move || {
        for job in jobs {
            println!("printer: {job}");
        }
    })?;
    // Never dropped, so that the printer's queue never closes.
    let _work: &'static _ = Box::leak(Box::new(work));

    // No daemon: nobody joins it, and yet it writes all its lines, and so does the thread that it
    // starts at last.
    let (go, wait) = channel::<()>();
    Builder::new().name("writer").spawn(move || {
        // Until `main` is over, and `go` with it.
        let _ = wait.recv();
        for line in 1..=3 {
            println!("writer: line {line}");
        }
        thread::spawn(|| println!("cleaner: swept up"));
    })?;

    println!("main: returns");
    drop(go);
    Ok(())
}
