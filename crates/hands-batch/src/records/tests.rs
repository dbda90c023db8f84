use std::os::fd::OwnedFd;

use proptest::prelude::*;
use rustix::pipe::{PipeFlags, pipe_with};

use super::*;
use crate::hang_up::hang_up;

fn file(bytes: &[u8]) -> OwnedFd {
    use std::io::{Seek, Write};
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("write");
    file.rewind().expect("rewind");
    file.into()
}

fn blocks(bytes: &[u8], spec: RecordSpec) -> Vec<Vec<u8>> {
    let mut records = Records::new(file(bytes), spec).expect("records");
    let mut blocks = Vec::new();
    loop {
        match records.pull().expect("pull") {
            Pull::Item(block) => blocks.push(block),
            Pull::Pending => panic!("a file always has something to read"),
            Pull::End => return blocks,
        }
    }
}

fn literal(end: &[u8], start: &[u8]) -> Boundary {
    Boundary::Literal {
        end: end.to_vec(),
        start: start.to_vec(),
    }
}

#[test]
fn records_are_counted_when_that_is_asked() {
    let spec = |boundary| RecordSpec {
        records: NonZeroUsize::new(2),
        boundary,
        ..RecordSpec::default()
    };
    assert_eq!(
        blocks(b"a;b;c;d", spec(literal(b";", b""))),
        [&b"a;b;"[..], b"c;d"]
    );
    assert_eq!(
        blocks(b">a>b>c", spec(literal(b"", b">"))),
        [&b">a>b"[..], b">c"]
    );
    let pattern = Boundary::Pattern {
        end: r"\n+".into(),
        start: "[0-9]".into(),
    };
    assert_eq!(
        blocks(b"1a\n\n2b\nx\n3c\n", spec(pattern)),
        [&b"1a\n\n2b\nx\n"[..], b"3c\n"]
    );
}

#[test]
fn an_end_counts_only_before_a_start_where_both_are_given() {
    let spec = RecordSpec {
        block: 6,
        boundary: literal(b"\n", b">"),
        ..RecordSpec::default()
    };
    assert_eq!(
        blocks(b">a\nb\n>c\nd\n>e\n", spec),
        [&b">a\nb\n"[..], b">c\nd\n", b">e\n"]
    );
}

#[test]
fn separators_can_be_left_out() {
    let spec = RecordSpec {
        records: NonZeroUsize::new(2),
        boundary: literal(b";", b""),
        remove: true,
        ..RecordSpec::default()
    };
    assert_eq!(blocks(b"a;b;c;d", spec), [&b"ab"[..], b"cd"]);
}

#[test]
fn a_wrong_pattern_is_named() {
    let boundary = Boundary::Pattern {
        end: "(".into(),
        start: String::new(),
    };
    let error = Records::new(
        file(b""),
        RecordSpec {
            boundary,
            ..RecordSpec::default()
        },
    )
    .expect_err("no pattern");
    assert!(
        error
            .to_string()
            .starts_with("`(` is not a regular expression"),
        "{error}"
    );
}

#[test]
fn nothing_to_read_yet_is_not_the_end() {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).expect("pipe");
    let mut records = Records::new(
        read,
        RecordSpec {
            block: 2,
            ..RecordSpec::default()
        },
    )
    .expect("records");
    assert_eq!(records.pull().expect("pull"), Pull::Pending);
    rustix::io::write(&write, b"ab\ncd").expect("write");
    assert_eq!(records.pull().expect("pull"), Pull::Item(b"ab\n".to_vec()));
    assert_eq!(records.pull().expect("pull"), Pull::Pending);
    hang_up(write, &records.reader);
    assert_eq!(records.pull().expect("pull"), Pull::Item(b"cd".to_vec()));
    assert_eq!(records.pull().expect("pull"), Pull::End);
}

/// The blocks of a stream that comes in pieces, each as soon as it is known.
fn piecewise(pieces: &[&[u8]], spec: RecordSpec) -> Vec<Vec<u8>> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).expect("pipe");
    let mut records = Records::new(read, spec).expect("records");
    let mut blocks = Vec::new();
    for piece in pieces {
        rustix::io::write(&write, piece).expect("room in the pipe");
        while let Pull::Item(block) = records.pull().expect("pull") {
            blocks.push(block);
        }
    }
    hang_up(write, &records.reader);
    while let Pull::Item(block) = records.pull().expect("pull") {
        blocks.push(block);
    }
    blocks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_bytes_come_out_as_they_went_in_however_they_arrive(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..20),
        block in 1..100_usize,
        records in prop::option::of(1..4_usize),
        end in prop::collection::vec(any::<u8>(), 0..2),
        start in prop::collection::vec(any::<u8>(), 0..2),
    ) {
        let spec = RecordSpec {
            block,
            records: records.and_then(NonZeroUsize::new),
            boundary: literal(&end, &start),
            remove: false,
        };
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let stream = pieces.concat();
        let whole = blocks(&stream, spec.clone());
        prop_assert_eq!(whole.concat(), &stream[..]);
        prop_assert!(whole.iter().all(|block| !block.is_empty()));
        prop_assert_eq!(piecewise(&pieces, spec).concat(), stream);
    }

    #[test]
    fn counted_records_are_the_same_however_they_arrive(
        pieces in prop::collection::vec(
            prop::collection::vec(prop::sample::select(&b"ab;\n"[..]), 1..9), 0..20),
        count in 1..4_usize,
        boundary in prop::sample::select(vec![
            literal(b"\n", b""), literal(b";\n", b""), literal(b"", b"a"), literal(b";", b"a"),
            Boundary::Pattern { end: "\n+".into(), start: String::new() },
            Boundary::Pattern { end: String::new(), start: "[;\n]a".into() },
        ]),
    ) {
        let spec = RecordSpec { records: NonZeroUsize::new(count), boundary, ..RecordSpec::default() };
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let stream = pieces.concat();
        prop_assert_eq!(piecewise(&pieces, spec.clone()), blocks(&stream, spec));
    }

    #[test]
    fn the_blocks_are_the_stream_and_no_record_is_cut(
        bytes in prop::collection::vec(prop::sample::select(&b"ab\n>\0"[..]), 0..400),
        block in 1..60_usize,
        end in prop::sample::select(&["\n", "", "b\n"][..]),
        start in prop::sample::select(&["", ">", ">a"][..]),
        pattern in any::<bool>(),
    ) {
        prop_assume!(!(end.is_empty() && start.is_empty()));
        let boundary = if pattern {
            Boundary::Pattern { end: end.into(), start: start.into() }
        } else {
            literal(end.as_bytes(), start.as_bytes())
        };
        let blocks = blocks(&bytes, RecordSpec { block, boundary, ..RecordSpec::default() });
        prop_assert_eq!(blocks.concat(), bytes);
        for pair in blocks.windows(2) {
            prop_assert!(pair[0].ends_with(end.as_bytes()) && pair[1].starts_with(start.as_bytes()));
        }
        // Smaller than a block, or without a place to cut it.
        let whole = [end, start].concat().into_bytes();
        for piece in blocks.iter().filter(|piece| piece.len() > block) {
            let inside = &piece[..block.min(piece.len() - 1)];
            if start.is_empty() {
                prop_assert!(memchr::memmem::find(inside, &whole).is_none());
            }
        }
    }
}
