//! What a batch exits with, and `--halt`.

use crate::stage::{RING, Stage};

/// `hands run -j1 'exit {}'` over these codes, with these flags before.
#[track_caller]
fn code(flags: &[&str], codes: &[u32]) -> i32 {
    let codes: Vec<String> = codes.iter().map(u32::to_string).collect();
    let words = flags
        .iter()
        .copied()
        .chain(["-j1", "echo {} >> ran; exit {}", ":::"])
        .chain(codes.iter().map(String::as_str));
    Stage::new().run(words).end().calmly().code
}

#[test]
fn the_exit_code_is_the_number_of_failed_jobs() {
    assert_eq!(code(&[], &[0, 0, 0]), 0);
    assert_eq!(code(&[], &[0, 7, 0]), 1);
    assert_eq!(code(&[], &[9, 7, 255]), 3);
    assert_eq!(code(&["--halt", "never"], &[1, 0, 1, 0, 1]), 3);
}

#[test]
fn one_hundred_failures_can_be_told_from_more() {
    for (jobs, expected) in [(99, 99), (100, 100), (101, 101), (140, 101)] {
        let inputs = (0..jobs).map(|_| "x\n").collect::<String>();
        let ended = Stage::new().run(["-j4", "false"]).stdin(inputs).end();
        assert_eq!(ended.code, expected, "{jobs} jobs");
    }
}

#[test]
fn a_job_that_a_signal_killed_has_failed() {
    let stage = Stage::new();
    stage
        .run(["kill -{} $$", ":::", "KILL", "TERM"])
        .end()
        .with_code(2)
        .says("was killed by signal 9 (KILL)")
        .says("was killed by signal 15 (TERM)");
}

#[test]
fn nothing_to_do_is_success() {
    let ended = Stage::new().run(["false"]).end().with_code(0);
    assert_eq!((ended.out(), ended.stderr.as_str()), ("", ""));
}

#[test]
fn stopping_at_the_first_failure_gives_its_own_code() {
    for when in ["now,fail=1", "soon,fail=1", "2", "1"] {
        assert_eq!(code(&["--halt", when], &[0, 7, 3, 0]), 7, "{when}");
    }
    let ended = Stage::new()
        .run(["--halt", "now,fail=1", "kill -9 $$", ":::", "a"])
        .end();
    assert_eq!(ended.code, 128 + 9);
}

#[test]
fn a_batch_that_a_time_out_stopped_exits_as_timeout_does() {
    let stage = Stage::new();
    let words = ["--halt", "now,fail=1", "--timeout", "0.1", "sleep", ":::"];
    stage
        .run(words.into_iter().chain(["1000"]))
        .end()
        .with_code(124);
}

/// What ran of `codes` under this rule, and the exit code.
#[track_caller]
fn ran(rule: &str, codes: &str) -> (String, i32) {
    let stage = Stage::new();
    let words = ["--halt", rule, "-j1", "echo {} >> ran; exit {}", ":::"];
    let ended = stage.run(words.into_iter().chain(codes.split(' '))).end();
    (stage.text("ran").trim().replace('\n', " "), ended.code)
}

#[test]
fn each_rule_stops_where_it_says() {
    let all = "1 0 1 0 1 0";
    for (rule, expected, code) in [
        ("never", all, 3),
        ("0", all, 3),
        ("soon,fail=1", "1", 1),
        ("now,fail=1", "1", 1),
        ("soon,fail=2", "1 0 1", 2),
        ("now,fail=3", "1 0 1 0 1", 3),
        ("soon,fail=33%", "1 0 1", 34),
        ("34%", "1 0 1 0 1", 50),
        ("now,fail=100%", all, 3),
        ("soon,success=1", "1 0", 0),
        ("now,success=2", "1 0 1 0", 0),
        ("-1", "1 0", 0),
        ("-2", "1 0", 0),
        ("now,done=1", "1", 1),
        ("soon,done=2", "1 0", 1),
        ("now,done=50%", "1 0 1", 34),
    ] {
        assert_eq!(ran(rule, all), (expected.into(), code), "{rule}");
    }
}

#[test]
fn a_percentage_of_an_input_of_unknown_length_is_judged_at_its_end() {
    let stage = Stage::new();
    let ended = stage
        .run(["--halt", "now,fail=50%", "-j1", "exit {}"])
        .stdin("1\n0\n0\n1\n")
        .end();
    assert_eq!(ended.code, 50);
}

#[test]
fn soon_lets_the_running_jobs_end() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut gate = stage.gate();
    let job = format!("{RING} case {{}} in fail) exit 7;; esac; read _ < gate; echo {{}} >> ran");
    let mut playing = stage
        .run([
            "-j2",
            "--halt",
            "soon,fail=1",
            &job,
            ":::",
            "slow",
            "fail",
            "late",
        ])
        .start();
    assert_eq!(bell.rings(2), ["fail", "slow"]);
    playing.told("starting no more jobs");
    gate.open(1);
    playing.end().with_code(7);
    assert_eq!(stage.text("ran"), "slow\n");
}

#[test]
fn now_ends_the_running_jobs_and_all_they_started() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut gate = stage.gate();
    let job = format!(
        "{RING} case {{}} in fail) read _ < gate; exit 7;; esac; \
         (trap '' TERM; sleep 1000; sleep 1000) & setsid sleep 1000 & sleep 1000; echo {{}} >> ran"
    );
    let mut playing = stage
        .run([
            "-j2",
            "--grace",
            "0.2",
            "--halt",
            "now,fail=1",
            &job,
            ":::",
            "slow",
            "fail",
            "late",
        ])
        .start();
    assert_eq!(bell.rings(2), ["fail", "slow"]);
    gate.open(1);
    playing.told("stopping now, as `--halt` says");
    playing.end().with_code(7).says("1 of 1 job failed");
    bell.silence();
    assert!(stage.sorted("ran").is_empty());
}

#[test]
fn jobs_that_a_halt_ended_are_not_in_the_log_and_run_on_resuming() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut gate = stage.gate();
    let job = format!(
        "[ -e again ] && echo {{}} && exit; {RING} read _ < gate; case {{}} in a) exit 7;; esac; sleep 1000"
    );
    let words = [
        "-j2",
        "--joblog",
        "log",
        "--resume",
        "--halt",
        "now,fail=1",
        &job,
    ];
    let inputs = [":::", "a", "b", "c"];
    let playing = stage.run(words.iter().chain(&inputs)).start();
    bell.rings(2);
    gate.open(1);
    // Whoever passed the gate, only `a` ends; if it was `b`, `a` still waits.
    gate.open(1);
    playing.end().with_code(7);
    let logged: Vec<u64> = stage.rows("log").iter().map(|row| row.seq).collect();
    assert_eq!(logged, [1]);
    stage.write("again", "");
    // That it has failed then is told.
    let ended = stage.run(words.iter().chain(&inputs)).end().with_code(1);
    assert_eq!(crate::stage::sorted(ended.out()), ["b", "c"]);
    bell.silence();
}

#[test]
fn a_rule_that_makes_no_sense_is_refused() {
    for rule in [
        "now",
        "later,fail=1",
        "now,fail=0",
        "now,fail=101%",
        "soon,bad=1",
        "",
    ] {
        let ended = Stage::new().run(["--halt", rule, "true", ":::", "a"]).end();
        assert_eq!(ended.code, 255, "{rule}");
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    }
}
