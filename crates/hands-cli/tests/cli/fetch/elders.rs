//! What users of curl, wget and aria2 ask for.

use super::files;
use super::server::Server;
use crate::stage::Stage;

fn echo() -> Server {
    Server::new(|asked, out| {
        let told = |name| asked.header(name).unwrap_or("-");
        let body = format!(
            "{} {} referer={} cookie={} type={} {}\n",
            asked.method,
            asked.path,
            told("referer"),
            told("cookie"),
            told("content-type"),
            String::from_utf8_lossy(&asked.body)
        );
        out.answer("200 OK", &[], body.as_bytes());
    })
}

#[test]
fn what_means_the_same_is_taken() {
    let server = echo();
    for words in [
        &["-O"][..],
        &["-L", "-O"],
        &["-fsSL"],
        &["-LO"],
        &["-C", "-"],
        &["-c"],
        &["-nc"],
        &["-nv"],
        &["-x", "4", "-s", "4"],
        &["-t", "3", "-w", "0.01", "-T", "20"],
        &["-P", "."],
    ] {
        let stage = Stage::new();
        let (one, two) = (server.url("/one"), server.url("/two"));
        stage
            .fetch(&[words, &[&one, &two]].concat())
            .end()
            .with_code(0);
        assert_eq!(files(stage.folder()), ["one", "two"], "{words:?}");
    }
}

#[test]
fn what_means_something_else_is_refused_by_its_name() {
    let server = echo();
    let url = server.url("/x");
    let stage = Stage::new();
    for (words, told) in [
        (&["-d", "a=b"][..], "--data"),
        (&["-x", "proxy:1"], "--proxy"),
        (&["-i"], "--head"),
        (&["-T", "file"], "uploaded"),
        (&["-X", "DELETE"], "--data"),
        (&["--range", "9-1"], "ends before it begins"),
        (&["--rate", "0"], "nothing would ever come"),
    ] {
        let ended = stage
            .fetch(&[words, &[&url]].concat())
            .end()
            .with_code(255)
            .calmly();
        assert!(ended.stderr.contains(told), "{words:?}: {}", ended.stderr);
    }
    assert_eq!(files(stage.folder()), Vec::<String>::new());
}

#[test]
fn requests_say_what_they_are_told_to() {
    let (server, stage) = (echo(), Stage::new());
    let asked = |words: &[&str]| {
        let url = server.url("/x");
        let ended = stage
            .fetch(&[&[url.as_str(), "-q", "-o", "-"][..], words].concat())
            .end();
        ended.with_code(0).out().trim().to_owned()
    };
    assert_eq!(
        asked(&["--data", "a=b"]),
        "POST /x referer=- cookie=- type=application/x-www-form-urlencoded a=b"
    );
    stage.write("body", "{}");
    assert_eq!(
        asked(&["--data", "@body", "-H", "Content-Type: application/json"]),
        "POST /x referer=- cookie=- type=application/json {}"
    );
    assert_eq!(
        asked(&["-e", "http://page/", "-b", "a=1; b=2", "-b", "c=3"]),
        "GET /x referer=http://page/ cookie=a=1; b=2; c=3 type=-"
    );
    stage.write("jar", "127.0.0.1\tFALSE\t/\tFALSE\t0\tk\tv;w\n");
    assert_eq!(
        asked(&["--load-cookies", "jar", "-b", "a=1"]),
        "GET /x referer=- cookie=a=1; k=v;w type=-"
    );
    let named = server.url("/x").replace("127.0.0.1", "a.example");
    let (_, port) = named[7..].split_once(':').expect("a port");
    let port = port.trim_end_matches("/x");
    let resolve = format!("a.example:{port}:127.0.0.1");
    stage
        .fetch(&[&named, "--resolve", &resolve, "-o", "-", "-4"])
        .end()
        .with_code(0);
}

#[test]
fn a_post_that_may_have_arrived_is_not_sent_again() {
    let server = Server::new(|_, out| out.close());
    let stage = Stage::new();
    stage
        .fetch(&[&server.url("/x"), "--data", "a=b", "--retry-delay", "0.01"])
        .end()
        .with_code(1)
        .says("not sent again");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_range_of_bytes_is_what_is_kept() {
    let server = Server::new(|asked, out| match asked.path.as_str() {
        "/whole" => out.answer("200 OK", &[], b"0123456789"),
        _ => out.file(asked, b"0123456789", "\"1\""),
    });
    let stage = Stage::new();
    stage
        .fetch(&[&server.url("/x"), "-r", "2-4"])
        .end()
        .with_code(0);
    assert_eq!(stage.text("x"), "234");
    stage
        .fetch(&[&server.url("/whole"), "--range", "2-4"])
        .end()
        .with_code(1)
        .says("no range of bytes");
}

#[test]
fn several_go_to_stdout_in_their_order() {
    let server = Server::new(|asked, out| match asked.path.as_str() {
        // The first comes last, after a lost connection.
        "/1" if asked.before == 0 => {
            out.begin("200 OK", &[], Some(100));
            out.body(b"half");
            out.close();
        }
        path => out.answer("200 OK", &[], format!("{path}\n").as_bytes()),
    });
    let stage = Stage::new();
    let urls = server.url("/[1-5]");
    let ended = stage
        .fetch(&[&urls, "-q", "-o", "-", "--retry-delay", "0.1"])
        .end()
        .with_code(0);
    assert_eq!(ended.out(), "/1\n/2\n/3\n/4\n/5\n");
}

#[test]
fn what_failed_is_written_down_and_can_be_read_again() {
    let server = Server::new(|asked, out| match asked.path.as_str() {
        "/b" if asked.before == 0 => out.answer("404 Not Found", &[], b""),
        path => out.answer("200 OK", &[], path.as_bytes()),
    });
    let stage = Stage::new();
    let urls = format!(
        "{0}/a\n{0}/b\n  out=c\n  header=X-A: b\nftp://x/y\n",
        server.url("")
    );
    stage.write("list", urls);
    stage
        .fetch(&["-i", "list", "--failed", "again"])
        .end()
        .with_code(2);
    let again = format!(
        "{0}/b\n  out=c\n  header=x-a: b\nftp://x/y\n",
        server.url("")
    );
    assert_eq!(stage.text("again"), again);
    stage
        .fetch(&["-i", "again", "--failed", "left"])
        .end()
        .with_code(1);
    assert_eq!(
        (stage.text("c").as_str(), stage.text("left").as_str()),
        ("/b", "ftp://x/y\n")
    );
    stage
        .fetch(&["-i", "list", "--failed", "list"])
        .end()
        .with_code(255)
        .says("it is the list that is read");
}

#[test]
fn a_configuration_file_stands_before_the_command_line() {
    let (server, stage) = (echo(), Stage::new());
    std::fs::create_dir_all(stage.path("config/hands")).expect("a folder");
    stage.write(
        "config/hands/fetch.conf",
        "# mine\n--dir out\n--referer http://page/\n",
    );
    let fetch = |words: &[&str]| {
        let url = server.url("/x");
        let run = stage.fetch(&[&[url.as_str()][..], words].concat());
        run.env("XDG_CONFIG_HOME", stage.path("config")).end()
    };
    fetch(&[]).with_code(0);
    assert!(stage.text("out/x").contains("referer=http://page/"));
    fetch(&["--dir", "other"]).with_code(0);
    fetch(&["--no-config"]).with_code(0);
    assert!(stage.path("other/x").exists() && stage.path("x").exists());
    stage.write("config/hands/fetch.conf", "dir out\n");
    fetch(&[]).with_code(255).says("line 1: write an option");
}
