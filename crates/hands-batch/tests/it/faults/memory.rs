//! Memory is bounded, whatever is written, waits or is still to come. Peaks as the kernel tells
//! them.

use std::io::Read;
use std::os::fd::AsFd;

use hands::command::Command;
use hands_batch::input::Pull;
use hands_batch::{Batch, BatchError, Commands, Grouping, Job, JobPlace, Sink, Work, WorkError};

use crate::recorder::{Recorder, Shared, shell};
use crate::support::{Scene, fifo, folder, own_status, report, var};

const MIB: u64 = 1 << 20;

/// The most that was ever resident, in KiB, without the pages of the program's own file: how many
/// of those the kernel maps at once depends on how the page cache came to hold them.
fn peak() -> u64 {
    own_status("VmHWM").saturating_sub(own_status("RssFile"))
}

/// By how much the peak has risen since `before`, in bytes.
fn growth(before: u64) -> u64 {
    peak().saturating_sub(before) * 1024
}

pub(crate) fn waiting_outputs() {
    const JOBS: u64 = 1200;
    const BYTES: usize = 30_000;
    let gate = var("GATE");
    let mut lines = vec![format!("cat {gate}")];
    lines.extend((1..JOBS).map(|_| format!("exec head -c {BYTES} /dev/zero")));
    let mut ended = 0;
    let (mut read, write) = std::io::pipe().expect("a pipe");
    let reader = std::thread::spawn(move || {
        let (mut all, mut buffer) = (0, [0; 64 * 1024]);
        loop {
            match read.read(&mut buffer).expect("read") {
                0 => return all,
                got => all += got,
            }
        }
    });
    let sink = Sink::fd(write.as_fd()).expect("a sink");
    drop(write);
    // What any number takes is not the question.
    let few = Batch::new()
        .jobs(4)
        .grouping(Grouping::Ordered)
        .stdout(Shared::default().sink());
    let few = few.run(
        Commands::new(shell(vec!["head -c 100000 /dev/zero"; 20])),
        &mut (),
    );
    assert_eq!(few.expect("it runs").succeeded, 20);
    let before = peak();
    let mut recorder = Recorder {
        // The first ends when all others have.
        on_end: Some(Box::new(|_| {
            ended += 1;
            if ended == JOBS - 1 {
                let gate = gate.clone();
                std::thread::spawn(move || std::fs::write(gate, "first"));
            }
        })),
        ..Recorder::default()
    };
    let batch = Batch::new()
        .jobs(4)
        .grouping(Grouping::Ordered)
        .stdout(sink);
    let summary = batch
        .run(Commands::new(shell(lines)), &mut recorder)
        .expect("it runs");
    assert_eq!(summary.succeeded, JOBS);
    let all = reader.join().expect("no panic");
    assert_eq!(all, 5 + BYTES * (JOBS as usize - 1));
    let growth = growth(before);
    assert!(
        growth < 12 * MIB,
        "{growth} bytes for {all} bytes that waited"
    );
    report(growth);
}

#[test]
fn outputs_of_thousands_of_jobs_that_wait_for_the_first_take_little_memory() {
    let folder = folder();
    let gate = fifo(folder.path(), "gate");
    Scene::new("waiting_outputs").var("GATE", gate).succeed();
}

pub(crate) fn endless_writers() {
    for (grouping, jobs) in [
        (Grouping::Jobs, 1),
        (Grouping::Ordered, 3),
        (Grouping::Lines, 3),
    ] {
        let (mut read, write) = std::io::pipe().expect("a pipe");
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 5000];
            for _ in 0..8000 {
                read.read_exact(&mut buffer).expect("more");
            }
        });
        let sink = Sink::fd(write.as_fd()).expect("a sink");
        drop(write);
        let before = peak();
        let batch = Batch::new().jobs(jobs).grouping(grouping).stdout(sink);
        // The one in front is endless. What waits behind it is on the disk, so it has an end.
        let mut lines = vec!["exec yes".to_owned()];
        lines.extend(vec!["exec head -c 5000000 /dev/zero".to_owned(); 2]);
        let error = batch
            .run(Commands::new(shell(lines)), &mut ())
            .expect_err("nobody reads");
        assert!(matches!(error, BatchError::OutputClosed), "{error}");
        reader.join().expect("no panic");
        let growth = growth(before);
        assert!(growth < 8 * MIB, "{growth} bytes with {grouping:?}");
    }
    let before = peak();
    let mut left = 200_000_000_usize;
    let result = Command::new("yes").stream(|_, piece| {
        left = left.saturating_sub(piece.len());
        if left == 0 {
            Err(std::io::ErrorKind::Other.into())
        } else {
            Ok(())
        }
    });
    result.expect_err("enough");
    assert!(growth(before) < 2 * MIB);
}

#[test]
fn endless_writers_take_little_memory() {
    Scene::new("endless_writers").succeed();
}

/// Very many items, none of which can be started.
struct Many {
    next: u64,
    all: u64,
}

impl Work for Many {
    type Item = u64;

    fn next(&mut self) -> Result<Pull<(u64, u64)>, WorkError> {
        self.next += 1;
        Ok(if self.next > self.all {
            Pull::End
        } else {
            Pull::Item((self.next, self.next))
        })
    }

    fn job(&mut self, number: &mut u64, _: JobPlace) -> Result<Job, WorkError> {
        let argv = vec![format!("/no/such/program/{number}").into_bytes()];
        Ok(Job {
            argv,
            ..Job::default()
        })
    }
}

pub(crate) fn endless_input() {
    let run = |all| {
        let batch = Batch::new()
            .jobs(2)
            .grouping(Grouping::Ordered)
            .stdout(Shared::default().sink());
        let many = Many { next: 0, all };
        let summary = batch.run(many, &mut ()).expect("it runs");
        assert_eq!(summary.failed, all);
    };
    // What any number takes is not the question.
    run(1_000);
    let before = peak();
    run(100_000);
    let growth = growth(before);
    assert!(growth < 2 * MIB, "{growth} bytes");
}

#[test]
fn a_hundred_thousand_inputs_take_no_memory() {
    Scene::new("endless_input").succeed();
}
