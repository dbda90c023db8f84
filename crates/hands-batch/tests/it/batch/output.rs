//! Outputs are kept apart, whatever the jobs do.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hands::command::OutputStream;
use hands_batch::input::Pull;
use hands_batch::policy::Retries;
use hands_batch::{Batch, Commands, Grouping, Job, JobPlace, Observer, Sink, Work, WorkError};

use crate::recorder::{Recorder, Shared, shell};
use crate::support::{Scene, Scenes, fifo, folder, in_time};

pub(crate) const SCENES: Scenes = &[("ungrouped", ungrouped)];

/// Runs shell lines, four at once, and returns what came to stdout and stderr.
fn outputs(batch: Batch, lines: &[String]) -> (String, String) {
    let (out, err) = (Shared::default(), Shared::default());
    let batch = batch.jobs(4).stdout(out.sink()).stderr(err.sink());
    let work = Commands::new(shell(lines));
    in_time(move || batch.run(work, &mut Recorder::default())).expect("it runs");
    (out.text(), err.text())
}

/// Job 1 ends only after job 4 has.
fn backwards(folder: &Path) -> Vec<String> {
    let gate = fifo(folder, "gate");
    let gate = gate.display();
    let mut lines: Vec<String> = ["1", "2", "3", "4"]
        .map(|name| format!("echo {name}"))
        .to_vec();
    lines[0] = format!("echo 1a; cat {gate}; echo 1b");
    lines[3] = format!("echo 4; echo opened > {gate}");
    lines
}

#[test]
fn in_order_the_output_of_the_first_comes_first_even_if_it_ends_last() {
    let folder = folder();
    let batch = Batch::new().grouping(Grouping::Ordered);
    let (out, _) = outputs(batch, &backwards(folder.path()));
    assert_eq!(out, "1a\nopened\n1b\n2\n3\n4\n");
}

#[test]
fn grouped_output_comes_as_jobs_end() {
    let folder = folder();
    let (out, _) = outputs(Batch::new(), &backwards(folder.path()));
    assert!(out.contains("1a\nopened\n1b\n"), "in one piece: {out}");
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["1a", "1b", "2", "3", "4", "opened"]);
}

#[test]
fn both_outputs_of_a_job_go_where_they_belong() {
    let lines: Vec<String> = (1..=20)
        .map(|n| format!("echo out {n}; echo err {n} >&2"))
        .collect();
    let (out, err) = outputs(Batch::new().grouping(Grouping::Ordered), &lines);
    let expected = |name| {
        (1..=20)
            .map(|n| format!("{name} {n}\n"))
            .collect::<String>()
    };
    assert_eq!(out, expected("out"));
    assert_eq!(err, expected("err"));
}

/// Keeps runs of equal bytes instead of the bytes.
#[derive(Clone, Default)]
struct Runs(Arc<Mutex<Vec<(u8, usize)>>>);

impl Write for Runs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut runs = self.0.lock().expect("nobody panicked");
        let first = bytes[0];
        let equal = if bytes == vec![first; bytes.len()] {
            bytes.len()
        } else {
            bytes.iter().take_while(|&&byte| byte == first).count()
        };
        match runs.last_mut() {
            Some((byte, length)) if *byte == first => *length += equal,
            _ => runs.push((first, equal)),
        }
        Ok(equal)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn thirty_jobs_that_write_three_megabytes_to_both_streams_never_mix() {
    for grouping in [Grouping::Jobs, Grouping::Ordered] {
        let letters: Vec<u8> = (b'A'..).take(30).collect();
        let lines = letters.iter().map(|letter| {
            format!("head -c 3000000 /dev/zero | tr '\\0' '\\{letter:o}' | tee /dev/stderr")
        });
        let (out, err) = (Runs::default(), Runs::default());
        let batch = Batch::new()
            .jobs(8)
            .grouping(grouping)
            .stdout(Sink::writer(out.clone()))
            .stderr(Sink::writer(err.clone()));
        let work = Commands::new(shell(lines));
        let summary = in_time(move || batch.run(work, &mut ())).expect("it runs");
        assert_eq!(summary.succeeded, 30);
        for runs in [out, err] {
            let mut runs = runs.0.lock().expect("nobody panicked").clone();
            if grouping == Grouping::Jobs {
                runs.sort_unstable();
            }
            let expected: Vec<_> = letters.iter().map(|&letter| (letter, 3_000_000)).collect();
            assert_eq!(runs, expected);
        }
    }
}

/// Opens a gate (in a thread, as opening waits for the reader) once it has been sent some text.
struct Gatekeeper {
    got: Vec<u8>,
    text: &'static str,
    gate: Option<PathBuf>,
}

impl Gatekeeper {
    fn sink(text: &'static str, gate: PathBuf) -> Sink {
        Sink::writer(Gatekeeper {
            got: Vec::new(),
            text,
            gate: Some(gate),
        })
    }
}

impl Write for Gatekeeper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.got.extend_from_slice(bytes);
        if String::from_utf8_lossy(&self.got).contains(self.text)
            && let Some(gate) = self.gate.take()
        {
            std::thread::spawn(move || std::fs::write(gate, "go on"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn output_streams_while_its_job_runs_where_it_may() {
    // Each ends only if its first line is passed on before.
    let cases = [
        (Grouping::Lines, 4, "seen\n"),
        (Grouping::Ordered, 4, "seen\n"),
        (Grouping::Ordered, 4, "half a line"),
        (Grouping::Jobs, 1, "half a line"),
    ];
    for (grouping, jobs, text) in cases {
        let folder = folder();
        let gate = fifo(folder.path(), "gate");
        let line = format!("printf '{text}'; cat {}", gate.display());
        let batch = Batch::new()
            .jobs(jobs)
            .grouping(grouping)
            .stdout(Gatekeeper::sink(text, gate));
        let work = Commands::new(shell([line, "echo other".into()]));
        let summary = in_time(move || batch.run(work, &mut ())).expect("it runs");
        assert_eq!(summary.succeeded, 2);
    }
}

#[test]
fn lines_are_whole_even_when_they_are_written_in_turns() {
    let folder = folder();
    let gates: Vec<_> = (0..3)
        .map(|n| fifo(folder.path(), &format!("gate{n}")))
        .collect();
    let [first, second, third] = [0, 1, 2].map(|n| gates[n].display().to_string());
    let lines = [
        format!(
            "printf aa; echo > {first}; read x < {second}; echo aa; printf aaa; echo > {third}"
        ),
        format!("read x < {first}; printf bb; echo > {second}; read x < {third}; echo bb"),
    ];
    let (out, _) = outputs(Batch::new().grouping(Grouping::Lines), &lines);
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["aaa", "aaaa", "bbbb"]);
    assert!(
        out.ends_with('\n'),
        "the last line is ended for its successor"
    );
}

#[test]
fn many_jobs_writing_lines_at_once_never_break_one() {
    let lines: Vec<String> = (0..12)
        .map(|n| {
            format!(
                "yes {n} | tr -d '\\n' | fold -w {} | head -n 3000",
                10 + 7 * n
            )
        })
        .collect();
    let (out, _) = outputs(Batch::new().grouping(Grouping::Lines), &lines);
    assert_eq!(out.lines().count(), 12 * 3000);
    for line in out.lines() {
        let known = (0..12).any(|n| {
            let name = n.to_string();
            line.len() == 10 + 7 * n
                && name.repeat(100).contains(&line[..2])
                && line.bytes().all(|byte| name.as_bytes().contains(&byte))
        });
        assert!(known, "{line}");
    }
}

/// Hears raw output.
#[derive(Default)]
struct Raw {
    got: Vec<(u64, OutputStream, Vec<u8>)>,
}

impl Observer for Raw {
    fn output(&mut self, number: u64, stream: OutputStream, bytes: &[u8], out: &mut Vec<u8>) {
        self.got.push((number, stream, bytes.to_vec()));
        out.extend_from_slice(format!("{number} {} {}\n", stream.name(), bytes.len()).as_bytes());
    }
}

#[test]
fn raw_output_goes_to_the_observer_alone() {
    let out = Shared::default();
    let batch = Batch::new()
        .jobs(1)
        .grouping(Grouping::Raw)
        .stdout(out.sink());
    let work = Commands::new(shell(["printf one", "printf three >&2"]));
    let got = in_time(move || {
        let mut raw = Raw::default();
        batch.run(work, &mut raw).expect("it runs");
        raw.got
    });
    let expected = [
        (1, OutputStream::Stdout, b"one".to_vec()),
        (2, OutputStream::Stderr, b"three".to_vec()),
    ];
    assert_eq!(got, expected);
    assert_eq!(
        out.text(),
        "1 stdout 3\n2 stderr 5\n",
        "and what it adds to stdout"
    );
}

fn ungrouped() {
    let work = Commands::new(shell(["echo out; echo err >&2"]));
    Batch::new()
        .grouping(Grouping::None)
        .run(work, &mut ())
        .expect("it runs");
}

#[test]
fn ungrouped_jobs_write_to_the_programs_own_streams() {
    let played = Scene::new("ungrouped").succeed();
    assert!(played.stdout.ends_with("out\n"), "{}", played.stdout);
    assert_eq!(played.report, "err\n");
}

/// Three jobs whose lines carry their number.
struct Tagged(u64);

impl Work for Tagged {
    type Item = ();

    fn next(&mut self) -> Result<Pull<(u64, ())>, WorkError> {
        self.0 += 1;
        Ok(if self.0 > 3 {
            Pull::End
        } else {
            Pull::Item((self.0, ()))
        })
    }

    fn job(&mut self, (): &mut (), place: JobPlace) -> Result<Job, WorkError> {
        let line = b"printf 'a\\nb'; echo err >&2".to_vec();
        Ok(Job {
            argv: vec![b"sh".to_vec(), b"-c".to_vec(), line],
            tag: format!("{}\t", place.number).into_bytes(),
            ..Job::default()
        })
    }
}

#[test]
fn each_line_carries_its_jobs_tag() {
    for grouping in [Grouping::Ordered, Grouping::Lines, Grouping::Jobs] {
        let (out, err) = (Shared::default(), Shared::default());
        let batch = Batch::new()
            .grouping(grouping)
            .stdout(out.sink())
            .stderr(err.sink());
        in_time(move || batch.run(Tagged(0), &mut ())).expect("it runs");
        let (mut out, mut err) = (out.lines(), err.lines());
        out.sort_unstable();
        err.sort_unstable();
        assert_eq!(out, ["1\ta", "1\tb", "2\ta", "2\tb", "3\ta", "3\tb"]);
        assert_eq!(err, ["1\terr", "2\terr", "3\terr"]);
    }
}

#[test]
fn what_a_failed_try_wrote_is_not_shown() {
    let folder = folder();
    let count = folder.path().join("count");
    let line = format!(
        "echo x >> {0}; tries=$(wc -l < {0}); echo try $tries; echo err $tries >&2; test $tries -ge 3",
        count.display()
    );
    for grouping in [Grouping::Ordered, Grouping::Lines, Grouping::Jobs] {
        let batch = Batch::new().grouping(grouping).retries(Retries::times(5));
        let (out, err) = outputs(batch, std::slice::from_ref(&line));
        assert_eq!((out.as_str(), err.as_str()), ("try 3\n", "err 3\n"));
        std::fs::remove_file(&count).expect("remove");
    }
}

#[test]
fn what_the_last_failed_try_wrote_is_shown() {
    let batch = Batch::new().retries(Retries::times(3).with_delay(std::time::Duration::ZERO));
    let (out, _) = outputs(batch, &["echo failing; exit 1".into()]);
    assert_eq!(out, "failing\n");
}
