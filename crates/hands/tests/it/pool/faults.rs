//! Workers are killed, stopped and broken at random, and their tasks end their own processes; an oracle counts what was begun and
//! what came of it. `HANDS_SOAK` sets for how many seconds.

use std::time::Duration;

use hands::pool::{Pool, ProcessPool};
use hands::shared::Slice;
use hands::task::{Handle, Options, TaskError};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{in_time, rounds};

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Knuth's MMIX generator, of which the upper bits are the better ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

const TASKS: usize = 10_000;

type Argument = (Slice<u64>, usize, u64);

/// Notes that it has begun, works for a while, and now and then ends its process in one of many ways.
fn misbehave((begun, number, whim): Argument) -> usize {
    begun.set(number, begun.get(number).expect("it has so many") + 1);
    let until = std::time::Instant::now() + Duration::from_micros(whim % 300);
    while std::time::Instant::now() < until {
        std::hint::spin_loop();
    }
    match whim {
        0 => std::process::abort(),
        1 => std::process::exit(0),
        2 => drop(kill_process(rustix::process::getpid(), Signal::SEGV)),
        3 => drop(kill_process(rustix::process::getpid(), Signal::STOP)),
        4 => panic!("a whim"),
        5 => loop {
            std::hint::spin_loop();
        },
        _ => {}
    }
    number
}

/// Ends or stops one of the workers.
fn strike(pool: &ProcessPool, dice: &mut Dice) {
    let workers = pool.worker_stats();
    if workers.is_empty() {
        return;
    }
    let pid = workers[dice.roll(workers.len() as u64) as usize].pid;
    let signals = [
        Signal::KILL,
        Signal::KILL,
        Signal::TERM,
        Signal::SEGV,
        Signal::STOP,
    ];
    let signal = signals[dice.roll(5) as usize];
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, signal);
    }
}

fn judge(number: usize, begun: u64, outcome: &Result<usize, TaskError>) {
    match outcome {
        Ok(result) => assert_eq!((*result, begun), (number, 1)),
        // Killed when it had been taken, and before its first step, or later.
        Err(TaskError::Died(_)) => assert!(begun <= 1, "{number} was begun {begun} times"),
        Err(TaskError::Panicked(panicked)) => {
            assert_eq!((panicked.message.as_str(), begun), ("a whim", 1));
        }
        Err(TaskError::TimedOut { .. }) => assert!(begun <= 1, "{number} was begun {begun} times"),
        Err(other) => panic!("{number}: {other}"),
    }
}

#[test]
fn killed_at_random_no_task_is_lost_or_begun_twice() {
    in_time(|| {
        for round in rounds(2) {
            let mut dice = Dice(round + 1);
            let grace = Duration::from_millis(20);
            let pool = ProcessPool::builder()
                .workers(3)
                .grace(grace)
                .build()
                .unwrap();
            let begun = Slice::<u64>::zeroed(TASKS).unwrap();
            let options = Options::new().timeout(Duration::from_millis(150));
            let whims: Vec<u64> = (0..TASKS).map(|_| dice.roll(2_000)).collect();
            let handles: Vec<Handle<usize>> = (0..TASKS)
                .map(|n| pool.submit_with(options, misbehave, (begun.clone(), n, whims[n])))
                .collect();
            std::thread::scope(|scope| {
                let (pool, last) = (&pool, &handles);
                scope.spawn(move || {
                    // Until all is done, so that the end is under fire, too.
                    while !last.iter().all(Handle::is_finished) {
                        strike(pool, &mut dice);
                        std::thread::park_timeout(Duration::from_millis(20));
                    }
                });
            });
            let mut well = 0;
            for (n, handle) in handles.into_iter().enumerate() {
                let outcome = handle.join();
                well += usize::from(outcome.is_ok());
                judge(n, begun.get(n).unwrap(), &outcome);
            }
            assert!(well > TASKS * 9 / 10, "{well} of {TASKS}");
            // Of those whose time was up some may be about to end.
            pool.join();
            let stats = pool.stats();
            assert_eq!(stats.finished, TASKS as u64);
        }
    });
}

#[test]
fn killed_at_random_chunks_lose_one_at_a_time() {
    in_time(|| {
        for round in rounds(2) {
            let mut dice = Dice(round + 77);
            let pool = ProcessPool::with_workers(2).unwrap();
            let begun = Slice::<u64>::zeroed(TASKS).unwrap();
            // Only such as end the process at once, or panic.
            let whims = [0, 1, 2, 4];
            let inputs = (0..TASKS).map(|n| match dice.roll(300) {
                0 => (begun.clone(), n, whims[n % 4]),
                _ => (begun.clone(), n, 6),
            });
            let inputs: Vec<Argument> = inputs.collect();
            let bad = inputs.iter().filter(|(_, _, whim)| *whim != 6).count();
            let outcomes: Vec<_> = pool.map(misbehave, inputs).chunk(50).collect();
            assert_eq!(outcomes.len(), TASKS);
            let mut failed = 0;
            for (n, outcome) in outcomes.iter().enumerate() {
                failed += usize::from(outcome.is_err());
                judge(n, begun.get(n).unwrap(), outcome);
            }
            assert_eq!(failed, bad);
        }
    });
}
