//! What the pool of hands takes. Every figure has a pool of its own, which is made, and has run a
//! task, before the clock starts.

use std::time::{Duration, Instant};

use hands::pool::{Pool as _, ProcessPool};
use hands::process::{Pipe, pipe};
use hands::queue::Shutdown;
use hands::shared::Bytes;
use hands::sync::CancelToken;
use hands::task::{Handle, TaskError};

use super::figure::{Figure, each, medians, told};
use super::floor::keep_to;
use super::shared::median;
use super::work::{LONG, PAUSE, compute, pause};

fn ready(workers: usize) -> Result<ProcessPool, String> {
    let pool = ProcessPool::with_workers(workers).map_err(told)?;
    for _ in 0..10 {
        let tasks = vec![|n: u64| n + 1; workers];
        let handles: Vec<_> = tasks.iter().map(|task| pool.submit(*task, 1)).collect();
        for handle in handles {
            handle.join().map_err(told)?;
        }
    }
    Ok(pool)
}

// --- one task at a time ---

fn pings(count: u64, workers: usize, gap: Option<Duration>) -> Figure {
    pings_with(&ready(workers)?, count, gap)
}

fn pings_with(pool: &ProcessPool, count: u64, gap: Option<Duration>) -> Figure {
    let mut times = Vec::new();
    for n in 0..count {
        if let Some(gap) = gap {
            pause(gap);
        }
        let start = Instant::now();
        let back = pool.submit(|n: u64| n + 1, n).join();
        times.push(start.elapsed().as_nanos() as f64);
        if back != Ok(n + 1) {
            return Err(format!("{n} + 1 became {back:?}"));
        }
    }
    Ok(median(times))
}

pub(crate) fn ping(count: u64) -> Figure {
    pings(count, 1, None)
}

/// The scheduler often has worker and caller share a core; not here.
pub(crate) fn ping_apart(count: u64) -> Figure {
    let pool = ready(1)?;
    let keep = |()| keep_to(1).is_ok();
    if pool.submit(keep, ()).join() != Ok(true) {
        return Err("the worker cannot be kept to a core".to_owned());
    }
    let before = keep_to(0)?;
    let figure = pings_with(&pool, count, None);
    rustix::thread::sched_setaffinity(None, &before).map_err(told)?;
    figure
}

pub(crate) fn ping_of_two(count: u64) -> Figure {
    pings(count, 2, None)
}

pub(crate) fn ping_parked(count: u64) -> Figure {
    pings(count, 1, Some(PAUSE))
}

/// What is left of the time without the task's own.
pub(crate) fn ping_parked_both(count: u64) -> Figure {
    let pool = ready(1)?;
    let mut times = Vec::new();
    for _ in 0..count {
        pause(PAUSE);
        let start = Instant::now();
        pool.submit(|()| compute(LONG), ()).join().map_err(told)?;
        times.push(start.elapsed().saturating_sub(LONG).as_nanos() as f64);
    }
    Ok(median(times))
}

// --- many tasks ---

fn sum_of<E: std::fmt::Display>(
    outcomes: impl Iterator<Item = Result<u64, E>>,
    count: u64,
) -> Result<(), String> {
    let mut sum = 0;
    for outcome in outcomes {
        sum += outcome.map_err(told)?;
    }
    match sum == count * (count + 1) / 2 {
        true => Ok(()),
        false => Err(format!("the results sum up to {sum}")),
    }
}

pub(crate) fn map(count: u64) -> Figure {
    let pool = ready(2)?;
    let start = Instant::now();
    sum_of(pool.map(|n: u64| n + 1, 0..count), count)?;
    Ok(each(count, start))
}

/// With the chunks that Python's `Pool.map` makes: four for each worker.
pub(crate) fn map_in_chunks(count: u64) -> Figure {
    let pool = ready(2)?;
    let chunk = usize::try_from(count).map_err(told)?.div_ceil(8);
    let start = Instant::now();
    sum_of(pool.map(|n: u64| n + 1, 0..count).chunk(chunk), count)?;
    Ok(each(count, start))
}

pub(crate) fn submit_many(count: u64) -> Figure {
    let pool = ready(2)?;
    let start = Instant::now();
    sum_of(pool.submit_many(|n: u64| n + 1, 0..count), count)?;
    Ok(each(count, start))
}

pub(crate) fn one_by_one(count: u64) -> Figure {
    let pool = ready(2)?;
    let start = Instant::now();
    let handles: Vec<_> = (0..count).map(|n| pool.submit(|n: u64| n + 1, n)).collect();
    sum_of(handles.into_iter().map(Handle::join), count)?;
    Ok(each(count, start))
}

// --- what is large ---

pub(crate) fn copied(count: u64) -> Figure {
    let pool = ready(1)?;
    let mut text = "x".repeat(1 << 20);
    medians(count, |_| {
        let sent = std::mem::take(&mut text);
        text = pool
            .submit(|text: String| text, sent)
            .join()
            .map_err(told)?;
        match text.len() {
            1_048_576 => Ok(()),
            other => Err(format!("1 MiB came back as {other} bytes")),
        }
    })
}

fn by_handle(count: u64, length: usize) -> Figure {
    let pool = ready(1)?;
    let bytes = Bytes::new(&vec![7; length]).map_err(told)?;
    let read = |bytes: Bytes| {
        let seen = bytes[0];
        (bytes, seen)
    };
    medians(count, |_| {
        let outcome = pool.submit(read, bytes.clone()).join();
        let (back, seen) = outcome.map_err(told)?;
        match (back.len() == length, seen, back[length - 1]) {
            (true, 7, 7) => Ok(()),
            other => Err(format!("{length} bytes came back as {other:?}")),
        }
    })
}

pub(crate) fn handle_1k(count: u64) -> Figure {
    by_handle(count, 1 << 10)
}

pub(crate) fn handle_1m(count: u64) -> Figure {
    by_handle(count, 1 << 20)
}

pub(crate) fn handle_100m(count: u64) -> Figure {
    by_handle(count, 100 << 20)
}

// --- ends ---

fn spin_for_ever(started: Pipe<u8, ()>) {
    let _ = started.send(1);
    loop {
        std::hint::spin_loop();
    }
}

/// Nanoseconds from a worker's death to the error of its task, and from there to the result of the
/// next one, of which there is no other worker to run it.
fn killed(pool: &ProcessPool) -> Result<[f64; 2], String> {
    let (end, its) = pipe::<(), u8>().map_err(told)?;
    let handle = pool.submit(spin_for_ever, its);
    end.recv().map_err(told)?;
    let pid = match pool.worker_stats()[..] {
        [ref worker] => rustix::process::Pid::from_raw(worker.pid.cast_signed()),
        _ => None,
    };
    let pid = pid.ok_or("there is not one worker")?;
    let start = Instant::now();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).map_err(told)?;
    let outcome = handle.join();
    let told_after = start.elapsed();
    if !matches!(&outcome, Err(TaskError::Died(died)) if died.signal == Some(9)) {
        return Err(format!("a worker that was killed left {outcome:?}"));
    }
    let back = pool.submit(|n: u64| n + 1, 1).join();
    let served_after = start.elapsed() - told_after;
    match back {
        Ok(2) => Ok([told_after, served_after].map(|time| time.as_nanos() as f64)),
        _ => Err(format!("behind a worker that was killed came {back:?}")),
    }
}

fn kills(count: u64, which: usize) -> Figure {
    let pool = ready(1)?;
    let mut times = Vec::new();
    for _ in 0..count {
        times.push(killed(&pool)?[which]);
    }
    Ok(median(times))
}

pub(crate) fn told_of_death(count: u64) -> Figure {
    kills(count, 0)
}

pub(crate) fn served_after_death(count: u64) -> Figure {
    kills(count, 1)
}

fn listen(started: Pipe<u8, ()>) {
    let token = CancelToken::current();
    let _ = started.send(1);
    if let Some(token) = token {
        token.wait();
    }
}

/// So many tasks queued behind two that run, and all given up.
fn given_up(count: u64, holds: fn(&ProcessPool, Pipe<u8, ()>) -> Handle<()>) -> Figure {
    let pool = ready(2)?;
    let mut held = Vec::new();
    for _ in 0..2 {
        let (end, its) = pipe::<(), u8>().map_err(told)?;
        held.push(holds(&pool, its));
        end.recv().map_err(told)?;
    }
    let queued: Vec<_> = (0..count).map(|n| pool.submit(|n: u64| n + 1, n)).collect();
    let start = Instant::now();
    pool.shutdown(Shutdown::Now);
    let spent = start.elapsed();
    if !held.iter().all(Handle::is_finished) || !queued.iter().all(Handle::is_finished) {
        return Err("a task has no outcome behind the shutdown".to_owned());
    }
    // One that was handed over may begin when the one before it ends, before it is taken back; of
    // those there are few.
    let run = queued.into_iter().filter_map(|handle| handle.join().ok());
    match run.count() as u64 {
        some if some <= 2048 => Ok(spent.as_nanos() as f64),
        some => Err(format!(
            "{some} of {count} tasks ran, and were to be given up"
        )),
    }
}

/// The two listen, and end.
pub(crate) fn shutdown(count: u64) -> Figure {
    given_up(count, |pool, started| pool.submit(listen, started))
}

/// The two do not, and are ended after the grace of half a second.
pub(crate) fn shutdown_deaf(count: u64) -> Figure {
    given_up(count, |pool, started| pool.submit(spin_for_ever, started))
}

// --- start, and memory ---

pub(crate) fn start(count: u64) -> Figure {
    // Their end is not measured.
    let mut pools = Vec::new();
    medians(count, |n| {
        let pool = ProcessPool::with_workers(1).map_err(told)?;
        let back = pool.submit(|n: u64| n + 1, n).join().map_err(told)?;
        std::hint::black_box(back);
        pools.push(pool);
        Ok(())
    })
}

/// With a gigabyte that has been written to.
pub(crate) fn start_large(count: u64) -> Figure {
    let mut large = vec![0_u8; 1 << 30];
    large.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    let figure = start(count);
    std::hint::black_box(&large);
    figure
}

/// Kibibytes that this process has in memory.
fn resident() -> Result<f64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(told)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| "`/proc/self/status` does not say VmRSS".to_owned())
}

const CHUNK: usize = 1000;

/// Kibibytes after a tenth of so many items, or after all of them.
fn endless(count: u64, at_end: bool) -> Figure {
    let pool = ready(2)?;
    let taken = std::cell::Cell::new(0_u64);
    let inputs = (0_u64..).inspect(|n| taken.set(n + 1));
    let outcomes = pool.map(|n: u64| n + 1, inputs).chunk(CHUNK);
    let at = if at_end { count } else { count / 10 }.max(1);
    let (mut given, mut most) = (0, 0);
    for outcome in outcomes {
        given += 1;
        let result = outcome.map_err(told)?;
        if result != given {
            return Err(format!("outcome {given} is {result}"));
        }
        most = most.max(taken.get() - given);
        if given == at {
            break;
        }
    }
    // Twice the number of workers times the chunk.
    if most > 4 * CHUNK as u64 {
        return Err(format!("{most} items were taken ahead"));
    }
    resident()
}

pub(crate) fn endless_early(count: u64) -> Figure {
    endless(count, false)
}

pub(crate) fn endless_late(count: u64) -> Figure {
    endless(count, true)
}
