//! How many run at once, where the batch finds that out.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use hands::sizing::{Limits, Why};
use hands_batch::input::Pull;
use hands_batch::{Batch, Finished, Job, JobPlace, Observer, Started, Summary, Work, WorkError};

/// Runs `sleep 0.01` until told that it is enough, and no more than `most` times.
struct Naps {
    enough: Rc<Cell<bool>>,
    number: u64,
    most: u64,
}

impl Work for Naps {
    type Item = ();

    fn next(&mut self) -> Result<Pull<(u64, ())>, WorkError> {
        if self.enough.get() || self.number == self.most {
            return Ok(Pull::End);
        }
        self.number += 1;
        Ok(Pull::Item((self.number, ())))
    }

    fn job(&mut self, (): &mut (), _: JobPlace) -> Result<Job, WorkError> {
        Ok(Job {
            argv: vec![b"sleep".to_vec(), b"0.01".to_vec()],
            ..Job::default()
        })
    }
}

/// Counts how many run at once.
struct Count {
    enough: Rc<Cell<bool>>,
    sought: usize,
    most: usize,
    ended: u64,
    delays: u64,
}

impl Observer for Count {
    fn started(&mut self, job: &Started<'_>, _: &mut Vec<u8>) {
        self.most = self.most.max(job.place.slot);
        if self.most >= self.sought {
            self.enough.set(true);
        }
    }

    fn finished(&mut self, job: &Finished<'_>, _: &mut Vec<u8>) {
        self.ended += 1;
        self.delays += u64::from(
            job.delay
                .is_some_and(|delay| delay < Duration::from_secs(60)),
        );
    }
}

fn count(batch: Batch, sought: usize, most: u64) -> (Count, Summary) {
    let enough = Rc::new(Cell::new(false));
    let mut count = Count {
        enough: Rc::clone(&enough),
        sought,
        most: 0,
        ended: 0,
        delays: 0,
    };
    let naps = Naps {
        enough,
        number: 0,
        most,
    };
    let summary = batch.run(naps, &mut count);
    (count, summary.expect("a batch"))
}

#[test]
fn jobs_that_wait_get_more_than_the_cores() {
    let cores = hands::cores().get();
    let limits = Limits::new(cores as f64, 16 * cores);
    // Whatever else this machine computes ends some time; then the cores are idle.
    let (count, summary) = count(Batch::new().auto(limits), 2 * cores + 1, u64::MAX);
    assert_eq!(summary.failed, 0);
    assert_eq!(count.ended, summary.succeeded);
    assert_eq!(count.delays, count.ended, "each was measured");
    let decision = summary.sizing.expect("a decision");
    assert!(decision.x.is_some() && decision.wait.is_some());
    assert!(!decision.to_string().is_empty());
}

#[test]
fn the_limits_hold() {
    let three = Limits {
        min: 3,
        ..Limits::new(1.0, 3)
    };
    let (count, summary) = count(Batch::new().auto(three), usize::MAX, 60);
    assert_eq!((count.most, count.ended), (3, 60));
    assert_eq!(summary.sizing.map(|decision| decision.size), Some(3));
}

#[test]
fn a_batch_with_nothing_to_do_has_a_reason_too() {
    let (count, summary) = count(Batch::new().auto(Limits::new(2.0, 8)), usize::MAX, 0);
    assert_eq!(count.ended, 0);
    let why = summary.sizing.map(|decision| decision.why);
    assert_eq!(why, Some(Why::Start { cores: 2.0 }));
}

#[test]
fn a_batch_whose_size_was_set_measures_nothing() {
    let (count, summary) = count(Batch::new().jobs(2), usize::MAX, 4);
    assert_eq!((count.ended, count.delays), (4, 0));
    assert_eq!(summary.sizing, None);
}
