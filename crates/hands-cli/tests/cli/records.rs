//! `--pipe`: stdin cut at record ends and spread over jobs, with nothing lost, doubled or changed.

use crate::kit::{bytes, out_of, refusal, refusal_of, text};
use crate::stage::Stage;

/// What each job got, in order, when each shows it in brackets.
#[track_caller]
fn blocks(flags: &[&str], stdin: &str) -> Vec<String> {
    let words = [&["-k", "--pipe"], flags, &["printf '['; cat; printf ']'"]].concat();
    let printed = out_of(&words, stdin);
    let inner = printed
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .expect("brackets");
    inner.split("][").map(str::to_owned).collect()
}

#[test]
fn blocks_are_about_as_large_as_asked_and_end_with_a_line() {
    assert_eq!(
        blocks(&["--block=5"], "1\n2\n3\n4\n55555555\n6\n"),
        ["1\n2\n", "3\n4\n", "55555555\n", "6\n"]
    );
    assert_eq!(blocks(&[], "a\nb"), ["a\nb"], "one block is a megabyte");
}

#[test]
fn a_block_has_so_many_records_if_they_are_counted() {
    assert_eq!(
        blocks(&["-N2"], "1\n22222\n3\n4\n5"),
        ["1\n22222\n", "3\n4\n", "5"]
    );
    assert_eq!(
        blocks(&["-N1", "--recend", ";"], "a;b;\n;c"),
        ["a;", "b;", "\n;", "c"]
    );
}

#[test]
fn records_start_and_end_where_they_are_said_to() {
    let fasta = ">one\nACGT\nACGT\n>two\nTT\n>three\nG\n";
    assert_eq!(
        blocks(&["-N1", "--recstart", ">"], fasta),
        [">one\nACGT\nACGT\n", ">two\nTT\n", ">three\nG\n"]
    );
    assert_eq!(
        blocks(
            &["--block=1", "--recend", r"\n", "--recstart", "x"],
            "x\na\nxb\n"
        ),
        ["x\na\n", "xb\n"]
    );
    assert_eq!(
        blocks(
            &["-N1", "--regexp", "--recend", r"\n\s*\n"],
            "a\nb\n \nc\n\nd"
        ),
        ["a\nb\n \n", "c\n\n", "d"]
    );
    assert_eq!(
        blocks(
            &["-N1", "--regexp", "--recstart", r"\d+:"],
            "1:a\nb\n22:c\n"
        ),
        ["1:a\nb\n", "22:c\n"]
    );
    assert_eq!(
        blocks(&["-N2", "--recend", ",", "--rrs"], "a,b,c"),
        ["ab", "c"]
    );
}

#[test]
fn without_a_record_end_blocks_are_exact() {
    assert_eq!(
        blocks(&["--block=3", "--recend", ""], "abcdefgh"),
        ["abc", "def", "gh"]
    );
}

#[test]
fn a_record_may_be_larger_than_a_block() {
    let long = format!("{}\n", "x".repeat(300_000));
    let text = format!("a\n{long}b\n{long}");
    assert_eq!(blocks(&["--block=1k"], &text), ["a\n", &long, "b\n", &long]);
}

#[test]
fn the_blocks_in_order_are_stdin_byte_for_byte() {
    // Every byte, records of all lengths, in an order that repeats nowhere near a block's length.
    let mut seed = 1_u32;
    let stdin: Vec<u8> = (0..400_000)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .collect();
    for flags in [
        &["--block=10k"][..],
        &["--block=64k", "--recend", r"\0"],
        &["--block=30k", "--recend", ""],
        &["--block=20k", "--recend", r"\x01", "--recstart", r"\x02"],
        &[
            "--block=50k",
            "--regexp",
            "--recend",
            r"(?-u:[\x80-\xff])\n",
        ],
        &["-N300"],
    ] {
        let stage = Stage::new();
        let words = [&["-k", "-j3", "--pipe"], flags, &["cat"]].concat();
        let got = bytes(stage.run(words).stdin(stdin.clone()));
        assert!(
            got == stdin,
            "{flags:?}: {} bytes of {}",
            got.len(),
            stdin.len()
        );
    }
}

#[test]
fn blocks_are_given_to_jobs_as_they_come() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut feed = crate::kit::Feed::new(&stage.path("feed"));
    let run = stage
        .shell("exec \"$HANDS\" run --pipe -N1 'cat >bell' <feed")
        .start();
    for (count, line) in ["a\n", "b\n", "c\n"].iter().enumerate() {
        feed.send(line);
        bell.rings(count + 1);
    }
    drop(feed);
    run.end().with_code(0);
    assert_eq!(bell.rings(3), ["a", "b", "c"]);
}

#[test]
fn a_block_can_be_given_twice() {
    let stage = Stage::new();
    let job = "cat; test -e again || { touch again; exit 1; }";
    let ended = stage
        .run(["--pipe", "--retries=2", "--retry-delay=0", job])
        .stdin("all of it\n")
        .end()
        .with_code(0);
    assert_eq!(ended.out(), "all of it\n");
}

#[test]
fn jobs_have_numbers_and_no_input_is_added() {
    assert_eq!(
        out_of(&["-k", "--pipe", "-N1", "echo {#}; cat"], "a\nb\n"),
        "1\na\n2\nb\n"
    );
    assert_eq!(out_of(&["--pipe", "wc", "-l"], "a\nb\n"), "2\n");
    assert_eq!(
        out_of(
            &["-k", "--pipe", "-N1", "--tagstring", "{#}", "cat"],
            "a\nb\n"
        ),
        "1\ta\n2\tb\n"
    );
}

#[test]
fn a_dry_run_shows_a_line_for_each_block() {
    assert_eq!(
        out_of(&["--dry-run", "--pipe", "-N1", "wc -l {#}"], "a\nb\n"),
        "wc -l 1\nwc -l 2\n"
    );
}

#[test]
fn what_cannot_be_cut_is_refused() {
    for (flags, part) in [
        (&["--block=0"][..], "`--block 0`"),
        (&["-N0"], "`-N 0`"),
        (&["--recend", r"\q"], r"`--recend \q`"),
        (&["--recstart", r"\q"], r"`--recstart \q`"),
        (
            &["--regexp", "--recend", "("],
            "`(` is not a regular expression",
        ),
        (&["--regexp", "--recend="], "`--regexp`"),
        (&["-0"], "`--null`"),
        (&["-a", "x"], "`--arg-file`"),
    ] {
        let told = refusal(&[&["--pipe"], flags, &["cat"]].concat());
        assert!(told.contains(part), "{flags:?}: {told}");
        assert!(told.contains("\n  hint: "), "{told}");
    }
    assert!(refusal(&["--pipe"]).contains("`--pipe` needs a command"));
    assert!(refusal(&["--pipe", "cat", ":::", "a"]).contains("`--pipe` and `:::`"));
}

#[test]
fn a_folder_as_stdin_is_refused() {
    let told = refusal_of(Stage::new().shell("exec \"$HANDS\" run --pipe cat </"));
    assert!(told.contains("stdin"), "{told}");
}

#[test]
fn what_is_spread_can_be_put_together_again() {
    let numbers: String = (1..=10_000).map(|number| format!("{number}\n")).collect();
    let stage = Stage::new();
    let script = "\"$HANDS\" run --pipe --block=5k 'awk \"{s+=\\$1} END {print s}\"' | awk '{s+=$1; n++} END {print s, (n > 5)}'";
    assert_eq!(text(stage.shell(script).stdin(numbers)), "50005000 1\n");
}
