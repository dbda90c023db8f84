//! Servers as they are.

use std::io::Write;

use super::server::{Out, Server};
use crate::stage::Stage;

fn gzip(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        member.write_all(part).expect("memory");
        all.extend(member.finish().expect("memory"));
    }
    all
}

#[test]
fn headers_that_no_standard_allows_are_read_as_curl_reads_them() {
    let answers: [&str; 5] = [
        "HTTP/1.1 200 OK\r\nX-Long: one\r\n  two\r\nContent-Length: 4\r\n\r\nhere",
        "HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nhere",
        "HTTP/1.1 200 OK\r\nno colon at all\r\nContent-Length: 4\r\n\r\nhere",
        "HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nhere",
        "HTTP/1.0 200 OK\r\n\r\nhere",
    ];
    for answer in answers {
        let server = Server::new(move |_, out| {
            out.raw(answer.as_bytes());
            out.close();
        });
        let stage = Stage::new();
        stage
            .fetch(&[&server.url("/x"), "--retries", "1"])
            .end()
            .with_code(0);
        assert_eq!(stage.text("x"), "here", "{answer}");
    }
}

#[test]
fn compressed_files_have_several_members_and_old_names() {
    for encoding in ["gzip", "x-gzip"] {
        let server = Server::new(move |_, out| {
            let body = gzip(&[b"one ", b"two"]);
            out.answer("200 OK", &[("Content-Encoding", encoding)], &body);
        });
        let stage = Stage::new();
        stage
            .fetch(&[&server.url("/x"), "--compressed"])
            .end()
            .with_code(0);
        assert_eq!(stage.text("x"), "one two", "{encoding}");
        // Nobody has asked for it: it is the file.
        stage.fetch(&[&server.url("/y")]).end().with_code(0);
        assert_eq!(stage.bytes("y"), gzip(&[b"one ", b"two"]));
    }
}

#[test]
fn an_address_that_is_no_text_is_followed() {
    let server = Server::new(|asked, out| match asked.path.as_str() {
        "/x" => {
            out.raw(b"HTTP/1.1 302 Found\r\nLocation: /caf\xe9\r\nContent-Length: 0\r\n\r\n");
        }
        path => out.answer("200 OK", &[], path.as_bytes()),
    });
    let stage = Stage::new();
    stage
        .fetch(&[&server.url("/x"), "-o", "x"])
        .end()
        .with_code(0);
    assert_eq!(stage.text("x"), "/caf%E9");
}

#[test]
fn what_a_proxy_in_front_says_is_tried_again() {
    let server = Server::new(|asked, out| match asked.before {
        0 => out.answer("520 Web Server Returned an Unknown Error", &[], b""),
        1 => out.answer("524 A Timeout Occurred", &[], b""),
        2 => out.answer("404 Not Found", &[], b""),
        _ => out.answer("200 OK", &[], b"here"),
    });
    let stage = Stage::new();
    let (url, quick) = (server.url("/x"), ["--retry-delay", "0.01"]);
    stage
        .fetch(&[&url, quick[0], quick[1], "--retry-on-http-error", "404"])
        .end()
        .with_code(0);
    assert_eq!(stage.text("x"), "here");
}

#[test]
fn a_server_s_text_is_shown_without_what_a_terminal_obeys() {
    let server = Server::new(|_, out: &mut Out<'_>| {
        out.raw(
            "HTTP/1.1 200 OK\r\nX-Odd: a\u{9b}31m\u{202e}b\r\nContent-Length: 0\r\n\r\n".as_bytes(),
        );
    });
    let stage = Stage::new();
    let ended = stage
        .fetch(&["--head", &server.url("/x")])
        .end()
        .with_code(0);
    assert!(ended.out().contains("x-odd: a?31m?b"), "{}", ended.out());
}
