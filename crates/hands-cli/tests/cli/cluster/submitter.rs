//! Who runs a batch may be killed, and another goes on with it.

use std::collections::BTreeMap;

use super::{Machines, awaited};

/// The run's name, once it has said it.
fn name_of(text: &str) -> String {
    let after = text.split("--attach ").nth(1).expect("a name");
    after.split_whitespace().next().expect("a name").to_owned()
}

fn lines(text: &str) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for line in text.lines() {
        *lines.entry(line.to_owned()).or_default() += 1;
    }
    lines
}

#[test]
fn a_run_whose_program_is_killed_again_and_again_loses_no_job_and_runs_none_twice() {
    let machines = Machines::new();
    let _workers = ["a", "b"].map(|name| machines.worker(name, &["-j2", "--allow", "sh"]));
    let stage = &machines.stage;
    let inputs: String = (1..=300).map(|n| format!("{n}\n")).collect();
    let command = "echo {} >> begun; sleep 0.01; echo {}";
    let mut all = String::new();
    let mut run = machines
        .run(&["--joblog", "log", command])
        .stdin(inputs)
        .start();
    run.told("--attach");
    let mut name = None;
    for round in 1..=10 {
        // So many more have ended.
        let since = std::time::Instant::now();
        loop {
            let log = std::fs::read_to_string(stage.path("log")).unwrap_or_default();
            if log.lines().count() > 25 * round {
                break;
            }
            assert!(since.elapsed().as_secs() < 100, "{log}");
            std::thread::yield_now();
        }
        run.signal(rustix::process::Signal::KILL);
        let ended = run.end();
        all.push_str(ended.out());
        let name = name.get_or_insert_with(|| name_of(&ended.stderr)).clone();
        run = machines.run(&["--attach", &name]).start();
    }
    let ended = run.end().with_code(0);
    all.push_str(ended.out());
    // Each was begun once.
    let begun = lines(&stage.text("begun"));
    assert_eq!(begun.len(), 300);
    let twice: Vec<_> = begun.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    // Each was logged, and its output told, by one or the other; some twice, as the note that it
    // was told comes a moment later.
    let log = stage.text("log");
    let logged: BTreeMap<String, usize> = lines(&log)
        .keys()
        .filter_map(|line| Some((line.split('\t').next()?.to_owned(), 1)))
        .collect();
    assert_eq!(logged.len(), 301, "with the header: {log}");
    let told = lines(&all);
    for n in 1..=300 {
        assert!(told.contains_key(&n.to_string()), "{n}");
    }
}

#[test]
fn a_run_that_is_over_cannot_be_gone_on_with() {
    let machines = Machines::new();
    let _worker = machines.worker("a", &["--allow", "echo"]);
    let ended = machines.run(&["echo", ":::", "a"]).end().with_code(0);
    let name = name_of(&ended.stderr);
    let ended = machines.run(&["--attach", &name]).end().with_code(255);
    assert!(ended.stderr.contains("it is over"), "{}", ended.stderr);
    let ended = machines.run(&["--attach", "nonsense"]).end().with_code(255);
    assert!(ended.stderr.contains("nonsense"), "{}", ended.stderr);
}

#[test]
fn ctrl_c_ends_the_jobs_there_too() {
    let machines = Machines::new();
    let _worker = machines.worker("a", &["-j1", "--allow", "sh"]);
    let run = machines.run(&[
        "trap 'touch told; exit 1' TERM; touch in; while :; do sleep 0.05; done; : {}",
        ":::",
        "1",
        "2",
    ]);
    let run = run.start();
    let since = std::time::Instant::now();
    while !machines.stage.path("in").exists() {
        assert!(since.elapsed().as_secs() < 60);
        std::thread::yield_now();
    }
    run.signal(rustix::process::Signal::TERM);
    run.end();
    while !machines.stage.path("told").exists() {
        assert!(since.elapsed().as_secs() < 100);
        std::thread::yield_now();
    }
    // Nothing is left for others.
    let words = ["cluster", "status", machines.url.as_str()];
    loop {
        let status = machines.hands(&words).end().with_code(0);
        if status.out().contains("0 of 1 slots busy, 0 tasks") {
            break;
        }
        assert!(since.elapsed().as_secs() < 100, "{}", status.out());
    }
    let _ = awaited(&machines.stage, "a.err", "may run");
}

#[test]
fn what_failed_before_counts_in_the_end() {
    let machines = Machines::new();
    let _worker = machines.worker("a", &["-j1", "--allow", "sh"]);
    let command = "test {} = 2 || exit 1; touch in; while ! test -e go; do sleep 0.02; done";
    let run = machines
        .run(&["--joblog", "log", command, ":::", "1", "2"])
        .start();
    let since = std::time::Instant::now();
    while !machines.stage.path("in").exists() {
        assert!(since.elapsed().as_secs() < 60);
        std::thread::yield_now();
    }
    awaited(&machines.stage, "log", "\n1\t");
    run.signal(rustix::process::Signal::KILL);
    let name = name_of(&run.end().stderr);
    machines.stage.write("go", "");
    let ended = machines.run(&["--attach", &name]).end().with_code(1);
    // It may have been told a moment before that was written down: then it is told again.
    let says = ["before this program went on", "1 of 2 jobs failed"];
    assert!(
        says.iter().any(|says| ended.stderr.contains(says)),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_run_without_workers_says_so_and_takes_the_first_that_comes() {
    let machines = Machines::new();
    let mut run = machines.run(&["echo", ":::", "a"]).start();
    run.told("no worker has answered yet");
    let _worker = machines.worker("a", &["--allow", "echo"]);
    assert_eq!(run.end().with_code(0).out(), "a\n");
}
