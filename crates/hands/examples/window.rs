//! A window that never freezes: *Download* works in a thread, is disabled meanwhile, and *About*
//! answers at once.
//!
//! ```console
//! $ cargo run --example window          # then open the address that it prints
//! $ cargo run --example window -- 300   # a download of 300 ms instead of 10 s
//! ```
//!
//! The window is a page in the browser, served by this program to this machine alone, for one
//! download at a time.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "what it prints is what it is for, and sleeping stands for a download"
)]

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hands::thread::Builder;

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>hands</title>
<button id="download">Download</button> <button id="about">About</button> <output id="said"></output>
<script>
const ask = async path => said.textContent = await (await fetch(path, {method: "POST"})).text();
about.onclick = () => ask("/about");
download.onclick = async () => {
  download.disabled = true;
  said.textContent = "downloading ...";
  await ask("/download");
  download.disabled = false;
};
</script>"#;

/// Answers one request. Each has a thread of its own, so none waits for another.
fn answer(stream: TcpStream, downloads: &AtomicBool, takes: Duration) -> io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let host = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty());
    let is_ours = host.filter_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("host: ")
            .map(str::to_owned)
    });
    let is_ours = is_ours
        .last()
        .is_some_and(|host| host.starts_with("127.0.0.1:"));
    let (status, body) = match request.split(' ').take(2).collect::<Vec<_>>()[..] {
        _ if !is_ours => ("403 Forbidden", "not from there"),
        ["GET", "/"] => ("200 OK", PAGE),
        ["POST", "/about"] => ("200 OK", "hands: many hands make light work"),
        ["POST", "/download"] if downloads.swap(true, Ordering::AcqRel) => {
            ("409 Conflict", "it downloads already")
        }
        ["POST", "/download"] => {
            std::thread::sleep(takes);
            downloads.store(false, Ordering::Release);
            ("200 OK", "the download is done")
        }
        _ => ("404 Not Found", "there is no such thing here"),
    };
    let kind = "Content-Type: text/html; charset=utf-8\r\nConnection: close";
    let head = format!(
        "HTTP/1.1 {status}\r\n{kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (&stream).write_all((head + body).as_bytes())
}

#[hands::main]
fn main() -> hands::Result<()> {
    let takes = Duration::from_millis(
        std::env::args()
            .nth(1)
            .map_or(Ok(10_000), |text| text.parse())?,
    );
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}/", listener.local_addr()?);
    let downloads = Arc::new(AtomicBool::new(false));
    for stream in listener.incoming() {
        let (stream, downloads) = (stream?, Arc::clone(&downloads));
        // A daemon: a download does not keep the program from ending.
        Builder::new()
            .daemon(true)
            .spawn(move || answer(stream, &downloads, takes))?;
    }
    Ok(())
}
