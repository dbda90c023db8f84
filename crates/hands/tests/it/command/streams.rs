//! What goes in and what comes out.

use std::fs::File;
use std::io;

use hands::command::{Command, CommandError, OutputStream};

use crate::support::{TAG, Tag, folder, in_time};

/// Megabytes in which no two neighbouring blocks are the same, so that a lost or doubled piece
/// shows.
fn megabytes(count: usize) -> Vec<u8> {
    (0..count * 250_000)
        .flat_map(|number| u32::try_from(number).expect("small").to_le_bytes())
        .collect()
}

#[test]
fn megabytes_go_in_and_come_out_of_both_outputs_at_once() {
    let input = megabytes(8);
    let command = Command::new("tee").arg("/dev/stderr").stdin(input.clone());
    let output = in_time(move || command.output()).expect("tee runs");
    assert!(output.success());
    assert!(output.stdout == input);
    assert!(output.stderr == input);
}

#[test]
fn one_output_may_be_megabytes_ahead_of_the_other() {
    let command = Command::shell(
        "head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2",
    );
    let output = in_time(move || command.output()).expect("sh runs");
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (5_000_000, 10_000_000)
    );
}

#[test]
fn a_child_that_never_reads_its_stdin_ends_all_the_same() {
    let command = Command::shell("echo done").stdin(megabytes(4));
    let output = in_time(move || command.output()).expect("sh runs");
    assert!(output.success());
    assert_eq!(output.stdout, b"done\n");
}

#[test]
fn a_child_that_closes_its_stdin_and_goes_on_is_not_held_up() {
    let command = Command::shell("exec 0<&-; head -c 3000000 /dev/zero").stdin(megabytes(4));
    let output = in_time(move || command.output()).expect("sh runs");
    assert!(output.success());
    assert_eq!(output.stdout.len(), 3_000_000);
}

#[test]
fn a_child_that_wants_one_byte_of_many_gets_it() {
    let command = Command::new("head")
        .args(["-c", "1"])
        .stdin(b"x".repeat(8_000_000));
    let output = in_time(move || command.output()).expect("head runs");
    assert!(output.success());
    assert_eq!(output.stdout, b"x");
}

#[test]
fn a_grandchild_gets_the_whole_stdin_after_its_parent_has_ended() {
    let input = megabytes(1);
    let command = Command::shell("exec 3<&0; cat <&3 &").stdin(input.clone());
    let output = in_time(move || command.output()).expect("sh runs");
    assert_eq!(output.stdout.len(), input.len());
    assert!(output.stdout == input);
}

#[test]
fn stdin_is_empty_unless_given() {
    let command = Command::new("wc").arg("-c");
    let output = in_time(move || command.output()).expect("wc runs");
    assert_eq!(output.stdout, b"0\n");
}

#[test]
fn stdin_may_be_a_file() {
    let folder = folder();
    let path = folder.path().join("input");
    std::fs::write(&path, "from a file").expect("write");
    let command = Command::new("cat").stdin(File::open(&path).expect("open"));
    let twice = command.clone();
    let output = in_time(move || command.output()).expect("cat runs");
    assert_eq!(output.stdout, b"from a file");
    // The two share one file position, as they would in a shell.
    assert_eq!(
        in_time(move || twice.output()).expect("cat runs").stdout,
        b""
    );
}

#[test]
fn every_byte_arrives_as_it_is() {
    use std::os::unix::ffi::OsStrExt;
    let all: Vec<u8> = (1..=255).collect();
    let command = Command::new("printf")
        .arg("%s")
        .arg(std::ffi::OsStr::from_bytes(&all));
    let output = in_time(move || command.output()).expect("printf runs");
    assert_eq!(output.stdout, all);
    let every: Vec<u8> = (0..=255).collect();
    let command = Command::new("cat").stdin(every.clone());
    assert_eq!(
        in_time(move || command.output()).expect("cat runs").stdout,
        every
    );
}

#[test]
fn merged_outputs_keep_the_order_in_which_they_were_written() {
    let command = Command::shell("echo 1; echo 2 >&2; echo 3; echo 4 >&2").merge_stderr();
    let output = in_time(move || command.output()).expect("sh runs");
    assert_eq!(output.stdout_text(), "1\n2\n3\n4\n");
    assert_eq!(output.stderr, b"");
}

#[test]
fn a_capture_limit_ends_an_endless_writer() {
    for (line, stream) in [("exec yes", 0), ("exec yes >&2", 1)] {
        let tag = Tag::new();
        let command = Command::shell(line)
            .capture_limit(100_000)
            .env(TAG, tag.value());
        let error = in_time(move || command.output()).expect_err("too much");
        let CommandError::TooMuchOutput { limit, output, .. } = error else {
            panic!("another error: {error}");
        };
        assert_eq!(limit, 100_000);
        let kept = [output.stdout.len(), output.stderr.len()];
        assert_eq!(kept[stream], 100_000, "what was written by then is there");
        tag.assert_gone();
    }
}

#[test]
fn output_of_exactly_the_capture_limit_is_no_error() {
    let command = Command::shell("head -c 70000 /dev/zero; head -c 70000 /dev/zero >&2");
    let command = command.capture_limit(70_000);
    let output = in_time(move || command.output()).expect("not too much");
    assert_eq!((output.stdout.len(), output.stderr.len()), (70_000, 70_000));
}

#[test]
fn streamed_output_comes_in_small_pieces_and_in_order() {
    let (output, largest, got, errors) = in_time(|| {
        let (mut largest, mut got, mut errors) = (0, 0_u64, Vec::new());
        let command = Command::shell("head -c 50000000 /dev/zero; echo end >&2");
        let output = command.stream(|stream, piece| {
            match stream {
                OutputStream::Stdout => got += piece.len() as u64,
                OutputStream::Stderr => errors.extend_from_slice(piece),
            }
            largest = largest.max(piece.len());
            Ok(())
        });
        (output.expect("sh runs"), largest, got, errors)
    });
    assert_eq!(got, 50_000_000);
    assert_eq!(errors, b"end\n");
    assert!(largest <= 64 * 1024, "{largest} bytes at once");
    assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0));
}

#[test]
fn a_receiver_that_fails_ends_the_command_and_is_heard() {
    let tag = Tag::new();
    let command = Command::new("yes").env(TAG, tag.value());
    let error = in_time(move || {
        let mut calls = 0;
        let result = command.stream(|_, _| {
            calls += 1;
            Err(io::Error::other("the receiver is full"))
        });
        assert_eq!(calls, 1, "not called again after its error");
        result.expect_err("the receiver's error")
    });
    let text = error.to_string();
    assert!(text.contains("`yes`") && text.contains("stdout"), "{text}");
    assert!(text.contains("the receiver is full"), "{text}");
    tag.assert_gone();
}

#[test]
fn a_receiver_that_panics_leaves_nothing_behind() {
    let tag = Tag::new();
    let command = Command::shell("setsid sleep 1000 & yes").env(TAG, tag.value());
    in_time(move || {
        let stream = std::panic::AssertUnwindSafe(|| {
            let _ = command.stream(|_, _| std::panic::resume_unwind(Box::new("expected")));
        });
        std::panic::catch_unwind(stream).expect_err("the panic goes on");
    });
    tag.assert_gone();
}
