//! `--timeout`: a job that runs too long is ended with all that it has started, and said to have
//! been.

use crate::stage::{RING, Stage};

#[test]
fn a_job_that_runs_too_long_is_ended_with_all_it_started() {
    let stage = Stage::new();
    let bell = stage.bell();
    let job = format!(
        "{RING} (trap '' TERM; sleep 1000; sleep 1000) & setsid sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000' & \
         trap '' TERM; sleep 1000; sleep 1000"
    );
    stage
        .run([
            "--timeout",
            "1",
            "--grace",
            "0.1",
            "--joblog",
            "log",
            &job,
            ":::",
            "a",
        ])
        .end()
        .with_code(1)
        .says("1 of 1 job failed")
        .says("# job 1 timed out after 1.00s")
        .calmly();
    bell.silence();
    let row = &stage.rows("log")[0];
    assert_eq!((row.exit, row.signal), (-1, 9));
}

#[test]
fn a_job_that_obeys_term_needs_no_kill() {
    let stage = Stage::new();
    let words = ["--timeout", "0.2", "--grace", "1000", "--joblog", "log"];
    stage
        .run(words.into_iter().chain(["sleep", ":::", "1000"]))
        .end()
        .with_code(1)
        .says("timed out after 0.20s");
    let row = &stage.rows("log")[0];
    assert_eq!((row.exit, row.signal), (-1, 15));
}

#[test]
fn a_job_that_catches_the_signal_and_exits_well_has_timed_out_all_the_same() {
    let stage = Stage::new();
    let job = "trap 'echo saved; exit 0' TERM; sleep 1000 & wait";
    let ended = stage
        .run(["--timeout", "1", "--joblog", "log", "-n0", job, ":::", "a"])
        .end()
        .with_code(1);
    assert_eq!(ended.out(), "saved\n");
    let row = &stage.rows("log")[0];
    assert_eq!((row.exit, row.signal), (-1, 15));
}

#[test]
fn other_jobs_go_on() {
    let stage = Stage::new();
    let words = ["-j2", "-k", "--timeout", "2", "sleep {}; echo {}", ":::"];
    let ended = stage
        .run(words.into_iter().chain(["0", "1000", "0.01"]))
        .end()
        .with_code(1);
    assert_eq!(ended.out(), "0\n0.01\n");
}

#[test]
fn a_percentage_is_of_the_median_of_those_that_succeeded() {
    let stage = Stage::new();
    stage
        .run([
            "-j1",
            "--timeout",
            "300%",
            "sleep",
            ":::",
            "0",
            "0",
            "0",
            "1000",
        ])
        .end()
        .with_code(1)
        .says("# job 4 timed out after ");
}

#[test]
fn a_percentage_reaches_a_job_that_began_before_it_was_known() {
    let stage = Stage::new();
    stage
        .run([
            "-j2",
            "--timeout",
            "1000%",
            "sleep",
            ":::",
            "1000",
            "0",
            "0",
            "0",
        ])
        .end()
        .with_code(1)
        .says("# job 1 timed out after ");
}

#[test]
fn a_time_out_is_a_failure_that_may_be_tried_again() {
    let stage = Stage::new();
    let job = "echo x >> tries; [ $(wc -l < tries) -gt 1 ] || sleep 1000";
    stage
        .run([
            "--timeout",
            "2",
            "--retries",
            "2",
            "--retry-delay",
            "0",
            "-n0",
            job,
            ":::",
            "a",
        ])
        .end()
        .with_code(0)
        .says("job 1 timed out after 2.00s; trying again in 0.00s");
}

#[test]
fn a_time_limit_that_would_kill_every_job_is_refused() {
    for limit in ["0", "100%", "soon", "-1"] {
        let limit = format!("--timeout={limit}");
        let ended = Stage::new().run([&limit, "true", ":::", "a"]).end();
        assert_eq!(ended.code, 255, "{limit}");
    }
}
