//! `--pipe`: one stream, cut at record ends, fed to many jobs.

use crate::stage::Stage;

/// Lines of every length, some empty, the last without its end.
fn lines() -> Vec<u8> {
    let mut text = Vec::new();
    for number in 0..40_000_usize {
        text.extend(std::iter::repeat_n(
            b'a' + (number % 26) as u8,
            number * 7919 % 61,
        ));
        text.push(b'\n');
    }
    text.extend_from_slice(b"no end");
    text
}

#[test]
fn all_blocks_together_are_the_input() {
    let stage = Stage::new();
    let text = lines();
    for words in [
        &["--block", "10k"][..],
        &["--block", "1"],
        &["-N", "1000"],
        &["-N", "7", "--block", "1M"],
        &["--block", "10k", "--recend", "z"],
        &["--block", "10k", "--recstart", "qq"],
        &["--block", "50k", "--recend", "never there"],
        &["--block", "20k", "--retries", "2"],
    ] {
        if words == ["--block", "1"] {
            let short = &text[..2000];
            let ended = stage
                .run(["-k", "--pipe", "--block", "1", "cat"])
                .stdin(short)
                .end();
            assert!(ended.with_code(0).stdout == short);
            continue;
        }
        let ended = stage
            .run(["-k", "--pipe"].iter().chain(words).chain(&["cat"]))
            .stdin(text.clone())
            .end();
        assert!(ended.with_code(0).stdout == text, "{words:?}");
    }
}

#[test]
fn blocks_end_where_records_do() {
    let stage = Stage::new();
    let text: String = (1..=50_000).map(|n| format!("{n}\n")).collect();
    let ended = stage
        .run(["-k", "--pipe", "--block", "20k", "tail -c1 | od -An -c"])
        .stdin(text.clone())
        .end();
    let ends = ended.with_code(0);
    assert!(ends.out().lines().count() > 10);
    assert!(
        ends.out().lines().all(|line| line.trim() == r"\n"),
        "{}",
        ends.out()
    );
    let ended = stage
        .run(["-k", "--pipe", "-N", "1000", "wc -l"])
        .stdin(text)
        .end()
        .with_code(0);
    assert_eq!(ended.out(), "1000\n".repeat(50));
    let words = ["-k", "--pipe", "-N1", "--recstart", ">", "head -n1"];
    let ended = stage.run(words).stdin(">one\nACGT\n>two\nTT\nAA\n").end();
    assert_eq!(ended.with_code(0).out(), ">one\n>two\n");
}

#[test]
fn a_job_that_does_not_read_its_block_is_fine() {
    let stage = Stage::new();
    let ended = stage
        .run(["-k", "--pipe", "--block", "200k", "echo {#}"])
        .stdin(lines())
        .end()
        .with_code(0);
    assert!(ended.out().starts_with("1\n2\n"));
}

#[test]
fn a_record_longer_than_the_block_stays_whole() {
    let stage = Stage::new();
    let text = format!("{}\nshort\n", "x".repeat(300_000));
    let ended = stage
        .run(["-k", "--pipe", "--block", "1k", "wc -l"])
        .stdin(text)
        .end()
        .with_code(0);
    assert!(
        ended.out().lines().all(|count| count != "0"),
        "{}",
        ended.out()
    );
}

#[test]
fn a_block_whose_job_could_not_be_started_at_once_is_kept() {
    let stage = Stage::new();
    let script = r#"ulimit -n 24; "$HANDS" run -k -j20 --pipe --block 5k 'sleep 0.05; cat'"#;
    let text: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
    let ended = stage.shell(script).stdin(text.clone()).end();
    assert!(ended.with_code(0).out() == text);
}
