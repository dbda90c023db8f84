//! Outputs: grouped, in order, by lines, tagged, as files, as events.

use std::collections::BTreeMap;

use crate::stage::{Stage, sorted};

#[test]
fn outputs_of_megabytes_never_mix() {
    let stage = Stage::new();
    for (order, jobs) in [("--group", "-j4"), ("-k", "-j4"), ("-k", "-j1")] {
        // 30 jobs, each 3 MB to both streams: 300,000 lines of ten bytes.
        let script = format!(
            r#""$HANDS" run {order} {jobs} 'seq -f {{}}-%06.0f 300000 | tee /dev/stderr' ::: $(seq 10 39) 2> err"#
        );
        let ended = stage.shell(&script).end().with_code(0);
        for text in [ended.stdout, stage.bytes("err")] {
            assert_eq!(text.len(), 30 * 300_000 * 10, "{order} {jobs}");
            let mut jobs = Vec::new();
            for (place, line) in text.chunks(10).enumerate() {
                let number = place % 300_000 + 1;
                assert_eq!(line[2..], *format!("-{number:06}\n").as_bytes());
                if number == 1 {
                    jobs.push(line[..2].to_vec());
                }
                assert_eq!(jobs.last().map(Vec::as_slice), Some(&line[..2]));
            }
            assert!(order == "--group" || jobs.is_sorted());
        }
    }
}

#[test]
fn the_order_is_that_of_the_inputs_when_it_is_to_be_kept() {
    let stage = Stage::new();
    // The first ends last: it waits for the third.
    let command = "case {} in 1) until [ -e done ]; do :; done;; 3) touch done;; esac; echo {}";
    let ended = stage
        .run(["-k", "-j3", command, ":::", "1", "2", "3"])
        .end();
    assert_eq!(ended.with_code(0).out(), "1\n2\n3\n");
    std::fs::remove_file(stage.path("done")).expect("it was made");
    let ended = stage
        .run(["-j3", command, ":::", "1", "2", "3"])
        .end()
        .with_code(0);
    assert_eq!(sorted(ended.out()), ["1", "2", "3"]);
}

#[test]
fn lines_stay_whole_among_others() {
    let stage = Stage::new();
    let command = "for i in 1 2 3; do printf {}a; printf {}b; echo; done";
    let ended = stage
        .run(["--line-buffer", "-j3", command, ":::", "1", "2", "3"])
        .end()
        .with_code(0);
    let mut lines = sorted(ended.out());
    lines.dedup();
    assert_eq!(lines, ["1a1b", "2a2b", "3a3b"]);
    assert_eq!(ended.out().lines().count(), 9);
}

#[test]
fn one_job_streams_its_output() {
    for words in [
        &["-j1"][..],
        &["-j1", "-k"],
        &["--line-buffer"],
        &["--ungroup"],
    ] {
        let stage = Stage::new();
        // The job goes on only once somebody has read its first line from the program's stdout.
        let script = format!(
            r#"mkfifo gate; "$HANDS" run {} 'echo first; cat gate' ::: x | {{ read -r line; echo go > gate; echo "$line"; cat; }}"#,
            words.join(" ")
        );
        assert_eq!(
            stage.shell(&script).end().with_code(0).out(),
            "first\ngo\n",
            "{words:?}"
        );
    }
}

#[test]
fn each_line_is_tagged_in_both_streams() {
    let stage = Stage::new();
    let command = "echo a; echo b; echo e >&2; printf end";
    let ended = stage
        .run(["-k", "--tag", command, ":::", "x", "y z"])
        .end()
        .with_code(0);
    assert_eq!(
        ended.out(),
        "x\ta\nx\tb\nx\tend\ny z\ta\ny z\tb\ny z\tend\n"
    );
    assert_eq!(ended.stderr, "x\te\ny z\te\n");
    let ended = stage
        .run([
            "-k",
            "--tagstring",
            "{#}:{/.}",
            "echo hi",
            ":::",
            "d/a.x",
            "d/b.y",
        ])
        .end();
    assert_eq!(ended.with_code(0).out(), "1:a\thi d/a.x\n2:b\thi d/b.y\n");
    let ended = stage
        .run([
            "--line-buffer",
            "--tag",
            "echo a; : {}; echo b",
            ":::",
            "x",
            "y",
        ])
        .end()
        .with_code(0);
    assert_eq!(sorted(ended.out()), ["x\ta", "x\tb", "y\ta", "y\tb"]);
}

#[test]
fn results_are_kept_in_folders_named_after_the_inputs() {
    let stage = Stage::new();
    let ended = stage
        .run([
            "--results",
            "out",
            "echo {1}{2}; echo e{1} >&2; exit {1}",
            ":::",
            "0",
            "1",
            ":::",
            "a/b",
        ])
        .end()
        .with_code(1);
    assert!(ended.out().contains("0a/b\n"), "it is shown as well");
    let files = stage.shell("find out -type f | sort; cat $(find out -name stdout | sort) $(find out -name stderr | sort)");
    let listing = files.end().with_code(0);
    assert_eq!(
        listing.out().matches("/stdout\n").count(),
        2,
        "{}",
        listing.out()
    );
    assert_eq!(listing.out().matches("/stderr\n").count(), 2);
    assert!(
        listing.out().ends_with("0a/b\n1a/b\ne0\ne1\n"),
        "{}",
        listing.out()
    );
    let outside = stage
        .run([
            "--results",
            "out",
            "echo",
            ":::",
            "../../../../escaped",
            "..",
            ".",
        ])
        .end();
    outside.with_code(0);
    assert!(
        stage
            .shell("find . -path ./out -prune -o -name 'escaped*' -print")
            .end()
            .out()
            .is_empty()
    );
}

#[test]
fn events_are_json_one_a_line() {
    let stage = Stage::new();
    let words = [
        "--json",
        r"echo {}; printf '\377' >&2; exit {}",
        ":::",
        "0",
        "3",
    ];
    let ended = stage.run(words).end().with_code(1);
    let events: Vec<serde_json::Value> = ended
        .out()
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let mut counts = BTreeMap::new();
    for event in &events {
        *counts
            .entry(event["event"].as_str().expect("a name"))
            .or_insert(0) += 1;
    }
    assert_eq!(
        counts,
        BTreeMap::from([("start", 2), ("output", 4), ("end", 2), ("summary", 1)])
    );
    let ends = |seq: u64| {
        events
            .iter()
            .find(|event| event["event"] == "end" && event["seq"] == seq)
    };
    assert_eq!(ends(2).expect("an end")["exit"], 3);
    assert_eq!(ends(1).expect("an end")["outcome"], "success");
    assert!(events.iter().any(|event| event["text"] == "0\n"));
    assert!(
        events.iter().any(|event| event["base64"] == "/w=="),
        "what is no text is told all the same"
    );
    let last = events.last().expect("a line");
    assert_eq!(
        (&last["event"], &last["exit_code"]),
        (&"summary".into(), &1.into())
    );
}

#[test]
fn what_contradicts_itself_is_refused_with_a_hint() {
    let stage = Stage::new();
    for words in [
        &["--json", "--tag", "echo", ":::", "x"][..],
        &["--ungroup", "-k", "echo", ":::", "x"],
        &["--pipe", "cat", ":::", "x"],
        &["--resume", "echo", ":::", "x"],
        &["-X", "--pipe", "cat"],
        &["--block", "1M", "cat", ":::", "x"],
        &["-j", "many", "echo", ":::", "x"],
        &["--halt", "perhaps", "echo", ":::", "x"],
    ] {
        let ended = stage.run(words).end().calmly();
        assert_eq!(ended.code, 255, "{words:?}: {}", ended.stderr);
        assert!(
            ended.stderr.starts_with("error: "),
            "{words:?}: {}",
            ended.stderr
        );
        assert!(ended.stdout.is_empty());
    }
}
