//! What the program does when the world does not go along: a reader that leaves, a full disk, no
//! more descriptors, no more processes. It goes on where it can, ends with a clear word where it
//! cannot, and never takes a half for a whole.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::stage::{Ended, RING, Stage, rows};

/// Each way of writing, with flags for it.
const WAYS: &[&[&str]] = &[
    &[],
    &["-k"],
    &["-j1"],
    &["--line-buffer"],
    &["--tag"],
    &["--json"],
    &["--dry-run"],
];

fn numbers(upto: u32) -> String {
    (1..=upto).map(|number| format!("{number}\n")).collect()
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    for way in WAYS {
        let stage = Stage::new();
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let words = way.iter().chain(&["--joblog", "log", "echo"]);
        let run = stage.run(words).stdin(numbers(100_000));
        let reading = std::thread::spawn(move || {
            let mut first = [0];
            reader.read_exact(&mut first).expect("some output");
        });
        let ended = run.stdout_to(writer).with_code(141);
        assert_eq!(ended.stderr, "", "{way:?}");
        reading.join().expect("the reader");
    }
}

#[test]
fn head_gets_its_lines() {
    let stage = Stage::new();
    let ended = stage
        .shell("\"$HANDS\" run -k echo {} < numbers | head -n 3")
        .stdin(numbers(100_000));
    stage.write("numbers", numbers(100_000));
    let ended = ended.end().with_code(0);
    assert_eq!((ended.out(), ended.stderr.as_str()), ("1\n2\n3\n", ""));
}

#[test]
fn jobs_that_run_when_the_reader_leaves_are_ended() {
    let stage = Stage::new();
    let bell = stage.bell();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let job =
        format!("{RING} [ {{}} = quick ] && echo out && exit; setsid sleep 1000 & sleep 1000");
    let ended = stage
        .run(["-j3", "--grace", "0.2", &job, ":::", "quick", "a", "b"])
        .stdout_to(writer)
        .with_code(141);
    assert_eq!(ended.stderr, "");
    bell.silence();
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    for way in WAYS.iter().chain(&[&["--progress", "plain"][..]]) {
        let stage = Stage::new();
        let full = File::create("/dev/full").expect("/dev/full");
        let ended = stage
            .run(way.iter().chain(&["echo", ":::", "a", "b"]))
            .stdout_to(full)
            .with_code(255)
            .says("No space left on device")
            .calmly();
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    }
}

#[test]
fn a_job_that_cannot_write_itself_has_failed() {
    let stage = Stage::new();
    let full = File::create("/dev/full").expect("/dev/full");
    stage
        .run(["-u", "echo", ":::", "a", "b"])
        .stdout_to(full)
        .with_code(2);
}

#[test]
fn closed_descriptors_are_nobodys_panic() {
    let stage = Stage::new();
    // Every standard stream exists from the start, as /dev/null at worst: no file that is opened
    // later takes its number.
    for closed in [">&-", "<&-", ">&- 2>&- <&-"] {
        let script = format!("\"$HANDS\" run --joblog log echo ::: a {closed}");
        stage.shell(&script).end().with_code(0).calmly();
        assert_eq!(stage.rows("log").len(), 1, "{closed}");
    }
}

/// Runs `script` where `small` is a file system of `size` that nobody else sees.
#[track_caller]
pub(crate) fn on_a_small_disk(stage: &Stage, size: &str, script: &str) -> Ended {
    fs::create_dir_all(stage.path("small")).expect("a folder");
    // Where a user may not have a namespace of their own, root still may have one for mounts.
    let allowed = |words: &[&str]| {
        Command::new("unshare")
            .args(words)
            .arg("true")
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let unshare = if allowed(&["-rm"]) {
        "unshare -rm"
    } else if allowed(&["-m"]) {
        "unshare -m"
    } else {
        panic!(
            "a small file system cannot be mounted: `unshare -rm` (util-linux) is missing or not permitted; \
             allow user namespaces, or run as root"
        );
    };
    stage.write(
        "on-small.sh",
        format!("mount -t tmpfs -o size={size} none small || exit 99\n{script}\n"),
    );
    let ended = stage.shell(&format!("exec {unshare} sh on-small.sh")).end();
    assert_ne!(ended.code, 99, "{}", ended.stderr);
    ended.calmly()
}

#[test]
fn a_full_disk_under_waiting_output_holds_jobs_up_and_loses_nothing() {
    let stage = Stage::new();
    // With -k everything waits for job 1, which waits until the disk has been said to be full.
    let script = "mkfifo gate\n\
        \"$HANDS\" run -k -j4 --tmpdir small 'if [ {} = 1 ]; then read _ < gate; echo first; \
            else head -c 6000000 /dev/zero | tr \"\\0\" {}; fi' ::: 1 2 3 4 5 6 2>&1 >out |\n\
        while read -r line; do echo \"$line\"; case $line in *'cannot keep waiting output'*) echo > gate;; esac; done >told\n\
        cat told >&2";
    let ended = on_a_small_disk(&stage, "1m", script);
    assert!(
        ended
            .stderr
            .contains("cannot keep waiting output in `small`: No space left on device"),
        "{}",
        ended.stderr
    );
    let out = stage.bytes("out");
    let mut expected = b"first\n".to_vec();
    for digit in b'2'..=b'6' {
        expected.resize(expected.len() + 6_000_000, digit);
    }
    assert!(out == expected, "{} bytes of {}", out.len(), expected.len());
}

#[test]
fn a_full_disk_under_the_log_stops_the_batch_and_resuming_completes_it() {
    let stage = Stage::new();
    stage.write("numbers", numbers(1000));
    let script = "run() { \"$HANDS\" run -j2 --joblog small/log --resume 'echo {} >> ran' :::: numbers; }\n\
        run; echo $? > first; cp small/log log-first; cp ran ran-first\n\
        mount -o remount,size=4m small || exit 99\n\
        run 2> second-told; echo $? > second; cp small/log log-second";
    let ended = on_a_small_disk(&stage, "16k", script);
    assert!(
        ended
            .stderr
            .contains("error: cannot write to the job log `small/log`: No space left on device"),
        "{}",
        ended.stderr
    );
    assert_eq!(stage.text("first"), "255\n");
    assert_eq!(stage.text("second"), "0\n");
    let first = rows(&stage.text("log-first"));
    assert!(!first.is_empty() && first.len() < 1000);
    let second = rows(&stage.text("log-second"));
    assert_eq!(second.len(), 1000);
    let ran = stage.sorted("ran");
    for row in first {
        let number = row.seq.to_string();
        let times = ran.iter().filter(|ran| **ran == number).count();
        assert_eq!(times, 1, "{number} was logged and ran again");
    }
}

#[test]
fn a_full_disk_under_results_is_an_error_and_no_half_result_counts_as_done() {
    let stage = Stage::new();
    let script = "\"$HANDS\" run -j1 --joblog log --results small/results 'head -c {} /dev/zero' ::: 10 3000000 20 >out\n\
        echo $? > code";
    let ended = on_a_small_disk(&stage, "256k", script);
    assert!(
        ended.stderr.contains(
            "error: cannot write results to `small/results/1/3000000`: No space left on device"
        ),
        "{}",
        ended.stderr
    );
    assert_eq!(stage.text("code"), "255\n");
    let done: Vec<u64> = stage
        .rows("log")
        .iter()
        .filter(|row| row.exit == 0 && row.signal == 0)
        .map(|row| row.seq)
        .collect();
    assert_eq!(done, [1], "job 2 has half a result");
}

#[test]
fn a_full_disk_under_stdout_is_an_error() {
    let stage = Stage::new();
    let script = "\"$HANDS\" run -j2 -n0 'head -c 100000 /dev/zero' ::: 1 2 3 4 5 6 7 8 > small/out; echo $? > code";
    let ended = on_a_small_disk(&stage, "256k", script);
    assert!(
        ended
            .stderr
            .contains("error: cannot write the jobs' output: No space left on device"),
        "{}",
        ended.stderr
    );
    assert_eq!(stage.text("code"), "255\n");
}

/// `hands run` with these words where no more than `most` descriptors may be open. What the test
/// runner has left open beside the usual three is closed first, for which it takes bash: others
/// know no numbers above 9.
fn with_descriptors(stage: &Stage, most: u32, words: &str) -> Ended {
    let script = format!(
        "for fd in /proc/self/fd/*; do fd=${{fd##*/}}; ((fd > 2)) && eval \"exec $fd>&-\"; done\n\
         ulimit -n {most}; exec \"$HANDS\" run {words}"
    );
    // Not from a file, which would be open itself.
    let ended = stage
        .shell("exec bash -c \"$SCRIPT\"")
        .env("SCRIPT", script);
    ended.end().calmly()
}

#[test]
fn too_few_descriptors_make_it_slower_and_lose_nothing() {
    let stage = Stage::new();
    stage.write("numbers", numbers(60));
    let ended = with_descriptors(&stage, 20, "-k -j50 echo {} :::: numbers")
        .with_code(0)
        .says("Too many open files");
    assert!(ended.out() == numbers(60));
    assert_eq!(
        ended.stderr.lines().count(),
        1,
        "told once:\n{}",
        ended.stderr
    );
}

#[test]
fn fewer_descriptors_than_one_job_needs_is_an_error() {
    let stage = Stage::new();
    for most in [4, 6, 9, 12, 15] {
        let ended = with_descriptors(&stage, most, "echo ::: a b c");
        // Where there are enough for a job, they are run.
        assert!(
            ended.code == 255 || ended.out() == "a\nb\nc\n",
            "{most}: {ended:?}"
        );
        assert!(
            ended.code == 0 || ended.stderr.contains("error: "),
            "{most}: {ended:?}"
        );
    }
}

#[test]
fn too_few_processes_make_it_slower_and_lose_nothing() {
    let stage = Stage::new();
    // Root may have any number. Others' processes count for nothing in a namespace of their own.
    let own = if rustix::process::getuid().is_root() {
        // A user that has no process; told apart, should two of these tests run at once.
        let uid = 1_000_000_000 + std::process::id();
        format!("setpriv --reuid {uid} --clear-groups")
    } else {
        "unshare --user".to_owned()
    };
    // The program may be built where another user cannot look.
    fs::copy(crate::stage::HANDS, stage.path("hands")).expect("a copy");
    fs::set_permissions(stage.folder(), fs::Permissions::from_mode(0o755)).expect("its mode");
    // Jobs that need no process but their own.
    let ended = stage
        .shell(&format!(
            "{own} true || exit 99; exec {own} prlimit --nproc=6 ./hands run -k -j20 tail -c 4 {{}} :::: names"
        ))
        .env("TMPDIR", "/tmp");
    let names: Vec<String> = (1..=100)
        .map(|number| format!("file-{number:03}"))
        .collect();
    for name in &names {
        stage.write(name, format!("{}\n", &name[5..]));
    }
    stage.write("names", names.join("\n"));
    let ended = ended.end();
    assert_ne!(
        ended.code, 99,
        "cannot be another user, or have a user namespace: {}",
        ended.stderr
    );
    let ended = ended.with_code(0).calmly();
    let expected: String = (1..=100).map(|number| format!("{number:03}\n")).collect();
    assert!(ended.out() == expected);
    assert!(
        ended.stderr.contains("Resource temporarily unavailable"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_input_that_cannot_be_read_is_an_error() {
    let stage = Stage::new();
    for (words, told) in [
        (&["echo", "::::", "nowhere"][..], "nowhere"),
        (&["-a", "nowhere", "echo"], "nowhere"),
        (&["echo", "::::", "."], "."),
    ] {
        stage.run(words).end().with_code(255).says(told).calmly();
    }
}

#[test]
fn a_file_that_may_not_grow_is_a_full_disk() {
    let stage = Stage::new();
    let script =
        r#"ulimit -f 500; "$HANDS" run -j2 'head -c 3000000 /dev/zero; true' ::: 1 2 3 | wc -c"#;
    let ended = stage.shell(script).end().with_code(0).calmly();
    assert_eq!(ended.out().trim(), "9000000");
}
