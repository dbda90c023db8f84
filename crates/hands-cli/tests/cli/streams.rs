//! How the outputs of jobs come together: never mixed, in the order that was asked for, byte for
//! byte.

use crate::kit::{Feed, bytes, out};
use crate::stage::Stage;

/// A pipe for each of the jobs `a`, `b` and `c`, which wait for a line from it; the last job's
/// comes first.
fn backwards(stage: &Stage) -> [Feed; 3] {
    ["c", "b", "a"].map(|name| Feed::new(&stage.path(name)))
}

#[test]
fn output_comes_as_jobs_end() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let feeds = backwards(&stage);
    let run = stage
        .shell("exec \"$HANDS\" run -j3 'read _ <{}; echo {}' ::: a b c >bell")
        .start();
    let shown: [&[&str]; 3] = [&["c"], &["b", "c"], &["a", "b", "c"]];
    for (mut feed, shown) in feeds.into_iter().zip(shown) {
        feed.send("\n");
        // Only once it is seen does the next one end.
        assert_eq!(bell.rings(shown.len()), shown);
    }
    run.end().with_code(0);
}

#[test]
fn output_comes_in_the_order_of_the_inputs_if_that_is_to_be_kept() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let job = "read _ <{}; echo {}; echo {} err >&2; echo {} >bell";
    let feeds = backwards(&stage);
    let run = stage.run(["-k", "-j3", job, ":::", "a", "b", "c"]).start();
    for (place, mut feed) in feeds.into_iter().enumerate() {
        feed.send("\n");
        bell.rings(place + 1);
    }
    let ended = run.end().with_code(0);
    assert_eq!(ended.out(), "a\nb\nc\n");
    assert_eq!(ended.stderr, "a err\nb err\nc err\n");
}

#[test]
fn a_job_s_output_comes_in_one_piece() {
    let stage = Stage::new();
    let mut gate = stage.gate();
    let mut bell = stage.bell();
    let job = "echo {} begins; echo {} >bell; read _ <gate; echo {} ends";
    let run = stage.run(["-j2", job, ":::", "a", "b"]).start();
    bell.rings(2);
    gate.open(2);
    let ended = run.end().with_code(0);
    let blocks = [
        "a begins\na ends\nb begins\nb ends\n",
        "b begins\nb ends\na begins\na ends\n",
    ];
    assert!(blocks.contains(&ended.out()), "{}", ended.out());
}

#[test]
fn lines_are_shown_as_they_come_and_stay_whole() {
    let stage = Stage::new();
    let (mut middle, mut end) = (
        Feed::new(&stage.path("middle")),
        Feed::new(&stage.path("end")),
    );
    let mut bell = stage.bell();
    let job = "printf '{} half '; read _ <middle; echo whole; read _ <end; echo {} last";
    let line = format!("exec \"$HANDS\" run -j2 --line-buffer \"{job}\" ::: a b >bell");
    let run = stage.shell(&line).start();
    middle.send("\n\n");
    // Both jobs run still.
    assert_eq!(bell.rings(2), ["a half whole", "b half whole"]);
    end.send("\n\n");
    run.end().with_code(0);
    assert_eq!(
        bell.rings(4),
        ["a half whole", "a last", "b half whole", "b last"]
    );
}

#[test]
fn ungrouped_jobs_write_to_our_own_streams() {
    let stage = Stage::new();
    let job = "readlink /proc/self/fd/1; readlink /proc/self/fd/2 >&2";
    let ended = stage
        .shell(&format!(
            "exec \"$HANDS\" run -u '{job}; true {{}}' ::: a >own 2>owner"
        ))
        .end()
        .with_code(0);
    assert_eq!(ended.stderr, "");
    assert!(stage.text("own").ends_with("/own\n"));
    assert!(stage.text("owner").ends_with("/owner\n"));
}

#[test]
fn tags_begin_every_line_of_both_streams() {
    let stage = Stage::new();
    let ended = stage
        .run([
            "-k",
            "--tag",
            r"printf '1\n\n2'; echo e >&2; true",
            ":::",
            "a b",
            "c",
        ])
        .end()
        .with_code(0);
    assert_eq!(ended.out(), "a b\t1\na b\t\na b\t2\nc\t1\nc\t\nc\t2\n");
    assert_eq!(ended.stderr, "a b\te\nc\te\n");
    assert_eq!(
        out(&[
            "-k",
            "--tagstring",
            "{#}/{1/.}={2}",
            "echo",
            ":::",
            "d/x.c",
            ":::",
            "7"
        ]),
        "1/x=7\td/x.c 7\n"
    );
    assert_eq!(
        out(&[
            "-k",
            "--line-buffer",
            "--tagstring",
            "[{}]",
            "echo x; true",
            ":::",
            "a"
        ]),
        "[a]\tx\n"
    );
}

#[test]
fn output_is_passed_on_byte_for_byte() {
    let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for flags in [
        &["--group"][..],
        &["-k"],
        &["-u"],
        &["--line-buffer"],
        &["-j1"],
    ] {
        let stage = Stage::new();
        stage.write("bytes", &all);
        let words = [flags, &["cat", ":::", "bytes"]].concat();
        let mut expected = all.clone();
        if flags == ["--line-buffer"] {
            // The last line is made whole, so that the next job's begins a line.
            expected.push(b'\n');
        }
        assert!(bytes(stage.run(words)) == expected, "{flags:?}");
    }
}

#[test]
fn one_job_at_a_time_is_shown_while_it_runs() {
    for inputs in ["a", "a b"] {
        let stage = Stage::new();
        let mut gate = stage.gate();
        let mut bell = stage.bell();
        let job = "echo {} first; read _ <gate; echo {} last";
        let run = stage
            .shell(&format!(
                "exec \"$HANDS\" run -j1 '{job}' ::: {inputs} >bell"
            ))
            .start();
        assert_eq!(bell.rings(1), ["a first"]);
        gate.open(2);
        run.end().with_code(0);
        bell.rings(2 * inputs.split(' ').count());
    }
}

#[test]
fn in_order_the_job_whose_turn_it_is_is_shown_while_it_runs() {
    let stage = Stage::new();
    let mut gate = stage.gate();
    let mut bell = stage.bell();
    let job = "echo {} first; test {} = b || read _ <gate; echo {} last";
    let run = stage
        .shell(&format!("exec \"$HANDS\" run -k -j2 '{job}' ::: a b >bell"))
        .start();
    assert_eq!(bell.rings(1), ["a first"]);
    gate.open(1);
    run.end().with_code(0);
    bell.rings(4);
}
