//! What it does when all is well, and what it says.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::files;
use super::server::{Server, noise};
use crate::stage::{HANDS, Stage};

/// Each path has its own bytes.
fn server() -> Server {
    Server::new(|asked, out| out.file(asked, asked.path.as_bytes(), "\"1\""))
}

fn events(stdout: &str) -> Vec<Value> {
    let parsed = stdout.lines().map(serde_json::from_str);
    parsed.map(|event| event.expect("JSON")).collect()
}

#[test]
fn files_have_the_names_of_their_urls() {
    let (stage, server) = (Stage::new(), server());
    let urls = ["/a.txt", "/dir/b.txt?q=1", "/dir/", "/c%20d"].map(|path| server.url(path));
    let words: Vec<&str> = urls
        .iter()
        .map(String::as_str)
        .chain(["-d", "out/deep"])
        .collect();
    stage
        .fetch(&words)
        .end()
        .with_code(0)
        .says("hands: 4 ok; 31 B in ");
    assert_eq!(
        files(&stage.path("out/deep")),
        ["a.txt", "b.txt", "c d", "index.html"]
    );
    assert_eq!(stage.text("out/deep/b.txt"), "/dir/b.txt?q=1");
}

#[test]
fn a_list_has_options_and_each_url_one_end() {
    let (stage, server) = (Stage::new(), server());
    let list = format!(
        "# a list\n{}\n  out=sub/x\n  header=X-A: 1\n{}\n{}\nftp://nowhere/x\n",
        server.url("/1"),
        server.url("/2"),
        server.url("/2"),
    );
    let ended = stage
        .fetch(&["-i", "-", "--json"])
        .stdin(list)
        .end()
        .with_code(1);
    let events = events(ended.out());
    let of = |what: &str| {
        events
            .iter()
            .filter(|event| event["event"] == what)
            .collect::<Vec<_>>()
    };
    let mut ends: Vec<(u64, &str)> = of("end")
        .iter()
        .map(|end| {
            (
                end["number"].as_u64().unwrap(),
                end["state"].as_str().unwrap(),
            )
        })
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, [(1, "ok"), (2, "ok"), (3, "skipped"), (4, "failed")]);
    let summary = events.last().unwrap();
    assert_eq!(
        (&summary["event"], &summary["ok"], &summary["exit_code"]),
        (&"summary".into(), &2.into(), &1.into())
    );
    assert_eq!(stage.text("sub/x"), "/1");
    assert_eq!(
        server
            .asked()
            .iter()
            .find(|asked| asked.path == "/1")
            .unwrap()
            .header("x-a"),
        Some("1")
    );
}

#[test]
fn two_urls_of_one_name_are_two_files() {
    let (stage, server) = (Stage::new(), server());
    stage
        .fetch(&[
            &server.url("/a/x"),
            &server.url("/b/x"),
            &server.url("/c/X"),
        ])
        .end()
        .with_code(0);
    assert_eq!(files(stage.folder()), ["X.2", "x", "x.1"]);
    assert_eq!(
        (stage.text("x"), stage.text("x.1")),
        ("/a/x".to_owned(), "/b/x".to_owned())
    );
}

#[test]
fn one_file_may_be_called_anything_or_go_to_stdout() {
    let (stage, server) = (Stage::new(), server());
    stage
        .fetch(&[&server.url("/x"), "-o", "new/name"])
        .end()
        .with_code(0);
    assert_eq!(stage.text("new/name"), "/x");
    for flag in ["-O", "-o"] {
        let ended = stage
            .fetch(&[&server.url("/y"), flag, "-", "-q"])
            .end()
            .with_code(0);
        assert_eq!((ended.out(), ended.stderr.as_str()), ("/y", ""));
    }
    stage
        .fetch(&[&server.url("/x"), &server.url("/y"), "-o", "z"])
        .end()
        .with_code(255)
        .says("is for one URL");
}

#[test]
fn what_is_there_is_kept_or_asked_for_or_replaced() {
    let (stage, server) = (Stage::new(), server());
    let url = server.url("/x");
    stage.write("x", "old");
    stage
        .fetch(&[&url, "--no-clobber"])
        .end()
        .with_code(0)
        .says("1 skipped");
    assert_eq!(
        (stage.text("x"), server.asked().len()),
        ("old".to_owned(), 0)
    );
    stage.fetch(&[&url]).end().with_code(0).says("1 ok");
    assert_eq!(stage.text("x"), "/x");
}

#[test]
fn what_is_newest_is_not_fetched_again() {
    let date = "Sat, 29 Oct 1994 19:43:31 GMT";
    let server = Server::new(move |asked, out| match asked.header("if-modified-since") {
        Some(since) if since == date => out.answer("304 Not Modified", &[], b""),
        _ => out.answer("200 OK", &[("Last-Modified", date)], b"new"),
    });
    let stage = Stage::new();
    stage
        .fetch(&[&server.url("/x"), "-N"])
        .end()
        .with_code(0)
        .says("1 ok");
    stage
        .fetch(&[&server.url("/x"), "-N"])
        .end()
        .with_code(0)
        .says("0 ok, 1 unchanged");
    stage.write("x", "touched, and so newer");
    stage
        .fetch(&[&server.url("/x"), "-N"])
        .end()
        .with_code(0)
        .says("1 ok");
    assert_eq!(stage.text("x"), "new");
}

#[test]
fn a_file_is_what_its_checksum_says_or_is_set_aside() {
    let (stage, server) = (
        Stage::new(),
        Server::new(|asked, out| out.file(asked, b"abc", "\"1\"")),
    );
    let good = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    stage
        .fetch(&[&server.url("/x"), "--checksum", good])
        .end()
        .with_code(0);
    stage
        .fetch(&[
            &server.url("/y"),
            "--checksum",
            "md5:00000000000000000000000000000000",
        ])
        .end()
        .with_code(1)
        .says("kept as `y.bad`");
    assert_eq!(files(stage.folder()), ["x", "y.bad"]);
    stage.write(
        "sums",
        format!("{}  z\n{}  w\n", &good[7..], "0".repeat(64)),
    );
    stage
        .fetch(&[&server.url("/z"), &server.url("/w"), "--checksums", "sums"])
        .end()
        .with_code(1);
    assert_eq!(files(stage.folder()), ["sums", "w.bad", "x", "y.bad", "z"]);
    stage
        .fetch(&[&server.url("/x"), "--checksum", "sha256:abc"])
        .end()
        .with_code(255)
        .says("64 hexadecimal digits");
}

#[test]
fn a_metalink_has_sources_of_which_one_is_enough() {
    let server = Server::new(|asked, out| match asked.path.as_str() {
        "/good" => out.file(asked, b"abc", "\"1\""),
        _ => out.answer("404 Not Found", &[], b"no"),
    });
    let stage = Stage::new();
    stage.write(
        "x.meta4",
        format!(
            r#"<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="d/abc"><size>3</size>
            <hash type="sha-256">ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad</hash>
            <url priority="1">{}</url><url priority="2">{}</url></file></metalink>"#,
            server.url("/bad"),
            server.url("/good"),
        ),
    );
    stage.fetch(&["--metalink", "x.meta4"]).end().with_code(0);
    assert_eq!(stage.text("d/abc"), "abc");
}

#[test]
fn headers_of_many_hosts_are_printed_as_they_arrive() {
    let (go, gate) = std::sync::mpsc::channel();
    let gate = std::sync::Mutex::new(gate);
    let slow = Server::new(move |_, out| {
        gate.lock().unwrap().recv().unwrap();
        out.answer("200 OK", &[("X-Who", "slow")], b"");
    });
    let location = [("Location", "/there")];
    let moved = Server::new(move |_, out| out.answer("301 Moved Permanently", &location, b""));
    let no_head = Server::new(|asked, out| match asked.method.as_str() {
        "HEAD" => out.answer("405 Method Not Allowed", &[], b""),
        _ => out.answer("200 OK", &[("X-Who", "quick")], b"body"),
    });
    let stage = Stage::new();
    let urls = [slow.url("/"), moved.url("/"), no_head.url("/")];
    let playing = stage.fetch(&["--head", &urls[0], &urls[1], &urls[2]]);
    let playing = playing.start();
    for shown in [
        "x-who: quick\n",
        "HTTP/1.1 301 Moved Permanently\nlocation: /there\n",
    ] {
        while !stage.text("stdout").contains(shown) {
            std::thread::yield_now();
        }
    }
    go.send(()).unwrap();
    let ended = playing.end().with_code(0);
    assert!(ended.out().contains("x-who: slow"), "{}", ended.out());
    assert_eq!(files(stage.folder()), Vec::<String>::new());
}

#[test]
fn whoever_stops_reading_ends_it_quietly() {
    let body = noise(8 << 20, 1);
    let server = Server::new(move |asked, out| out.file(asked, &body, "\"1\""));
    let stage = Stage::new();
    let script = format!(
        "($HANDS fetch -o - {}; echo $? >&2) | head -c 10 > ten; $HANDS fetch -q --json {} {} | head -n 1 > one",
        server.url("/x"),
        server.url("/y"),
        server.url("/z")
    );
    let ended = stage.shell(&script).end().with_code(0).calmly();
    assert_eq!(ended.stderr, "141\n");
    assert_eq!(
        (stage.bytes("ten").len(), stage.text("one").lines().count()),
        (10, 1)
    );
}

#[test]
fn who_it_is_and_what_it_brings_along() {
    let server = Server::new(|asked, out| {
        let name = asked.path.trim_start_matches('/').to_owned();
        let said = asked.header(&name).unwrap_or("nothing").to_owned();
        out.answer("200 OK", &[("Set-Cookie", "a=1; Path=/")], said.as_bytes());
    });
    let stage = Stage::new();
    stage.write("netrc", "machine 127.0.0.1 login me password secret\n");
    stage.write("jar", "127.0.0.1\tFALSE\t/\tFALSE\t0\tb\t2\n");
    for (path, words, said) in [
        (
            "/user-agent",
            &[][..],
            concat!("hands/", env!("CARGO_PKG_VERSION")),
        ),
        ("/user-agent", &["-A", "me"], "me"),
        ("/x-a", &["-H", "X-A: b c"], "b c"),
        ("/authorization", &["-u", "a:b"], "Basic YTpi"),
        ("/authorization", &["--netrc=netrc"], "Basic bWU6c2VjcmV0"),
        ("/cookie", &["--cookie-jar", "jar"], "b=2"),
        ("/accept-encoding", &["--compressed"], "gzip"),
    ] {
        let url = server.url(path);
        let ended = stage
            .fetch(&[&[url.as_str(), "-q", "-o", "-"], words].concat())
            .end()
            .with_code(0);
        assert!(ended.out().contains(said), "{words:?}: {}", ended.out());
    }
    let ended = stage
        .fetch(&[
            "--cookies",
            "-q",
            "-j1",
            &server.url("/cookie"),
            &server.url("/2/../cookie?x"),
        ])
        .end();
    ended.with_code(0);
    assert!(
        server
            .asked()
            .iter()
            .any(|asked| asked.header("cookie") == Some("a=1"))
    );
}

#[test]
fn a_proxy_is_asked_for_everything() {
    let proxy = Server::new(|asked, out| out.answer("200 OK", &[], asked.path.as_bytes()));
    let stage = Stage::new();
    let ended = stage
        .fetch(&[
            "--proxy",
            &proxy.url(""),
            "-q",
            "-o",
            "-",
            "http://nowhere.invalid/x",
        ])
        .end()
        .with_code(0);
    assert_eq!(ended.out(), "http://nowhere.invalid/x");
    let ended = stage
        .fetch(&["-q", "-o", "-", "http://nowhere.invalid/y"])
        .env("http_proxy", proxy.url(""))
        .end()
        .with_code(0);
    assert_eq!(ended.out(), "http://nowhere.invalid/y");
}

#[test]
fn what_makes_no_sense_is_told_before_anything_is_asked() {
    let stage = Stage::new();
    for (words, told) in [
        (&[][..], "there is no URL"),
        (&["-i", "none"], "`--input-file none`: No such file"),
        (&["-i", "."], "is a folder"),
        (&["x.org", "-H", "none"], "`none` is no header"),
        (&["x.org", "-j", "0"], "write a number from 1 up"),
        (&["x.org", "--limit-rate", "0"], "nothing would ever come"),
        (&["x.org", "--no-clobber", "-N"], "cannot be used with"),
        (
            &["x.org", "--cacert", "none"],
            "`--cacert none`: No such file",
        ),
        (&["x.org", "--proxy", "::"], "`--proxy ::`"),
        (&["--metalink", "none"], "`--metalink none`: No such file"),
    ] {
        stage.fetch(words).end().with_code(255).calmly().says(told);
    }
    assert_eq!(files(stage.folder()), Vec::<String>::new());
}

#[test]
fn its_progress_on_a_terminal_shows_what_is_running_and_is_cleared() {
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let server = Server::new(move |_, out| {
        out.begin("200 OK", &[], Some(2000));
        out.body(&[b'x'; 1000]);
        let _ = gate.lock().unwrap().recv();
        out.body(&[b'x'; 1000]);
    });
    let stage = Stage::new();
    let mut script = stage.terminal(&format!("$HANDS fetch {}", server.url("/big")));
    let mut shown = script
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = shown.stdout.take().unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    let mut go = Some(go);
    loop {
        let read = std::io::Read::read(&mut stdout, &mut buffer).unwrap_or(0);
        if read == 0 {
            break;
        }
        text += &String::from_utf8_lossy(&buffer[..read]);
        if text.contains(" 50%") {
            drop(go.take());
        }
    }
    shown.wait().unwrap();
    assert!(
        text.contains("0 of 1 files") && text.contains("1.0 KiB") && text.contains("/big"),
        "{text}"
    );
    assert!(text.contains("hands: 1 ok"), "{text}");
}

#[test]
fn a_list_that_comes_slowly_is_fetched_meanwhile() {
    let (stage, server) = (Stage::new(), server());
    let mut playing = stage.fetch(&["-i", "-", "--json"]).start_open();
    playing.type_in(&format!("{}\n{}\n", server.url("/1"), server.url("/2")));
    // The last may still have options.
    while !stage.path("1").exists() {
        std::thread::yield_now();
    }
    playing.hang_up();
    playing.end().with_code(0);
    assert_eq!(files(stage.folder()), ["1", "2"]);
}

#[test]
fn a_closed_stdout_or_stderr_is_nobody_s_panic() {
    let (stage, server) = (Stage::new(), server());
    let url = server.url("/x");
    let script =
        format!("$HANDS fetch {url} 2>&-; echo $?; $HANDS fetch --json {url} >&-; echo $?");
    let ended = stage.shell(&script).end();
    assert_eq!(ended.out().lines().next(), Some("0"));
    ended.calmly();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = Command::new(HANDS)
        .args(["fetch", "-q", "-o", "-", &url])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(status.status.code(), Some(1));
}
