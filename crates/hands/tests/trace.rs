//! A trace is what viewers open: strict types, and the rules that Perfetto goes by.
//!
//! A program of its own: with `serde_json` among the crates that the other tests see, the compiler
//! finds several meanings for what they compare.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

use std::collections::HashMap;
use std::time::Duration;

use hands::event::{Trace, TraceFile};
use hands::pool::{Pool, ProcessPool, ThreadPool};
use serde::Deserialize;

#[path = "it/support.rs"]
#[allow(dead_code, reason = "each crate's tests use a part of it")]
mod support;

use support::{folder, in_time};

hands::entry!();

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TraceText {
    #[serde(rename = "displayTimeUnit")]
    unit: String,
    #[serde(rename = "traceEvents")]
    events: Vec<TraceRow>,
}

#[derive(Deserialize)]
#[serde(tag = "ph", deny_unknown_fields)]
enum TraceRow {
    X {
        #[serde(rename = "pid")]
        _pid: u64,
        tid: u64,
        ts: serde_json::Number,
        dur: serde_json::Number,
        name: String,
        args: HashMap<String, serde_json::Value>,
    },
    #[serde(rename = "s")]
    From {
        #[serde(rename = "pid")]
        _pid: u64,
        tid: u64,
        ts: serde_json::Number,
        id: u64,
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "cat")]
        _cat: String,
    },
    #[serde(rename = "f")]
    To {
        #[serde(rename = "pid")]
        _pid: u64,
        tid: u64,
        ts: serde_json::Number,
        id: u64,
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "cat")]
        _cat: String,
        bp: String,
    },
    C {
        #[serde(rename = "pid")]
        _pid: u64,
        #[serde(rename = "tid")]
        _tid: u64,
        #[serde(rename = "ts")]
        _ts: serde_json::Number,
        name: String,
        args: HashMap<String, u64>,
    },
    M {
        #[serde(rename = "pid")]
        _pid: u64,
        tid: u64,
        name: String,
        args: HashMap<String, serde_json::Value>,
    },
}

/// Nanoseconds of a number that is written as microseconds with three decimals.
fn nanos(number: &serde_json::Number) -> u64 {
    let micros: f64 = number.as_f64().unwrap();
    (micros * 1000.0).round() as u64
}

/// Checks the rules, and tells how many slices there are on workers' tracks, by their ends.
pub(crate) fn checked(text: &str) -> HashMap<String, usize> {
    let trace: TraceText = serde_json::from_str(text).unwrap();
    assert_eq!(trace.unit, "ms");
    let mut tracks: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
    let (mut from, mut to) = (HashMap::new(), Vec::new());
    let (mut named, mut ends) = (HashMap::new(), HashMap::new());
    for row in &trace.events {
        match row {
            TraceRow::X {
                tid,
                ts,
                dur,
                name,
                args,
                ..
            } => {
                assert!(!name.is_empty() && args.contains_key("task"));
                let start = nanos(ts);
                tracks
                    .entry(*tid)
                    .or_default()
                    .push((start, start + nanos(dur)));
                if let Some(end) = args.get("end") {
                    *ends.entry(end.as_str().unwrap().to_owned()).or_default() += 1;
                }
            }
            TraceRow::From { tid, ts, id, .. } => {
                assert!(
                    from.insert(*id, (*tid, nanos(ts))).is_none(),
                    "task {id} twice"
                );
            }
            TraceRow::To {
                tid, ts, id, bp, ..
            } => {
                assert_eq!(bp, "e");
                to.push((*id, *tid, nanos(ts)));
            }
            TraceRow::C { name, args, .. } => assert!(!name.is_empty() && !args.is_empty()),
            TraceRow::M {
                tid, name, args, ..
            } => {
                assert!(
                    named.insert((*tid, name.clone()), ()).is_none(),
                    "{tid} {name} twice"
                );
                assert_eq!(args.len(), 1);
            }
        }
    }
    for (track, slices) in &mut tracks {
        assert!(
            named.contains_key(&(*track, "thread_name".to_owned())),
            "{track}"
        );
        slices.sort_unstable();
        for pair in slices.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "track {track}: {pair:?} overlap");
        }
    }
    let is_inside = |track: u64, at: u64| {
        let slices = &tracks[&track];
        let next = slices.partition_point(|&(start, _)| start <= at);
        // Of several that begin at once, the last is the one with a length.
        slices[..next]
            .iter()
            .rev()
            .take(3)
            .any(|&(_, end)| at <= end)
    };
    for &(track, at) in from.values() {
        assert!(is_inside(track, at));
    }
    for (task, track, at) in to {
        assert!(is_inside(track, at));
        if let Some((_, submitted)) = from.get(&task) {
            assert!(
                *submitted <= at + 1_000_000,
                "task {task} ran before it was submitted"
            );
        }
    }
    ends
}

fn of_a_pool(pool: &impl Pool, tasks: u64) -> HashMap<String, usize> {
    let folder = folder();
    let path = folder.path().join("trace.json");
    let trace = Trace::to_file(&pool.events(), &path).unwrap();
    let handles: Vec<_> = (0..tasks).map(|n| pool.submit(cube, n)).collect();
    for handle in handles {
        drop(handle.join());
    }
    pool.join();
    let summary = trace.finish().unwrap();
    assert_eq!((summary.tasks, summary.lost), (tasks, 0));
    checked(&std::fs::read_to_string(&path).unwrap())
}

fn cube(n: u64) -> u64 {
    assert!(n % 100 != 7, "panics on purpose");
    n * n * n
}

#[test]
fn the_trace_of_threads_is_valid() {
    in_time(|| {
        let ends = of_a_pool(&ThreadPool::with_workers(3).unwrap(), 2000);
        let expected =
            [("panicked", 20), ("well", 1980)].map(|(end, times)| (end.to_owned(), times));
        assert_eq!(ends, expected.into());
    });
}

#[test]
fn the_trace_of_processes_is_valid() {
    in_time(|| {
        let ends = of_a_pool(&ProcessPool::with_workers(2).unwrap(), 1000);
        let expected =
            [("panicked", 10), ("well", 990)].map(|(end, times)| (end.to_owned(), times));
        assert_eq!(ends, expected.into());
    });
}

#[test]
fn a_hundred_thousand_tasks_are_a_valid_trace() {
    in_time(|| {
        let pool = ThreadPool::with_workers(2).unwrap();
        let folder = folder();
        let path = folder.path().join("trace.json");
        let trace = Trace::to_file(&pool.events(), &path).unwrap();
        // In steps, so that none is lost.
        for first in (0..100_000_u64).step_by(5000) {
            let all = pool.map(|n: u64| n, first..first + 5000).chunk(1);
            assert_eq!(all.count(), 5000);
            std::thread::park_timeout(Duration::from_millis(40));
        }
        let summary = trace.finish().unwrap();
        let ends = checked(&std::fs::read_to_string(&path).unwrap());
        assert_eq!(
            summary.tasks + summary.lost.min(1) * 100_000,
            100_000 + summary.lost.min(1) * summary.tasks
        );
        assert!(ends["well"] as u64 == summary.tasks);
    });
}

#[test]
fn what_still_runs_and_what_is_out_of_order_is_valid_too() {
    let mut text = Vec::new();
    let mut file = TraceFile::new(&mut text).unwrap();
    let second = 1_000_000_000;
    file.queued(second, 1, "a \"name\"\n\u{1}").unwrap();
    file.queued(second, 2, "").unwrap();
    file.started(second + 5, 1, 0, "a").unwrap();
    // Its worker's clock is behind: it ends before the one ahead of it did.
    file.ran(
        second + 900,
        1,
        0,
        "a",
        Duration::from_nanos(895),
        "\"end\":\"well\"",
    )
    .unwrap();
    file.started(second + 100, 2, 0, "b").unwrap();
    file.ran(
        second + 700,
        2,
        0,
        "b",
        Duration::from_secs(2),
        "\"end\":\"well\"",
    )
    .unwrap();
    file.started(second + 800, 3, 1, "c").unwrap();
    assert_eq!(file.finish(2 * second).unwrap(), 2);
    let ends = checked(std::str::from_utf8(&text).unwrap());
    assert_eq!((ends["well"], ends["running"]), (2, 1));
}

#[test]
fn a_trace_that_cannot_be_written_says_so_and_holds_up_nobody() {
    in_time(|| {
        let pool = ThreadPool::with_workers(1).unwrap();
        let trace = Trace::to_file(&pool.events(), "/dev/full").unwrap();
        assert_eq!(pool.map(|n: u64| n, 0..5000).count(), 5000);
        pool.join();
        assert!(trace.finish().is_err());
        assert!(Trace::to_file(&pool.events(), "/no/such/folder/x").is_err());
    });
}
