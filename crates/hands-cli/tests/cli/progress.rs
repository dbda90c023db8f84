//! What is said while a batch runs and at its end: a bar on a terminal, plain text elsewhere, and
//! the failures last.

use std::io::{Read, Write};
use std::process::{Child, Stdio};

use crate::stage::{Stage, await_ready};

/// Columns of the terminal.
const WIDTH: usize = 80;

/// A terminal with a command on it.
struct Terminal {
    child: Child,
    seen: Vec<u8>,
}

impl Terminal {
    fn new(stage: &Stage, script: &str) -> Terminal {
        let child = stage
            .terminal(&format!("stty cols {WIDTH} rows 24; {script}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`script` (in Debian: bsdutils), to test on a terminal");
        Terminal {
            child,
            seen: Vec::new(),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    fn read(&mut self, what: &str) -> bool {
        let out = self.child.stdout.as_mut().expect("its output");
        await_ready(&*out, what);
        let mut buffer = [0; 4096];
        let got = out.read(&mut buffer).expect("its output");
        self.seen.extend_from_slice(&buffer[..got]);
        got > 0
    }

    /// Waits until `text` is shown.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        while !self.text().contains(text) {
            assert!(
                self.read(text),
                "`{text}` was never shown:\n{}",
                self.text()
            );
        }
    }

    fn types(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().expect("its input");
        stdin.write_all(bytes).expect("it reads");
    }

    /// All that was shown, and the exit code.
    #[track_caller]
    fn end(mut self) -> (String, i32) {
        while self.read("its end") {}
        let status = self.child.wait().expect("its status");
        (self.text(), status.code().expect("a code"))
    }
}

/// What a screen of enough lines shows at the end.
fn screen(seen: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    let (mut row, mut column) = (0_usize, 0);
    let mut chars = seen.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => {
                row += 1;
                column = 0;
            }
            '\r' => column = 0,
            '\x1b' => {
                assert_eq!(chars.next(), Some('['), "an unknown escape in {seen:?}");
                let mut number = String::new();
                while let Some(digit) = chars.next_if(|c| c.is_ascii_digit() || ";?".contains(*c)) {
                    number.push(digit);
                }
                let count = number.parse().unwrap_or(1);
                match chars.next() {
                    Some('A') => row = row.saturating_sub(count),
                    Some('B') => row += count,
                    Some('K') if number == "2" => lines[row].clear(),
                    Some('K') => lines[row] = lines[row].chars().take(column).collect(),
                    Some('J') => {
                        lines[row] = lines[row].chars().take(column).collect();
                        lines.truncate(row + 1);
                    }
                    Some('m' | 'h' | 'l') => {}
                    other => panic!("unknown: {other:?} in {seen:?}"),
                }
            }
            c => {
                if column == WIDTH {
                    row += 1;
                    column = 0;
                    lines.resize(lines.len().max(row + 1), String::new());
                }
                let mut line: Vec<char> = lines[row].chars().collect();
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                lines[row] = line.into_iter().collect();
                column += 1;
            }
        }
        if lines.len() <= row {
            lines.resize(row + 1, String::new());
        }
    }
    let mut lines: Vec<String> = lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

#[test]
fn a_terminal_shows_a_bar_and_nothing_of_it_stays() {
    let stage = Stage::new();
    let mut gate = stage.gate();
    let script =
        "exec \"$HANDS\" run -j2 'echo started {}; read _ < gate; echo did {}' ::: one two three";
    let mut terminal = Terminal::new(&stage, script);
    terminal.shows("0 of 3 done, 2 running");
    terminal.shows("job 1: echo started one; read _ < gate");
    terminal.shows("job 2: echo started two; read _ < gate");
    gate.open(1);
    terminal.shows("1 of 3 done, 2 running");
    gate.open(2);
    let (seen, code) = terminal.end();
    assert_eq!(code, 0, "{seen}");
    let mut lines = screen(&seen);
    lines.sort();
    let expected = [
        "did one",
        "did three",
        "did two",
        "started one",
        "started three",
        "started two",
    ];
    assert_eq!(lines, expected, "{seen:?}");
}

#[test]
fn failures_and_retries_are_counted_in_the_bar() {
    let stage = Stage::new();
    let script = "exec \"$HANDS\" run -j2 --retries 2 --retry-delay 1000 '[ {} = slow ] && sleep 1000; exit 3' ::: slow bad";
    let mut terminal = Terminal::new(&stage, script);
    terminal.shows("1 running, 1 to be tried again");
    terminal.types(b"\x03");
    terminal.shows("starting no more jobs");
    terminal.types(b"\x03");
    let (_, code) = terminal.end();
    assert_eq!(code, 130);
}

#[test]
fn ctrl_c_on_a_terminal_reaches_the_program_and_not_its_jobs() {
    let stage = Stage::new();
    let mut gate = stage.gate();
    let script =
        "exec \"$HANDS\" run -j1 'echo up {} >> up; read _ < gate; echo did {}' ::: one two";
    let mut terminal = Terminal::new(&stage, script);
    terminal.shows("0 of 2 done, 1 running");
    terminal.types(b"\x03");
    terminal.shows("interrupted: starting no more jobs");
    gate.open(1);
    let (seen, code) = terminal.end();
    assert_eq!(code, 130, "{seen}");
    let lines = screen(&seen);
    assert!(
        lines.iter().any(|line| line.ends_with("did one")),
        "{lines:?}"
    );
    assert_eq!(stage.text("up"), "up one\n");
}

#[test]
fn what_jobs_write_is_never_drawn_over() {
    let stage = Stage::new();
    // Straight to the terminal, and through a program that reads our stdout.
    for script in [
        "exec \"$HANDS\" run -j1 -u 'echo first {}; sleep 0.8; echo more {}' ::: a b",
        "\"$HANDS\" run -j1 -k 'echo first {}; sleep 0.8; echo more {}' ::: a b | cat",
    ] {
        let (seen, code) = Terminal::new(&stage, script).end();
        let lines = ["first a", "more a", "first b", "more b"].join("\r\n");
        assert_eq!((seen.trim_end(), code), (lines.as_str(), 0), "{script}");
    }
    // A line that has not ended, and what goes to the terminal beside us.
    let script = "exec \"$HANDS\" run -j1 'printf begun; sleep 1; echo; sleep 0.3; echo beside > /dev/tty; sleep 0.8; echo {}' ::: a";
    let (seen, code) = Terminal::new(&stage, script).end();
    let lines = screen(&seen);
    assert_eq!(code, 0);
    for line in ["begun", "a"] {
        assert!(lines.iter().any(|shown| shown == line), "{line}: {lines:?}");
    }
    assert!(
        lines.iter().any(|shown| shown.starts_with("beside")),
        "{lines:?}"
    );
}

#[test]
fn a_bar_of_wide_letters_leaves_nothing_behind() {
    let stage = Stage::new();
    let name = "日本語".repeat(20);
    let script = format!("exec \"$HANDS\" run -j2 'sleep 0.9; true {{}}' ::: {name} {name}.jpg");
    let (seen, code) = Terminal::new(&stage, &script).end();
    assert!(seen.contains("running"), "{seen}");
    assert_eq!((screen(&seen), code), (Vec::<String>::new(), 0), "{seen}");
}

#[test]
fn a_job_that_reads_the_terminal_gets_it_or_is_told_of() {
    let stage = Stage::new();
    let script = "exec \"$HANDS\" run -j1 'read x </dev/tty; echo got $x' ::: a";
    let mut terminal = Terminal::new(&stage, script);
    terminal.shows("job 1 asks for the terminal");
    terminal.types(b"hello\n");
    terminal.shows("got hello");
    assert_eq!(terminal.end().1, 0);
    let script = "exec \"$HANDS\" run -k -j2 '[ {} = 2 ] && read _ < gate; read x </dev/tty; echo {} got $x' ::: 1 2";
    let mut gate = stage.gate();
    let mut terminal = Terminal::new(&stage, script);
    terminal.shows("job 1 is stopped: it wants the terminal");
    gate.open(1);
    terminal.shows("job 2 is stopped");
    // Ctrl-C is for the program: it has the terminal.
    terminal.types(b"\x03");
    terminal.shows("interrupted: starting no more jobs");
    terminal.types(b"\x03");
    let (_, code) = terminal.end();
    assert_eq!(code, 130);
    let script = "exec \"$HANDS\" run --tty 'read x; echo {} got $x' ::: 1 2";
    let mut terminal = Terminal::new(&stage, script);
    terminal.types(b"one\n");
    terminal.shows("1 got one");
    terminal.types(b"two\n");
    terminal.shows("2 got two");
    assert_eq!(terminal.end().1, 0);
}

#[test]
fn a_batch_that_is_over_at_once_draws_nothing() {
    let stage = Stage::new();
    for script in [
        "exec \"$HANDS\" run -k echo ::: a b",
        "exec \"$HANDS\" run -k --progress none 'sleep 0.7; echo' ::: a b",
        "TERM=dumb exec \"$HANDS\" run -k 'sleep 0.7; echo' ::: a b",
    ] {
        let (seen, code) = Terminal::new(&stage, script).end();
        assert_eq!((seen.as_str(), code), ("a\r\nb\r\n", 0), "{script}");
    }
}

#[test]
fn without_a_terminal_there_are_no_control_bytes() {
    let stage = Stage::new();
    for progress in ["auto", "bar", "plain", "none"] {
        let ended = stage
            .run([
                "--progress",
                progress,
                "-j2",
                "sleep {}; false",
                ":::",
                "0.7",
                "0",
            ])
            .env("TERM", "xterm")
            .end()
            .with_code(2);
        let plain = |c: char| c == '\n' || !c.is_control();
        assert!(
            ended.stderr.chars().all(plain),
            "{progress}: {:?}",
            ended.stderr
        );
        assert!(ended.stdout.is_empty());
    }
}

#[test]
fn plain_progress_ends_with_the_sum() {
    let stage = Stage::new();
    let count = |progress: &str, words: &[&str]| {
        let words = ["--progress", progress]
            .into_iter()
            .chain(words.iter().copied());
        stage.run(words).end().stderr
    };
    let told = count("plain", &["exit {}", ":::", "0", "0", "3"]);
    assert!(told.starts_with("hands: 3 of 3 done, 1 failed, "), "{told}");
    for progress in ["auto", "none", "bar"] {
        assert_eq!(count(progress, &["true", ":::", "a"]), "");
    }
}

/// The command lines in a report of failures.
fn commands(told: &str) -> String {
    told.lines()
        .filter_map(|line| line.strip_prefix("  "))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn failures_come_last_with_commands_that_do_the_same_again() {
    let inputs: &[&[u8]] = &[
        b"plain",
        b"My brother's 12\" *** record  (costs $$$).jpg",
        b"two\nlines",
        b"a\ttab \x1b[31m",
        b"caf\xe9",
        b"-n",
        b"\\n `id` $(id) !x #y ~",
        b"",
    ];
    let stdin = inputs
        .iter()
        .flat_map(|input| [input, &b"\0"[..]].concat())
        .collect::<Vec<u8>>();
    // Directly, and through a shell.
    for command in [&["./fail", "{}"][..], &["./fail {} | cat; exit 3"]] {
        let stage = Stage::new();
        stage.script("fail", "printf '%s\\0' \"$1\" >> given; exit 3");
        let words = ["-0", "-j1"].iter().chain(command);
        let ended = stage
            .run(words)
            .stdin(stdin.clone())
            .end()
            .with_code(8)
            .says("hands: 8 of 8 jobs failed; to run them again:\n  # job 1 exited with 3\n");
        assert_eq!(stage.bytes("given"), stdin);
        std::fs::remove_file(stage.path("given")).expect("it was there");
        // As it stands, comments included, in the shell of whoever pastes it.
        stage.write("again", commands(&ended.stderr));
        stage.shell("bash again; true").end().with_code(0);
        assert_eq!(stage.bytes("given"), stdin, "{}", ended.stderr);
    }
}

#[test]
fn what_a_command_needs_beside_its_words_is_told() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("elsewhere")).expect("a folder");
    stage
        .run(["--workdir", "elsewhere", "false", ":::", "a"])
        .end()
        .with_code(1)
        .says("to run them again in `elsewhere`:");
    stage
        .run(["--pipe", "cat > /dev/null; exit 3"])
        .stdin("a\n")
        .end()
        .with_code(1)
        .says("to run them again, each with its part of stdin:");
}

#[test]
fn many_failures_are_not_all_repeated() {
    let stage = Stage::new();
    let inputs: String = (1..=50).map(|n| format!("{n}\n")).collect();
    let ended = stage
        .run(["-j1", "false"])
        .stdin(inputs.as_str())
        .end()
        .with_code(50);
    assert_eq!(ended.stderr.matches("exited with 1").count(), 20);
    ended.says("# and 30 more (`--joblog FILE` would list them all)");
    let words = ["-j1", "--joblog", "log", "false"];
    stage
        .run(words)
        .stdin(inputs)
        .end()
        .says("# and 30 more: `log` has them all");
}

#[test]
fn a_command_too_long_to_repeat_is_said_to_be_cut() {
    let stage = Stage::new();
    let ended = stage
        .run(["false"])
        .stdin("x".repeat(20_000))
        .end()
        .with_code(1);
    assert!(ended.stderr.len() < 10_000);
    ended.says(" bytes more, not shown");
}

#[test]
fn colour_is_for_terminals_and_those_who_ask() {
    const RED: &str = "\x1b[31m1 of 1 job failed\x1b[0m";
    let stage = Stage::new();
    for (script, red) in [
        ("exec \"$HANDS\" run false ::: a", true),
        ("NO_COLOR=1 exec \"$HANDS\" run false ::: a", false),
        ("NO_COLOR= exec \"$HANDS\" run false ::: a", true),
        ("TERM=dumb exec \"$HANDS\" run false ::: a", false),
        ("exec \"$HANDS\" run --color never false ::: a", false),
        (
            "NO_COLOR=1 exec \"$HANDS\" run --color always false ::: a",
            true,
        ),
    ] {
        let (seen, code) = Terminal::new(&stage, script).end();
        assert_eq!(code, 1);
        assert_eq!(seen.contains(RED), red, "{script}: {seen:?}");
        assert_eq!(seen.contains('\x1b'), red, "{script}: {seen:?}");
    }
    for (when, red) in [("auto", false), ("never", false), ("always", true)] {
        let ended = stage.run(["--color", when, "false", ":::", "a"]).end();
        assert_eq!(ended.stderr.contains(RED), red, "{when}");
    }
}

#[test]
fn no_inputs_on_a_terminal_shows_how_to_give_some_instead_of_waiting() {
    let stage = Stage::new();
    for words in ["gzip", "", "--pipe wc", "-j4 --joblog log echo"] {
        let script = format!("exec \"$HANDS\" run {words}");
        let (seen, code) = Terminal::new(&stage, &script).end();
        assert_eq!(code, 255, "{seen}");
        assert!(
            seen.contains("Usage: hands run [OPTIONS] COMMAND... ::: INPUT..."),
            "{seen}"
        );
        assert!(seen.contains("Examples:"), "{seen}");
        assert!(
            seen.contains("error: there are no inputs, and stdin is a terminal"),
            "{seen}"
        );
    }
    assert!(!stage.path("log").exists());
    let (stdout, code) = Terminal::new(&stage, "\"$HANDS\" run gzip 2>/dev/null").end();
    assert_eq!((stdout.as_str(), code), ("", 255), "stdout is for results");
}

#[test]
fn who_asks_for_it_may_type_the_inputs() {
    let stage = Stage::new();
    let script = "exec \"$HANDS\" run -k --progress none 'echo got {}' :::: -";
    let mut terminal = Terminal::new(&stage, script);
    terminal.types(b"one\ntwo\n\x04");
    let (seen, code) = terminal.end();
    assert_eq!(code, 0, "{seen}");
    assert!(
        seen.contains("got one") && seen.contains("got two"),
        "{seen}"
    );
}

#[test]
fn verbose_shows_each_command_as_it_starts() {
    let ended = Stage::new()
        .run(["-v", "-j1", "echo", ":::", "a b", "c"])
        .end()
        .with_code(0);
    assert_eq!(ended.stderr, "echo 'a b'\necho c\n");
    assert_eq!(ended.out(), "a b\nc\n");
}
