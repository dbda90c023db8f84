//! Where jobs come from: pulled when a slot is free, never sooner.

use std::cell::Cell;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use hands_batch::input::Pull;
use hands_batch::{Batch, BatchError, Commands, Control, Job, JobPlace, Work, WorkError};

use crate::recorder::{Recorder, Shared, shell};
use crate::support::in_time;

fn echo(text: &[u8]) -> Job {
    Job {
        argv: vec![b"echo".to_vec(), text.to_vec()],
        display: [b"echo ", text].concat(),
        ..Job::default()
    }
}

/// An endless source that counts how often it was asked.
struct Endless<'a>(&'a Cell<u64>);

impl Work for Endless<'_> {
    type Item = ();

    fn next(&mut self) -> Result<Pull<(u64, ())>, WorkError> {
        self.0.set(self.0.get() + 1);
        Ok(Pull::Item((self.0.get(), ())))
    }

    fn job(&mut self, (): &mut (), _: JobPlace) -> Result<Job, WorkError> {
        Ok(echo(b""))
    }
}

#[test]
fn no_more_is_pulled_than_there_are_free_slots() {
    in_time(|| {
        let (pulls, ends) = (Cell::new(0), Cell::new(0));
        let mut recorder = Recorder {
            on_start: Some(Box::new(|_| {
                assert!(
                    pulls.get() - ends.get() <= 3,
                    "{} ahead",
                    pulls.get() - ends.get()
                );
            })),
            on_end: Some(Box::new(|_| ends.set(ends.get() + 1))),
            ..Recorder::default()
        };
        let halt = "soon,done=50".parse().expect("a rule");
        let batch = Batch::new()
            .jobs(3)
            .halt(halt)
            .stdout(Shared::default().sink());
        let summary = batch.run(Endless(&pulls), &mut recorder).expect("it runs");
        assert_eq!(recorder.most_running, 3);
        drop(recorder);
        assert!(!summary.exhausted);
        assert_eq!(summary.succeeded, pulls.get(), "what was pulled was run");
        assert!(pulls.get() <= 52, "{} pulled", pulls.get());
    });
}

/// Lines that arrive on a pipe.
struct Piped {
    from: PipeReader,
    line: u64,
}

impl Piped {
    fn new(from: PipeReader) -> Piped {
        let flags = rustix::fs::OFlags::NONBLOCK;
        rustix::fs::fcntl_setfl(&from, flags).expect("a pipe");
        Piped { from, line: 0 }
    }
}

impl Work for Piped {
    type Item = u8;

    fn next(&mut self) -> Result<Pull<(u64, u8)>, WorkError> {
        let mut byte = [0];
        match self.from.read(&mut byte) {
            Ok(0) => Ok(Pull::End),
            Ok(_) => {
                self.line += 1;
                Ok(Pull::Item((self.line, byte[0])))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Pull::Pending),
            Err(error) => Err(error.into()),
        }
    }

    fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.from.as_fd())
    }

    fn job(&mut self, byte: &mut u8, _: JobPlace) -> Result<Job, WorkError> {
        Ok(echo(&[*byte]))
    }
}

#[test]
fn input_that_comes_late_is_waited_for_and_each_piece_is_run_at_once() {
    let (read, mut write) = io::pipe().expect("a pipe");
    write.write_all(b"a").expect("write");
    let out = Shared::default();
    let batch = Batch::new().jobs(2).stdout(out.sink());
    let ends = in_time(move || {
        let mut rest = b"bcd".iter();
        let mut write = Some(write);
        let mut recorder = Recorder {
            // The next one comes only once the last one has ended: nothing may wait for more input.
            on_end: Some(Box::new(move |_| match (rest.next(), &mut write) {
                (Some(byte), Some(write)) => write.write_all(&[*byte]).expect("write"),
                _ => write = None,
            })),
            ..Recorder::default()
        };
        let summary = batch.run(Piped::new(read), &mut recorder).expect("it runs");
        assert!(summary.exhausted);
        recorder.ends.len()
    });
    assert_eq!(ends, 4);
    assert_eq!(out.text(), "a\nb\nc\nd\n");
}

#[test]
fn input_that_ends_without_a_word_is_an_empty_batch() {
    let (read, write) = io::pipe().expect("a pipe");
    drop(write);
    let summary = in_time(move || Batch::new().run(Piped::new(read), &mut ())).expect("it runs");
    assert_eq!((summary.succeeded, summary.exit_code), (0, 0));
    assert!(summary.exhausted);
}

/// Lines from another thread, which wakes the batch itself.
struct Sent(Receiver<u64>);

impl Work for Sent {
    type Item = u64;

    fn next(&mut self) -> Result<Pull<(u64, u64)>, WorkError> {
        Ok(match self.0.try_recv() {
            Ok(number) => Pull::Item((number, number)),
            Err(TryRecvError::Empty) => Pull::Pending,
            Err(TryRecvError::Disconnected) => Pull::End,
        })
    }

    fn job(&mut self, number: &mut u64, _: JobPlace) -> Result<Job, WorkError> {
        Ok(echo(number.to_string().as_bytes()))
    }
}

#[test]
fn work_without_a_descriptor_may_wake_the_batch() {
    let control = Control::new().expect("a control");
    let (sender, receiver) = channel();
    let out = Shared::default();
    let batch = Batch::new().control(&control).stdout(out.sink());
    let (ended, wait_for_end) = channel();
    std::thread::spawn(move || {
        for number in [3, 5, 8] {
            sender.send(number).expect("the batch listens");
            control.wake();
            wait_for_end.recv().expect("the job ends");
        }
        drop(sender);
        control.wake();
    });
    in_time(move || {
        let mut recorder = Recorder {
            on_end: Some(Box::new(move |_| ended.send(()).expect("somebody listens"))),
            ..Recorder::default()
        };
        batch.run(Sent(receiver), &mut recorder).expect("it runs");
    });
    assert_eq!(out.text(), "3\n5\n8\n", "numbers may have gaps");
}

/// Two good items, then `then`.
struct Breaking<F>(u64, F);

impl<F: FnMut(u64) -> Result<Job, WorkError>> Work for Breaking<F> {
    type Item = ();

    fn next(&mut self) -> Result<Pull<(u64, ())>, WorkError> {
        self.0 += 1;
        if self.0 > 3 {
            Err("the input is broken".into())
        } else {
            Ok(Pull::Item((self.0, ())))
        }
    }

    fn job(&mut self, (): &mut (), place: JobPlace) -> Result<Job, WorkError> {
        (self.1)(place.number)
    }
}

#[test]
fn broken_input_ends_the_batch_after_what_had_been_read_has_run() {
    let out = Shared::default();
    let batch = Batch::new().jobs(4).stdout(out.sink());
    let (error, ends) = in_time(move || {
        let job = |number: u64| {
            let mut job = echo(b"");
            job.argv = shell([format!("sleep 0.1; echo {number}")])[0]
                .iter()
                .map(|word| word.as_encoded_bytes().to_vec())
                .collect();
            Ok(job)
        };
        let mut recorder = Recorder::default();
        let error = batch
            .run(Breaking(0, job), &mut recorder)
            .expect_err("broken");
        (error, recorder.ends.len())
    });
    assert!(matches!(error, BatchError::Work(_)));
    assert_eq!(error.to_string(), "the input is broken");
    assert_eq!(ends, 3);
    let mut lines = out.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["1", "2", "3"]);
}

#[test]
fn an_item_that_makes_no_job_fails_alone() {
    let out = Shared::default();
    let batch = Batch::new().jobs(1).stdout(out.sink());
    in_time(move || {
        let job = |number| {
            if number == 2 {
                Err("no column 7".into())
            } else {
                Ok(echo(b"fine"))
            }
        };
        let mut recorder = Recorder::default();
        let _ = batch.run(Breaking(0, job), &mut recorder);
        assert_eq!(recorder.end(2).error.as_deref(), Some("no column 7"));
        assert_eq!(recorder.end(2).exit, 126);
        assert_eq!(recorder.ends.len(), 3);
    });
    assert_eq!(out.text(), "fine\nfine\n");
}

#[test]
fn an_empty_batch_succeeds() {
    let work = Commands::new(Vec::new());
    let summary = in_time(move || Batch::new().run(work, &mut ())).expect("it runs");
    assert_eq!(
        (summary.succeeded, summary.failed, summary.exit_code),
        (0, 0, 0)
    );
}
