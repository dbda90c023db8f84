//! Workers are killed, stopped and broken at random, and their tasks end their own processes, copy
//! them, or write over the memory that they have in common with the pool; an oracle counts what was
//! begun and what came of it. `HANDS_SOAK` sets for how many seconds.

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

/// Notes that it has begun, works for a while, and now and then ends its process in one of many
/// ways.
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

/// What some tasks get that no worker can receive.
#[derive(Clone, Copy, Debug, serde::Serialize)]
struct Whim(u64);

/// Workers that read it die of it.
const UNDELIVERABLE: u64 = 1;
const SCRIBBLES: u64 = 2;
const FORKS: u64 = 3;

impl<'de> serde::Deserialize<'de> for Whim {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Whim, D::Error> {
        match u64::deserialize(deserializer)? {
            UNDELIVERABLE => std::process::abort(),
            whim => Ok(Whim(whim)),
        }
    }
}

/// Writes random words at random places of all that this worker has in common with the pool.
fn scribble(dice: &mut Dice) {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("our own");
    let shared = maps
        .lines()
        .filter(|line| line.contains("memfd:hands-shared"));
    let ranges = shared.filter_map(|line| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some((number(from)?, number(to)?))
    });
    // The bell, the board and the slab; the oracle's is of another size.
    let is_ours = |(from, to): &(usize, usize)| matches!(to - from, 4096 | 400_000..);
    let ranges: Vec<_> = ranges.filter(is_ours).collect();
    assert!(ranges.len() >= 2, "{maps}");
    for _ in 0..=dice.roll(20) {
        let (from, to) = ranges[dice.roll(ranges.len() as u64) as usize];
        let place = from + 8 * dice.roll((to - from) as u64 / 8) as usize;
        // The lines at the beginning of the board are a small part of it, and the most interesting.
        let place = if dice.roll(3) == 0 {
            from + place % 1600 / 8 * 8
        } else {
            place
        };
        let word = dice.roll(1 << 31) << 33 | dice.roll(1 << 31);
        if place < to {
            // SAFETY: it is mapped, writable and aligned; that others read it is what is tried.
            unsafe { std::ptr::write_volatile(place as *mut u64, word) };
        }
    }
}

type Innocent = (Slice<u64>, usize, Whim, Vec<u64>);

/// A result that depends on each byte of the argument.
fn expected(number: usize, numbers: &[u64]) -> Vec<u64> {
    let sum = numbers
        .iter()
        .fold(number as u64, |sum, n| sum.rotate_left(7) ^ n);
    (0..numbers.len() as u64).map(|n| sum ^ n).collect()
}

fn innocent_or_not((begun, number, whim, numbers): Innocent) -> Vec<u64> {
    begun.set(number, begun.get(number).expect("it has so many") + 1);
    match whim.0 {
        SCRIBBLES => scribble(&mut Dice(number as u64)),
        // SAFETY: both go on and return, which is what is tried.
        FORKS => drop(unsafe { libc::fork() }),
        _ => {}
    }
    expected(number, &numbers)
}

fn innocents(dice: &mut Dice, begun: &Slice<u64>) -> Vec<Innocent> {
    let one = |number| {
        let whim = match dice.roll(500) {
            0 => UNDELIVERABLE,
            1 => SCRIBBLES,
            2 => FORKS,
            _ => 0,
        };
        // Through the ring, the slab, and the socket.
        let length = match dice.roll(400) {
            0 => 20_000,
            1 => 300_000,
            _ => dice.roll(50),
        };
        let numbers = (0..length).map(|n| n ^ whim).collect();
        (begun.clone(), number, Whim(whim), numbers)
    };
    (0..INNOCENTS).map(one).collect()
}

const INNOCENTS: usize = 3_000;

fn judge_innocent(input: &Innocent, outcome: &Result<Vec<u64>, TaskError>) -> bool {
    let (begun, number, Whim(whim), numbers) = input;
    let begun = begun.get(*number).expect("it has so many");
    match outcome {
        Ok(result) => {
            assert_eq!(begun, 1, "{number} ({whim})");
            assert!(*result == expected(*number, numbers), "{number} ({whim})");
        }
        // Beside a scribbler one may die that has done nothing.
        Err(TaskError::Died(_)) => assert!(begun <= 1, "{number} was begun {begun} times"),
        Err(other) => panic!("{number} ({whim}): {other}"),
    }
    outcome.is_ok()
}

#[test]
fn beside_those_that_scribble_fork_or_cannot_be_received_no_task_is_lost_or_comes_to_something_else()
 {
    in_time(|| {
        for round in rounds(2) {
            let mut dice = Dice(round + 1234);
            let pool = ProcessPool::with_workers(2).unwrap();
            let begun = Slice::<u64>::zeroed(INNOCENTS).unwrap();
            let inputs = innocents(&mut dice, &begun);
            let handles = inputs
                .iter()
                .map(|input| pool.submit(innocent_or_not, input.clone()));
            let handles: Vec<_> = handles.collect();
            let outcomes = handles.into_iter().map(Handle::join);
            let judged = inputs.iter().zip(outcomes);
            let well = judged
                .filter(|(input, outcome)| judge_innocent(input, outcome))
                .count();
            assert!(well > INNOCENTS * 8 / 10, "{well} of {INNOCENTS}");
            pool.join();
            assert_eq!(pool.stats().finished, INNOCENTS as u64);
        }
    });
}

#[test]
fn in_chunks_beside_those_that_scribble_fork_or_cannot_be_received_no_task_is_lost() {
    in_time(|| {
        for round in rounds(2) {
            let mut dice = Dice(round + 4321);
            let pool = ProcessPool::with_workers(2).unwrap();
            let begun = Slice::<u64>::zeroed(INNOCENTS).unwrap();
            let inputs = innocents(&mut dice, &begun);
            let outcomes = pool.map(innocent_or_not, inputs.clone()).chunk(20);
            let outcomes: Vec<_> = outcomes.collect();
            assert_eq!(outcomes.len(), INNOCENTS);
            for (input, outcome) in inputs.iter().zip(&outcomes) {
                judge_innocent(input, outcome);
            }
        }
    });
}
