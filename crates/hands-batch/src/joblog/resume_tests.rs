use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::joblog::{JobLog, JobLogEntry};

/// As GNU parallel 20221122 wrote it for `parallel --joblog log 'echo {}; exit {}' ::: 0 1 0`, then
/// `--resume-failed` with `exit 0` and a fourth input.
const BY_GNU_PARALLEL: &str = "\
Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand
1\t:\t1795418471.899\t     0.004\t0\t2\t0\t0\techo 0; exit 0
2\t:\t1795418471.903\t     0.001\t0\t2\t1\t0\techo 1; exit 1
3\t:\t1795418471.905\t     0.003\t0\t2\t0\t0\techo 0; exit 0
2\t:\t1795418471.979\t     0.001\t0\t2\t0\t0\techo 1; exit 0
4\t:\t1795418471.980\t     0.003\t0\t2\t0\t9\techo 4; exit 0
";

fn file(text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn entry(seq: u64, exit: i32, command: &[u8]) -> JobLogEntry<'_> {
    JobLogEntry {
        host: ":",
        seq,
        start: UNIX_EPOCH,
        runtime: Duration::ZERO,
        sent: 0,
        received: 0,
        exit,
        signal: 0,
        command,
    }
}

#[test]
fn resume_skips_every_logged_job() {
    let (_dir, path) = file(BY_GNU_PARALLEL);
    let resume = Resume::read(&path, ResumeMode::Skip).unwrap();
    assert_eq!(resume.decide(1, b"echo 0; exit 0"), ResumeDecision::Skip);
    assert_eq!(resume.decide(4, b"echo 4; exit 0"), ResumeDecision::Skip);
    assert_eq!(resume.decide(5, b"echo 5; exit 0"), ResumeDecision::Run);
    assert_eq!(
        (resume.highest_seq(), resume.skipped(), resume.unfinished()),
        (4, 4, 0)
    );
}

#[test]
fn resume_failed_runs_what_failed_and_a_jobs_last_row_tells() {
    let (_dir, path) = file(BY_GNU_PARALLEL);
    let resume = Resume::read(&path, ResumeMode::Failed).unwrap();
    assert_eq!(resume.decide(2, b"echo 1; exit 0"), ResumeDecision::Skip);
    assert_eq!(resume.decide(4, b"echo 4; exit 0"), ResumeDecision::Run);
    assert_eq!((resume.highest_seq(), resume.skipped()), (4, 3));
    let failed_at_last = BY_GNU_PARALLEL.replace("0.001\t0\t2\t0\t0", "0.001\t0\t2\t3\t0");
    let (_dir, path) = file(failed_at_last);
    assert_eq!(
        Resume::read(&path, ResumeMode::Failed)
            .unwrap()
            .decide(2, b"echo 1; exit 0"),
        ResumeDecision::Run
    );
}

#[test]
fn another_command_under_a_logged_number_is_found_and_told() {
    let (_dir, path) = file(BY_GNU_PARALLEL);
    for mode in [ResumeMode::Skip, ResumeMode::Failed] {
        let resume = Resume::read(&path, mode).unwrap();
        let ResumeDecision::Mismatch { logged } = resume.decide(2, b"echo 7; exit 0") else {
            panic!("not noticed")
        };
        // The last row is the one that counts.
        assert_eq!(logged, b"echo 1; exit 0");
        let told = resume.mismatch(2, logged, b"echo 7; exit 0").to_string();
        assert!(
            told.contains(
                "job 2 was `echo 1; exit 0` and is now `echo 7; exit 0`; run without --resume"
            ),
            "{told}"
        );
        // A failed job is compared as well.
        assert!(matches!(
            resume.decide(4, b"other"),
            ResumeDecision::Mismatch { .. }
        ));
    }
}

#[test]
fn the_text_of_a_change_comes_from_the_log_that_was_read() {
    let (_dir, path) = file(BY_GNU_PARALLEL);
    let resume = Resume::read(&path, ResumeMode::Failed).unwrap();
    JobLog::append(&path)
        .unwrap()
        .record(&entry(1, 0, b"later"))
        .unwrap();
    assert_eq!(
        resume.decide(1, b"other"),
        ResumeDecision::Mismatch {
            logged: b"echo 0; exit 0".to_vec()
        }
    );
    fs::remove_file(&path).unwrap();
    assert_eq!(
        resume.decide(1, b"other"),
        ResumeDecision::Mismatch {
            logged: b"echo 0; exit 0".to_vec()
        }
    );
}

#[test]
fn fewer_inputs_than_logged_are_told_at_the_end() {
    let (_dir, path) = file(BY_GNU_PARALLEL);
    let resume = Resume::read(&path, ResumeMode::Skip).unwrap();
    resume.check_end(4).unwrap();
    resume.check_end(9).unwrap();
    let told = resume.check_end(3).unwrap_err().to_string();
    assert!(
        told.contains("it goes up to job 4 and there are now 3"),
        "{told}"
    );
}

#[test]
fn a_missing_or_empty_log_has_no_jobs() {
    let (_dir, path) = file("");
    for path in [
        path.clone(),
        path.with_extension("missing"),
        "/dev/null".into(),
    ] {
        let resume = Resume::read(&path, ResumeMode::Skip).unwrap();
        assert_eq!(resume.decide(1, b"x"), ResumeDecision::Run);
        assert_eq!(
            (resume.highest_seq(), resume.skipped(), resume.unfinished()),
            (0, 0, 0)
        );
        resume.check_end(0).unwrap();
    }
}

#[test]
fn an_unfinished_last_line_is_not_counted_as_done() {
    for end in 0..=BY_GNU_PARALLEL.len() {
        let (_dir, path) = file(&BY_GNU_PARALLEL[..end]);
        let resume = Resume::read(&path, ResumeMode::Skip).unwrap();
        let whole = BY_GNU_PARALLEL[..end]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        assert_eq!(resume.unfinished(), (end - whole) as u64, "cut at {end}");
        let rows = BY_GNU_PARALLEL[..whole].lines().count().saturating_sub(1);
        assert_eq!(
            resume.decide(1, b"echo 0; exit 0") == ResumeDecision::Skip,
            rows >= 1,
            "cut at {end}"
        );
        assert_eq!(
            resume.decide(4, b"echo 4; exit 0") == ResumeDecision::Skip,
            rows >= 5,
            "cut at {end}"
        );
    }
}

#[test]
fn a_line_that_is_no_row_is_told_with_its_number() {
    let (_dir, path) = file(BY_GNU_PARALLEL.replace("3\t:", "three\t:"));
    let error = Resume::read(&path, ResumeMode::Skip).unwrap_err();
    assert!(
        matches!(error, JobLogError::NotAJobLog { line: 4, .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("line 4 is `three\\t:\\t1795"),
        "{error}"
    );
    let (_dir, path) = file("hello\nworld\n");
    let error = Resume::read(&path, ResumeMode::Skip).unwrap_err();
    assert!(
        error.to_string().ends_with(
            "is not a job log: line 1 is `hello`; name another file, or remove this one"
        )
    );
}

#[test]
fn an_unreadable_log_is_told_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let told = Resume::read(dir.path(), ResumeMode::Skip)
        .unwrap_err()
        .to_string();
    assert!(
        told.starts_with(&format!(
            "cannot read the job log `{}`: ",
            dir.path().display()
        )),
        "{told}"
    );
    let (_dir, path) = file("");
    assert!(matches!(
        Resume::read(path.join("below"), ResumeMode::Skip),
        Err(JobLogError::Open { .. })
    ));
}

#[test]
fn numbers_far_apart_cost_little_memory() {
    let far = [0, 1, 63, 64, 1 << 40, u64::MAX];
    let (_dir, path) = file("");
    let mut log = JobLog::append(&path).unwrap();
    far.iter()
        .for_each(|&seq| log.record(&entry(seq, 0, b"x")).unwrap());
    let resume = Resume::read(&path, ResumeMode::Skip).unwrap();
    assert!(
        far.iter()
            .all(|&seq| resume.decide(seq, b"x") == ResumeDecision::Skip)
    );
    assert_eq!(resume.decide(2, b"x"), ResumeDecision::Run);
    assert_eq!(
        (resume.highest_seq(), resume.skipped(), resume.marks.len()),
        (u64::MAX, 6, 4)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_recorded_is_what_resuming_finds(
        rows in proptest::collection::vec(
            (1u64..100, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..20)), 0..60,
        ),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = JobLog::create(&path).unwrap();
        let mut last = BTreeMap::new();
        for (seq, failed, command) in &rows {
            log.record(&entry(*seq, i32::from(*failed), command)).unwrap();
            last.insert(*seq, (*failed, command));
        }
        let all = Resume::read(&path, ResumeMode::Skip).unwrap();
        let failures = Resume::read(&path, ResumeMode::Failed).unwrap();
        prop_assert_eq!(all.skipped(), last.len() as u64);
        prop_assert_eq!(all.highest_seq(), last.keys().last().copied().unwrap_or(0));
        for seq in 1..100 {
            let Some(&(failed, command)) = last.get(&seq) else {
                prop_assert_eq!(all.decide(seq, b""), ResumeDecision::Run);
                continue;
            };
            prop_assert_eq!(all.decide(seq, command), ResumeDecision::Skip);
            let expected = if failed { ResumeDecision::Run } else { ResumeDecision::Skip };
            prop_assert_eq!(failures.decide(seq, command), expected);
            let other = [command.as_slice(), b"!"].concat();
            prop_assert_eq!(all.decide(seq, &other), ResumeDecision::Mismatch { logged: command.clone() });
        }
    }

    #[test]
    fn no_file_makes_the_reader_panic(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, [BY_GNU_PARALLEL.as_bytes(), &tail].concat()).unwrap();
        let _ = Resume::read(&path, ResumeMode::Failed);
        let _ = JobLog::append(&path);
    }
}
