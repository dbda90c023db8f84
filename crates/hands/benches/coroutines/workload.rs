//! Who does what. Each runs in a process of its own, as what it leaves behind would count for the
//! next.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hands::pool::{AsyncPool, Pool};
use hands::process;

use super::contest::{Contestant, Workload, contestant};

pub(crate) const NAMES: [&str; 3] = ["sleeping", "sleeping-memory", "no-op"];

/// Nanoseconds and bytes, for each.
type Cost = (f64, f64);

const SLEEP: Duration = Duration::from_secs(2);

pub(crate) fn all(is_quick: bool) -> [Workload; 3] {
    let many = if is_quick { 1000 } else { 1_000_000 };
    let time = |library, run| contestant(library, isolated(run, |(time, _)| time));
    let memory = |library, run| contestant(library, isolated(run, |(_, bytes)| bytes));
    [
        Workload {
            name: "sleeping",
            title: "1,000,000 that sleep 2 s, all at once: time",
            size: many,
            scale: many as f64 / 1e6,
            unit: "ms",
            contestants: of(time, SLEEPING, 1.0 / 1.2),
        },
        Workload {
            name: "sleeping-memory",
            title: "the same: memory of each",
            size: many,
            scale: 1.0,
            unit: "B",
            contestants: of(memory, SLEEPING, 1.0 / 1.1),
        },
        Workload {
            name: "no-op",
            title: "1,000,000 that do nothing, submitted one by one, then joined",
            size: many,
            scale: 1.0,
            unit: "ns",
            contestants: vec![
                time("AsyncPool", ours_no_op as fn(u64) -> Cost),
                time("tokio", bare_no_op),
            ],
        },
    ]
}

type Run = fn(u64) -> Cost;

const SLEEPING: [(&str, Run); 4] = [
    ("AsyncPool, handles kept", ours_kept),
    ("tokio, handles kept", bare_kept),
    ("AsyncPool, detached", ours_detached),
    ("tokio, detached", bare_detached),
];

/// Ours with handles is held against tokio with handles.
fn of(
    make: impl Fn(&'static str, Run) -> Contestant,
    all: [(&'static str, Run); 4],
    least: f64,
) -> Vec<Contestant> {
    let contestants = all.into_iter().map(|(library, run)| {
        let made = make(library, run);
        if library == "tokio, handles kept" {
            made.at_least(least)
        } else {
            made
        }
    });
    contestants.collect()
}

fn isolated(run: Run, which: fn(Cost) -> f64) -> impl Fn(u64) -> Result<f64, String> {
    move |size| {
        let at = ALL
            .iter()
            .position(|known| std::ptr::fn_addr_eq(*known, run));
        let at = at.ok_or("a contestant that is not listed")?;
        let spawned = process::spawn(|(at, size): (usize, u64)| ALL[at](size), (at, size));
        let outcome = spawned.map_err(|error| error.to_string())?.join();
        outcome.map(which).map_err(|error| error.to_string())
    }
}

const ALL: [Run; 6] = [
    ours_kept,
    bare_kept,
    ours_detached,
    bare_detached,
    ours_no_op,
    bare_no_op,
];

/// The most memory that this process has had.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    1024.0 * kib.unwrap_or(f64::NAN)
}

fn measured(size: u64, run: impl FnOnce()) -> Cost {
    let (from, before) = (Instant::now(), peak());
    run();
    let time = from.elapsed().as_nanos() as f64;
    (time / size as f64, (peak() - before) / size as f64)
}

fn pool(size: u64) -> AsyncPool {
    let builder = AsyncPool::builder().in_flight(size as usize);
    builder.build().expect("a pool")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(hands::cores().get())
        .enable_all()
        .build()
        .expect("a runtime")
}

fn ours_kept(size: u64) -> Cost {
    let pool = pool(size);
    measured(size, || {
        let handles: Vec<_> = (0..size).map(|_| pool.spawn(sleep())).collect();
        for handle in handles {
            handle.join().expect("no panic");
        }
    })
}

fn bare_kept(size: u64) -> Cost {
    let runtime = runtime();
    measured(size, || {
        let handles: Vec<_> = (0..size).map(|_| runtime.spawn(sleep())).collect();
        runtime.block_on(async {
            for handle in handles {
                handle.await.expect("no panic");
            }
        });
    })
}

async fn sleep() {
    tokio::time::sleep(SLEEP).await;
}

fn ours_detached(size: u64) -> Cost {
    let pool = pool(size);
    measured(size, || {
        for _ in 0..size {
            drop(pool.spawn(sleep()));
        }
        pool.join();
    })
}

/// With a counter, as one must know when all are done.
fn bare_detached(size: u64) -> Cost {
    let runtime = runtime();
    measured(size, || {
        let (held, mut all_gone) = tokio::sync::mpsc::channel::<()>(1);
        for _ in 0..size {
            let held = held.clone();
            runtime.spawn(async move {
                sleep().await;
                drop(held);
            });
        }
        drop(held);
        runtime.block_on(all_gone.recv());
    })
}

fn ours_no_op(size: u64) -> Cost {
    let pool = pool(1024);
    measured(size, || {
        let handles: Vec<_> = (0..size).map(|n| pool.spawn(async move { n })).collect();
        for handle in handles {
            black_box(handle.join().expect("no panic"));
        }
    })
}

fn bare_no_op(size: u64) -> Cost {
    let runtime = runtime();
    measured(size, || {
        let handles: Vec<_> = (0..size).map(|n| runtime.spawn(async move { n })).collect();
        runtime.block_on(async {
            for handle in handles {
                black_box(handle.await.expect("no panic"));
            }
        });
    })
}
