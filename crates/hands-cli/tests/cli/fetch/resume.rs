//! What has come is not fetched again: after a lost connection, a kill, Ctrl-C, a full disk.

use std::fs;

use rustix::process::Signal;

use super::files;
use super::server::{Asked, Out, Server, noise};
use crate::faults::on_a_small_disk;
use crate::stage::{Playing, Stage};

const SIZE: usize = 2 << 20;

/// A file that is cut short the first time, in one of several ways, and then given as a good server
/// does.
fn cut_short(how: fn(&mut Out<'_>)) -> Server {
    let body = noise(SIZE, 7);
    Server::new(move |asked, out| {
        if asked.before > 0 {
            return out.file(asked, &body, "\"1\"");
        }
        out.begin("200 OK", &[("ETag", "\"1\"")], Some(SIZE as u64));
        out.body(&body[..SIZE / 2]);
        how(out);
    })
}

#[test]
fn a_lost_connection_costs_what_was_under_way() {
    for how in [(|out| out.close()) as fn(&mut Out<'_>), |out| out.reset()] {
        let (stage, server) = (Stage::new(), cut_short(how));
        stage
            .fetch(&[&server.url("/x"), "--retry-delay", "0.01"])
            .end()
            .with_code(0);
        assert!(stage.bytes("x") == noise(SIZE, 7));
        let asked = server.asked();
        let (first, _) = asked[1].range().expect("a part");
        assert!(first <= SIZE as u64 / 2, "{first}");
        assert_eq!(asked[1].header("if-range"), Some("\"1\""));
        assert_eq!(files(stage.folder()), ["x"]);
    }
}

#[test]
fn what_goes_to_stdout_goes_on_in_the_middle() {
    let (stage, server) = (Stage::new(), cut_short(|out| out.close()));
    let ended = stage
        .fetch(&[&server.url("/x"), "-q", "-o", "-"])
        .end()
        .with_code(0);
    assert!(ended.stdout == noise(SIZE, 7));
}

/// A part of an earlier run, and how a server answers who wants the rest.
fn taken_up(answer: fn(&Asked, &mut Out<'_>)) -> (Stage, Server, i32) {
    let server = Server::new(move |asked, out| {
        if asked.before > 0 {
            return answer(asked, out);
        }
        out.begin("200 OK", &[("ETag", "\"1\"")], Some(100_000));
        out.body(&[b'a'; 70_000]);
        out.close();
    });
    let stage = Stage::new();
    stage
        .fetch(&[&server.url("/x"), "--retries", "1"])
        .end()
        .with_code(1)
        .says("hands: ");
    assert_eq!(files(stage.folder()), ["x.part", "x.part.state"]);
    let code = stage
        .fetch(&[&server.url("/x"), "--retries", "3", "--retry-delay", "0.01"])
        .end()
        .calmly()
        .code;
    (stage, server, code)
}

#[test]
fn a_server_that_ignores_ranges_begins_again_and_nothing_is_appended() {
    let (stage, server, code) =
        taken_up(|_, out| out.answer("200 OK", &[("ETag", "\"1\"")], &[b'a'; 100_000]));
    assert_eq!((code, files(stage.folder())), (0, vec!["x".to_owned()]));
    assert_eq!(stage.bytes("x"), [b'a'; 100_000]);
    assert!(server.asked()[1].range().is_some());
}

#[test]
fn a_file_that_has_changed_is_fetched_anew() {
    let (stage, _, code) = taken_up(|asked, out| out.file(asked, &[b'b'; 90_000], "\"2\""));
    assert_eq!((code, stage.bytes("x") == [b'b'; 90_000]), (0, true));
}

#[test]
fn a_part_that_is_not_the_one_asked_for_is_not_taken() {
    let (stage, _, code) = taken_up(|asked, out| match asked.range() {
        Some(_) => {
            let headers = [("Content-Range", "bytes 5-99999/100000")];
            out.answer("206 Partial Content", &headers, &[b'c'; 99_995]);
        }
        None => out.answer("200 OK", &[("ETag", "\"1\"")], &[b'a'; 100_000]),
    });
    assert_eq!((code, stage.bytes("x") == [b'a'; 100_000]), (0, true));
}

#[test]
fn a_whole_part_is_the_file() {
    let body = [b'a'; 70_000];
    let server = Server::new(move |asked, out| {
        if asked.before > 0 {
            return out.file(asked, &body, "\"1\"");
        }
        // Nobody knows that this is all.
        out.begin(
            "200 OK",
            &[("ETag", "\"1\""), ("Transfer-Encoding", "chunked")],
            None,
        );
        out.raw(format!("{:x}\r\n", body.len()).as_bytes());
        out.body(&body);
        out.reset();
    });
    let stage = Stage::new();
    stage
        .fetch(&[&server.url("/x"), "--retry-delay", "0.01"])
        .end()
        .with_code(0);
    assert_eq!(stage.bytes("x"), body);
}

/// Waits until so much has come.
fn await_part(stage: &Stage, bytes: u64) {
    while fs::metadata(stage.path("x.part")).map_or(0, |part| part.len()) < bytes
        && !stage.path("x").exists()
    {
        std::thread::yield_now();
    }
}

fn slowly(stage: &Stage, server: &Server, more: &[&str]) -> Playing {
    let url = server.url("/x");
    stage
        .fetch(&[&[url.as_str(), "--limit-rate", "30M"], more].concat())
        .start()
}

#[test]
fn killed_at_any_moment_it_goes_on_where_it_was() {
    let body = noise(SIZE, 3);
    for round in 0..50_u64 {
        let file = body.clone();
        let server = Server::new(move |asked, out| out.file(asked, &file, "\"1\""));
        let stage = Stage::new();
        let playing = slowly(&stage, &server, &[]);
        await_part(&stage, 100_000 + (round * 7919) % 20 * 90_000);
        playing.signal(Signal::KILL);
        playing.end();
        assert!(
            !stage.path("x").exists() || stage.bytes("x") == body,
            "round {round}: half a file"
        );
        let had = fs::metadata(stage.path("x.part"))
            .map(|part| part.len())
            .ok();
        let before = server.asked().len();
        stage
            .fetch(&[&server.url("/x"), "--no-clobber"])
            .end()
            .with_code(0);
        assert!(stage.bytes("x") == body, "round {round}");
        let asked = server.asked();
        match had {
            // Killed behind the rename.
            None => assert_eq!(asked.len(), before),
            Some(had) if had < SIZE as u64 => {
                assert_eq!(asked[before].range(), Some((had, None)), "round {round}")
            }
            // It had all, and asks whether it is still that.
            Some(had) => {
                assert_eq!(asked.len(), before + 1);
                assert_eq!(asked[before].range(), Some((had - 1, Some(had - 1))));
            }
        }
        assert_eq!(files(stage.folder()), ["x"]);
    }
}

#[test]
fn killed_in_segments_it_goes_on_in_each() {
    let body = noise(8 << 20, 4);
    for round in 0..10_u64 {
        let file = body.clone();
        let server = Server::new(move |asked, out| out.file(asked, &file, "\"1\""));
        let stage = Stage::new();
        let playing = slowly(&stage, &server, &["--segments", "4"]);
        await_part(&stage, 1);
        let state = || fs::read_to_string(stage.path("x.part.state")).unwrap_or_default();
        let come = |state: &str| {
            let lines = state
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(' '));
            let at: u64 = lines.filter_map(|(at, _)| at.parse::<u64>().ok()).sum();
            // Where the four began, together.
            at.saturating_sub((2 + 4 + 6) << 20)
        };
        while come(&state()) < 500_000 * (1 + round) && !stage.path("x").exists() {
            std::thread::yield_now();
        }
        playing.signal(Signal::KILL);
        playing.end();
        let had = come(&state());
        let before = server.asked().len();
        stage
            .fetch(&[&server.url("/x"), "--no-clobber", "--segments", "4"])
            .end()
            .with_code(0);
        assert!(stage.bytes("x") == body, "round {round}");
        let wanted: u64 = server.asked()[before..]
            .iter()
            .filter_map(|asked| {
                asked
                    .range()
                    .map(|(first, last)| last.unwrap_or(0) + 1 - first)
            })
            .sum();
        if before < server.asked().len() {
            assert_eq!(wanted, (8 << 20) - had, "round {round}");
        }
        assert_eq!(files(stage.folder()), ["x"]);
    }
}

#[test]
fn segments_are_asked_for_where_the_server_can() {
    for can in [true, false] {
        let body = noise(5 << 20, 5);
        let file = body.clone();
        let server = Server::new(move |asked, out| match can || asked.range().is_none() {
            true => out.file(asked, &file, "\"1\""),
            // It has promised ranges.
            false => out.answer(
                "200 OK",
                &[("ETag", "\"1\""), ("Accept-Ranges", "bytes")],
                &file,
            ),
        });
        let stage = Stage::new();
        stage
            .fetch(&[
                &server.url("/x"),
                "--segments",
                "4",
                "--retry-delay",
                "0.01",
            ])
            .end()
            .with_code(0);
        assert!(stage.bytes("x") == body, "{can}");
        if can {
            let mut ranges: Vec<_> = server.asked().iter().filter_map(Asked::range).collect();
            ranges.sort_unstable();
            assert_eq!(ranges.len(), 3);
            assert_eq!(ranges[0].0, (5 << 20) / 4);
        }
        assert_eq!(files(stage.folder()), ["x"]);
    }
}

#[test]
fn interrupted_it_says_so_and_keeps_what_has_come() {
    let body = noise(SIZE, 6);
    let server = Server::new(move |asked, out| out.file(asked, &body, "\"1\""));
    for signal in [Signal::INT, Signal::TERM] {
        let stage = Stage::new();
        let playing = slowly(&stage, &server, &["--limit-rate", "100k"]);
        await_part(&stage, 50_000);
        playing.signal(signal);
        playing
            .end()
            .with_code(130)
            .calmly()
            .says("interrupted, and what has come is kept");
        assert_eq!(files(stage.folder()), ["x.part", "x.part.state"]);
    }
}

#[test]
fn a_full_disk_is_an_error_and_what_has_come_stays() {
    let body = noise(SIZE, 8);
    let server = Server::new(move |asked, out| out.file(asked, &body, "\"1\""));
    let stage = Stage::new();
    let script = format!(
        "$HANDS fetch {} -d small; echo code $?; ls small",
        server.url("/x")
    );
    let ended = on_a_small_disk(&stage, "1m", &script);
    ended
        .calmly()
        .says("the disk is full; what has come is kept");
}
