//! Several servers with the same file, one server with many: a bad one costs neither the good one
//! nor time, and a host that wants to be left alone is.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::server::{Out, Server, nobody, noise};
use crate::stage::Stage;

/// No wait between tries would end in the time that a test has.
const FOR_EVER: [&str; 4] = ["--retry-delay", "1h", "--retry-after-max", "2h"];

#[test]
fn a_bad_source_costs_no_wait_while_there_is_another() {
    let bad: [fn(&mut Out<'_>); 4] = [
        |out| out.answer("404 Not Found", &[], b""),
        |out| out.answer("503 Service Unavailable", &[("Retry-After", "3600")], b""),
        |out| out.answer("500 Internal Server Error", &[], b""),
        |out| out.answer("200 OK", &[], b"another file"),
    ];
    let body = noise(3 << 20, 9);
    let sum = {
        let stage = Stage::new();
        stage.write("x", &body);
        let ended = stage.shell("sha256sum < x | cut -d' ' -f1").end();
        ended.out().trim().to_owned()
    };
    for segments in ["1", "4"] {
        for bad in bad {
            let bad = Server::new(move |_, out| bad(out));
            let own = body.clone();
            let good = Server::new(move |asked, out| out.file(asked, &own, "\"1\""));
            for first in [bad.url("/x"), format!("{}/x", nobody())] {
                let stage = Stage::new();
                stage.write(
                    "urls",
                    format!("{first}\t{}\n  checksum=sha256:{sum}\n", good.url("/x")),
                );
                let words = ["-i", "urls", "--segments", segments];
                stage
                    .fetch(&[&words[..], &FOR_EVER].concat())
                    .end()
                    .with_code(0);
                assert!(stage.bytes("x") == body);
            }
        }
    }
}

#[test]
fn a_host_that_wants_to_be_left_alone_is_left_alone_by_all() {
    // So many requests in each tenth of a second; the others are asked to come back.
    let window = Mutex::new((Instant::now(), 0));
    let server = Server::new(move |asked, out| {
        let mut window = window.lock().expect("no panic");
        if window.0.elapsed() > Duration::from_millis(100) {
            *window = (Instant::now(), 0);
        }
        window.1 += 1;
        let is_much = window.1 > 10;
        drop(window);
        match is_much {
            true => out.answer("429 Too Many Requests", &[], b""),
            false => out.answer("200 OK", &[], asked.path.as_bytes()),
        }
    });
    let stage = Stage::new();
    let urls = server.url("/[1-300]");
    let ended = stage
        .fetch(&[&urls, "--retry-delay", "0.1", "-q"])
        .end()
        .with_code(0);
    assert_eq!(ended.stderr, "");
    assert_eq!(stage.text("300"), "/300");
}

#[test]
fn a_host_that_is_not_there_costs_a_batch_little() {
    let stage = Stage::new();
    let urls = format!("{}/[1-1000]", nobody());
    let ended = stage
        .fetch(&[&urls, "--json", "--retry-delay", "0.05"])
        .end()
        .with_code(101);
    let events = ended.out().lines();
    let events = events.map(|line| serde_json::from_str::<Value>(line).expect("an event"));
    let retries = events.filter(|event| event["event"] == "retry").count();
    // Those that were under way when it became known; the others are tried once.
    assert!(retries <= 4 * 300, "{retries}");
}

#[test]
fn a_connection_that_had_ended_is_nobodys_fault() {
    // Each connection is closed behind an answer, without a word.
    let server = Server::new(|asked, out| match asked.path.as_str() {
        "/x" if asked.before < 2 => out.close(),
        _ => out.answer("200 OK", &[], b"here"),
    });
    let stage = Stage::new();
    stage
        .fetch(&[&server.url("/x"), "--retries", "1"])
        .end()
        .with_code(0);
    assert_eq!(stage.text("x"), "here");
}

#[test]
fn segments_take_the_connections_that_are_free() {
    let body = noise(5 << 20, 3);
    let own = body.clone();
    let server = Server::new(move |asked, out| out.file(asked, &own, "\"1\""));
    for limit in [
        &["-j", "1"][..],
        &["--max-connections", "1"],
        &["--per-host", "1"],
        &[],
    ] {
        let stage = Stage::new();
        let urls = server.url("/[1-20]");
        stage
            .fetch(&[&[urls.as_str(), "--segments", "8", "-q"][..], limit].concat())
            .end()
            .with_code(0);
        assert!((1..=20).all(|number| stage.bytes(&number.to_string()) == body));
    }
}

#[test]
fn what_does_not_heal_says_how_to_go_on() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let stage = Stage::new();
    let https = format!("https://{address}/x");
    let ended = stage
        .fetch(&[&https, "--json", "--retry-delay", "1h"])
        .end()
        .with_code(1)
        .says("`http://` in front");
    assert!(!ended.out().contains("\"retry\""), "{}", ended.out());
    let bare = nobody().replace("http://", "");
    stage
        .fetch(&[&format!("{bare}/x"), "--retries", "1"])
        .end()
        .with_code(1)
        .says("`https://` was assumed");
}
