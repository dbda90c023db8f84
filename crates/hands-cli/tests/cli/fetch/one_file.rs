//! Every piece of a file belongs to one representation: whatever a server does with ranges and
//! validators, what stands under the name is one of the files that the server had, or nothing does.

use super::server::{Asked, Out, Server, noise};
use crate::stage::Stage;

const SIZE: usize = 5 << 20;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Whole,
    Resumed,
    Segments,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ranges {
    Honoured,
    Ignored,
    /// Another part comes than is said, or nothing is said of it.
    Lied,
    Unsaid,
    /// The second answer is about another file; `If-Range` is not looked at.
    Changed,
    /// Another length, too.
    ChangedLonger,
}

#[derive(Clone, Copy, Debug)]
enum Validator {
    Strong,
    Weak,
    Date,
    None,
}

fn headers(validator: Validator, version: usize) -> Vec<(&'static str, String)> {
    let mut headers = vec![("Accept-Ranges", "bytes".to_owned())];
    match validator {
        Validator::Strong => headers.push(("ETag", format!("\"{version}\""))),
        Validator::Weak => headers.push(("ETag", format!("W/\"{version}\""))),
        Validator::Date => headers.push((
            "Last-Modified",
            format!("Sat, 29 Oct 1994 19:43:3{version} GMT"),
        )),
        Validator::None => {}
    }
    headers
}

fn answer(asked: &Asked, out: &mut Out<'_>, ranges: Ranges, validator: Validator, cut: bool) {
    let is_changed = matches!(ranges, Ranges::Changed | Ranges::ChangedLonger);
    let version = usize::from(is_changed && asked.before > 0);
    let body = file(ranges, version);
    let mut headers = headers(validator, version);
    let all = body.len();
    let range = asked.range().filter(|_| ranges != Ranges::Ignored);
    if let Some((first, last)) = range {
        let first = first as usize;
        let end = last.map_or(all, |last| last as usize + 1).min(all);
        let (said, from) = match ranges {
            // What is sent is said to begin elsewhere, and does.
            Ranges::Lied => (first.saturating_sub(7), first.saturating_sub(7)),
            _ => (first, first),
        };
        if ranges != Ranges::Unsaid {
            headers.push(("Content-Range", format!("bytes {said}-{}/{all}", end - 1)));
        }
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        return out.answer("206 Partial Content", &headers, &body[from..end]);
    }
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    if cut && asked.before == 0 {
        out.begin("200 OK", &headers, Some(all as u64));
        out.body(&body[..all / 2]);
        return out.close();
    }
    out.answer("200 OK", &headers, &body);
}

fn file(ranges: Ranges, version: usize) -> Vec<u8> {
    let length = match (ranges, version) {
        (Ranges::ChangedLonger, 1) => SIZE + 1000,
        _ => SIZE,
    };
    noise(length, 5 + version as u64)
}

#[test]
fn what_stands_under_the_name_is_one_file_of_the_server() {
    use Ranges::{Changed, ChangedLonger, Honoured, Ignored, Lied, Unsaid};
    for way in [Way::Whole, Way::Resumed, Way::Segments] {
        for ranges in [Honoured, Ignored, Lied, Unsaid, Changed, ChangedLonger] {
            for validator in [
                Validator::Strong,
                Validator::Weak,
                Validator::Date,
                Validator::None,
            ] {
                let case = format!("{way:?}, {ranges:?}, {validator:?}");
                let server = Server::new(move |asked, out| {
                    answer(asked, out, ranges, validator, way == Way::Resumed);
                });
                let stage = Stage::new();
                let segments = if way == Way::Segments { "4" } else { "1" };
                let url = server.url("/x");
                let words = [
                    "--segments",
                    segments,
                    "--retry-delay",
                    "0.01",
                    "--retries",
                    "3",
                ];
                let ended = stage
                    .fetch(&[&[url.as_str()][..], &words].concat())
                    .end()
                    .calmly();
                let there = std::fs::read(stage.path("x"));
                match ended.code {
                    0 => {
                        let there = there.expect("a file");
                        let is_one = (0..2).any(|version| there == file(ranges, version));
                        assert!(is_one, "{case}: {} bytes", there.len());
                    }
                    _ => assert!(there.is_err(), "{case}"),
                }
                if ranges == Ranges::Honoured || ranges == Ranges::Ignored {
                    assert_eq!(ended.code, 0, "{case}: {}", ended.stderr);
                }
            }
        }
    }
}

#[test]
fn progress_that_is_thrown_away_is_none() {
    // Each try gets far, and each answer is about another file.
    let server = Server::new(|asked, out| {
        let etag = format!("\"{}\"", asked.before);
        out.begin("200 OK", &[("ETag", &etag)], Some(4 << 20));
        out.body(&vec![1; 2 << 20]);
        out.close();
    });
    let stage = Stage::new();
    stage
        .fetch(&[&server.url("/x"), "--retries", "4", "--retry-delay", "0.01"])
        .end()
        .with_code(1)
        .says("after 4 tries");
    assert!(server.asked().len() <= 9, "{}", server.asked().len());
}

#[test]
fn what_is_said_to_be_whole_already_is_asked_about() {
    // A part that has all its bytes, by a run that was killed before it gave it its name.
    let stage = Stage::new();
    let cut = Server::new(|asked, out| {
        let body = vec![b'a'; 100_000];
        match asked.before {
            0 => {
                out.begin("200 OK", &[("ETag", "\"1\"")], Some(100_000));
                out.body(&body[..99_000]);
                out.close();
            }
            _ => out.file(asked, &vec![b'b'; 100_000], "\"2\""),
        }
    });
    let url = cut.url("/x");
    stage.fetch(&[&url, "--retries", "1"]).end().with_code(1);
    let mut part = stage.bytes("x.part");
    part.resize(100_000, b'a');
    stage.write("x.part", part);
    stage
        .fetch(&[&url, "--retry-delay", "0.01"])
        .end()
        .with_code(0);
    assert!(stage.bytes("x") == vec![b'b'; 100_000]);
}
