//! A small web server that does what a test tells it to, right or wrong, and remembers what it was
//! asked.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// As it was written.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// How many requests for this path came before.
    pub(crate) before: usize,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The bytes that it wants, if not all: the first, and the last if it says so.
    pub(crate) fn range(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self
            .header("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()))
    }
}

/// Where an answer is written.
pub(crate) struct Out<'a> {
    stream: &'a mut TcpStream,
    is_open: bool,
    is_head: bool,
}

impl Out<'_> {
    /// A whole answer.
    pub(crate) fn answer(&mut self, status: &str, headers: &[(&str, &str)], body: &[u8]) {
        self.begin(status, headers, Some(body.len() as u64));
        self.body(body);
    }

    /// Status line and headers.
    pub(crate) fn begin(&mut self, status: &str, headers: &[(&str, &str)], length: Option<u64>) {
        let mut head = format!("HTTP/1.1 {status}\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(length) = length {
            head += &format!("Content-Length: {length}\r\n");
        }
        head += "\r\n";
        self.raw(head.as_bytes());
    }

    /// Part of a body.
    pub(crate) fn body(&mut self, bytes: &[u8]) {
        if !self.is_head {
            self.raw(bytes);
        }
    }

    /// Anything. False: nobody is there any more.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> bool {
        self.is_open &= self.stream.write_all(bytes).is_ok();
        self.is_open
    }

    /// The connection ends behind what was written.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
    }

    /// The connection is reset.
    pub(crate) fn reset(&mut self) {
        let _ = rustix::net::sockopt::set_socket_linger(self.stream.as_fd(), Some(Duration::ZERO));
        self.is_open = false;
    }

    /// Waits until the other side has gone.
    pub(crate) fn await_end(&mut self) {
        let _ = self.stream.read(&mut [0]);
        self.is_open = false;
    }

    /// A file, as a good server gives it: ranges, if it is still the same.
    pub(crate) fn file(&mut self, asked: &Asked, bytes: &[u8], etag: &str) {
        let headers = [("ETag", etag), ("Accept-Ranges", "bytes")];
        if asked.header("if-none-match") == Some(etag) {
            return self.answer("304 Not Modified", &headers, b"");
        }
        let is_same = asked.header("if-range").is_none_or(|known| known == etag);
        let Some((first, last)) = asked.range().filter(|_| is_same) else {
            return self.answer("200 OK", &headers, bytes);
        };
        let all = bytes.len() as u64;
        let end = last.map_or(all, |last| last + 1).min(all);
        if first >= all {
            let range = format!("bytes */{all}");
            return self.answer(
                "416 Range Not Satisfiable",
                &[("Content-Range", &range)],
                b"",
            );
        }
        let range = format!("bytes {first}-{}/{all}", end - 1);
        let headers = [headers[0], headers[1], ("Content-Range", &range)];
        self.answer(
            "206 Partial Content",
            &headers,
            &bytes[first as usize..end as usize],
        );
    }
}

type Handler = dyn Fn(&Asked, &mut Out<'_>) + Send + Sync;

/// It serves until the test ends.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn new(handler: impl Fn(&Asked, &mut Out<'_>) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Server {
            address: listener.local_addr().expect("its address"),
            asked: Arc::default(),
        };
        let asked = Arc::clone(&server.asked);
        let handler: Arc<Handler> = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let asked = Arc::clone(&asked);
                let handler = Arc::clone(&handler);
                std::thread::spawn(move || serve(stream, &asked, &*handler));
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// An address where nobody is.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("its address"))
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, handler: &Handler) {
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    while let Some(asked) = read(&mut reader, log) {
        let mut out = Out {
            stream: &mut stream,
            is_open: true,
            is_head: asked.method == "HEAD",
        };
        handler(&asked, &mut out);
        if !out.is_open {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead, log: &Mutex<Vec<Asked>>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length");
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let mut log = log.lock().expect("no panic");
    let before = log.iter().filter(|earlier| earlier.path == path).count();
    let asked = Asked {
        method,
        path,
        headers,
        body,
        before,
    };
    log.push(asked.clone());
    Some(asked)
}

/// Bytes that are nowhere the same.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) + 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // Knuth's MMIX generator, of which the upper bits are the better ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state >> 32).to_le_bytes()[..4]);
    }
    bytes.truncate(length);
    bytes
}
