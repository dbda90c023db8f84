use std::io::Write;
use std::os::fd::AsRawFd;

use proptest::prelude::*;

use super::*;
use crate::hang_up::hang_up;
use crate::input::testing::{all, file, lines, shown, values};

fn product(parts: Vec<Linked>) -> Product {
    Product::new(parts).expect("there are parts")
}

/// Parts separated by a space, each with the tables that are linked, separated by `+`, each with
/// its letters.
fn of(text: &str) -> Product {
    let letters = |table: &str| {
        let letters: Vec<String> = table.chars().map(String::from).collect();
        values(&letters.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let parts = text.split(' ').map(|part| {
        let mut tables = part.split('+').map(letters);
        let mut linked = Linked::new(tables.next().expect("one"), false);
        tables.for_each(|table| linked.link(table));
        linked
    });
    product(parts.collect())
}

fn rows(text: &str) -> Vec<String> {
    let mut product = of(text);
    let rows = all(|| product.pull()).expect("rows");
    rows.iter().map(|row| shown(row).replace('|', "")).collect()
}

#[test]
fn every_combination_comes_with_the_last_source_fastest() {
    assert_eq!(rows("12 ab"), ["1a", "1b", "2a", "2b"]);
    assert_eq!(
        rows("12 ab xy"),
        ["1ax", "1ay", "1bx", "1by", "2ax", "2ay", "2bx", "2by"]
    );
    assert_eq!(rows("12"), ["1", "2"]);
}

#[test]
fn an_empty_source_leaves_no_combination() {
    assert_eq!(rows("12 "), [""; 0]);
    assert_eq!(rows(" 12"), [""; 0]);
    assert_eq!(rows("12+ ab"), [""; 0]);
}

#[test]
fn linked_sources_go_side_by_side_until_the_shortest_ends() {
    assert_eq!(rows("123+ab"), ["1a", "2b"]);
    assert_eq!(rows("12+abc"), ["1a", "2b"]);
    assert_eq!(rows("12+ab+xyz"), ["1ax", "2by"]);
    assert_eq!(rows("12+ab xy"), ["1ax", "1ay", "2bx", "2by"]);
    assert_eq!(rows("xy 12+ab"), ["x1a", "x2b", "y1a", "y2b"]);
}

#[test]
fn the_names_are_the_first_row_of_each_source() {
    let mut product = of("n12+ma k34");
    let Pull::Item(names) = product.header().expect("names") else {
        panic!("they are there")
    };
    assert_eq!(shown(&names), "n|m|k");
    let rows = all(|| product.pull()).expect("rows");
    let rows: Vec<_> = rows.iter().map(shown).collect();
    assert_eq!(rows, ["1|a|3", "1|a|4"]);
    assert_eq!(of(" ab").header().expect("no names"), Pull::End);
}

#[test]
fn the_first_source_is_read_no_further_than_asked() {
    let (read, mut write) = std::io::pipe().expect("a pipe");
    let parts = vec![
        Linked::new(lines(read.into()), false),
        Linked::new(values(&["a", "b"]), false),
    ];
    let mut product = product(parts);
    assert_eq!(product.known_rows(), None);
    assert_eq!(product.pull().expect("pull"), Pull::Pending);
    write.write_all(b"1\n").expect("write");
    for expected in ["1|a", "1|b"] {
        let Pull::Item(row) = product.pull().expect("pull") else {
            panic!("`1` is there")
        };
        assert_eq!(shown(&row), expected);
    }
    assert_eq!(product.pull().expect("pull"), Pull::Pending);
    hang_up(write, product.ready_fd().expect("it waits"));
    assert_eq!(product.pull().expect("pull"), Pull::End);
}

/// Which of `fds` the product waits for.
fn waits_for(product: &Product, fds: &[i32]) -> Option<usize> {
    let waiting = product.ready_fd().expect("it waits").as_raw_fd();
    fds.iter().position(|&fd| fd == waiting)
}

#[test]
fn what_is_waited_for_is_the_source_that_has_nothing_yet() {
    let pipes: Vec<_> = (0..3).map(|_| std::io::pipe().expect("a pipe")).collect();
    let (readers, mut writers): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
    let fds: Vec<i32> = readers.iter().map(AsRawFd::as_raw_fd).collect();
    let parts = readers
        .into_iter()
        .map(|read| Linked::new(lines(read.into()), false));
    let mut product = product(parts.collect());
    // The names are read in the order of the sources.
    for (place, writer) in writers.iter_mut().enumerate() {
        assert_eq!(product.header().expect("pull"), Pull::Pending);
        assert_eq!(waits_for(&product, &fds), Some(place));
        writer.write_all(b"name\n").expect("write");
    }
    assert!(matches!(product.header(), Ok(Pull::Item(_))));
    // The rows of the first one come as they are needed, the others are needed whole.
    for (place, writer) in writers.drain(1..).enumerate() {
        assert_eq!(product.pull().expect("pull"), Pull::Pending);
        assert_eq!(waits_for(&product, &fds), Some(place + 1));
        { writer }.write_all(b"row\n").expect("write");
    }
    assert_eq!(product.pull().expect("pull"), Pull::Pending);
    assert_eq!(waits_for(&product, &fds), Some(0));
}

#[test]
fn a_linked_source_that_is_late_loses_no_row_of_the_others() {
    let (read, mut write) = std::io::pipe().expect("a pipe");
    let fd = read.as_raw_fd();
    let mut linked = Linked::new(lines(file(b"1\n2\n")), false);
    linked.link(lines(read.into()));
    let mut product = product(vec![linked]);
    let mut got = Vec::new();
    for line in [b"a\n", b"b\n"] {
        assert_eq!(product.pull().expect("pull"), Pull::Pending);
        assert_eq!(waits_for(&product, &[fd]), Some(0));
        write.write_all(line).expect("write");
        if let Pull::Item(row) = product.pull().expect("pull") {
            got.push(shown(&row));
        }
    }
    assert_eq!(got, ["1|a", "2|b"]);
}

proptest! {
    #[test]
    fn there_are_as_many_rows_as_were_foretold(sizes in prop::collection::vec(
        prop::collection::vec(0..4_usize, 1..3), 1..4)) {
        let text: Vec<String> = sizes
            .iter()
            .map(|part| part.iter().map(|&size| "abcd"[..size].to_owned()).collect::<Vec<_>>().join("+"))
            .collect();
        let text = text.join(" ");
        let foretold = of(&text).known_rows();
        let rows = rows(&text);
        prop_assert_eq!(foretold, Some(rows.len() as u64));
        let expected: usize = sizes.iter().map(|part| part.iter().min().copied().unwrap_or(0)).product();
        prop_assert_eq!(rows.len(), expected);
        // In the order of the sources, as they are written.
        prop_assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", rows);
    }
}
