//! `--joblog`: GNU parallel's columns, and a row only for a job that has ended.

use crate::stage::{HEADER, RING, Stage};

#[test]
fn the_log_has_the_columns_of_gnu_parallel() {
    let stage = Stage::new();
    let job = "printf 12345; case {} in dies) kill -9 $$;; esac; exit {}";
    stage
        .run(["-j1", "--joblog", "log", job, ":::", "0", "7", "dies"])
        .end()
        .with_code(2);
    let rows = stage.rows("log");
    let facts: Vec<_> = rows
        .iter()
        .map(|row| (row.seq, row.sent, row.received, row.exit, row.signal))
        .collect();
    assert_eq!(facts, [(1, 0, 5, 0, 0), (2, 0, 5, 7, 0), (3, 0, 5, 0, 9)]);
    assert_eq!(
        rows[1].command,
        "printf 12345; case 7 in dies) kill -9 $$;; esac; exit 7"
    );
    assert!(rows.iter().all(|row| row.start > 1e9 && row.runtime >= 0.0));
}

#[test]
fn bytes_given_to_a_job_are_counted() {
    let stage = Stage::new();
    stage
        .run(["-j1", "--pipe", "-N", "2", "--joblog", "log", "wc -c"])
        .stdin("one\ntwo\nthree\n")
        .end()
        .with_code(0);
    let sent: Vec<u64> = stage.rows("log").iter().map(|row| row.sent).collect();
    assert_eq!(sent, [8, 6]);
}

#[test]
fn a_job_has_a_row_only_once_it_has_ended() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut gate = stage.gate();
    let job = format!("{RING} [ {{}} = quick ] || read _ < gate");
    let playing = stage
        .run([
            "-j2", "--joblog", "log", &job, ":::", "slow", "quick", "late",
        ])
        .start();
    // `late` has the slot of `quick`, which has ended and been logged by then.
    bell.rings(3);
    let seqs: Vec<u64> = stage.rows("log").iter().map(|row| row.seq).collect();
    assert_eq!(seqs, [2]);
    gate.open(2);
    playing.end().with_code(0);
    assert_eq!(stage.rows("log").len(), 3);
    bell.silence();
}

#[test]
fn a_job_that_could_not_be_started_is_logged_as_a_shell_would_tell_it() {
    let stage = Stage::new();
    stage.write("plain", "no program");
    stage
        .run([
            "-j1",
            "--joblog",
            "log",
            "{}",
            "x",
            ":::",
            "./nowhere",
            "./plain",
            "true",
        ])
        .end()
        .with_code(2)
        .says("job 1 did not start: cannot run `./nowhere`: not found");
    let codes: Vec<i32> = stage.rows("log").iter().map(|row| row.exit).collect();
    assert_eq!(codes, [127, 126, 0]);
}

#[test]
fn a_command_of_any_bytes_is_one_row() {
    let stage = Stage::new();
    stage
        .run(["-0", "--joblog", "log", "true"])
        .stdin(&b"two\nlines\0a\ttab\0caf\xe9\0"[..])
        .end()
        .with_code(0);
    let log = stage.bytes("log");
    let rows: Vec<&[u8]> = log.split(|&byte| byte == b'\n').skip(1).collect();
    assert_eq!(rows.len(), 4, "three rows, and nothing behind the last");
    for row in &rows[..3] {
        assert_eq!(row.iter().filter(|&&byte| byte == b'\t').count(), 8);
    }
}

#[test]
fn a_new_run_starts_the_log_anew() {
    let stage = Stage::new();
    for input in ["a", "b"] {
        stage
            .run(["--joblog", "log", "true", ":::", input])
            .end()
            .with_code(0);
    }
    let commands: Vec<String> = stage
        .rows("log")
        .into_iter()
        .map(|row| row.command)
        .collect();
    assert_eq!(commands, ["true b"]);
}

#[test]
fn a_file_that_is_no_log_is_left_alone() {
    let stage = Stage::new();
    stage.write("notes", "dear diary\n");
    for flags in [
        &["--joblog", "notes"][..],
        &["--joblog", "notes", "--resume"],
    ] {
        stage
            .run(flags.iter().chain(&["touch", ":::", "ran"]))
            .end()
            .with_code(255)
            .says("`notes` is not a job log");
    }
    assert_eq!(stage.text("notes"), "dear diary\n");
    assert!(!stage.path("ran").exists());
}

#[test]
fn what_is_refused_or_only_shown_leaves_the_log_of_the_last_run_alone() {
    let stage = Stage::new();
    stage
        .run(["--joblog", "log", "true", ":::", "a"])
        .end()
        .with_code(0);
    let log = stage.text("log");
    for (words, code) in [
        (&["no-such-program", ":::", "b"][..], 255),
        (&["--dry-run", "true", ":::", "b"], 0),
        (&["--workdir", "nowhere", "true", ":::", "b"], 255),
        (&["true", "::::", "nowhere"], 255),
    ] {
        stage
            .run(["--joblog", "log"].iter().chain(words))
            .end()
            .with_code(code);
        assert_eq!(stage.text("log"), log, "{words:?}");
    }
}

#[test]
fn a_dry_run_makes_no_log() {
    let stage = Stage::new();
    let words = ["--dry-run", "--joblog", "log", "echo", ":::", "a"];
    let ended = stage.run(words).end().with_code(0);
    assert_eq!(ended.out(), "echo a\n");
    assert!(!stage.path("log").exists());
}

#[test]
fn a_log_that_cannot_be_opened_stops_the_batch_before_it_starts() {
    let stage = Stage::new();
    stage
        .run(["--joblog", "no/such/folder/log", "touch", ":::", "ran"])
        .end()
        .with_code(255)
        .says("cannot open the job log `no/such/folder/log`");
    assert!(!stage.path("ran").exists());
}

#[test]
fn a_batch_without_jobs_has_a_log_without_rows() {
    let stage = Stage::new();
    stage.run(["--joblog", "log", "true"]).end().with_code(0);
    assert_eq!(stage.text("log"), HEADER);
}
