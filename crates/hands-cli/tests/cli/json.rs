//! `--json`: an event a line, from which any program can put together what happened, byte for byte.

use serde_json::Value;

use crate::kit::{text, words};
use crate::stage::Stage;

#[track_caller]
fn events(printed: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("an object a line");
    printed.lines().map(parse).collect()
}

/// The fields named, in order, as text.
fn fields(events: &[Value], names: &[&str]) -> Vec<String> {
    let field = |event: &Value, name: &&str| match event.get(*name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let line = |event| {
        let fields: Vec<_> = names.iter().map(|name| field(event, name)).collect();
        fields.join(" ").trim_end().to_owned()
    };
    events.iter().map(line).collect()
}

#[test]
fn json_is_an_event_a_line_and_the_sum_at_the_end() {
    let stage = Stage::new();
    let job = "echo \"out {}\"; echo err >&2; exit {}";
    let ended = stage
        .run(["-j1", "--json", job, ":::", "0", "3"])
        .end()
        .with_code(1);
    let events = events(ended.out());
    assert_eq!(
        fields(
            &events,
            &["event", "seq", "stream", "text", "outcome", "exit"]
        ),
        [
            "start 1",
            "output 1 stdout out 0",
            "output 1 stderr err",
            "end 1   success 0",
            "start 2",
            "output 2 stdout out 3",
            "output 2 stderr err",
            "end 2   failure 3",
            "summary",
        ]
    );
    assert_eq!(events[4]["command"], "echo \"out 3\"; echo err >&2; exit 3");
    let end = &events[7];
    for number in [
        "time",
        "wall",
        "cpu_user",
        "cpu_system",
        "max_rss",
        "sent",
        "received",
    ] {
        assert!(end[number].is_number(), "{number}: {end}");
    }
    assert_eq!((&end["received"], &end["signal"]), (&10.into(), &0.into()));
    assert_eq!(
        fields(
            &events[8..],
            &["succeeded", "failed", "ended", "exhausted", "exit_code"]
        ),
        ["1 1 0 true 1"]
    );
}

/// What a job wrote to stdout, put together from its events.
fn written(events: &[Value], seq: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        if event["event"] != "output" || event["seq"] != seq || event["stream"] != "stdout" {
            continue;
        }
        match (&event["text"], &event["base64"]) {
            (Value::String(text), Value::Null) => bytes.extend_from_slice(text.as_bytes()),
            (Value::Null, Value::String(text)) => bytes.extend(decoded(text)),
            _ => panic!("either text or base64: {event}"),
        }
    }
    bytes
}

fn decoded(base64: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("no base64: {base64}"),
    };
    assert_eq!(base64.len() % 4, 0);
    let mut bytes = Vec::new();
    for four in base64.trim_end_matches('=').as_bytes().chunks(4) {
        let number = four
            .iter()
            .fold(0_u32, |number, &byte| number << 6 | u32::from(digit(byte)))
            << (6 * (4 - four.len()));
        bytes.extend_from_slice(&number.to_be_bytes()[1..four.len()]);
    }
    bytes
}

#[test]
fn json_holds_any_bytes() {
    let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let stage = Stage::new();
    stage.write("bytes", &all);
    let events = events(&text(stage.run(["--json", "cat", ":::", "bytes"])));
    assert!(written(&events, 1) == all);
    let line = words(&["--json", "printf", "%s", ":::"], [&b"caf\xe9"[..]]);
    let events = self::events(&text(stage.run(line)));
    assert_eq!(written(&events, 1), b"caf\xe9");
    assert!(events[0]["command"].is_string());
}

#[test]
fn json_shows_text_as_text_however_it_is_cut() {
    let stage = Stage::new();
    // Characters of three bytes, which no power of two divides, and one that comes in three writes.
    stage.write("text", "€".repeat(100_000));
    let mut gate = stage.gate();
    let job = r"cat {}; printf '\342'; read _ <gate; printf '\202'; read _ <gate; printf '\254'";
    gate.open(2);
    let events = events(&text(stage.run(["--json", job, ":::", "text"])));
    assert!(written(&events, 1) == "€".repeat(100_001).into_bytes());
    assert!(events.iter().all(|event| event.get("base64").is_none()));
    // What is left at the end is shown as what it is.
    let events = self::events(&text(stage.run([
        "--json",
        r"printf 'a\342\202'; true",
        ":::",
        "x",
    ])));
    assert_eq!(written(&events, 1), b"a\xe2\x82");
    assert_eq!(
        fields(&events, &["event"]),
        ["start", "output", "output", "end", "summary"]
    );
}

#[test]
fn json_events_come_while_jobs_run() {
    let stage = Stage::new();
    let mut gate = stage.gate();
    let mut bell = stage.bell();
    let run = stage
        .shell("exec \"$HANDS\" run --json 'echo x; read _ <gate; true {}' ::: a >bell")
        .start();
    let seen = events(&bell.rings(2).join("\n"));
    assert_eq!(seen.len(), 2);
    gate.open(1);
    run.end().with_code(0);
    bell.rings(4);
}
