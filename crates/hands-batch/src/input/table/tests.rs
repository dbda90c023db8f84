use std::io::Write;
use std::os::fd::OwnedFd;

use proptest::prelude::*;

use super::*;
use crate::hang_up::hang_up;
use crate::input::testing::{all, file, lines, shown, table};

fn csv(separator: u8) -> FieldSplit {
    FieldSplit::Csv(Box::new(
        csv_core::ReaderBuilder::new().delimiter(separator).build(),
    ))
}

fn pattern(pattern: &str) -> FieldSplit {
    FieldSplit::Pattern(Regex::new(pattern).expect("a pattern"))
}

/// The rows of a text, columns joined by `|`.
fn rows(text: &[u8], delimiter: &[u8], split: FieldSplit) -> Vec<String> {
    let mut table = table(file(text), delimiter, split);
    let rows = all(|| table.pull()).expect("rows");
    rows.iter().map(shown).collect()
}

fn whole(text: &[u8], delimiter: &[u8]) -> Vec<Vec<u8>> {
    let mut table = table(file(text), delimiter, FieldSplit::Whole);
    all(|| table.pull()).expect("rows").concat()
}

fn csv_table(text: &[u8]) -> Table {
    table(file(text), b"\n", csv(b','))
}

#[test]
fn lines_end_with_a_newline_and_the_last_may_do_without() {
    assert_eq!(whole(b"", b"\n"), [b""; 0]);
    assert_eq!(whole(b"a", b"\n"), [b"a"]);
    assert_eq!(whole(b"a\n", b"\n"), [b"a"]);
    assert_eq!(whole(b"a\n\nb", b"\n"), [&b"a"[..], b"", b"b"]);
    assert_eq!(whole(b"\n", b"\n"), [b""]);
}

#[test]
fn carriage_returns_are_bytes_like_any_other() {
    assert_eq!(whole(b"a\r\nb\r\n", b"\n"), [b"a\r", b"b\r"]);
}

#[test]
fn inputs_that_end_in_nul_may_hold_newlines() {
    assert_eq!(whole(b"a\nb\0\n\0c", b"\0"), [&b"a\nb"[..], b"\n", b"c"]);
}

#[test]
fn a_delimiter_of_several_bytes_is_whole_or_none() {
    assert_eq!(whole(b"a--b-c---d", b"--"), [&b"a"[..], b"b-c", b"-d"]);
}

#[test]
fn a_delimiter_that_comes_in_two_pieces_is_found() {
    let (read, mut write) = std::io::pipe().expect("a pipe");
    let mut table = table(OwnedFd::from(read), b"<>", FieldSplit::Whole);
    write.write_all(b"ab<").expect("write");
    assert_eq!(table.pull().expect("pull"), Pull::Pending);
    write.write_all(b">c").expect("write");
    assert_eq!(
        table.pull().expect("pull"),
        Pull::Item(vec![b"ab".to_vec()])
    );
    assert_eq!(table.pull().expect("pull"), Pull::Pending);
    hang_up(write, table.ready_fd().expect("it waits"));
    assert_eq!(table.pull().expect("pull"), Pull::Item(vec![b"c".to_vec()]));
    assert_eq!(table.pull().expect("pull"), Pull::End);
    assert_eq!(table.pull().expect("pull"), Pull::End);
}

#[test]
fn a_line_may_be_longer_than_any_buffer() {
    let long = vec![b'x'; 3_000_001];
    let text = [&long[..], b"\nshort\n", &long].concat();
    let got = whole(&text, b"\n");
    assert_eq!(
        got.iter().map(Vec::len).collect::<Vec<_>>(),
        [3_000_001, 5, 3_000_001]
    );
}

#[test]
fn a_nul_byte_inside_is_refused_with_its_place() {
    let mut table = lines(file(b"a\nb\0c\n"));
    assert!(matches!(table.pull(), Ok(Pull::Item(_))));
    let error = table.pull().expect_err("a NUL");
    let told = error.to_string();
    assert!(
        told.starts_with("input 2 of `it` holds a NUL byte"),
        "{told}"
    );
    assert!(told.contains("`-0`"), "{told}");
    let mut table = csv_table(b"x,\0\n");
    assert!(matches!(table.pull(), Err(InputError::Nul { line: 1, .. })));
}

#[test]
fn columns_are_what_is_between_matches() {
    let split = |text: &[u8], by| rows(text, b"\n", pattern(by));
    assert_eq!(split(b"a,b,,c\nd\n", ","), ["a|b||c", "d"]);
    assert_eq!(split(b"a.b\n", r"\."), ["a|b"]);
    assert_eq!(split(b"a  b\tc\n", r"\s+"), ["a|b|c"]);
    assert_eq!(split(b",a,\n\n", ","), ["|a|", ""]);
    assert_eq!(split(b"a\xff\xfeb\n", r"(?-u:\xff\xfe)"), ["a|b"]);
}

#[test]
fn values_have_columns_too() {
    let values = vec![b"a-b".to_vec(), b"c".to_vec()];
    let mut table = Table::values(values, pattern("-"), false);
    let rows = all(|| table.pull()).expect("rows");
    assert_eq!(rows.iter().map(shown).collect::<Vec<_>>(), ["a|b", "c"]);
}

#[test]
fn csv_fields_may_be_quoted_and_rows_ragged() {
    let text = b"a,\"b,c\",d\r\n\"x \"\"y\"\"\",\"two\nlines\"\n\n1\n1,2,3,4\nlast,";
    assert_eq!(
        rows(text, b"\n", csv(b',')),
        ["a|b,c|d", "x \"y\"|two\nlines", "1", "1|2|3|4", "last|"]
    );
    assert_eq!(rows(b"a;b,c\n", b"\n", csv(b';')), ["a|b,c"]);
    assert_eq!(rows(b"", b"\n", csv(b',')), [""; 0]);
}

#[test]
fn a_byte_order_mark_before_csv_is_no_part_of_it() {
    assert_eq!(rows(b"\xef\xbb\xbfa,b\n", b"\n", csv(b',')), ["a|b"]);
}

#[test]
fn csv_that_comes_byte_by_byte_is_the_same() {
    let (read, mut write) = std::io::pipe().expect("a pipe");
    let mut table = table(read.into(), b"\n", csv(b','));
    let mut got = Vec::new();
    for byte in b"a,\"b\n\"\"c\"\n1,2\n3" {
        write.write_all(&[*byte]).expect("write");
        while let Pull::Item(row) = table.pull().expect("pull") {
            got.push(shown(&row));
        }
    }
    hang_up(write, table.ready_fd().expect("it waits"));
    let rest = all(|| table.pull()).expect("rows");
    got.extend(rest.iter().map(shown));
    assert_eq!(got, ["a|b\n\"c", "1|2", "3"]);
}

#[test]
fn a_csv_row_may_have_more_fields_and_bytes_than_any_buffer() {
    let field = "y".repeat(20_000);
    let text = format!("{}\n{field},{field}\n", vec!["x"; 5_000].join(","));
    let mut table = table(file(text.as_bytes()), b"\n", csv(b','));
    let rows = all(|| table.pull()).expect("rows");
    assert_eq!(rows[0].len(), 5_000);
    assert!(rows[0].iter().all(|field| field == b"x"));
    assert_eq!(rows[1], [field.as_bytes(), field.as_bytes()]);
}

#[test]
fn empty_inputs_are_left_out_only_when_asked() {
    let values = || vec![b"".to_vec(), b"a".to_vec(), b"".to_vec()];
    let mut kept = Table::values(values(), FieldSplit::Whole, false);
    assert_eq!(kept.known_rows(), Some(3));
    assert_eq!(all(|| kept.pull()).expect("rows").len(), 3);
    let mut left_out = Table::values(values(), FieldSplit::Whole, true);
    assert_eq!(left_out.known_rows(), Some(1));
    assert_eq!(all(|| left_out.pull()).expect("rows"), [[b"a"]]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_inputs_joined_by_their_delimiter_come_back(
        inputs in prop::collection::vec(prop::collection::vec(1..=u8::MAX, 0..20), 0..20),
        ended in any::<bool>(),
        null in any::<bool>(),
    ) {
        let delimiter = if null { 0 } else { b'\n' };
        let inputs: Vec<Vec<u8>> = inputs
            .into_iter()
            .map(|input| input.into_iter().filter(|byte| *byte != delimiter).collect())
            .collect();
        let mut text = inputs.join(&delimiter);
        // Nothing at the end of the text cannot be told from no input there.
        if ended && !inputs.is_empty() || inputs.last().is_some_and(Vec::is_empty) {
            text.push(delimiter);
        }
        prop_assert_eq!(whole(&text, &[delimiter]), inputs);
    }

    #[test]
    fn any_fields_written_as_csv_come_back(
        written in prop::collection::vec(prop::collection::vec(prop::collection::vec(
            prop::sample::select(&b"ab,\"\n\r \xff"[..]), 0..6), 1..4), 0..6),
    ) {
        let mut text = Vec::new();
        for row in &written {
            for (place, field) in row.iter().enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                text.push(b'"');
                for &byte in field {
                    text.push(byte);
                    if byte == b'"' {
                        text.push(byte);
                    }
                }
                text.push(b'"');
            }
            text.push(b'\n');
        }
        let mut table = table(file(&text), b"\n", csv(b','));
        prop_assert_eq!(all(|| table.pull()).expect("rows"), written);
    }
}
