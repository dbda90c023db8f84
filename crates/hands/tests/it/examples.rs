//! The examples say what they promise to say. They are built with the tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command as Tool, Stdio};

fn example(name: &str) -> Tool {
    let tests = std::env::current_exe().expect("our own path");
    let folder = tests.parent().and_then(|deps| deps.parent());
    Tool::new(folder.expect("target/PROFILE").join("examples").join(name))
}

/// What an example prints.
fn output(name: &str) -> String {
    output_with(name, &[])
}

fn output_with(name: &str, arguments: &[&str]) -> String {
    let output = example(name)
        .args(arguments)
        .output()
        .expect("built with the tests");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {} {told}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// The lines behind this one, up to the next that is not indented like them.
fn below<'a>(output: &'a str, title: &str) -> Vec<&'a str> {
    let lines = output.lines().skip_while(|line| *line != title).skip(1);
    lines.take_while(|line| !line.ends_with(':')).collect()
}

/// Three million times a lock: with `diagnose`, half a minute.
#[cfg(not(feature = "diagnose"))]
#[test]
fn bank_account_loses_nothing_under_any_lock_and_something_without() {
    let output = output("bank_account");
    let lines: Vec<&str> = output.lines().collect();
    let [without, with @ ..] = &lines[..] else {
        panic!("{output}");
    };
    assert!(without.starts_with("no lock"), "{output}");
    assert!(!without.ends_with(" 0 lost"), "{output}");
    assert_eq!(with.len(), 5, "{output}");
    for line in with {
        assert!(line.ends_with("  1000000   0 lost"), "{output}");
    }
}

#[test]
fn daemon_is_abandoned_and_the_others_are_finished() {
    let output = output("daemon");
    let expected =
        "main: returns\nwriter: line 1\nwriter: line 2\nwriter: line 3\ncleaner: swept up\n";
    assert_eq!(output, expected);
}

#[test]
fn ping_and_pong_say_twenty_words_the_wrong_way_and_ten_the_right_ways() {
    let output = output("ping_pong");
    for (title, words) in [
        ("the wrong way:", 20),
        ("by a shared value:", 10),
        ("by a queue:", 10),
    ] {
        let lines = below(&output, title);
        let (last, said) = lines.split_last().expect("lines");
        assert_eq!(
            (*last, said.len()),
            (format!("{words} words").as_str(), words),
            "{output}"
        );
        assert!(
            said.iter().all(|line| ["Ping", "Pong"].contains(line)),
            "{output}"
        );
    }
    let wrong = below(&output, "the wrong way:");
    assert_eq!(
        wrong.iter().filter(|line| **line == "Ping").count(),
        10,
        "{output}"
    );
}

#[test]
fn downloads_are_all_done_each_way() {
    let output = output_with("downloads", &["1"]);
    for how in [
        "one after the other:",
        "in two processes:",
        "in two threads:",
        "as a type that is a thread:",
    ] {
        let lines = below(&output, how);
        for file in ["a tour of threads.pdf", "many hands.avi"] {
            let of_it = lines.iter().filter(|line| line.contains(file)).count();
            assert_eq!(of_it, 2, "{output}");
        }
        assert!(
            lines
                .last()
                .is_some_and(|line| line.starts_with("  2 files took ")),
            "{output}"
        );
    }
    // One after the other in fact, and processes of their own where that is said.
    let ordered = below(&output, "one after the other:");
    assert!(
        ordered[0].contains("begins") && ordered[1].contains("done"),
        "{output}"
    );
    let processes = |how| -> std::collections::BTreeSet<_> {
        let lines = below(&output, how);
        let begun = lines
            .into_iter()
            .filter_map(|line| line.split_once("in process "));
        begun.map(|(_, pid)| pid).collect()
    };
    assert_eq!(processes("in two processes:").len(), 2);
    assert_eq!(processes("in two threads:").len(), 1);
}

#[test]
fn threads_have_their_names_and_end_where_they_are_joined() {
    let expected = "main is running\nreader is running\nreader has ended\nthread-1 is running\nthread-1 has ended\nmain has ended\n";
    assert_eq!(output("names"), expected);
}

#[test]
fn with_a_lock_one_counts_down_after_the_other() {
    let output = output("ordered");
    let ordered: Vec<_> = below(&output, "one after the other:");
    let names: Vec<&str> = ordered[..10]
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert!(names[..5].iter().all(|name| *name == names[0]), "{output}");
    assert!(
        names[5..].iter().all(|name| *name == names[5]) && names[0] != names[5],
        "{output}"
    );
    let numbers: Vec<_> = ordered[..10]
        .iter()
        .filter_map(|line| line.split(": ").nth(1))
        .collect();
    assert_eq!(
        numbers,
        ["4", "3", "2", "1", "0", "4", "3", "2", "1", "0"],
        "{output}"
    );
    assert_eq!(below(&output, "as they come:").len(), 10, "{output}");
}

#[test]
fn each_word_is_had_once_with_a_flag_and_with_a_queue() {
    let output = output("exit_flag");
    for how in ["with a flag:", "with a queue:"] {
        let lines = below(&output, how);
        let mut words: Vec<_> = lines
            .iter()
            .filter_map(|line| line.split(" has ").nth(1))
            .collect();
        words.retain(|word| *word != "ended");
        words.sort_unstable();
        assert_eq!(words, ["five", "four", "one", "three", "two"], "{output}");
    }
}

#[test]
fn a_hundred_items_are_done_when_join_returns() {
    let output = output("task_done");
    let mut items: Vec<u32> = output
        .lines()
        .filter_map(|line| line.split(": ").nth(1)?.parse().ok())
        .collect();
    items.sort_unstable();
    assert!(items.into_iter().eq(0..100), "{output}");
    assert!(output.ends_with("\n100 of 100 done\n"), "{output}");
}

#[test]
fn what_is_produced_is_consumed_in_order_by_every_kind_of_worker() {
    let output = output("producer_consumer");
    for how in ["threads:", "coroutines:", "processes:"] {
        let lines = below(&output, how);
        let got = lines.iter().filter_map(|line| line.strip_prefix("  got "));
        assert!(got.eq(["0", "1", "2", "3", "4"]), "{output}");
        assert_eq!(lines.last(), Some(&"  the sum is 10"), "{output}");
    }
}

#[test]
fn a_pool_by_hand_and_the_library_s_come_to_the_same() {
    let output = output("worker_pool");
    let sums: Vec<_> = output
        .lines()
        .filter_map(|line| line.split_whitespace().nth_back(2))
        .collect();
    assert_eq!(sums, ["328350", "328350"], "{output}");
}

#[test]
fn the_formula_s_figures_are_those_of_the_tutorial() {
    let output = output_with("pool_size", &["20"]);
    assert!(
        output.contains("50% CPU: the formula says 2 workers"),
        "{output}"
    );
    assert!(
        output.contains("20% CPU: the formula says 5 workers"),
        "{output}"
    );
    assert_eq!(output.matches(" workers: ").count(), 6, "{output}");
    assert_eq!(output.matches("  itself: ").count(), 2, "{output}");
}

#[test]
fn the_sum_is_right_by_every_way() {
    let output = output_with("sum", &["1000000"]);
    assert_eq!(output.lines().count(), 6, "{output}");
    assert!(
        output.lines().all(|line| line.contains(" 500000500000 ")),
        "{output}"
    );
}

#[test]
fn a_child_answers_a_pipeline_counts_and_a_time_is_up() {
    let output = output("subprocess");
    let expected = [
        "6 * 7 is 42",
        "2 + 2 is 4",
        "the child has ended: exit status: 0",
        "      2 fig",
        "      3 pear",
        "`sleep` ran longer than its time-out of 100ms and was ended",
        "`/bin/sh` failed (exit status: 3): no such user",
    ];
    assert!(output.lines().eq(expected), "{output}");
}

#[test]
fn one_message_arrives_by_each_way() {
    let expected = "by a pipe:          hello\nby a signal:        it ended by signal 15\nby a socket:        hello\nby shared memory:   hello\n";
    assert_eq!(output("ipc"), expected);
}

#[test]
fn coroutines_share_one_thread_and_many_of_them_wait_at_once() {
    let output = output("coroutines");
    assert!(output.contains("one thread: true"), "{output}");
    let hellos: Vec<_> = output
        .lines()
        .take(4)
        .map(|line| line.contains("again"))
        .collect();
    assert_eq!(hellos, [false, false, true, true], "{output}");
    assert!(
        output.contains("the sum of their numbers is 4999950000"),
        "{output}"
    );
}

#[test]
fn headers_of_three_sites_come_while_the_others_are_waited_for() {
    let output = output("headers");
    assert_eq!(output.matches("asking ").count(), 3, "{output}");
    assert_eq!(output.matches(" > HTTP/1.0 200 OK").count(), 3, "{output}");
    assert_eq!(output.matches(": 3 headers").count(), 3, "{output}");
    let refused = output_with("headers", &["127.0.0.1:1"]);
    assert!(
        refused.contains("127.0.0.1:1: Connection refused"),
        "{refused}"
    );
}

/// A request, and what comes back.
fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "{request} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn a_window_answers_while_it_downloads() {
    // As long as it takes until we have seen all there is to see.
    let mut window = Killed(
        example("window")
            .arg("600000")
            .stdout(Stdio::piped())
            .spawn()
            .expect("built with the tests"),
    );
    let mut lines = BufReader::new(window.0.stdout.take().expect("piped")).lines();
    let address = lines.next().expect("a line").expect("text");
    let address = address
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    assert!(ask(&address, "GET /").contains("id=\"download\""));
    // Of two downloads one is under way, and the other is refused at once.
    let mut downloads = [(); 2].map(|()| {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        let request = format!("POST /download HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        stream.set_nonblocking(true).expect("a socket");
        stream
    });
    let mut answer = [0; 12];
    let refused = loop {
        let mut answers = downloads
            .iter_mut()
            .filter_map(|stream| stream.read(&mut answer).ok());
        if let Some(length) = answers.next() {
            break length;
        }
        std::thread::yield_now();
    };
    assert_eq!(&answer[..refused], b"HTTP/1.1 409");
    assert!(ask(&address, "POST /about").contains("many hands make light work"));
    assert!(ask(&address, "GET /other").contains("404"));
}

/// Whatever becomes of the test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
