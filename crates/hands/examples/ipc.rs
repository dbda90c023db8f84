//! One message from a process to another, by each way there is: a pipe, a signal, a socket, shared
//! memory.
//!
//! ```console
//! $ cargo run --example ipc
//! by a pipe:          hello
//! by a signal:        it ended by signal 15
//! by a socket:        hello
//! by shared memory:   hello
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;

use hands::process::{Pipe, pipe, spawn};
use hands::shared::{Event, Memory};

fn by_pipe(end: Pipe<String, ()>) -> Result<(), String> {
    end.send("hello".to_owned())
        .map_err(|error| error.to_string())
}

fn until_signalled(ready: Event) {
    ready.set();
    loop {
        std::thread::park();
    }
}

fn by_socket(port: u16) -> Result<(), String> {
    let stream = TcpStream::connect(("127.0.0.1", port));
    stream
        .and_then(|mut stream| stream.write_all(b"hello"))
        .map_err(|error| error.to_string())
}

fn by_memory((memory, written): (Memory, Event)) {
    memory.write(0, b"hello");
    written.set(); // who sees this sees what was written
}

#[hands::main]
fn main() -> hands::Result<()> {
    let (ours, its) = pipe::<(), String>()?;
    let process = spawn(by_pipe, its)?;
    println!("by a pipe:          {}", ours.recv()?);
    process.join()??;

    let ready = Event::new()?;
    let process = spawn(until_signalled, ready.clone())?;
    ready.wait();
    process.terminate();
    process.wait();
    let signal = process.exit_status().and_then(|status| status.signal());
    println!(
        "by a signal:        it ended by signal {}",
        signal.unwrap_or(0)
    );

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let process = spawn(by_socket, listener.local_addr()?.port())?;
    let mut text = String::new();
    listener.accept()?.0.read_to_string(&mut text)?;
    println!("by a socket:        {text}");
    process.join()??;

    let (memory, written) = (Memory::new(5)?, Event::new()?);
    let process = spawn(by_memory, (memory.clone(), written.clone()))?;
    written.wait();
    let mut bytes = [0; 5];
    memory.read(0, &mut bytes);
    println!("by shared memory:   {}", String::from_utf8_lossy(&bytes));
    process.join()?;
    Ok(())
}
