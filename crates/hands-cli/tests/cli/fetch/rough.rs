//! Servers that are slow, busy, broken or gone; and what each URL ends in.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::files;
use super::server::{Out, Server, noise};
use crate::stage::Stage;

const QUICK: [&str; 2] = ["--retry-delay", "0.01"];

#[test]
fn a_busy_server_is_asked_again_when_it_says() {
    let server = Server::new(|asked, out| match asked.before {
        0 => out.answer("503 Service Unavailable", &[("Retry-After", "0")], b"later"),
        1 => out.answer(
            "429 Too Many Requests",
            &[("Retry-After", "Sat, 29 Oct 1994 19:43:31 GMT")],
            b"",
        ),
        2 => out.answer("502 Bad Gateway", &[], b""),
        _ => out.answer("200 OK", &[], b"now"),
    });
    let stage = Stage::new();
    let ended = stage
        .fetch(&[&server.url("/x"), "--json", QUICK[0], QUICK[1]])
        .end()
        .with_code(0);
    let retries: Vec<Value> = ended
        .out()
        .lines()
        .filter(|line| line.contains("\"retry\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(retries.len(), 3);
    assert_eq!(
        (&retries[0]["wait"], &retries[1]["wait"]),
        (&0.0.into(), &0.0.into())
    );
    assert_eq!(stage.text("x"), "now");
    let late = Server::new(|_, out| {
        out.answer("503 Service Unavailable", &[("Retry-After", "3600")], b"")
    });
    stage
        .fetch(&[&late.url("/y"), "--retry-after-max", "60"])
        .end()
        .with_code(1)
        .says("come back after 3600 s");
}

#[test]
fn what_will_not_change_is_not_asked_again() {
    let server = Server::new(|asked, out| match asked.path.as_str() {
        "/loop" => out.answer("302 Found", &[("Location", "/loop")], b""),
        "/away" => out.answer("302 Found", &[("Location", "ftp://x/y")], b""),
        _ => out.answer("404 Not Found", &[], b"no"),
    });
    let stage = Stage::new();
    stage
        .fetch(&[&server.url("/none")])
        .end()
        .with_code(1)
        .says("/none: the server says 404 Not Found");
    assert_eq!(server.asked().len(), 1);
    stage
        .fetch(&[&server.url("/loop"), "--max-redirects", "3"])
        .end()
        .with_code(1)
        .says("more than 3 redirects");
    assert_eq!(server.asked().len(), 5);
    stage.fetch(&[&server.url("/away")]).end().with_code(1);
    assert_eq!(files(stage.folder()), Vec::<String>::new());
}

#[test]
fn nobody_there_is_told_with_the_reason() {
    let stage = Stage::new();
    // A port that was just somebody's.
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/x", listener.local_addr().unwrap())
    };
    let ended = stage
        .fetch(&[&gone, "--retries", "2", QUICK[0], QUICK[1]])
        .end()
        .with_code(1);
    ended.says("Connection refused").says("(after 2 tries)");
    stage
        .fetch(&["http://nothing.invalid/", "--retries", "1"])
        .end()
        .with_code(1)
        .calmly();
}

#[test]
fn what_does_not_come_is_given_up() {
    let server = Server::new(|asked, out| match asked.path.as_str() {
        "/silent" => out.await_end(),
        "/stuck" => {
            out.begin("200 OK", &[], Some(100));
            out.body(b"some");
            out.await_end();
        }
        _ => {
            out.begin("200 OK", &[], Some(1 << 30));
            while out.raw(b"x") {
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
    });
    let stage = Stage::new();
    for (path, words, told) in [
        (
            "/silent",
            &["--idle-timeout", "0.05"][..],
            "the server does not answer",
        ),
        ("/stuck", &["--idle-timeout", "2"], "nothing comes any more"),
        (
            "/drip",
            &["--timeout", "0.2"],
            "a try took longer than 0.2 s",
        ),
        ("/drip", &["--max-time", "0.2"], "it took longer than 0.2 s"),
    ] {
        let url = server.url(path);
        let words = [&[url.as_str(), "--retries", "1"], words].concat();
        stage.fetch(&words).end().with_code(1).says(told);
    }
}

#[test]
fn the_first_failure_may_be_the_last() {
    let server = Server::new(|asked, out| match asked.path.as_str() {
        "/bad" => out.answer("404 Not Found", &[], b""),
        _ => out.answer("200 OK", &[], b"x"),
    });
    let stage = Stage::new();
    let list: String = (0..500)
        .map(|n| server.url(&format!("/{n}")) + "\n")
        .collect();
    stage.write("urls", format!("{}\n{list}", server.url("/bad")));
    let ended = stage
        .fetch(&["-i", "urls", "--fail-fast", "-j", "1", "--json"])
        .end()
        .with_code(1);
    let ends = ended
        .out()
        .lines()
        .filter(|line| line.contains("\"end\""))
        .count();
    assert_eq!(ends, 501, "each has an end");
    assert!(server.asked().len() < 400, "{}", server.asked().len());
}

#[test]
fn no_more_connections_than_allowed() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    for (words, most) in [
        (["-j", "3"], 3),
        (["--per-host", "2"], 2),
        (["--max-connections", "4"], 4),
    ] {
        let (now, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (at, max) = (Arc::clone(&now), Arc::clone(&seen));
        let server = Server::new(move |_, out| {
            max.fetch_max(at.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            at.fetch_sub(1, Ordering::SeqCst);
            out.answer("200 OK", &[], b"x");
        });
        let stage = Stage::new();
        let list: String = (0..200)
            .map(|n| server.url(&format!("/{n}")) + "\n")
            .collect();
        stage.write("urls", list);
        stage
            .fetch(&["-i", "urls", "-d", "out", words[0], words[1]])
            .end()
            .with_code(0);
        assert!(seen.load(Ordering::SeqCst) <= most, "{words:?}");
        assert_eq!(files(&stage.path("out")).len(), 200);
    }
}

/// One of a hundred is reset, one is told to come back, one is cut short.
fn unreliable(body: fn(&str) -> Vec<u8>) -> Server {
    Server::new(move |asked, out| {
        let bytes = body(&asked.path);
        let number: usize = asked.path[1..].parse().unwrap_or(0);
        match (asked.before, number % 100) {
            (0, 7) => {
                out.begin("200 OK", &[], Some(bytes.len() as u64));
                out.body(&bytes[..bytes.len() / 2]);
                Out::reset(out);
            }
            (0, 23) => out.answer("503 Service Unavailable", &[("Retry-After", "0")], b""),
            (0, 51) => {
                out.begin("200 OK", &[], Some(bytes.len() as u64));
                out.body(&bytes[..bytes.len() / 3]);
                out.close();
            }
            _ => out.file(asked, &bytes, "\"1\""),
        }
    })
}

#[test]
fn ten_thousand_from_an_unreliable_server_come_once_each() {
    let server = unreliable(|path| {
        noise(
            300,
            path.len() as u64 + path.bytes().map(u64::from).sum::<u64>(),
        )
    });
    let stage = Stage::new();
    let list: String = (0..10_000)
        .map(|n| server.url(&format!("/{n}")) + "\n")
        .collect();
    stage.write("urls", list);
    let ended = stage
        .fetch(&["-i", "urls", "-d", "out", "--json", QUICK[0], QUICK[1]])
        .end()
        .with_code(0);
    let mut ends: HashMap<u64, String> = HashMap::new();
    for line in ended.out().lines().filter(|line| line.contains("\"end\"")) {
        let end: Value = serde_json::from_str(line).unwrap();
        let before = ends.insert(
            end["number"].as_u64().unwrap(),
            end["state"].as_str().unwrap().to_owned(),
        );
        assert_eq!(before, None, "told twice");
    }
    assert_eq!(ends.len(), 10_000);
    assert!(ends.values().all(|state| state == "ok"));
    assert_eq!(files(&stage.path("out")).len(), 10_000);
    for n in [7, 23, 51, 1007, 9951, 500] {
        let path = format!("/{n}");
        let sum = path.len() as u64 + path.bytes().map(u64::from).sum::<u64>();
        assert!(stage.bytes(&format!("out/{n}")) == noise(300, sum), "{n}");
    }
    // As often as it had to be, and no more.
    assert_eq!(server.asked().len(), 10_300);
}
