//! Another program: spoken to through its pipes, in a pipeline, and within a time.
//!
//! ```console
//! $ cargo run --example subprocess
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::time::Duration;

use hands::command::{Command, CommandError};

#[hands::main]
fn main() -> hands::Result<()> {
    // A child that answers each line, as long as there are lines.
    let mut child = Command::new("bc").spawn().or_else(|_| {
        // Where `bc` is not installed.
        Command::shell("while read -r line; do echo $(($line)); done").spawn()
    })?;
    for question in ["6 * 7", "2 + 2"] {
        child.write_line(question)?;
        println!("{question} is {}", child.read_line()?.unwrap_or_default());
    }
    let end = child.wait()?; // it reads the end of its stdin, and ends
    println!("the child has ended: {}", end.status);

    // What one writes, the next reads, all at the same time.
    let most = Command::new("printf")
        .arg("pear\nfig\npear\nfig\npear\n")
        .pipe(Command::new("sort"))
        .pipe(Command::new("uniq").arg("-c"))
        .output()?;
    print!("{}", String::from_utf8_lossy(most.stdout()));

    // Whatever it has started ends with it.
    let slow = Command::new("sleep")
        .arg("1000")
        .timeout(Duration::from_millis(100))
        .output();
    match slow {
        Err(error @ CommandError::TimedOut { .. }) => println!("{error}"),
        other => println!("unexpected: {other:?}"),
    }

    // Failing is an error where that is asked for, with what it said.
    if let Err(error) = Command::shell("echo no such user >&2; exit 3").check() {
        println!("{error}");
    }
    Ok(())
}
