//! A batch means the same on other machines as here.

use super::{Machines, said};
use crate::stage::{Stage, sorted};

#[test]
fn the_two_commands_that_dev_prints_work_as_printed() {
    let machines = Machines::new();
    let commands: Vec<&str> = (machines.printed.lines())
        .filter_map(|line| line.strip_prefix("  hands "))
        .collect();
    let [worker, run] = commands[..] else {
        panic!("two commands: {}", machines.printed);
    };
    let stage = &machines.stage;
    let worker = stage.shell(&format!("exec \"$HANDS\" {worker}"));
    let mut worker = worker.env("HANDS", crate::stage::HANDS).start();
    worker.told("may run `echo`");
    let run = stage.shell(&format!("\"$HANDS\" {run} | sort"));
    let run = run.env("HANDS", crate::stage::HANDS).end().with_code(0);
    assert_eq!(run.out(), "hello from a\nhello from b\nhello from c\n");
    worker.signal(rustix::process::Signal::TERM);
    worker.end().with_code(0);
}

#[test]
fn order_tags_codes_log_and_retries_are_those_of_a_run_here() {
    let machines = Machines::new();
    let _workers = ["a", "b"].map(|name| machines.worker(name, &["-j2", "--allow", "sh,echo"]));
    let here = Stage::new();
    for words in [
        vec![
            "-k",
            "--tag",
            "echo out {}; echo err {} >&2; exit {}",
            ":::",
            "0",
            "3",
            "0",
        ],
        vec![
            "-k",
            "--retries",
            "2",
            "echo try {#}; exit {}",
            ":::",
            "1",
            "0",
        ],
        vec![
            "-k",
            "--timeout",
            "0.2",
            "echo begun {}; exec sleep {}",
            ":::",
            "0",
            "60",
        ],
        vec!["-k", "kill -KILL $$", ":::", "1"],
        vec![
            "-k",
            "--env",
            "A=b c",
            "echo $A $HANDS_SEQ",
            ":::",
            "x",
            "y",
        ],
        vec![
            "--line-buffer",
            "for i in 1 2 3; do echo {}; done",
            ":::",
            "a",
            "b",
        ],
        vec![
            "-k",
            "--halt",
            "soon,fail=1",
            "-j1",
            "echo {}; exit 1",
            ":::",
            "a",
            "b",
            "c",
        ],
        vec!["--no-such-program-{}", ":::", "x"],
        vec!["-k", "--json", "echo {}", ":::", "a"],
    ] {
        let mut logged = words.clone();
        if !words.contains(&"--no-such-program-{}") {
            logged.splice(0..0, ["--joblog", "log"]);
        }
        let there = machines.run(&logged).end();
        let local = here.run(&logged).end();
        assert_eq!(there.code, local.code, "{words:?}: {}", there.stderr);
        if words.contains(&"--json") {
            continue;
        }
        assert_eq!(sorted(there.out()), sorted(local.out()), "{words:?}");
        if words.contains(&"-k") {
            assert_eq!(there.out(), local.out(), "{words:?}");
            let columns = |stage: &Stage| -> Vec<(String, String, String)> {
                let text = stage.text("log");
                let mut rows: Vec<_> = (text.lines().skip(1))
                    .map(|line| {
                        let columns: Vec<&str> = line.split('\t').collect();
                        let [seq, .., exit, signal, command] = columns[..] else {
                            panic!("{line}");
                        };
                        (
                            seq.to_owned(),
                            format!("{exit} {signal}"),
                            command.to_owned(),
                        )
                    })
                    .collect();
                rows.sort();
                rows
            };
            assert_eq!(columns(&machines.stage), columns(&here), "{words:?}");
        }
    }
}

#[test]
fn whatever_lists_jobs_says_where_they_ran() {
    let machines = Machines::new();
    let _worker = machines.worker("a", &["--allow", "echo"]);
    let json = machines
        .run(&["--json", "echo", ":::", "x"])
        .end()
        .with_code(0);
    assert!(json.out().contains("\"host\":\"a\""), "{}", json.out());
    machines
        .run(&["--results", "t.csv", "echo", ":::", "x"])
        .end()
        .with_code(0);
    assert!(
        machines.stage.text("t.csv").contains("\n1,a,"),
        "{}",
        machines.stage.text("t.csv")
    );
    machines
        .run(&[
            "--report", "r.html", "--trace", "t.json", "echo", ":::", "x",
        ])
        .end()
        .with_code(0);
    assert!(
        machines.stage.text("r.html").contains("on a"),
        "{}",
        machines.stage.text("r.html")
    );
    assert!(machines.stage.text("t.json").contains("\"host\":\"a\""));
}

#[test]
fn inputs_may_come_from_stdin_and_blocks_too() {
    let machines = Machines::new();
    let _worker = machines.worker("a", &["-j2", "--allow", "echo,wc"]);
    let lines: String = (1..=500).map(|n| format!("{n}\n")).collect();
    let run = machines.run(&["-k", "echo"]).stdin(lines.clone());
    assert_eq!(run.end().with_code(0).out(), lines);
    let run = machines
        .run(&["--pipe", "-N", "100", "-k", "wc", "-l"])
        .stdin(lines);
    assert_eq!(run.end().with_code(0).out(), "100\n".repeat(5));
}

#[test]
fn a_stdin_that_cannot_be_read_is_an_error_and_not_an_empty_one() {
    let machines = Machines::new();
    let words = format!("\"$HANDS\" run --cluster {} echo < /", machines.url);
    let run = machines
        .stage
        .shell(&words)
        .env("HANDS", crate::stage::HANDS);
    let ended = run.env("HANDS_TOKEN", &machines.token).end().with_code(255);
    assert!(
        ended.stderr.contains("cannot read stdin"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_long_output_arrives_whole_and_unmixed() {
    let machines = Machines::new();
    let _workers = ["a", "b"].map(|name| machines.worker(name, &["-j2", "--allow", "seq"]));
    let line = "x".repeat(99);
    let command = format!("seq -f '{{}} %06g {line}' 1 20000");
    let run = machines.run(&["-k", &command, ":::", "a", "b", "c", "d"]);
    let ended = run.end().with_code(0);
    let expected: String = ["a", "b", "c", "d"]
        .iter()
        .flat_map(|name| (1..=20_000).map(move |n| (name, n)))
        .map(|(name, n)| format!("{name} {n:06} {line}\n"))
        .collect();
    assert!(ended.out() == expected, "{} bytes", ended.out().len());
    assert_eq!(said(&ended), "");
}

#[test]
fn what_is_asked_for_and_cannot_be_is_refused_with_the_way_to_do_it() {
    let stage = Stage::new();
    for (words, hint) in [
        (&["-S", "host", "echo", ":::", "a"][..], "hands worker"),
        (&["--label", "gpu", "echo", ":::", "a"], "--cluster URL"),
        (
            &[
                "--cluster",
                "nats://127.0.0.1:1",
                "--load",
                "5",
                "echo",
                ":::",
                "a",
            ],
            "--load",
        ),
        (
            &[
                "--cluster",
                "nats://127.0.0.1:1",
                "--tty",
                "echo",
                ":::",
                "a",
            ],
            "--tty",
        ),
        (
            &["--cluster", "nats://t0ken@127.0.0.1:1", "echo", ":::", "a"],
            "HANDS_TOKEN",
        ),
        (
            &["--cluster", "nats://10.1.2.3:4222", "echo", ":::", "a"],
            "--insecure",
        ),
        (
            &["--cluster", "http://127.0.0.1:1", "echo", ":::", "a"],
            "nats://",
        ),
        (
            &["--cluster", "nats://127.0.0.1:1", "echo", ":::", "a"],
            "127.0.0.1:1",
        ),
        (
            &[
                "--cluster",
                "nats://127.0.0.1:1",
                "--attach",
                "x",
                "echo",
                ":::",
                "a",
            ],
            "--attach",
        ),
    ] {
        let ended = stage.run(words).end().with_code(255);
        assert!(ended.stderr.contains(hint), "{words:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("t0ken"), "{}", ended.stderr);
    }
}

#[test]
fn nobody_reads_the_token_in_the_list_of_processes_or_in_a_log() {
    let machines = Machines::new();
    let worker = machines.worker("a", &["--allow", "sh"]);
    let run = machines.run(&[
        "tr '\\0' '\\n' < /proc/self/environ; cat /proc/$PPID/cmdline; : {}",
        ":::",
        "x",
    ]);
    let ended = run.end().with_code(0);
    for text in [
        ended.out(),
        &ended.stderr,
        &machines.stage.text("a.err"),
        &machines.printed,
    ] {
        assert!(!text.contains(&machines.token), "{text}");
    }
    let log = machines.stage.text("dev/log");
    assert!(!log.contains(&machines.token), "{log}");
    drop(worker);
    // One that others can read is refused.
    machines.stage.write("open", "secret");
    let words = [
        "run",
        "--cluster",
        &machines.url,
        "--token-file",
        "open",
        "echo",
        ":::",
        "a",
    ];
    let ended = machines.stage.hands(words).end().with_code(255);
    assert!(ended.stderr.contains("chmod 600"), "{}", ended.stderr);
}
