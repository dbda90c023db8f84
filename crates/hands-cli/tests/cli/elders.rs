//! What users of GNU parallel ask for, and what looks like it and is dangerous.

use crate::kit::{out, out_of, refusal};
use crate::stage::Stage;

#[test]
fn what_does_not_exist_is_refused_by_its_name() {
    for option in [
        "-S",
        "-Shost",
        "--sshlogin",
        "--tmux",
        "--semaphore",
        "--sql",
    ] {
        let told = refusal(&[option, "echo", ":::", "a"]);
        assert!(told.contains(option) && told.contains("hint: "), "{told}");
        assert!(
            !told.contains("similar argument") && !told.contains("'-- "),
            "{told}"
        );
    }
}

#[test]
fn perl_in_a_command_is_refused() {
    let told = refusal(&["echo {= s/a/b/ =}", ":::", "a"]);
    assert!(
        told.contains("`{= s/a/b/ =}`") && told.contains("--rpl"),
        "{told}"
    );
    let told = refusal(&["--rpl", "{a} uc", "echo", ":::", "a"]);
    assert!(told.contains("`uc` needs Perl"), "{told}");
}

#[test]
fn who_reads_no_more_gets_no_more_blocks() {
    let stage = Stage::new();
    let lines = "0123456789\n".repeat(300_000);
    let ended = stage
        .run([
            "--pipe",
            "--round-robin",
            "-j2",
            "head -c 100 >/dev/null; echo end",
        ])
        .stdin(lines)
        .end()
        .with_code(0);
    assert_eq!(ended.out(), "end\nend\n");
}

#[test]
fn a_job_that_has_ended_costs_no_block_and_no_processor_while_stdin_is_slow() {
    let stage = Stage::new();
    let _gate = stage.gate();
    // The first job reads no more, and only then do the other blocks come.
    stage.script(
        "job",
        "read -r first
[ \"$first\" != 1 ] || {
    # Until the program itself has no more than the end that it writes to.
    pipe=$(readlink /proc/self/fd/0)
    while [ \"$(ls -l /proc/$PPID/fd | grep -cF \"$pipe\")\" -gt 1 ]; do :; done
    exec <&-; echo > gate; exit
}
echo $first; cat",
    );
    let script =
        "{ echo 1; read _ < gate; seq 2 5; } | \"$0\" run --pipe --round-robin -j2 -N1 ./job";
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", script, crate::stage::HANDS])
        .current_dir(stage.folder())
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped());
    let child = shell.spawn().expect("sh");
    let output = child.wait_with_output().expect("it ends");
    let mut lines: Vec<&str> = std::str::from_utf8(&output.stdout)
        .expect("text")
        .lines()
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["2", "3", "4", "5"]);
}

#[test]
fn a_percentage_is_of_those_that_have_started_where_no_more_is_known() {
    let stage = Stage::new();
    let lines: String = (1..=100).map(|number| format!("{number}\n")).collect();
    stage.write("list", &lines);
    for words in [&["::::", "list"][..], &[]] {
        let run = stage.run([&["-j1", "--halt", "now,fail=10%", "echo {}; false"], words].concat());
        let ended = run.stdin(lines.clone()).end();
        assert_eq!(ended.out(), "1\n2\n3\n", "{words:?}");
    }
    // Few failures among many are not enough.
    let job = "echo {}; [ {} -le 95 ]";
    let ended = stage
        .run(["-j1", "--halt", "now,fail=90%", job])
        .stdin(lines)
        .end()
        .with_code(5);
    assert_eq!(ended.out().lines().count(), 100);
}

#[test]
fn lines_are_whole_however_long_they_are() {
    let stage = Stage::new();
    let job = "for i in 1 2 3 4; do head -c 700000 /dev/zero | tr '\\0' {}; done; echo; echo {}";
    for words in [&["--lb"][..], &["--lb", "--tag"]] {
        let words = [words, &["-j3", job, ":::", "a", "b", "c"]].concat();
        let ended = stage.run(words).end().with_code(0);
        for line in ended.out().lines() {
            let line = line.rsplit('\t').next().unwrap_or_default();
            let first = line.chars().next().expect("a letter");
            assert!(
                line.chars().all(|letter| letter == first) && [1, 2_800_000].contains(&line.len())
            );
        }
        assert_eq!(ended.out().lines().count(), 6);
    }
}

#[test]
fn a_command_line_is_as_long_as_the_system_allows() {
    let stage = Stage::new();
    let numbers: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    for (setup, words) in [
        ("ulimit -s 256", "-X echo"),
        (
            "A=$(head -c 100000 /dev/zero | tr '\\0' x); export A",
            "-X echo",
        ),
        (":", "-n 100000 echo"),
        (":", "-n 10000 'echo {} | cat'"),
        (":", "-m 'echo {}; true'"),
        (":", "-X -s 5000 echo"),
    ] {
        let script = format!("{setup}; \"$HANDS\" run -k {words} | wc -w");
        let ended = stage
            .shell(&script)
            .stdin(numbers.clone())
            .end()
            .with_code(0);
        assert_eq!(
            ended.out().trim(),
            "100000",
            "{setup}; {words}: {}",
            ended.stderr
        );
    }
}

#[test]
fn an_input_that_another_shell_reads_is_a_warning_or_an_error() {
    let stage = Stage::new();
    let words = ["bash -c \"echo {}\"", ":::", "a"];
    stage
        .run(words)
        .end()
        .with_code(0)
        .says("warning: an input stands inside a word");
    let ended = stage
        .run([&["--strict"], &words[..]].concat())
        .end()
        .with_code(255);
    assert!(ended.says("hint: give it as an argument").stdout.is_empty());
    let safe = [
        "--strict",
        "bash -c 'echo \"$1\"' _ {}",
        ":::",
        "a; echo INJ",
    ];
    let ended = stage.run(safe).end().with_code(0);
    assert_eq!(ended.out(), "a; echo INJ\n");
}

#[test]
fn one_input_twice_loses_no_results() {
    let stage = Stage::new();
    let words = ["--results", "R", "-j1", "echo {#}-{}", ":::", "a", "a", "b"];
    stage.run(words).end().with_code(0);
    let found = stage.shell("cat R/1/*/stdout | sort").end();
    assert_eq!(found.out(), "1-a\n2-a\n3-b\n");
}

#[test]
fn results_may_be_a_table_or_a_template() {
    let stage = Stage::new();
    let job = "echo {1}, x; echo 'a \"b\"' >&2; exit {2}";
    let words = [
        "--results",
        "r.csv",
        "-j1",
        job,
        ":::",
        "p",
        ":::",
        "0",
        "7",
    ];
    let ended = stage.run(words).end().with_code(1);
    assert_eq!(ended.out(), "");
    let table = stage.text("r.csv");
    let head =
        "Seq,Host,Starttime,JobRuntime,Send,Receive,Exitval,Signal,Command,V1,V2,Stdout,Stderr\n";
    assert!(table.starts_with(head), "{table}");
    assert!(
        table.contains(",p,7,\"p, x\n\",\"a \"\"b\"\"\n\""),
        "{table}"
    );
    stage
        .run(["--results", "t.tsv", "-j1", "echo", ":::", "a"])
        .end()
        .with_code(0);
    assert!(
        stage.text("t.tsv").contains("\techo a\ta\t\"a\n\"\t\n"),
        "{}",
        stage.text("t.tsv")
    );
    stage
        .run(["--results", "o/{.}.out", "-k", "echo", ":::", "a.x", "b.y"])
        .end()
        .with_code(0);
    assert_eq!(
        (
            stage.text("o/a.out").as_str(),
            stage.text("o/b.out.seq").as_str()
        ),
        ("a.x\n", "2\n")
    );
    let ended = stage
        .run(["--joblog", "-", "-j1", "true", ":::", "a"])
        .stdout_to_pipe();
    assert!(
        ended.contains("Seq\tHost") && ended.contains("\ttrue a"),
        "{ended}"
    );
}

#[test]
fn inputs_are_trimmed_shuffled_ended_and_linked() {
    assert_eq!(
        out_of(&["-k", "--trim", "lr", "echo [{}]"], " a \nb\n"),
        "[a]\n[b]\n"
    );
    assert_eq!(out_of(&["-k", "-E", "end", "echo"], "a\nend\nb\n"), "a\n");
    let mut lines: Vec<String> = out(&["--shuf", "-j1", "echo", ":::", "a", "b", "c", "d"])
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    assert_eq!(lines, ["a", "b", "c", "d"]);
    assert_eq!(
        out(&[
            "-k", "--link", "echo", "{1}{2}", ":::", "a", "b", "c", ":::", "1", "2"
        ]),
        "a1\nb2\nc1\n"
    );
}

#[test]
fn the_configuration_and_parallel_s_variable_stand_before_the_command_line() {
    let stage = Stage::new();
    std::fs::create_dir_all(stage.path("config/hands")).expect("a folder");
    stage.write("config/hands/run.conf", "--tag\n");
    stage.write("config/hands/mine.conf", "--tagstring x{}\n");
    let run = |words: &[&str], variable: &str| {
        let run = stage.run([words, &["-k", "echo", ":::", "a"]].concat());
        let run = run
            .env("XDG_CONFIG_HOME", stage.path("config"))
            .env("PARALLEL", variable);
        run.end().with_code(0).out().to_owned()
    };
    assert_eq!(run(&[], "--will-cite -j1"), "a\ta\n");
    assert_eq!(run(&["--no-config"], ""), "a\n");
    assert_eq!(run(&["--no-config", "-J", "mine"], ""), "xa\ta\n");
    let run = stage.run(["-J", "none", "echo", ":::", "a"]);
    run.env("XDG_CONFIG_HOME", stage.path("config"))
        .end()
        .with_code(255)
        .says("`--profile none`");
}

#[test]
fn what_looks_like_inputs_and_is_not_is_told() {
    let stage = Stage::new();
    for (words, told) in [
        (&["echo", ":::a", ":::", "b"][..], "`:::a` begins no inputs"),
        (&["echo", "::", ":::", "b"], "`::` begins no inputs"),
        (
            &["echo", "::::list", ":::", "b"],
            "`::::list` begins no inputs",
        ),
        (
            &["echo", "a", "b"],
            "stdin had no inputs, so nothing was run",
        ),
    ] {
        stage.run(words).end().with_code(0).says(told);
    }
    // A batch for nobody is asked for: nothing is said.
    let ended = stage.run(["echo", ":::"]).end().with_code(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn syntax_and_functions_of_bash_are_told_of_and_run_with_it() {
    let stage = Stage::new();
    for job in [
        "[[ {} = a ]] && echo yes",
        "echo x{1..3} {} | cat",
        "cat <(echo {})",
    ] {
        stage
            .run([job, ":::", "a"])
            .end()
            .says("hint: `--shell bash`");
        let ended = stage
            .run(["--shell", "bash", job, ":::", "a"])
            .end()
            .with_code(0);
        assert_eq!(ended.stderr, "");
    }
    let script = "f() { echo \"f got $1\"; }; export -f f; \"$HANDS\" run --shell bash f ::: 'a  b'; \"$HANDS\" run f ::: a";
    stage.write("script", script);
    let ended = stage.shell("bash script").end();
    assert_eq!(ended.out(), "f got a  b\n");
    assert!(
        ended.stderr.contains("`f` is a function of bash"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_command_that_is_the_input_alone_is_a_command() {
    assert_eq!(
        out(&["-k", "{}", ":::", "echo hi", "echo a | tr a b"]),
        "hi\nb\n"
    );
}

#[test]
fn a_column_that_nobody_has_is_an_error_that_names_those_there_are() {
    let stage = Stage::new();
    for (words, input) in [
        (&["--csv", "echo {nme}"][..], "name,age\na,1\n"),
        (&["--header", ":", "echo {nme}"], "name\na\n"),
    ] {
        let ended = stage.run(words).stdin(input).end().with_code(255);
        assert!(
            ended
                .says("`{nme}` names no column")
                .says("name")
                .stdout
                .is_empty()
        );
    }
}

#[test]
fn the_first_failure_may_be_the_last() {
    let stage = Stage::new();
    let ended = stage
        .run([
            "-j1",
            "--fail-fast",
            "echo {}; exit {}",
            ":::",
            "0",
            "3",
            "0",
        ])
        .end()
        .with_code(3);
    assert_eq!(ended.out(), "0\n3\n");
}

#[test]
fn who_writes_straight_to_a_reader_that_goes_ends_as_by_a_signal() {
    let stage = Stage::new();
    let script = "{ \"$HANDS\" run -u yes ::: a; echo \"code $?\" >&2; } | head -n 1";
    let ended = stage.shell(script).end().with_code(0);
    assert_eq!((ended.out(), ended.stderr.as_str()), ("a\n", "code 141\n"));
}
