//! The headers of three sites as they come, on one thread: a coroutine for each.
//!
//! ```console
//! $ cargo run --example headers                               # three servers of its own
//! $ cargo run --example headers -- example.org:80 example.com:80
//! ```

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::io;
use std::time::Duration;

use hands::pool::AsyncPool;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Prints the headers of a site's front page; returns how many there are.
async fn headers(host: String) -> io::Result<usize> {
    println!("asking {host}");
    let mut stream = TcpStream::connect(&host).await?;
    let name = host.split(':').next().unwrap_or(&host);
    let request = format!("GET / HTTP/1.0\r\nHost: {name}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut lines = BufReader::new(stream).lines();
    let mut count = 0;
    while let Some(line) = lines.next_line().await? {
        if line.is_empty() {
            break; // the body follows, which nobody wants
        }
        println!("{host} > {line}");
        count += 1;
    }
    Ok(count)
}

/// A server that takes its time between one header and the next.
async fn serve(listener: TcpListener, pause: Duration) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let _ = stream.read(&mut [0; 1024]).await?;
    for line in [
        "HTTP/1.0 200 OK",
        "Content-Type: text/html",
        "Server: an example",
        "",
    ] {
        stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

#[hands::main]
fn main() -> hands::Result<()> {
    let pool = AsyncPool::builder().threads(1).in_flight(100).build()?;
    let mut hosts: Vec<String> = std::env::args().skip(1).collect();
    if hosts.is_empty() {
        for pause in [30, 10, 20].map(Duration::from_millis) {
            let listener = pool.spawn(TcpListener::bind("127.0.0.1:0")).join()??;
            hosts.push(listener.local_addr()?.to_string());
            drop(pool.spawn(serve(listener, pause)));
        }
    }
    let asked: Vec<_> = hosts
        .into_iter()
        .map(|host| (pool.spawn(headers(host.clone())), host))
        .collect();
    for (headers, host) in asked {
        match headers.join()? {
            Ok(count) => println!("{host}: {count} headers"),
            Err(error) => println!("{host}: {error}"),
        }
    }
    Ok(())
}
