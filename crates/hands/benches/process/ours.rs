//! What hands takes.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use hands::process::{self, Pipe, pipe};
use hands::queue::Shutdown;
use hands::shared::{Bytes, Mutex, Queue};

use super::figure::{Figure, each, medians, told};
use super::shared::median;

fn send_one(end: Pipe<u8, ()>) {
    let _ = end.send(1);
}

pub(crate) fn spawn(count: u64) -> Figure {
    let mut times = Vec::new();
    for _ in 0..count {
        let (end, its) = pipe::<(), u8>().map_err(told)?;
        let start = Instant::now();
        let process = process::spawn(send_one, its).map_err(told)?;
        end.recv().map_err(told)?;
        times.push(start.elapsed().as_nanos() as f64);
        process.join().map_err(told)?;
    }
    Ok(median(times))
}

/// With a gigabyte that has been written to.
pub(crate) fn spawn_large(count: u64) -> Figure {
    let mut large = vec![0_u8; 1 << 30];
    large.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    let figure = spawn(count);
    std::hint::black_box(&large);
    figure
}

fn add(mutex: &Mutex<u64>, count: u64) {
    for _ in 0..count {
        if let Ok(mut value) = mutex.lock() {
            *value += 1;
        }
    }
}

fn counted(mutex: &Mutex<u64>, count: u64) -> Result<(), String> {
    match *mutex.lock().map_err(told)? {
        seen if seen == count => Ok(()),
        seen => Err(format!("{count} increments came to {seen}")),
    }
}

pub(crate) fn lock(count: u64) -> Figure {
    let mutex = Mutex::new(0).map_err(told)?;
    let start = Instant::now();
    add(&mutex, count);
    let figure = each(count, start);
    counted(&mutex, count)?;
    Ok(figure)
}

pub(crate) fn lock_contended(count: u64) -> Figure {
    let mutex = Mutex::new(0_u64).map_err(told)?;
    let half = count / 2;
    let start = Instant::now();
    let add = |(mutex, half): (Mutex<u64>, u64)| add(&mutex, half);
    let processes = [(); 2].map(|()| process::spawn(add, (mutex.clone(), half)));
    for process in processes {
        process.map_err(told)?.join().map_err(told)?;
    }
    let figure = each(2 * half, start);
    counted(&mutex, 2 * half)?;
    Ok(figure)
}

pub(crate) fn queue(count: u64) -> Figure {
    let queue = Queue::<[u64; 8]>::sized(1024, 80).map_err(told)?;
    let sum = |queue: Queue<[u64; 8]>| {
        let mut sum = 0_u64;
        while let Ok(item) = queue.get() {
            sum += item[0];
        }
        sum
    };
    let consumer = process::spawn(sum, queue.clone()).map_err(told)?;
    let start = Instant::now();
    for n in 0..count {
        queue.put([n; 8]).map_err(told)?;
    }
    queue.shutdown(Shutdown::Drain);
    let sum = consumer.join().map_err(told)?;
    let figure = each(count, start);
    match sum == count * count.saturating_sub(1) / 2 {
        true => Ok(figure),
        false => Err(format!("the items sum up to {sum}")),
    }
}

pub(crate) fn queue_large(count: u64) -> Figure {
    let queue = Queue::<Large>::sized(4, 1 << 20 | 16).map_err(told)?;
    let take = |queue: Queue<Large>| {
        let mut bytes = 0;
        while let Ok(Large(item)) = queue.get() {
            bytes += item.len() as u64;
        }
        bytes
    };
    let consumer = process::spawn(take, queue.clone()).map_err(told)?;
    // Made once: what it takes to make an item is not the queue's, and not `memcpy`'s beside it.
    let item = Large(Arc::new(vec![7; 1 << 20]));
    let start = Instant::now();
    for _ in 0..count {
        queue.put(item.clone()).map_err(told)?;
    }
    queue.shutdown(Shutdown::Drain);
    let bytes = consumer.join().map_err(told)?;
    let figure = each(count, start);
    match bytes == count << 20 {
        true => Ok(figure),
        false => Err(format!("{bytes} bytes came")),
    }
}

/// Bytes as serde writes bytes, not as a list of numbers.
#[derive(Clone)]
struct Large(Arc<Vec<u8>>);

impl serde::Serialize for Large {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Large {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Large, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Large;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Large, E> {
                Ok(Large(Arc::new(bytes.to_vec())))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

pub(crate) fn echo(end: Pipe<u64, u64>) {
    while let Ok(n) = end.recv() {
        let _ = end.send(n);
    }
}

pub(crate) fn round_trip(count: u64) -> Figure {
    let (end, its) = pipe::<u64, u64>().map_err(told)?;
    let echo = process::spawn(echo, its).map_err(told)?;
    let figure = medians(count, |n| {
        end.send(n).map_err(told)?;
        match end.recv().map_err(told)? {
            back if back == n => Ok(()),
            back => Err(format!("{n} came back as {back}")),
        }
    });
    drop(end);
    echo.join().map_err(told)?;
    figure
}

static LARGE: LazyLock<Option<Bytes>> = LazyLock::new(|| Bytes::new(&vec![7; 100 << 20]).ok());

/// Nanoseconds on a clock that all processes have.
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub(crate) fn bytes(count: u64) -> Figure {
    let bytes = LARGE.clone().ok_or("no memory for 100 MiB")?;
    let (end, its) = pipe::<(Bytes, u64), (u64, u64)>().map_err(told)?;
    let take = |end: Pipe<(u64, u64), (Bytes, u64)>| {
        while let Ok((bytes, sent)) = end.recv() {
            let seen = bytes.len() as u64 + u64::from(bytes[0]);
            let _ = end.send((seen, now() - sent));
        }
    };
    let taker = process::spawn(take, its).map_err(told)?;
    let mut times = Vec::new();
    for _ in 0..count {
        end.send((bytes.clone(), now())).map_err(told)?;
        match end.recv().map_err(told)? {
            (seen, took) if seen == (100 << 20) + 7 => times.push(took as f64),
            (seen, _) => return Err(format!("{seen} was seen of 100 MiB")),
        }
    }
    drop(end);
    taker.join().map_err(told)?;
    Ok(median(times))
}
