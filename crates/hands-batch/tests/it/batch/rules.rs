//! Retries, halting and time-outs.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use hands_batch::policy::{HaltWhen, Retries, Timeout};
use hands_batch::{Batch, Commands, Outcome, Summary};

use crate::recorder::{End, Recorder, Shared, shell};
use crate::support::{TAG, Tag, folder, in_time};

/// Runs shell lines; returns the summary, all ends in order, and the notices.
fn run<S: AsRef<str>>(
    batch: Batch,
    lines: impl IntoIterator<Item = S>,
) -> (Summary, Vec<End>, Vec<String>) {
    let work = Commands::new(shell(lines));
    let batch = batch
        .stdout(Shared::default().sink())
        .stderr(Shared::default().sink());
    in_time(move || {
        let mut recorder = Recorder::default();
        let summary = batch.run(work, &mut recorder).expect("it runs");
        (summary, recorder.ends, recorder.notices)
    })
}

fn end(ends: &[End], number: u64) -> &End {
    ends.iter()
        .rev()
        .find(|end| end.number == number)
        .expect("the job has ended")
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_job_is_tried_until_it_succeeds_with_longer_and_longer_waits() {
    let folder = folder();
    let line = format!(
        "echo x >> {0}; test $(wc -l < {0}) -ge 4",
        folder.path().join("count").display()
    );
    let batch = Batch::new().retries(Retries::times(9).with_delay(MS));
    let (summary, ends, _) = run(batch, [line]);
    let outcomes: Vec<_> = ends.iter().map(|end| (end.attempt, end.outcome)).collect();
    let failed = |delay: u32| Outcome::Failure {
        retry: Some(MS * delay),
    };
    let expected = [
        (1, failed(1)),
        (2, failed(2)),
        (3, failed(4)),
        (4, Outcome::Success),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(
        (summary.succeeded, summary.failed, summary.exit_code),
        (1, 0, 0)
    );
}

#[test]
fn a_job_that_never_succeeds_is_one_failure_after_all_its_tries() {
    let batch = Batch::new()
        .jobs(2)
        .retries(Retries::times(3).with_delay(MS));
    let (summary, ends, _) = run(batch, ["exit 7", "true"]);
    assert_eq!(
        (summary.succeeded, summary.failed, summary.exit_code),
        (1, 1, 1)
    );
    let tries: Vec<_> = ends
        .iter()
        .filter(|end| end.number == 1)
        .map(|end| end.exit)
        .collect();
    assert_eq!(tries, [7, 7, 7]);
    assert!(end(&ends, 1).outcome.is_final_failure());
}

#[test]
fn others_run_while_one_waits_to_be_tried_again() {
    let folder = folder();
    let flag = folder.path().join("flag");
    let flag = flag.display();
    // With one slot, the first can only succeed once the second has had its turn.
    let batch = Batch::new()
        .jobs(1)
        .retries(Retries::times(0).with_delay(MS));
    let lines = [format!("test -e {flag}"), format!("touch {flag}")];
    let (summary, _, _) = run(batch, lines);
    assert_eq!(summary.succeeded, 2);
}

#[test]
fn a_time_out_is_tried_again_too() {
    let batch = Batch::new()
        .timeout(Timeout::After(200 * MS))
        .retries(Retries::times(2).with_delay(MS));
    let (summary, ends, _) = run(batch, ["exec sleep 1000"]);
    assert_eq!(ends.len(), 2);
    assert!(matches!(
        ends[0].outcome,
        Outcome::TimedOut { retry: Some(_), .. }
    ));
    assert!(matches!(
        ends[1].outcome,
        Outcome::TimedOut { retry: None, .. }
    ));
    assert_eq!((summary.failed, summary.exit_code), (1, 1));
}

#[test]
fn failures_are_counted_up_to_a_hundred_and_one() {
    for (count, code) in [(0, 0), (3, 3), (120, 101)] {
        let (summary, _, _) = run(Batch::new().jobs(4), std::iter::repeat_n("exit 1", count));
        assert_eq!((summary.failed, summary.exit_code), (count as u64, code));
    }
}

/// One job that gives the word, three that would run for ever but for TERM, and more that wait.
fn halted(rule: &str, word: &str) -> (Summary, Vec<End>, Vec<String>) {
    let tag = Tag::new();
    let mut lines = vec!["exec sleep 1000"; 3];
    lines.push(word);
    lines.extend(["true"; 20]);
    let halt = rule.parse().expect("a rule");
    let batch = Batch::new().jobs(4).halt(halt).env(TAG, tag.value());
    let result = run(batch, lines);
    tag.assert_gone();
    result
}

#[test]
fn halting_now_ends_what_runs_and_starts_no_more() {
    let cases = [
        ("now,fail=1", "exit 42", 42),
        ("now,success=1", "true", 0),
        ("now,done=1", "exit 9", 9),
        ("now,fail=1", "kill -KILL $$", 137),
    ];
    for (rule, word, code) in cases {
        let (summary, ends, notices) = halted(rule, word);
        assert_eq!(summary.halted, Some(HaltWhen::Now), "{rule}");
        assert_eq!(summary.exit_code, code, "{rule}");
        assert_eq!((summary.ended, ends.len()), (3, 4), "{rule}");
        assert!(!summary.exhausted);
        assert_eq!(end(&ends, 1).outcome, Outcome::Ended);
        assert_eq!(
            end(&ends, 1).status.and_then(|status| status.signal()),
            Some(15)
        );
        assert_eq!(notices, ["Halted { now: true }"]);
    }
}

#[test]
fn halting_now_kills_who_ignores_term() {
    let tag = Tag::new();
    let halt = "now,fail=1".parse().expect("a rule");
    let batch = Batch::new()
        .jobs(2)
        .halt(halt)
        .grace(50 * MS)
        .env(TAG, tag.value());
    let folder = folder();
    let gate = crate::support::fifo(folder.path(), "gate");
    let gate = gate.display();
    let lines = [
        format!("trap '' TERM; setsid sleep 1000 & echo > {gate}; sleep 1000"),
        format!("cat {gate}; exit 1"),
    ];
    let (_, ends, _) = run(batch, lines);
    assert_eq!(
        end(&ends, 1).status.and_then(|status| status.signal()),
        Some(9)
    );
    tag.assert_gone();
}

#[test]
fn halting_soon_lets_what_runs_end_and_starts_no_more() {
    for (rule, word, code) in [
        ("soon,fail=1", "exit 42", 42),
        ("soon,success=1", "true", 0),
        ("soon,done=1", "exit 9", 9),
    ] {
        let folder = folder();
        let gate = crate::support::fifo(folder.path(), "gate");
        let gate = gate.display();
        // The first goes on until the batch has been halted by the second: nobody else opens the
        // gate.
        let lines = [
            format!("cat {gate}; echo ended"),
            word.into(),
            "exit 1".into(),
        ];
        let halt = rule.parse().expect("a rule");
        let out = Shared::default();
        let batch = Batch::new().jobs(2).halt(halt).stdout(out.sink());
        let gate = gate.to_string();
        let summary = in_time(move || {
            let mut recorder = Recorder {
                on_notice: Some(Box::new(move |_| {
                    let gate = gate.clone();
                    std::thread::spawn(move || std::fs::write(gate, "opened\n"));
                })),
                ..Recorder::default()
            };
            let summary = batch.run(Commands::new(shell(lines)), &mut recorder);
            assert_eq!(recorder.started, [1, 2], "{rule}");
            summary.expect("it runs")
        });
        assert_eq!(summary.halted, Some(HaltWhen::Soon));
        assert_eq!((summary.exit_code, summary.ended), (code, 0), "{rule}");
        assert!(out.text().contains("opened\nended\n"), "{}", out.text());
    }
}

#[test]
fn a_retry_is_no_failure_to_the_halt_rule() {
    let folder = folder();
    let line = format!(
        "echo x >> {0}; test $(wc -l < {0}) -ge 2",
        folder.path().join("count").display()
    );
    let halt = "now,fail=1".parse().expect("a rule");
    let batch = Batch::new()
        .jobs(1)
        .halt(halt)
        .retries(Retries::times(2).with_delay(MS));
    let (summary, _, _) = run(batch, [line.as_str(), "true"]);
    assert_eq!((summary.succeeded, summary.halted), (2, None));
}

#[test]
fn a_job_that_runs_too_long_is_ended_and_the_others_are_not() {
    let tag = Tag::new();
    let batch = Batch::new()
        .jobs(3)
        .timeout(Timeout::After(800 * MS))
        .grace(50 * MS)
        .env(TAG, tag.value());
    let lines = [
        "trap '' TERM; setsid sleep 1000 & sleep 1000",
        "true",
        "exec sleep 1000",
    ];
    let (summary, ends, _) = run(batch, lines);
    assert_eq!((summary.succeeded, summary.failed), (1, 2));
    for (number, signal) in [(1, 9), (3, 15)] {
        let end = end(&ends, number);
        assert_eq!(
            end.outcome,
            Outcome::TimedOut {
                after: 800 * MS,
                retry: None
            }
        );
        assert_eq!(end.exit, -1);
        assert_eq!(end.status.and_then(|status| status.signal()), Some(signal));
    }
    tag.assert_gone();
}

#[test]
fn a_job_that_takes_far_longer_than_the_median_is_ended() {
    // The first runs already when enough is known to judge it; the last starts afterwards.
    let lines = ["exec sleep 1000", "true", "true", "true", "exec sleep 1000"];
    let batch = Batch::new().jobs(2).timeout(Timeout::OfMedian(2000));
    let (summary, ends, _) = run(batch, lines);
    assert_eq!((summary.succeeded, summary.failed), (3, 2));
    for number in [1, 5] {
        let outcome = end(&ends, number).outcome;
        assert!(
            matches!(outcome, Outcome::TimedOut { retry: None, .. }),
            "{outcome:?}"
        );
    }
}
