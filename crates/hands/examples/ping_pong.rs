//! Two processes that say ping and pong: the wrong way, ten each; and the right way, ten in all, by
//! a shared value and by a queue.
//!
//! ```console
//! $ cargo run --release --example ping_pong
//! ```
//!
//! A process has memory of its own. So a counter in a `static` is counted by each for itself, and
//! ten words become twenty. What both are to count in must be shared, and looking, saying and
//! counting must be one step: else there would now and then be eleven.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::sync::atomic::{AtomicU32, Ordering};

use hands::process::{Process, SpawnError, spawn};
use hands::shared::{Mutex, Queue};

const WORDS: u32 = 10;

/// Not what it seems: each process has one.
static COUNTER: AtomicU32 = AtomicU32::new(0);

fn wrong(word: String) -> Result<u32, String> {
    let mut said = 0;
    while COUNTER.load(Ordering::Relaxed) < WORDS {
        println!("{word}");
        COUNTER.fetch_add(1, Ordering::Relaxed);
        said += 1;
    }
    Ok(said)
}

fn by_value((counter, word): (Mutex<u32>, String)) -> Result<u32, String> {
    let mut said = 0;
    loop {
        let mut counter = counter.lock().map_err(|error| error.to_string())?;
        if *counter >= WORDS {
            return Ok(said);
        }
        println!("{word}");
        *counter += 1;
        said += 1;
        drop(counter);
        std::thread::yield_now(); // the lock is not fair; let the other have it, too
    }
}

/// Each turn that is left is an item: whoever gets it says a word.
fn by_queue((turns, word): (Queue<u32>, String)) -> Result<u32, String> {
    let mut said = 0;
    while turns.try_get().is_ok() {
        println!("{word}");
        said += 1;
        std::thread::yield_now();
    }
    Ok(said)
}

type Player = Result<Process<Result<u32, String>>, SpawnError>;

fn play(how: &str, player: impl Fn(String) -> Player) -> hands::Result<()> {
    println!("{how}:");
    let players = ["Ping", "Pong"].map(|word| player(word.to_owned()));
    let mut words = 0;
    for player in players {
        words += player?.join()??;
    }
    println!("{words} words");
    Ok(())
}

#[hands::main]
fn main() -> hands::Result<()> {
    play("the wrong way", |word| spawn(wrong, word))?;

    let counter = Mutex::new(0)?;
    play("by a shared value", |word| {
        spawn(by_value, (counter.clone(), word))
    })?;

    let turns = Queue::bounded(WORDS as usize)?;
    (0..WORDS).try_for_each(|turn| turns.put(turn))?;
    play("by a queue", |word| spawn(by_queue, (turns.clone(), word)))
}
