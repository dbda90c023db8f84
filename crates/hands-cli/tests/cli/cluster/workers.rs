//! What a machine's owner is promised, and what a worker that ends costs.

use rustix::process::Signal;

use super::{Machines, awaited, said};

#[test]
fn nothing_runs_that_its_owner_does_not_allow() {
    let machines = Machines::new();
    let _worker = machines.worker("a", &["--allow", "echo"]);
    let refused = machines
        .run(&["touch", "made", ":::", "x"])
        .end()
        .with_code(1);
    assert!(
        refused.stderr.contains("its owner allows `echo`"),
        "{}",
        refused.stderr
    );
    assert!(!machines.stage.path("made").exists());
    // A shell's line is a shell's.
    let refused = machines
        .run(&["echo {} > made", ":::", "x"])
        .end()
        .with_code(1);
    assert!(
        refused.stderr.contains("does not run"),
        "{}",
        refused.stderr
    );
    // Another program that has the name.
    machines.stage.script("echo", "touch made");
    machines.run(&["./echo", ":::", "x"]).end().with_code(1);
    assert!(!machines.stage.path("made").exists());
    let none = machines.worker("b", &[]);
    assert!(machines.stage.text("b.err").contains("may run nothing"));
    drop(none);
}

#[test]
fn jobs_start_in_allowed_folders_alone_and_within_the_owners_limits() {
    let machines = Machines::new();
    std::fs::create_dir(machines.stage.path("in")).expect("a folder");
    let words = [
        "--allow",
        "sh,pwd",
        "--folder",
        "in",
        "--timeout",
        "0.2",
        "--joblog",
        "own.log",
    ];
    let _worker = machines.worker("a", &words);
    let refused = machines.run(&["pwd", ":::", "x"]).end().with_code(1);
    assert!(
        refused.stderr.contains("allows other folders"),
        "{}",
        refused.stderr
    );
    machines
        .run(&["--workdir", "in", "pwd; true", ":::", "x"])
        .end()
        .with_code(0);
    machines
        .run(&["--workdir", "in", "exec sleep 60", ":::", "x"])
        .end()
        .with_code(1);
    let log = machines.stage.text("own.log");
    assert_eq!(log.lines().count(), 3, "{log}");
    let missing = machines
        .run(&["--workdir", "/no/such/folder", "pwd", ":::", "x"])
        .end();
    assert!(
        missing.stderr.contains("/no/such/folder"),
        "{}",
        missing.stderr
    );
}

#[test]
fn a_worker_that_is_killed_costs_its_job_one_more_start_and_both_are_told() {
    let machines = Machines::new();
    let first = machines.worker("first", &["-j1", "--allow", "sh"]);
    let run = machines.run(&[
        "-k",
        "--joblog",
        "log",
        "echo $HANDS_SEQ >> begun; test -e pass || { touch here; exec sleep 600; }; echo {}",
        ":::",
        "a",
    ]);
    let run = run.start();
    let since = std::time::Instant::now();
    while !machines.stage.path("here").exists() {
        assert!(since.elapsed().as_secs() < 60);
        std::thread::yield_now();
    }
    machines.stage.write("pass", "");
    drop(first);
    let _second = machines.worker("second", &["-j1", "--allow", "sh"]);
    let ended = run.end().with_code(0);
    assert_eq!(ended.out(), "a\n");
    assert!(
        ended.stderr.contains("the worker first has gone"),
        "{}",
        ended.stderr
    );
    assert_eq!(machines.stage.text("begun"), "1\n1\n");
    let log = machines.stage.text("log");
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(log.contains("\tfirst,second\t"), "{log}");
}

#[test]
fn workers_that_are_killed_all_the_time_lose_no_job_and_mix_no_output() {
    let machines = Machines::new();
    let mut workers: Vec<_> = ["a", "b", "c"]
        .map(|name| machines.worker(name, &["-j2", "--allow", "sh"]))
        .into();
    let inputs: Vec<String> = (0..120).map(|n| n.to_string()).collect();
    let mut words = vec![
        "-k",
        "--joblog",
        "log",
        "echo {} begins; sleep 0.05; echo {} ends",
        ":::",
    ];
    words.extend(inputs.iter().map(String::as_str));
    let run = machines.run(&words).start();
    for round in 0..4 {
        // So many have ended since.
        awaited(
            &machines.stage,
            "log",
            &format!("\techo {} begins", 10 + 20 * round),
        );
        workers[round % 3] = machines.worker("again", &["-j2", "--allow", "sh"]);
    }
    let ended = run.end().with_code(0);
    let expected: String = (inputs.iter())
        .map(|n| format!("{n} begins\n{n} ends\n"))
        .collect();
    assert_eq!(ended.out(), expected);
    let log = machines.stage.text("log");
    let mut numbers: Vec<u32> = (log.lines().skip(1))
        .map(|line| {
            line.split('\t')
                .next()
                .unwrap_or_default()
                .parse()
                .expect("a number")
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=120).collect::<Vec<_>>());
}

#[test]
fn labels_choose_workers() {
    let machines = Machines::new();
    let _plain = machines.worker("plain", &["--allow", "sh"]);
    let _gpu = machines.worker("gpu1", &["--allow", "sh", "--label", "gpu"]);
    let words = [
        "--label",
        "gpu",
        "--joblog",
        "log",
        "true; echo {}",
        ":::",
        "1",
        "2",
        "3",
    ];
    machines.run(&words).end().with_code(0);
    let log = machines.stage.text("log");
    for line in log.lines().skip(1) {
        assert!(line.contains("\tgpu1\t"), "{log}");
    }
}

#[test]
fn workers_are_listed_drained_and_removed() {
    let machines = Machines::new();
    let url = machines.url.as_str();
    let status = machines
        .hands(&["cluster", "status", url])
        .end()
        .with_code(0);
    assert!(
        status.out().contains("no worker answers"),
        "{}",
        status.out()
    );
    let mut drained = machines.worker("one", &["-j1", "--allow", "sh"]);
    let mut removed = machines.worker(
        "two",
        &["-j1", "--allow", "sh", "--label", "gpu", "--grace", "0"],
    );
    let status = machines
        .hands(&["cluster", "status", url])
        .end()
        .with_code(0);
    for word in ["one", "two", "gpu", "0 of 2 slots busy"] {
        assert!(status.out().contains(word), "{}", status.out());
    }
    let status = machines
        .hands(&["cluster", "status", url, "--json"])
        .end()
        .with_code(0);
    let json: serde_json::Value = serde_json::from_str(status.out()).expect("JSON");
    assert_eq!(json["slots"], 2);
    assert_eq!(json["workers"][0]["name"], "one");
    let wrong = machines
        .hands(&["cluster", "drain", url, "three"])
        .end()
        .with_code(255);
    assert!(wrong.stderr.contains("one, two"), "{}", wrong.stderr);
    // One finishes what it runs, the other gives it back: to nobody, until a third has come.
    let run = machines.run(&[
        "-j2",
        "touch in{}; while ! test -e go; do sleep 0.02; done; echo {}",
        ":::",
        "1",
        "2",
    ]);
    let run = run.start();
    let since = std::time::Instant::now();
    while !machines.stage.path("in1").exists() || !machines.stage.path("in2").exists() {
        assert!(since.elapsed().as_secs() < 60);
        std::thread::yield_now();
    }
    let status = machines.hands(&["cluster", "status", url]).end();
    for job in ["job 1, ", "job 2, ", "while ! test -e go"] {
        assert!(status.out().contains(job), "{}", status.out());
    }
    machines
        .hands(&["cluster", "remove", url, "two"])
        .end()
        .with_code(0);
    assert!(removed.0.wait().expect("an end").success());
    machines
        .hands(&["cluster", "drain", url, "one"])
        .end()
        .with_code(0);
    assert!(drained.0.try_wait().expect("a look").is_none());
    machines.stage.write("go", "");
    assert!(drained.0.wait().expect("an end").success());
    let _third = machines.worker("three", &["-j1", "--allow", "sh"]);
    let ended = run.end().with_code(0);
    assert_eq!(crate::stage::sorted(ended.out()), ["1", "2"]);
    assert_eq!(said(&ended), "");
}

#[test]
fn a_worker_that_is_told_to_end_waits_for_what_runs() {
    let machines = Machines::new();
    let mut worker = machines.worker("a", &["-j1", "--allow", "sh"]);
    let words = [
        "touch in; while ! test -e go; do sleep 0.02; done; echo done",
        ":::",
        "1",
    ];
    let run = machines.run(&words).start();
    let since = std::time::Instant::now();
    while !machines.stage.path("in").exists() {
        assert!(since.elapsed().as_secs() < 60);
        std::thread::yield_now();
    }
    worker.signal(Signal::TERM);
    awaited(&machines.stage, "a.err", "is waited for");
    machines.stage.write("go", "");
    assert!(worker.0.wait().expect("an end").success());
    assert_eq!(run.end().with_code(0).out(), "done 1\n");
}

#[test]
fn a_worker_that_sizes_itself_takes_more_jobs_that_wait() {
    let machines = Machines::new();
    let _worker = machines.worker("a", &["-j", "auto", "--allow", "sleep"]);
    let inputs: String = "0.02\n".repeat(2000);
    let run = machines.run(&["sleep"]).stdin(inputs).start();
    let words = ["cluster", "status", machines.url.as_str(), "--json"];
    let since = std::time::Instant::now();
    loop {
        let status = machines.hands(&words).end().with_code(0);
        let json: serde_json::Value = serde_json::from_str(status.out()).expect("JSON");
        if json["slots"].as_u64().expect("a number") > hands::cores().get() as u64 {
            break;
        }
        assert!(since.elapsed().as_secs() < 100, "{json}");
    }
    run.signal(Signal::TERM);
    run.end();
}

#[test]
fn a_worker_that_is_short_of_descriptors_is_slower_and_loses_no_job() {
    let machines = Machines::new();
    let script = format!(
        "ulimit -n 256; exec \"$HANDS\" worker {} --name a --hold 1 -j 200 --allow sh",
        machines.url
    );
    let worker = machines.stage.shell(&script);
    let worker = worker.env("HANDS", crate::stage::HANDS);
    let mut worker = worker.env("HANDS_TOKEN", &machines.token).start();
    worker.told("may run `sh`");
    let inputs: String = (0..1000).map(|n| format!("{n}\n")).collect();
    let run = machines
        .run(&["-k", "sleep 0.02; echo {}"])
        .stdin(inputs.clone());
    assert!(run.end().with_code(0).out() == inputs);
    worker.signal(Signal::TERM);
    worker.end().with_code(0);
}

#[test]
fn a_list_that_cannot_be_written_is_an_error() {
    let machines = Machines::new();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("a full disk");
    let status = machines.hands(&["cluster", "status", &machines.url]);
    let ended = status.stdout_to(full).with_code(255);
    assert!(
        ended.stderr.contains("stdout cannot be written"),
        "{}",
        ended.stderr
    );
}
