//! Ctrl-C and its relatives: first drain, then TERM, then KILL; each said, and how to go on.

use std::fs;
use std::process::Command;

use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};

use crate::stage::{Bell, Gate, Playing, RING, Stage, sorted};

/// Waits at the gate, unless the file `again` is there.
const JOB: &str = "exec 9>bell; echo {} >&9; [ -e again ] || read _ < gate; echo {} >> ran";

/// Two of four jobs run and wait at the gate.
fn two_of_four() -> (Stage, Bell, Gate, Playing) {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let gate = stage.gate();
    let words = ["-j2", "--joblog", "log", JOB, ":::", "a", "b", "it's", "d"];
    let playing = stage.run(words).start();
    bell.rings(2);
    (stage, bell, gate, playing)
}

#[test]
fn the_first_signal_starts_no_more_and_waits_for_the_running_jobs() {
    for signal in [Signal::INT, Signal::HUP] {
        let (stage, bell, mut gate, mut playing) = two_of_four();
        playing.signal(signal);
        playing.told("interrupted: starting no more jobs and waiting for the running ones");
        gate.open(2);
        playing.end().with_code(130).calmly();
        assert_eq!(stage.sorted("ran"), ["a", "b"]);
        assert_eq!(stage.rows("log").len(), 2);
        bell.silence();
    }
}

#[test]
fn the_command_that_goes_on_is_printed_and_works() {
    let (stage, _bell, mut gate, mut playing) = two_of_four();
    playing.signal(Signal::INT);
    playing.told("starting no more jobs");
    gate.open(2);
    let ended = playing.end().with_code(130);
    let command = ended.stderr.lines().last().expect("a last line");
    assert!(
        command.contains(" run --resume -j2 --joblog log "),
        "{command}"
    );
    stage.write("again", "");
    stage.shell(command).end().with_code(0);
    assert_eq!(stage.sorted("ran"), ["a", "b", "d", "it's"]);
    // And once more, as it is.
    let ended = stage.shell(command).end().with_code(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn the_second_signal_terminates_the_jobs() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let job = format!(
        "trap 'echo {{}} >> saved; exit' TERM; {RING} sleep 1000 & wait $!; echo {{}} >> ran"
    );
    let mut playing = stage
        .run(["-j2", "--joblog", "log", &job, ":::", "a", "b", "c"])
        .start();
    bell.rings(2);
    playing.signal(Signal::INT);
    playing.told("starting no more jobs");
    playing.signal(Signal::INT);
    playing.told("sent TERM to the running jobs");
    playing
        .end()
        .with_code(130)
        .says("2 running jobs were ended; to go on where it stopped:");
    bell.silence();
    assert_eq!(stage.sorted("saved"), ["a", "b"]);
    assert!(stage.sorted("ran").is_empty());
    assert!(stage.rows("log").is_empty(), "they are to run again");
}

#[test]
fn what_a_terminated_job_leaves_behind_is_killed_after_the_grace() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let job =
        format!("trap 'exit 3' TERM; (trap '' TERM; {RING} while :; do sleep 1000; done) & wait");
    let mut playing = stage
        .run(["--grace", "0.1", "-n0", &job, ":::", "a"])
        .start();
    bell.rings(1);
    playing.signal(Signal::INT);
    playing.told("starting no more jobs");
    playing.signal(Signal::INT);
    playing.end().with_code(130).says("sent TERM");
    bell.silence();
}

#[test]
fn the_third_signal_kills_whatever_is_left() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    // The bell is opened before the children start, which are to hold it too.
    let job = "exec 9>bell; trap '' TERM; (sleep 1000; sleep 1000) & \
         setsid sh -c \"trap '' TERM; sleep 1000; sleep 1000\" & \
         echo {} >&9; sleep 1000; sleep 1000";
    let mut playing = stage.run(["-j2", job, ":::", "a", "b"]).start();
    bell.rings(2);
    for (signal, told) in [
        (
            Signal::INT,
            "waiting for the running ones; again to end them",
        ),
        (
            Signal::HUP,
            "sent TERM to the running jobs; again to kill them",
        ),
        (Signal::INT, "killed the running jobs"),
    ] {
        playing.signal(signal);
        playing.told(told);
    }
    playing.end().with_code(130);
    bell.silence();
}

#[test]
fn term_goes_straight_to_the_jobs_and_a_second_one_kills() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let job = format!("trap '' TERM; {RING} while :; do sleep 1000; done");
    let mut playing = stage.run(["-j2", &job, ":::", "a", "b"]).start();
    bell.rings(2);
    playing.signal(Signal::TERM);
    playing.told("sent TERM to the running jobs");
    playing.signal(Signal::TERM);
    playing.told("killed the running jobs");
    playing.end().with_code(130);
    bell.silence();
}

#[test]
fn jobs_that_obey_need_only_one_term() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let job = format!("{RING} sleep 1000");
    let playing = stage.run(["-j2", &job, ":::", "a", "b", "c"]).start();
    bell.rings(2);
    playing.signal(Signal::TERM);
    playing
        .end()
        .with_code(130)
        .says("with `--joblog FILE` a run can be taken up again with `--resume`");
    bell.silence();
}

#[test]
fn a_signal_that_was_ignored_from_the_start_stays_ignored() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut gate = stage.gate();
    let playing = stage
        .shell(&format!(
            "exec env --ignore-signal=HUP \"$HANDS\" run '{RING} read _ < gate' ::: a b"
        ))
        .start();
    bell.rings(1);
    playing.signal(Signal::HUP);
    gate.open(2);
    let ended = playing.end().with_code(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn waiting_for_input_is_interrupted_too() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut playing = stage
        .run(["--joblog", "log", RING.trim_end_matches("; ")])
        .start_open();
    playing.type_in("first\n");
    bell.rings(1);
    playing.signal(Signal::INT);
    playing
        .end()
        .with_code(130)
        .says("to go on where it stopped (with the same input on stdin):");
}

#[test]
fn a_job_that_waits_for_its_next_try_is_given_up_and_runs_on_resuming() {
    let stage = Stage::new();
    let words = [
        "--joblog",
        "log",
        "--resume",
        "--retries",
        "2",
        "--retry-delay",
        "1000",
    ];
    let words = words
        .into_iter()
        .chain(["[ -e again ] || exit 3", ":::", "a"]);
    let mut playing = stage.run(words.clone()).start();
    playing.told("trying again in 16m40s");
    playing.signal(Signal::INT);
    playing.end().with_code(130);
    assert!(stage.rows("log").is_empty());
    stage.write("again", "");
    stage.run(words).end().with_code(0);
    assert_eq!(stage.rows("log").len(), 1);
}

#[test]
fn suspending_stops_the_jobs_until_it_is_continued() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut gate = stage.gate();
    let playing = stage
        .run([
            "-j2",
            "echo $$ > bell; read _ < gate; echo {} >> ran",
            ":::",
            "a",
            "b",
        ])
        .start();
    let jobs = bell.rings(2);
    playing.signal(Signal::TSTP);
    let stopped = WaitIdOptions::STOPPED;
    waitid(WaitId::Pid(playing.pid()), stopped).expect("it stops");
    for job in &jobs {
        // It has been told to stop; whether it has is only to be seen.
        while state(job) != 'T' {
            std::thread::yield_now();
        }
    }
    playing.signal(Signal::CONT);
    waitid(WaitId::Pid(playing.pid()), WaitIdOptions::CONTINUED).expect("it goes on");
    gate.open(2);
    playing.end().with_code(0);
    assert_eq!(stage.sorted("ran"), ["a", "b"]);
}

/// The letter for a process's state; `X` when it is gone.
fn state(pid: &str) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(')').map(|(_, after)| after.trim_start());
    after.and_then(|after| after.chars().next()).unwrap_or('X')
}

#[test]
fn a_job_leads_its_own_process_group() {
    // So a terminal's Ctrl-C does not reach it.
    let stage = Stage::new();
    let job = "echo $(cut -d ' ' -f 5 /proc/$$/stat) $$";
    let ended = stage.run(["-n0", job, ":::", "a"]).end().with_code(0);
    let words: Vec<&str> = ended.out().split_whitespace().collect();
    assert_eq!(words[0], words[1]);
}

#[test]
fn no_descriptor_of_the_program_reaches_a_job() {
    let stage = Stage::new();
    let list = "ls /proc/self/fd";
    let plain = Command::new("sh")
        .args(["-c", list])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .output()
        .expect("`sh`");
    let plain = sorted(&String::from_utf8_lossy(&plain.stdout));
    let input: String = (0..20).map(|n| format!("{n}\n")).collect();
    for flags in [
        &["-j4", "--joblog", "log", "--results", "results"][..],
        &["-k", "--retries", "3", "--timeout", "100"],
        &["-u"],
        &["-n0", "--json", "--progress", "plain"],
    ] {
        let words = flags
            .iter()
            .chain(&["-n0", "ls /proc/self/fd > fds-$HANDS_SEQ"]);
        stage.run(words).stdin(input.as_str()).end().with_code(0);
        for seq in 1..=20 {
            assert_eq!(
                stage.sorted(&format!("fds-{seq}")),
                plain,
                "{flags:?}, job {seq}"
            );
        }
    }
}
