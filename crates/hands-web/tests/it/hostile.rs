//! Requests of those who should not look, and of those who want to do harm.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hands_web::{Ledger, Page, PageOptions};

use crate::scripted::{ALL, Script};

/// Sends these bytes, and gives all that comes until the other side has ended.
fn send(page: &Page, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(page.address()).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    // Somebody who is refused may not be read to the end.
    let _ = socket.write_all(bytes);
    let mut all = Vec::new();
    let _ = socket.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).unwrap_or_default();
    status
        .parse()
        .unwrap_or_else(|_| panic!("no status: {answer:?}"))
}

/// A request with these headers; `Host` and the cookie are those of the page unless given.
fn request(page: &Page, what: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut all: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut or = |name: &str, value: String| {
        if !headers
            .iter()
            .any(|(given, _)| given.eq_ignore_ascii_case(name))
        {
            all.push((name.to_owned(), value));
        }
    };
    or("Host", page.address().to_string());
    or(
        "Cookie",
        format!("hands_{}={}", page.address().port(), page.token()),
    );
    or("Connection", "close".to_owned());
    let mut text = format!("{what} HTTP/1.1\r\n");
    for (name, value) in all.iter().filter(|(_, value)| !value.is_empty()) {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    send(page, format!("{text}\r\n{body}").as_bytes())
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn own(page: &Page) -> String {
    format!("http://{}", page.address())
}

#[test]
fn without_the_token_there_is_nothing_but_a_hint() {
    let page = Script::new(&ALL).serve("secret title");
    for path in [
        "/",
        "/state",
        "/events",
        "/list?what=running",
        "/metrics",
        "/page.js",
        "/favicon.ico",
        "/nothing",
    ] {
        for cookie in [
            "",
            "hands_1=x",
            "other=1; hands_=",
            &format!("hands_{}={}", page.address().port(), "0".repeat(64)),
        ] {
            let cookie = if cookie.is_empty() { "a=b" } else { cookie };
            let answer = request(&page, &format!("GET {path}"), &[("Cookie", cookie)], "");
            assert_eq!(status(&answer), 401, "{path} {cookie}");
            assert!(!answer.contains("secret"), "{answer}");
        }
    }
    let wrong = format!("GET /?token={}", "0".repeat(64));
    assert_eq!(
        status(&request(&page, &wrong, &[("Cookie", "a=b")], "")),
        401
    );
    assert_eq!(
        status(&request(&page, "GET /?token=", &[("Cookie", "a=b")], "")),
        401
    );
}

#[test]
fn the_link_lets_in_once_and_leaves_no_token_in_the_address() {
    let page = Script::new(&ALL).serve("page");
    let path = page
        .link()
        .split_once(&page.address().to_string())
        .unwrap()
        .1;
    let answer = request(&page, &format!("GET {path}"), &[("Cookie", "a=b")], "");
    assert_eq!(status(&answer), 303);
    assert!(answer.contains("location: /\r\n"), "{answer}");
    let cookie = format!(
        "set-cookie: hands_{}={}; Path=/; HttpOnly; SameSite=Strict\r\n",
        page.address().port(),
        page.token()
    );
    assert!(answer.contains(&cookie), "{answer}");
    assert_eq!(status(&request(&page, "GET /", &[], "")), 200);
    let bearer = format!("Bearer {}", page.token());
    let said = [("Cookie", "a=b"), ("Authorization", bearer.as_str())];
    assert_eq!(status(&request(&page, "GET /state", &said, "")), 200);
}

#[test]
fn a_name_that_somebody_else_could_have_is_refused() {
    let page = Script::new(&ALL).serve("page");
    let port = page.address().port();
    for host in [
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{}", port ^ 1),
        format!("localhost.:{port}"),
        format!("10.1.2.3:{port}"),
    ] {
        let origin = format!("http://{host}");
        let answer = request(
            &page,
            "GET /state",
            &[("Host", &host), ("Origin", &origin)],
            "",
        );
        assert_eq!(status(&answer), 421, "{host}");
    }
    let own = page.address().to_string();
    let twice = format!(
        "GET /state HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    );
    assert!((400..500).contains(&status(&send(&page, twice.as_bytes()))));
    assert_eq!(
        status(&request(
            &page,
            "GET /state",
            &[("Host", &format!("localhost:{port}"))],
            ""
        )),
        200
    );
}

#[test]
fn another_page_can_neither_act_nor_look() {
    let script = Script::new(&ALL);
    let page = script.serve("page");
    let itself = own(&page);
    let other = format!("http://127.0.0.1:{}", page.address().port() ^ 1);
    let pause = r#"{"do":"pause"}"#;
    for headers in [
        vec![("Origin", other.as_str())],
        vec![("Origin", "null")],
        vec![("Origin", "http://evil.example")],
        vec![("Sec-Fetch-Site", "same-site"), ("Origin", itself.as_str())],
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "none")],
        vec![],
    ] {
        let mut headers = headers;
        headers.push(JSON);
        let answer = request(&page, "POST /act", &headers, pause);
        assert_eq!(status(&answer), 403, "{headers:?}");
        headers.pop();
        if !headers.is_empty() && headers[0] != ("Sec-Fetch-Site", "none") {
            for path in ["/events", "/state", "/list?what=failed", "/page.js"] {
                let answer = request(&page, &format!("GET {path}"), &headers, "");
                assert_eq!(status(&answer), 403, "{path} {headers:?}");
            }
        }
    }
    assert_eq!(script.actions().len(), 0);
    let answer = request(&page, "POST /act", &[("Origin", &itself), JSON], pause);
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(script.actions().len(), 1);
    assert!(
        !answer.to_lowercase().contains("access-control"),
        "{answer}"
    );
}

#[test]
fn each_answer_forbids_what_is_not_the_pages_own() {
    let page = Script::new(&ALL).serve("page");
    for (what, headers) in [
        ("GET /", vec![]),
        ("GET /nothing", vec![]),
        ("GET /", vec![("Cookie", "a=b")]),
        ("GET /state", vec![("Host", "evil.example")]),
        ("DELETE /act", vec![]),
    ] {
        let answer = request(&page, what, &headers, "").to_lowercase();
        for needed in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "x-frame-options: deny",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(answer.contains(needed), "{what}: {needed} in {answer}");
        }
    }
}

#[test]
fn what_is_not_understood_changes_nothing_and_ends_nobody() {
    let script = Script::new(&ALL);
    let page = script.serve("page");
    let itself = own(&page);
    let large = format!(r#"{{"do":"add","links":"{}"}}"#, "a".repeat(5 << 20));
    let nested = "[".repeat(100_000);
    for (body, kind) in [
        ("", "application/json"),
        ("{", "application/json"),
        ("{}", "application/json"),
        ("null", "application/json"),
        (r#"{"do":"format"}"#, "application/json"),
        (r#"{"do":"cancel","id":-1}"#, "application/json"),
        (r#"{"do":"cancel","id":1e99}"#, "application/json"),
        (r#"{"do":"cancel"}"#, "application/json"),
        (r#"{"do":"cancel","id":1,"x":2}"#, "application/json"),
        (r#"{"do":"pause"}"#, "text/plain"),
        (r"do=pause", "application/x-www-form-urlencoded"),
        ("\u{0}\u{1}\u{2}", "application/json"),
        (&large, "application/json"),
        (&nested, "application/json"),
    ] {
        let answer = request(
            &page,
            "POST /act",
            &[("Origin", &itself), ("Content-Type", kind)],
            body,
        );
        // One that sends far too much is cut off, and may not read why.
        if !answer.is_empty() {
            assert!(
                (400..500).contains(&status(&answer)),
                "{kind} {}: {answer}",
                &body[..body.len().min(50)]
            );
        }
    }
    for path in [
        "/list",
        "/list?what=everything",
        "/list?what=running&from=-1",
        "/list?what=running&from=99999999999999999999999",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/page.js/..",
        "//evil.example/",
    ] {
        let answer = request(&page, &format!("GET {path}"), &[], "");
        assert!((400..500).contains(&status(&answer)), "{path}: {answer}");
    }
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    ] {
        let answer = send(&page, bytes);
        assert!(answer.is_empty() || (400..600).contains(&status(&answer)), "{answer}");
    }
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let answer = send(&page, head.as_bytes());
    assert!(
        answer.is_empty() || (400..500).contains(&status(&answer)),
        "{answer}"
    );
    assert_eq!(script.actions().len(), 0);
    assert_eq!(status(&request(&page, "GET /", &[], "")), 200);
}

#[test]
fn a_flood_of_actions_is_refused_and_looking_goes_on() {
    let script = Script::new(&ALL);
    let page = script.serve("page");
    let itself = own(&page);
    let answers: Vec<u16> = (0..200)
        .map(|_| {
            status(&request(
                &page,
                "POST /act",
                &[("Origin", &itself), JSON],
                r#"{"do":"pause"}"#,
            ))
        })
        .collect();
    assert!(answers.contains(&429), "{answers:?}");
    assert!(script.actions().len() < 200);
    assert_eq!(status(&request(&page, "GET /state", &[], "")), 200);
}

#[test]
fn those_who_connect_and_say_nothing_keep_nobody_out() {
    let page = Script::new(&ALL).serve("page");
    // More than there are places for.
    let silent: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(page.address()).unwrap())
        .collect();
    for mut half in silent.iter().take(50) {
        let _ = half.write_all(b"GET / HTTP/1.1\r\nHo");
    }
    // When their time is up, it is our turn.
    assert_eq!(status(&request(&page, "GET /state", &[], "")), 200);
    drop(silent);
}

#[test]
fn a_page_that_is_open_does_not_hold_up_the_end() {
    let page = Script::new(&ALL).serve("page");
    let mut socket = TcpStream::connect(page.address()).unwrap();
    let head = format!(
        "GET /events HTTP/1.1\r\nHost: {0}\r\nCookie: hands_{1}={2}\r\n\r\n",
        page.address(),
        page.address().port(),
        page.token()
    );
    socket.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 15];
    socket.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    page.close();
    let mut rest = String::new();
    socket.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("event: end\n"), "{rest}");
}

#[test]
fn two_pages_do_not_log_each_other_out() {
    let (one, other) = (
        Script::new(&ALL).serve("one"),
        Script::new(&ALL).serve("other"),
    );
    let cookies = format!(
        "hands_{}={}; hands_{}={}",
        one.address().port(),
        one.token(),
        other.address().port(),
        other.token()
    );
    for page in [&one, &other] {
        assert_eq!(
            status(&request(page, "GET /state", &[("Cookie", &cookies)], "")),
            200
        );
    }
    assert_ne!(one.token(), other.token());
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let page = Script::new(&ALL).serve("page");
    let options = PageOptions::new().address(page.address());
    let error = Page::open(options, Ledger::new("second"), Script::new(&ALL)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
