//! A check that was asked for is never passed over: it is made, or it is an error.

use super::files;
use super::server::Server;
use crate::stage::Stage;

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn abc() -> Server {
    Server::new(|_, out| out.answer("200 OK", &[], b"abc"))
}

#[test]
fn what_is_there_and_right_is_unchanged_and_nothing_is_asked() {
    let (stage, server) = (Stage::new(), abc());
    let (url, sum) = (server.url("/x"), format!("sha256:{ABC}"));
    let words = [url.as_str(), "--checksum", &sum];
    stage.fetch(&words).end().with_code(0).says("1 ok");
    stage.fetch(&words).end().with_code(0).says("1 unchanged");
    assert_eq!(server.asked().len(), 1);
    stage.write("x", "junk");
    let kept = [&words[..], &["--no-clobber"]].concat();
    stage
        .fetch(&kept)
        .end()
        .with_code(1)
        .says("another file")
        .says("--no-clobber keeps it");
    assert_eq!(stage.text("x"), "junk");
    stage.fetch(&words).end().with_code(0).says("1 ok");
    assert_eq!(stage.text("x"), "abc");
    stage.fetch(&kept).end().with_code(0).says("1 unchanged");
}

#[test]
fn what_is_there_can_be_checked_without_fetching() {
    let (stage, server) = (Stage::new(), abc());
    stage.write("sums", format!("{ABC}  x\n{ABC}  y\n{ABC}  z\n"));
    stage.write("x", "abc");
    stage.write("y", "abd");
    stage.write("w", "what nobody knows");
    let urls = server.url("/{x,y,z,w}");
    let ended = stage
        .fetch(&[&urls, "--checksums", "sums", "--check-integrity"])
        .end();
    let ended = ended
        .with_code(3)
        .says("`z` is not there")
        .says("nothing for `w`");
    assert!(ended.stderr.contains("1 unchanged"), "{}", ended.stderr);
    assert!(server.asked().is_empty());
}

#[test]
fn an_odd_line_of_a_sums_file_costs_that_line() {
    let (stage, server) = (Stage::new(), abc());
    stage.write("sums", format!("{ABC}  x\nfile was not found\n{ABC}  y\n"));
    stage
        .fetch(&[&server.url("/{x,y}"), "--checksums", "sums"])
        .end()
        .with_code(0)
        .says("line 2");
    stage.write("sums", "nothing\n");
    stage
        .fetch(&[&server.url("/x"), "--checksums", "sums"])
        .end()
        .with_code(255)
        .says("line 1");
}

#[test]
fn what_goes_out_is_checked_too() {
    let (stage, server) = (Stage::new(), abc());
    let wrong = format!("sha256:{}", "0".repeat(64));
    let url = server.url("/x");
    stage
        .fetch(&[&url, "-o", "-", "--checksum", &wrong])
        .end()
        .with_code(1)
        .says("it has gone out already");
    stage.write("sums", format!("{ABC}  x\n"));
    stage
        .fetch(&[&url, "-o", "-", "--checksums", "sums"])
        .end()
        .with_code(0);
    // One of several waits for its turn, and does not go out.
    let ended = stage
        .fetch(&[&server.url("/{x,y}"), "-o", "-", "--checksums", "sums"])
        .end()
        .with_code(1)
        .says("it was not put out");
    assert_eq!(ended.out(), "abc");
    stage
        .fetch(&[&url, "-o", "-", "--json"])
        .end()
        .with_code(255)
        .says("would both write on stdout");
}

#[test]
fn a_metalink_s_hash_is_checked_or_is_an_error() {
    let server = abc();
    let cases = [
        (format!("<hash type=\"sha-256\">{ABC}</hash>"), 0),
        ("<hash type=\"sha-256\">zz</hash>".to_owned(), 1),
        ("<hash type=\"whirlpool\">00</hash>".to_owned(), 1),
        (
            format!("<hash type=\"sha-256\">{}</hash>", "0".repeat(64)),
            1,
        ),
        (
            format!("<pieces length=\"3\" type=\"sha-256\"><hash>{ABC}</hash></pieces>"),
            0,
        ),
        (
            format!("<pieces length=\"2\" type=\"sha-256\"><hash>{ABC}</hash></pieces>"),
            1,
        ),
    ];
    for (hash, code) in cases {
        let stage = Stage::new();
        let url = server.url("/x");
        stage.write(
            "m",
            format!("<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"x\">{hash}<url>{url}</url></file></metalink>"),
        );
        stage
            .fetch(&["--metalink", "m", "--retries", "1"])
            .end()
            .with_code(code);
        assert_eq!(
            files(stage.folder()).contains(&"x".to_owned()),
            code == 0,
            "{hash}"
        );
    }
}
