//! Readers that are slow or gone, and a disk that is full: slower, and nothing lost.

use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use hands::command::OutputStream;
use hands::event::{EventKind, Events, TaskEnd};
use hands_batch::policy::Retries;
use hands_batch::{
    Batch, BatchError, BatchProgress, Commands, Finished, Grouping, Notice, Observer, Sink, Started,
};

use crate::recorder::{Recorder, Shared, shell};
use crate::support::{TAG, Tag, fifo, folder, in_time, read_all};

/// A pipe: its reader, and its other end as a sink.
fn pipe_sink() -> (PipeReader, Sink) {
    let (read, write) = std::io::pipe().expect("a pipe");
    let sink = Sink::fd(write.as_fd()).expect("a sink");
    (read, sink)
}

/// Watches how much a job has written, and tells the reader to begin once that has stood still for
/// some ticks.
struct HeldBack {
    pid: i32,
    written: u64,
    still: u32,
    begin: Option<Sender<()>>,
    ended_unread: bool,
    spilled: bool,
}

impl Observer for HeldBack {
    fn started(&mut self, job: &Started<'_>, _: &mut Vec<u8>) {
        self.pid = job.pid;
    }

    fn output(&mut self, _: u64, _: OutputStream, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(bytes);
    }

    fn finished(&mut self, _: &Finished<'_>, _: &mut Vec<u8>) {
        self.ended_unread = self.begin.is_some();
        self.begin = None;
    }

    fn notice(&mut self, notice: &Notice) {
        self.spilled |= matches!(notice, Notice::SpillFull { .. });
    }

    fn tick(&mut self, _: &BatchProgress<'_>) {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.pid)).unwrap_or_default();
        let written = io
            .lines()
            .find_map(|line| line.strip_prefix("wchar: ")?.parse().ok());
        let written = written.unwrap_or(0);
        self.still = if written > 0 && written == self.written {
            self.still + 1
        } else {
            0
        };
        self.written = written;
        if self.still > 5 {
            self.begin = None;
        }
    }
}

fn late_reader(begin: Receiver<()>, read: PipeReader) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let _ = begin.recv();
        read_all(read).len()
    })
}

#[test]
fn a_writer_whose_reader_does_not_read_is_held_back() {
    const BYTES: usize = 30_000_000;
    for (grouping, jobs) in [
        (Grouping::Jobs, 1),
        (Grouping::Ordered, 2),
        (Grouping::Lines, 2),
        (Grouping::Raw, 2),
    ] {
        let (read, sink) = pipe_sink();
        let (begin, begun) = channel();
        let reader = late_reader(begun, read);
        // Whoever would put it on the disk finds none.
        let batch = Batch::new()
            .jobs(jobs)
            .grouping(grouping)
            .spill_folder("/no/such/folder")
            .tick(Duration::from_millis(10))
            .stdout(sink);
        let work = Commands::new(shell([format!("yes | head -c {BYTES}")]).into_iter().map(
            |mut words| {
                words[2] = format!("exec head -c {BYTES} /dev/zero").into();
                words
            },
        ));
        let (ended_unread, spilled) = in_time(move || {
            let mut observer = HeldBack {
                pid: 0,
                written: 0,
                still: 0,
                begin: Some(begin),
                ended_unread: false,
                spilled: false,
            };
            batch.run(work, &mut observer).expect("it runs");
            (observer.ended_unread, observer.spilled)
        });
        // Among lines, a last one without its newline is given one.
        let newline = usize::from(grouping == Grouping::Lines);
        assert_eq!(reader.join().expect("no panic"), BYTES + newline);
        assert!(
            !ended_unread,
            "{grouping:?}: written to the end although nobody read"
        );
        // A line that does not end waits on the disk, or is written as it comes where there is
        // none.
        assert!(
            !spilled || grouping == Grouping::Lines,
            "{grouping:?}: on the disk instead of being held back"
        );
    }
}

#[test]
fn a_slow_reader_gets_everything_in_order() {
    for grouping in [Grouping::Jobs, Grouping::Ordered, Grouping::Lines] {
        let (mut read, sink) = pipe_sink();
        let reader = std::thread::spawn(move || {
            let (mut all, mut buffer) = (Vec::new(), [0; 3001]);
            loop {
                match read.read(&mut buffer).expect("read") {
                    0 => return String::from_utf8(all).expect("text"),
                    got => all.extend_from_slice(&buffer[..got]),
                }
            }
        });
        let lines = (0..8).map(|n| format!("seq -f {n}-%06.0f 20000"));
        let work = Commands::new(shell(lines));
        let batch = Batch::new().jobs(4).grouping(grouping).stdout(sink);
        in_time(move || batch.run(work, &mut ())).expect("it runs");
        let text = reader.join().expect("no panic");
        assert_eq!(text.lines().count(), 160_000);
        for job in 0..8 {
            let own: Vec<_> = text
                .lines()
                .filter(|line| line.starts_with(&format!("{job}-")))
                .collect();
            if own.len() != 20_000 {
                for l in text.lines() {
                    if l.len() != 8 || l.as_bytes()[1] != b'-' {
                        panic!("{grouping:?} {l:?}")
                    }
                }
            }
            assert_eq!(own.len(), 20_000);
            assert!(own.is_sorted());
        }
    }
}

#[test]
fn a_reader_that_goes_ends_the_batch_and_all_jobs() {
    for grouping in [
        Grouping::Jobs,
        Grouping::Ordered,
        Grouping::Lines,
        Grouping::Raw,
    ] {
        let tag = Tag::new();
        let (mut read, sink) = pipe_sink();
        let reader = std::thread::spawn(move || read.read_exact(&mut [0; 10]));
        // `yes` alone streams; the others wait.
        let batch = Batch::new()
            .jobs(if grouping == Grouping::Jobs { 1 } else { 3 })
            .grouping(grouping)
            .stdout(sink)
            .env(TAG, tag.value());
        let work = Commands::new(shell(["yes", "sleep 1000", "setsid sleep 1000"]));
        let error = in_time(move || {
            struct Passing;
            impl Observer for Passing {
                fn output(&mut self, _: u64, _: OutputStream, bytes: &[u8], out: &mut Vec<u8>) {
                    out.extend_from_slice(bytes);
                }
            }
            batch.run(work, &mut Passing).expect_err("nobody reads")
        });
        assert!(
            matches!(error, BatchError::OutputClosed),
            "{grouping:?}: {error}"
        );
        reader.join().expect("no panic").expect("ten bytes");
        tag.assert_gone();
    }
}

#[test]
fn jobs_held_back_end_as_soon_as_the_reader_is_gone() {
    // Were their pipes not read on, their end would be seen only after the grace.
    let (mut read, sink) = pipe_sink();
    let reader = std::thread::spawn(move || read.read_exact(&mut [0; 10]));
    let batch = Batch::new()
        .jobs(2)
        .grouping(Grouping::Lines)
        .grace(Duration::from_secs(1000))
        .stdout(sink);
    let work = Commands::new(shell(["exec yes"; 2]));
    let error = in_time(move || batch.run(work, &mut ())).expect_err("nobody reads");
    assert!(matches!(error, BatchError::OutputClosed), "{error}");
    reader.join().expect("no panic").expect("ten bytes");
}

/// Eight jobs of a megabyte on each stream, with nowhere to put what waits.
fn without_a_disk(grouping: Grouping, retries: Retries) -> (String, String, usize) {
    let (out, err) = (Shared::default(), Shared::default());
    let lines = (0..8).map(|n| format!("seq -f {n}-%010.0f 90000 | tee /dev/stderr"));
    let work = Commands::new(shell(lines));
    let batch = Batch::new()
        .jobs(4)
        .grouping(grouping)
        .retries(retries)
        .spill_folder("/no/such/folder")
        .stdout(out.sink())
        .stderr(err.sink());
    let notices = in_time(move || {
        let mut recorder = Recorder::default();
        let summary = batch.run(work, &mut recorder).expect("it runs");
        assert_eq!(summary.succeeded, 8);
        recorder.noticed("SpillFull")
    });
    (out.text(), err.text(), notices)
}

#[test]
fn without_a_disk_nothing_is_lost_or_mixed() {
    for grouping in [Grouping::Jobs, Grouping::Ordered] {
        for retries in [Retries::NONE, Retries::times(2)] {
            let (out, err, notices) = without_a_disk(grouping, retries);
            for text in [out, err] {
                let job = |line: &str| line.split('-').next().map(str::to_owned);
                let mut order: Vec<_> = text.lines().filter_map(job).collect();
                assert_eq!(order.len(), 8 * 90_000);
                order.dedup();
                assert_eq!(
                    order.len(),
                    8,
                    "each job's output is in one piece: {order:?}"
                );
                if grouping == Grouping::Ordered {
                    assert!(order.is_sorted(), "{order:?}");
                }
            }
            assert!(notices > 0, "and it was said");
        }
    }
}

#[test]
fn a_full_disk_is_told_once() {
    let (_, _, notices) = without_a_disk(Grouping::Ordered, Retries::NONE);
    assert_eq!(notices, 1);
}

#[test]
fn order_is_kept_without_a_disk_even_where_jobs_may_be_tried_again() {
    let folder = folder();
    let gate = fifo(folder.path(), "gate");
    let out = Shared::default();
    // The first goes on only when the second is held back for want of a disk.
    let lines = [
        format!("cat {}", gate.display()),
        "head -c 1000000 /dev/zero".into(),
    ];
    let batch = Batch::new()
        .jobs(2)
        .grouping(Grouping::Ordered)
        .retries(Retries::times(2))
        .spill_folder("/no/such/folder")
        .stdout(out.sink());
    in_time(move || {
        let mut gate = Some(gate);
        let mut recorder = Recorder {
            on_notice: Some(Box::new(move |_| {
                if let Some(gate) = gate.take() {
                    std::thread::spawn(move || std::fs::write(gate, "first"));
                }
            })),
            ..Recorder::default()
        };
        batch
            .run(Commands::new(shell(lines)), &mut recorder)
            .expect("it runs");
    });
    let bytes = out.bytes();
    assert_eq!(bytes.len(), 1_000_005);
    assert_eq!(&bytes[..5], b"first");
}

/// Lets the reader begin when twice the time-out has passed.
struct LateReader {
    begin: Option<Sender<()>>,
    ends: Vec<(bool, u64)>,
}

const TIME: Duration = Duration::from_secs(1);

impl Observer for LateReader {
    fn tick(&mut self, progress: &BatchProgress<'_>) {
        if progress.elapsed > 2 * TIME {
            self.begin = None;
        }
    }

    fn finished(&mut self, job: &Finished<'_>, _: &mut Vec<u8>) {
        self.ends.push((
            job.status.is_some_and(|status| status.success()),
            job.received,
        ));
    }
}

#[test]
fn a_job_that_has_ended_is_not_timed_out_because_its_reader_is_slow() {
    // Fills the queue, the reader's pipe and its own pipe, however much that is, and ends rather
    // than wait.
    const SCRIPT: &str = "head -c 300000 /dev/zero
        for _ in 1 2 3; do dd if=/dev/zero bs=4096 oflag=nonblock 2>/dev/null; sleep 0.02; done";
    let (read, sink) = pipe_sink();
    let (begin, begun) = channel();
    let reader = late_reader(begun, read);
    let batch = Batch::new()
        .jobs(1)
        .timeout(hands_batch::policy::Timeout::After(TIME))
        .grace(Duration::from_millis(10))
        .tick(Duration::from_millis(10))
        .stdout(sink);
    let work = Commands::new(shell([SCRIPT]));
    let ends = in_time(move || {
        let mut observer = LateReader {
            begin: Some(begin),
            ends: Vec::new(),
        };
        batch.run(work, &mut observer).expect("it runs");
        observer.ends
    });
    let read = reader.join().expect("no panic");
    assert!(read > 300_000, "{read}");
    assert_eq!(ends, [(true, read as u64)]);
}

#[test]
fn each_attempt_is_told_to_those_who_listen_with_its_slot_and_its_time() {
    let events = Events::new();
    let mut listener = events.listen().unwrap();
    let work = Commands::new(shell(["exit 0", "exit 3", "echo out"]));
    let batch = Batch::new()
        .jobs(1)
        .retries(Retries::times(2))
        .stdout(Sink::writer(Vec::new()))
        .events(&events);
    let summary = batch.run(work, &mut ()).unwrap();
    let (mut started, mut ended) = (Vec::new(), Vec::new());
    for event in listener.by_ref() {
        match event.kind {
            EventKind::Started { task, worker, .. } => started.push((task, worker)),
            EventKind::Finished { task, how, cpu, .. } => {
                assert!(cpu.is_some());
                ended.push((task, how));
            }
            _ => {}
        }
    }
    started.sort_unstable();
    assert_eq!(started, [(1, 1), (2, 1), (2, 1), (3, 1)]);
    let of = |task| {
        let of_it = ended.iter().filter(move |(other, _)| *other == task);
        of_it.map(|(_, how)| *how).collect::<Vec<_>>()
    };
    assert_eq!(of(1), [TaskEnd::Well]);
    assert_eq!(of(2), [TaskEnd::Retried, TaskEnd::Failed]);
    assert_eq!((summary.succeeded, summary.failed), (2, 1));
}
