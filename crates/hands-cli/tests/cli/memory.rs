//! The program's memory is bounded whatever the number of jobs or inputs. The peak is read from the
//! kernel.
//!
//! A job looks at its parent's `VmHWM` in `/proc`, the most it ever had resident. (`ru_maxrss`
//! would not do: a process starts with what the test runner, which forked it, had resident.)
//!
//! The pages of the program's own file are not counted: what runs here is not optimised, and how
//! much of its 64 MB the kernel maps at once depends on how the page cache came to hold it.
//! `benches/run` has the peak of a release build.

use crate::stage::{Run, Stage};

const MIB: u64 = 1024;

/// A stage with the program `look`, which writes the name and the peak of whoever started it, in
/// KiB, to the file `peak`.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.script(
        "look",
        "awk '/^Name:/ { name = $2 } /^VmHWM/ { peak = $2 } /^RssFile/ { file = $2 }
        END { print name, peak - file }' /proc/$PPID/status > $$.peak && mv $$.peak peak",
    );
    stage
}

/// Checks that the peak of `run`, as the last job to look saw it, is at most `bound` KiB.
#[track_caller]
fn at_most(bound: u64, stage: &Stage, run: Run) {
    run.end().with_code(0);
    check_peak(bound, stage);
}

#[track_caller]
fn check_peak(bound: u64, stage: &Stage) {
    let text = stage.text("peak");
    let (name, peak) = text.trim().split_once(' ').expect("two words");
    assert_eq!(name, "hands", "somebody else was looked at");
    let peak: u64 = peak.parse().expect("a number");
    assert!(peak <= bound, "{peak} KiB are more than {bound}");
}

/// 5,000 commands, of which the last looks.
fn commands() -> String {
    "true\n".repeat(4999) + "exec ./look\n"
}

fn million() -> String {
    (1..=1_000_000)
        .map(|number| format!("{number}\n"))
        .collect()
}

#[test]
fn five_thousand_jobs_take_less_than_15_mib() {
    let stage = stage();
    let run = stage.run(["-j2", "{}"]).stdin(commands());
    at_most(15 * MIB, &stage, run);
}

#[test]
fn five_thousand_jobs_in_order_with_a_log_take_less_than_15_mib() {
    let stage = stage();
    let words = ["-j2", "-k", "--tag", "--joblog", "log", "{}"];
    at_most(15 * MIB, &stage, stage.run(words).stdin(commands()));
    assert_eq!(stage.rows("log").len(), 5000);
}

#[test]
fn resuming_behind_five_thousand_jobs_takes_less_than_15_mib() {
    let stage = stage();
    let row = |seq: u64| format!("{seq}\t:\t1795418470.102\t     0.003\t0\t2\t0\t0\ttrue\n");
    let rows: String = (1..5000).map(row).collect();
    stage.write("log", format!("{}{rows}", crate::stage::HEADER));
    let words = ["-j2", "--joblog", "log", "--resume", "{}"];
    at_most(15 * MIB, &stage, stage.run(words).stdin(commands()));
}

#[test]
fn a_million_inputs_take_less_than_20_mib() {
    for flags in [&["-n", "10000"][..], &["-X"]] {
        let stage = stage();
        let words = flags.iter().chain(&["-j2", "./look"]);
        at_most(20 * MIB, &stage, stage.run(words).stdin(million()));
    }
}

#[test]
fn a_million_inputs_of_which_few_are_run_take_less_than_20_mib() {
    let stage = stage();
    let words = [
        "-j2",
        "--halt",
        "soon,success=100",
        "./look",
        "::::",
        "million",
    ];
    stage.write("million", million());
    at_most(20 * MIB, &stage, stage.run(words));
}

#[test]
fn a_million_records_spread_over_jobs_take_less_than_20_mib() {
    let stage = stage();
    let words = [
        "-j2",
        "--pipe",
        "--block",
        "100k",
        "cat > /dev/null; exec ./look",
    ];
    at_most(20 * MIB, &stage, stage.run(words).stdin(million()));
}

#[test]
fn output_that_waits_for_its_turn_is_not_kept_in_memory() {
    let stage = stage();
    let mut gate = stage.gate();
    // 100 MB wait for job 1, which looks when all of them have been written.
    let job = "case {} in 1) read _ < gate; exec ./look;; *) head -c 10000000 /dev/zero; echo {} >&9;; esac";
    let mut bell = stage.bell();
    let job = format!("exec 9>bell; {job}");
    let inputs: Vec<String> = (1..=11).map(|number| number.to_string()).collect();
    let words = ["-j4", "-k", &job, ":::"];
    let words = words.into_iter().chain(inputs.iter().map(String::as_str));
    let playing = stage.run(words).start();
    bell.rings(10);
    gate.open(1);
    let ended = playing.end().with_code(0);
    assert_eq!(ended.stdout.len(), 100_000_000);
    check_peak(20 * MIB, &stage);
}
