//! Stopping and pausing from another thread.

use std::cell::Cell;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::sync::mpsc::channel;
use std::time::Duration;

use hands_batch::{
    Batch, BatchProgress, Commands, Control, Finished, Grouping, Observer, Outcome, Started, Stop,
    Summary,
};

use crate::recorder::{End, Recorder, Shared, shell};
use crate::support::{TAG, Tag, fifo, folder, in_time};

/// Runs `lines`, two at once; once two have told that they run, by opening the FIFO `up`, `then` is
/// called in another thread with the control.
fn steered(
    lines: Vec<String>,
    up: &std::path::Path,
    then: impl FnOnce(&Control) + Send + 'static,
) -> (Summary, Vec<End>, String) {
    let control = Control::new().expect("a control");
    let out = Shared::default();
    let tag = Tag::new();
    let batch = Batch::new()
        .jobs(2)
        .grace(Duration::from_secs(1000))
        .control(&control)
        .stdout(out.sink())
        .env(TAG, tag.value());
    let up = up.to_owned();
    let thread = std::thread::spawn(move || {
        // Open for writing too, so that there is no end between the two.
        let open = std::fs::OpenOptions::new().read(true).write(true).open(&up);
        open.expect("the FIFO")
            .read_exact(&mut [0; 2])
            .expect("two bytes");
        then(&control);
    });
    let (summary, ends) = in_time(move || {
        let mut recorder = Recorder::default();
        let summary = batch
            .run(Commands::new(shell(lines)), &mut recorder)
            .expect("it runs");
        (summary, recorder.ends)
    });
    thread.join().expect("no panic");
    tag.assert_gone();
    (summary, ends, out.text())
}

fn lines(first: &str) -> Vec<String> {
    let mut lines = vec![first.to_owned(); 2];
    lines.extend(std::iter::repeat_n("echo not this".to_owned(), 10));
    lines
}

#[test]
fn drain_lets_what_runs_end_and_starts_no_more() {
    let folder = folder();
    let (up, gate) = (fifo(folder.path(), "up"), fifo(folder.path(), "gate"));
    let line = format!(
        "printf x > {}; cat {} > /dev/null; echo done",
        up.display(),
        gate.display()
    );
    let (summary, ends, out) = steered(lines(&line), &up, move |control| {
        control.stop(Stop::Drain);
        assert_eq!(control.stopped(), Stop::Drain);
        control.stop(Stop::No);
        assert_eq!(control.stopped(), Stop::Drain, "it only ever goes up");
        // Two readers may share one opening or need one each.
        std::thread::spawn(move || while std::fs::write(&gate, "").is_ok() {});
    });
    assert_eq!((summary.succeeded, summary.ended, ends.len()), (2, 0, 2));
    assert_eq!(out, "done\ndone\n");
    assert!(!summary.exhausted);
}

#[test]
fn terminate_gives_jobs_the_time_to_clean_up() {
    let folder = folder();
    let up = fifo(folder.path(), "up");
    // In Perl, because a shell's child that is about to run `sleep` still has the shell's trap.
    let line = format!(
        r#"exec perl -e '$SIG{{TERM}} = sub {{ print "cleaned\n"; exit }}; open F, ">", "{}"; print F "x"; close F; sleep 1 while 1'"#,
        up.display()
    );
    let (summary, ends, out) = steered(lines(&line), &up, |control| control.stop(Stop::Terminate));
    assert_eq!((summary.succeeded, summary.ended, ends.len()), (0, 2, 2));
    assert!(ends.iter().all(|end| end.outcome == Outcome::Ended));
    assert_eq!(out, "cleaned\ncleaned\n");
}

#[test]
fn kill_ends_everything_at_once() {
    let folder = folder();
    let up = fifo(folder.path(), "up");
    let line = format!(
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000' & printf x > {}; sleep 1000",
        up.display()
    );
    let (summary, ends, _) = steered(lines(&line), &up, |control| {
        control.stop(Stop::Drain);
        control.stop(Stop::Terminate);
        control.stop(Stop::Kill);
    });
    assert_eq!((summary.ended, ends.len()), (2, 2));
    for end in ends {
        assert_eq!(end.status.and_then(|status| status.signal()), Some(9));
    }
}

#[test]
fn a_batch_told_to_stop_before_it_begins_starts_nothing() {
    for stop in [Stop::Drain, Stop::Terminate, Stop::Kill] {
        let control = Control::new().expect("a control");
        control.stop(stop);
        let batch = Batch::new().control(&control);
        let work = Commands::new(shell(["exit 1"]));
        let summary = in_time(move || batch.run(work, &mut ())).expect("it runs");
        assert_eq!(
            (summary.failed, summary.succeeded, summary.exhausted),
            (0, 0, false)
        );
    }
}

/// Ends the pause after a few ticks.
struct Patient {
    control: Control,
    ticks: u32,
    started_at: Vec<u32>,
}

impl Observer for Patient {
    fn started(&mut self, _: &Started<'_>, _: &mut Vec<u8>) {
        self.started_at.push(self.ticks);
    }

    fn finished(&mut self, _: &Finished<'_>, _: &mut Vec<u8>) {
        if self.started_at.len() == 2 {
            self.control.pause(true);
            self.ticks = 0;
        }
    }

    fn tick(&mut self, progress: &BatchProgress<'_>) {
        self.ticks += 1;
        if self.ticks == 5 && !progress.done {
            assert_eq!(progress.running_count, 0);
            self.control.pause(false);
        }
    }
}

#[test]
fn a_paused_batch_starts_nothing_until_it_goes_on() {
    let control = Control::new().expect("a control");
    control.pause(true);
    assert!(control.is_paused());
    let batch = Batch::new()
        .jobs(1)
        .tick(Duration::from_millis(5))
        .control(&control)
        .stdout(Shared::default().sink());
    let work = Commands::new(shell(["true"; 4]));
    let started_at = in_time(move || {
        let mut patient = Patient {
            control,
            ticks: 0,
            started_at: Vec::new(),
        };
        let summary = batch.run(work, &mut patient).expect("it runs");
        assert_eq!(summary.succeeded, 4);
        patient.started_at
    });
    assert!(started_at[0] >= 5, "before the pause ended: {started_at:?}");
    assert!(
        started_at[2] >= 5,
        "before the second pause ended: {started_at:?}"
    );
}

/// Stops the batch when it is woken, as a program does whose signal handler wrote to the pipe.
struct Woken {
    count: u32,
}

impl Observer for Woken {
    fn woken(&mut self, control: &Control) {
        self.count += 1;
        control.stop(Stop::Terminate);
    }
}

#[test]
fn a_write_to_the_waker_is_enough_to_be_heard() {
    let control = Control::new().expect("a control");
    let waker = control.waker().expect("a pipe");
    let (send, wait) = channel();
    let batch = Batch::new().jobs(1).control(&control);
    let thread = std::thread::spawn(move || {
        wait.recv().expect("the batch begins");
        rustix::io::write(&waker, b"!").expect("write");
    });
    let work = Commands::new(shell(["exec sleep 1000"]));
    in_time(move || {
        send.send(()).expect("somebody listens");
        let mut woken = Woken { count: 0 };
        let summary = batch.run(work, &mut woken).expect("it runs");
        assert!(
            woken.count <= 2,
            "by the write and by the stop: {}",
            woken.count
        );
        assert!(!summary.exhausted || summary.ended == 1);
    });
    thread.join().expect("no panic");
}

#[test]
fn ticks_come_while_jobs_run_and_once_at_the_end() {
    struct Ticks<'a>(&'a Cell<Vec<bool>>);
    impl Observer for Ticks<'_> {
        fn tick(&mut self, progress: &BatchProgress<'_>) {
            let mut all = self.0.take();
            all.push(progress.done);
            if !progress.done && progress.running_count > 0 {
                assert_eq!(progress.running[0].number, 1);
                assert_eq!(progress.total, Some(1));
            }
            self.0.set(all);
        }
    }
    let ticks = in_time(|| {
        let ticks = Cell::default();
        let batch = Batch::new().tick(Duration::from_millis(10));
        batch
            .run(Commands::new(shell(["sleep 0.3"])), &mut Ticks(&ticks))
            .expect("it runs");
        ticks.into_inner()
    });
    assert!(ticks.len() > 2, "{ticks:?}");
    assert_eq!(ticks.iter().filter(|&&done| done).count(), 1);
    assert_eq!(ticks.last(), Some(&true));
}

#[test]
fn a_stream_of_jobs_that_cannot_start_can_be_stopped() {
    let control = Control::new().expect("a control");
    let stopper = control.clone();
    let batch = Batch::new()
        .jobs(2)
        .control(&control)
        .stdout(Shared::default().sink());
    let summary = in_time(move || {
        let mut refused = 0;
        let mut recorder = Recorder {
            on_end: Some(Box::new(move |_| {
                refused += 1;
                if refused == 1000 {
                    stopper.stop(Stop::Drain);
                }
            })),
            ..Recorder::default()
        };
        let endless = std::iter::repeat_with(|| vec!["/no/such/program".into()]);
        batch
            .run(Commands::new(endless), &mut recorder)
            .expect("it runs")
    });
    assert!(summary.failed >= 1000 && !summary.exhausted);
}

#[test]
fn one_job_is_ended_and_the_others_are_not() {
    let dir = folder();
    let up = fifo(dir.path(), "up");
    let go = fifo(dir.path(), "go");
    let lines = vec![
        format!("printf x > {}; exec sleep 1000", up.display()),
        format!(
            "printf x > {}; read line < {}; echo two",
            up.display(),
            go.display()
        ),
        "echo three".to_owned(),
    ];
    let (summary, ends, out) = steered(lines, &up, move |control| {
        control.end_job(1);
        control.end_job(77);
        std::fs::write(&go, "on\n").expect("a reader");
    });
    assert_eq!(
        (summary.succeeded, summary.failed, summary.ended),
        (2, 0, 1)
    );
    let ended: Vec<u64> = ends
        .iter()
        .filter(|end| end.outcome == Outcome::Ended)
        .map(|end| end.number)
        .collect();
    assert_eq!(ended, [1]);
    assert!(out.contains("two") && out.contains("three"), "{out}");
}

/// Jobs that fail as long as a file is not there; when the last of them has failed it is made, and
/// they are to be tried again.
fn tried_again(grouping: Grouping) -> (Summary, Vec<End>, String) {
    let dir = folder();
    let file = dir.path().join("file");
    let lines: Vec<String> = (1..=6)
        .map(|number| {
            let odd = format!("echo {number}; test -e {}", file.display());
            let even = format!("echo {number}");
            if number % 2 == 1 { odd } else { even }
        })
        .collect();
    let control = Control::new().expect("a control");
    let out = Shared::default();
    let batch = Batch::new()
        .jobs(1)
        .keep_failed(true)
        .grouping(grouping)
        .control(&control)
        .stdout(out.sink());
    let mut ended = 0;
    let mut recorder = Recorder {
        on_end: Some(Box::new(|_| {
            ended += 1;
            if ended == 6 {
                std::fs::write(&file, "").expect("a file");
                control.retry_failed();
            }
        })),
        ..Recorder::default()
    };
    let summary = batch
        .run(Commands::new(shell(lines)), &mut recorder)
        .expect("it runs");
    (summary, std::mem::take(&mut recorder.ends), out.text())
}

#[test]
fn what_failed_is_tried_again_and_counts_by_its_last_try() {
    for grouping in [
        Grouping::Jobs,
        Grouping::Ordered,
        Grouping::Lines,
        Grouping::Raw,
    ] {
        let (summary, ends, out) = in_time(move || tried_again(grouping));
        assert_eq!(
            (summary.succeeded, summary.failed, summary.exit_code),
            (6, 0, 0),
            "{grouping:?}"
        );
        assert!(summary.exhausted);
        let again: Vec<(u64, u32)> = ends
            .iter()
            .skip(6)
            .map(|end| (end.number, end.attempt))
            .collect();
        assert_eq!(again, [(1, 2), (3, 2), (5, 2)], "{grouping:?}");
        if grouping != Grouping::Raw {
            assert_eq!(out.lines().count(), 9, "{grouping:?}: {out}");
        }
    }
}

#[test]
fn what_failed_is_not_tried_again_once_the_batch_stops() {
    let control = Control::new().expect("a control");
    let batch = Batch::new().jobs(1).keep_failed(true).control(&control);
    let mut recorder = Recorder {
        on_end: Some(Box::new(|_| {
            control.stop(Stop::Drain);
            control.retry_failed();
        })),
        ..Recorder::default()
    };
    let commands = Commands::new(shell(["false", "echo not this"]));
    let summary = batch.run(commands, &mut recorder).expect("it runs");
    assert_eq!((summary.succeeded, summary.failed), (0, 1));
    assert_eq!(recorder.ends.len(), 1);
}
