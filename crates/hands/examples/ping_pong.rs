//! Two processes, one counter, ten words.
//!
//! ```console
//! $ cargo run --release --example ping_pong
//! ```
//!
//! Each process says its word when it finds the counter below ten, and nobody says which of them is next. The lock around
//! looking, saying and counting is what makes it ten: with a look before it and a count behind it there would now and
//! then be eleven.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::error::Error;

use hands::process::Builder;
use hands::shared::Mutex;

const WORDS: u32 = 10;

fn say((counter, word): (Mutex<u32>, String)) -> Result<u32, String> {
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
        // The lock is not fair; let the other have it, too.
        std::thread::yield_now();
    }
}

#[hands::main]
fn main() -> Result<(), Box<dyn Error>> {
    let counter = Mutex::new(0)?;
    let mut players = Vec::new();
    for word in ["Ping", "Pong"] {
        let argument = (counter.clone(), word.to_owned());
        players.push(Builder::new().name(word).spawn(say, argument)?);
    }
    let mut words = 0;
    for player in players {
        words += player.join()??;
    }
    println!("{words} words");
    Ok(())
}
