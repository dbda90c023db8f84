//! Servers and lists that mean harm.

use std::io::Write;
use std::os::unix::fs::symlink;

use super::files;
use super::server::Server;
use crate::stage::Stage;

#[test]
fn no_name_leads_out_of_the_folder() {
    let server = Server::new(|asked, out| {
        let said = match asked.path.as_str() {
            "/1/" => "attachment; filename=\"../../x\"",
            "/2/" => "attachment; filename*=UTF-8''..%2f..%2fy",
            "/3/" => "attachment; filename=\"..\"",
            "/4/" => "attachment; filename=\".bashrc\"",
            "/5/" => "attachment; filename=\"a\\b/c\"",
            _ => "attachment",
        };
        out.answer("200 OK", &[("Content-Disposition", said)], b"mine");
    });
    let stage = Stage::new();
    let urls: Vec<String> = [
        "/1/",
        "/2/",
        "/3/",
        "/4/",
        "/5/",
        "/%2e%2e%2f%2e%2e%2fz",
        "/%00",
        "/CON",
    ]
    .iter()
    .map(|path| server.url(path))
    .collect();
    let words: Vec<&str> = urls
        .iter()
        .map(String::as_str)
        .chain(["-d", "in/out"])
        .collect();
    stage.fetch(&words).end().with_code(0).calmly();
    assert_eq!(files(stage.folder()), ["in"]);
    assert_eq!(files(&stage.path("in")), ["out"]);
    assert_eq!(
        files(&stage.path("in/out")),
        [
            "_",
            "_._.._z",
            "_CON",
            "_bashrc",
            "c",
            "index.html",
            "x",
            "y"
        ]
    );
}

#[test]
fn no_list_leads_out_of_the_folder() {
    let server = Server::new(|asked, out| out.answer("200 OK", &[], asked.path.as_bytes()));
    let stage = Stage::new();
    stage.write("victim", "kept");
    std::fs::create_dir_all(stage.path("out")).unwrap();
    symlink(stage.folder(), stage.path("out/link")).unwrap();
    symlink(stage.path("victim"), stage.path("out/x.part")).unwrap();
    let victim = stage.path("victim");
    let outs = [
        "../victim",
        victim.to_str().unwrap(),
        "a/../../victim",
        "link/victim",
        "x",
    ];
    let list: String = outs
        .iter()
        .enumerate()
        .map(|(n, out)| format!("{}\n  out={out}\n", server.url(&format!("/{n}"))))
        .collect();
    stage.write("urls", list);
    stage
        .fetch(&["-i", "urls", "-d", "out"])
        .end()
        .with_code(5)
        .calmly();
    assert_eq!(stage.text("victim"), "kept");
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn one_name_for_two_is_refused_where_it_was_asked_for() {
    let server = Server::new(|asked, out| out.answer("200 OK", &[], asked.path.as_bytes()));
    let stage = Stage::new();
    stage.write(
        "urls",
        format!(
            "{}\n  out=a\n{}\n  out=./A\n",
            server.url("/1"),
            server.url("/2")
        ),
    );
    stage
        .fetch(&["-i", "urls", "-d", "out"])
        .end()
        .with_code(1)
        .says("another URL of this run");
    assert_eq!(stage.text("out/a"), "/1");
}

#[test]
fn endless_headers_and_bodies_are_given_up() {
    let server = Server::new(|asked, out| match asked.path.as_str() {
        "/headers" => {
            out.raw(b"HTTP/1.1 200 OK\r\n");
            let line = format!("X-A: {}\r\n", "y".repeat(8000));
            while out.raw(line.as_bytes()) {}
        }
        "/line" => while out.raw(&[b'x'; 8000]) {},
        "/chunks" => {
            out.begin("200 OK", &[("Transfer-Encoding", "chunked")], None);
            while out.raw(b"5\r\nxxxxx\r\n") {}
        }
        "/lie" => {
            out.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n");
            out.await_end();
        }
        "/two" => {
            out.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy");
        }
        "/noise" => {
            out.raw(b"\0\xff\r\n\r\n");
        }
        _ => {
            out.begin("200 OK", &[], Some(1 << 40));
            while out.raw(&[b'x'; 8000]) {}
        }
    });
    let stage = Stage::new();
    for path in [
        "/headers", "/line", "/chunks", "/lie", "/two", "/noise", "/huge",
    ] {
        let url = server.url(path);
        let words = [
            url.as_str(),
            "--retries",
            "1",
            "--max-size",
            "1M",
            "--idle-timeout",
            "5",
        ];
        let ended = stage.fetch(&words).end().with_code(1).calmly();
        assert!(ended.stderr.len() < 2000, "{}", ended.stderr);
        assert!(!stage.path(&path[1..]).exists(), "{path}");
    }
}

#[test]
fn what_comes_to_too_much_when_it_is_unpacked_is_given_up() {
    let mut gzip = std::process::Command::new("gzip")
        .arg("-9")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = gzip.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for _ in 0..64 {
            stdin.write_all(&vec![0; 1 << 20]).unwrap();
        }
    });
    let bomb = gzip.wait_with_output().unwrap().stdout;
    writer.join().unwrap();
    assert!(bomb.len() < 100_000);
    let server =
        Server::new(move |_, out| out.answer("200 OK", &[("Content-Encoding", "gzip")], &bomb));
    let stage = Stage::new();
    let url = server.url("/x");
    stage
        .fetch(&[&url, "--compressed", "--max-size", "16M"])
        .end()
        .with_code(1)
        .says("larger than 16777216 bytes");
    assert!(!stage.path("x").exists());
    // As it is, it is small.
    stage.fetch(&[&url, "--max-size", "16M"]).end().with_code(0);
    assert!(stage.bytes("x").len() < 100_000);
    stage.fetch(&[&url, "--compressed"]).end().with_code(0);
    assert_eq!(stage.bytes("x").len(), 64 << 20);
}

#[test]
fn addresses_of_this_machine_are_refused_where_that_was_asked_for() {
    let server = Server::new(|_, out| out.answer("200 OK", &[], b"secret"));
    let stage = Stage::new();
    let port = server.url("").rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "localhost", "[::1]", "0x7f000001", "127.1"] {
        let url = format!("http://{host}:{port}/x");
        for more in [&[][..], &["--head"]] {
            let words = [&[url.as_str(), "--no-private", "--retries", "1"], more].concat();
            stage.fetch(&words).end().with_code(1).says("not public");
        }
    }
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn nothing_that_is_told_commands_the_terminal() {
    let server = Server::new(|_, out| out.answer("404 \x1b]0;x\x07", &[], b""));
    let stage = Stage::new();
    let ended = stage
        .fetch(&[&server.url("/\x1b[2J"), "ftp://\x1b[2J/"])
        .end();
    assert!(!ended.stderr.contains('\x1b'), "{:?}", ended.stderr);
}
