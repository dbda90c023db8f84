//! How each library does it. Every pool has a worker for each core, is made once and used for all
//! rounds.

use std::hint::black_box;
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use hands::pool::{Pool as _, ThreadPool};
use rayon::prelude::*;

use super::shared::median;

type Figure = Result<f64, String>;

fn cores() -> usize {
    hands::cores().get()
}

static HANDS: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new().expect("threads"));
static AUTO: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::auto().expect("threads"));
static RAYON: LazyLock<rayon::ThreadPool> = LazyLock::new(|| {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(cores());
    builder.build().expect("threads")
});
static TOKIO: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(cores()).build().expect("threads")
});
static THREADPOOL: LazyLock<threadpool::ThreadPool> =
    LazyLock::new(|| threadpool::ThreadPool::new(cores()));
static EXECUTOR: LazyLock<Arc<async_executor::Executor<'static>>> = LazyLock::new(|| {
    let executor = Arc::new(async_executor::Executor::new());
    for _ in 0..cores() {
        let executor = Arc::clone(&executor);
        let forever = std::future::pending::<()>();
        std::thread::spawn(move || futures_lite::future::block_on(executor.run(forever)));
    }
    executor
});

/// Nanoseconds a task.
fn each(tasks: u64, run: impl FnOnce()) -> Figure {
    let start = Instant::now();
    run();
    Ok(start.elapsed().as_nanos() as f64 / tasks as f64)
}

// --- empty tasks ---

pub(crate) fn hands_execute(tasks: u64) -> Figure {
    each(tasks, || {
        for _ in 0..tasks {
            HANDS.execute(|| {});
        }
        HANDS.join();
    })
}

pub(crate) fn hands_scope(tasks: u64) -> Figure {
    each(tasks, || {
        HANDS.scope(|scope| {
            for _ in 0..tasks {
                scope.execute(|| {});
            }
        });
    })
}

pub(crate) fn hands_submit(tasks: u64) -> Figure {
    each(tasks, || {
        for _ in 0..tasks {
            drop(HANDS.submit(|()| (), ()));
        }
        HANDS.join();
    })
}

pub(crate) fn rayon_scope(tasks: u64) -> Figure {
    each(tasks, || {
        // From outside: the function of `in_place_scope` runs on the caller.
        RAYON.in_place_scope(|scope| {
            for _ in 0..tasks {
                scope.spawn(|_| {});
            }
        });
    })
}

pub(crate) fn threadpool(tasks: u64) -> Figure {
    each(tasks, || {
        for _ in 0..tasks {
            THREADPOOL.execute(|| {});
        }
        THREADPOOL.join();
    })
}

pub(crate) fn tokio(tasks: u64) -> Figure {
    each(tasks, || {
        let spawned: Vec<_> = (0..tasks).map(|_| TOKIO.spawn(async {})).collect();
        futures_lite::future::block_on(async {
            for task in spawned {
                task.await.expect("no panic");
            }
        });
    })
}

pub(crate) fn async_executor(tasks: u64) -> Figure {
    each(tasks, || {
        let spawned: Vec<_> = (0..tasks).map(|_| EXECUTOR.spawn(async {})).collect();
        futures_lite::future::block_on(async {
            for task in spawned {
                task.await;
            }
        });
    })
}

fn sum_of(numbers: impl Iterator<Item = u64>, tasks: u64) -> Result<(), String> {
    match numbers.sum::<u64>() {
        sum if sum == tasks * (tasks - 1) / 2 => Ok(()),
        sum => Err(format!("the outcomes sum up to {sum}")),
    }
}

pub(crate) fn hands_many(tasks: u64) -> Figure {
    let mut sum = Ok(());
    let figure = each(tasks, || {
        let outcomes = HANDS.submit_many(|n: u64| n, 0..tasks);
        sum = sum_of(outcomes.map(|outcome| outcome.expect("no panic")), tasks);
    });
    sum.and(figure)
}

pub(crate) fn hands_map(tasks: u64) -> Figure {
    let mut sum = Ok(());
    let figure = each(tasks, || {
        let outcomes = HANDS.map(|n: u64| n, 0..tasks).chunk(4096);
        sum = sum_of(outcomes.map(|outcome| outcome.expect("no panic")), tasks);
    });
    sum.and(figure)
}

// --- one task at a time ---

fn pings(tasks: u64, pause: Option<Duration>, mut ping: impl FnMut(u64) -> u64) -> Figure {
    let mut times = Vec::with_capacity(usize::try_from(tasks).unwrap_or_default());
    for n in 0..tasks {
        if let Some(pause) = pause {
            pause_for(pause);
        }
        let start = Instant::now();
        let result = ping(black_box(n));
        times.push(start.elapsed().as_nanos() as f64);
        if result != n + 1 {
            return Err(format!("{n} + 1 became {result}"));
        }
    }
    Ok(median(times))
}

/// Longer than any of them looks for work before it sleeps.
const PAUSE: Duration = Duration::from_micros(500);

fn pause_for(pause: Duration) {
    std::thread::park_timeout(pause);
}

macro_rules! ping {
    ($ping:ident, $idle:ident, $body:expr) => {
        pub(crate) fn $ping(tasks: u64) -> Figure {
            pings(tasks, None, $body)
        }

        pub(crate) fn $idle(tasks: u64) -> Figure {
            pings(tasks, Some(PAUSE), $body)
        }
    };
}

ping!(hands_ping, hands_idle, |n| HANDS
    .submit(|n: u64| n + 1, n)
    .join()
    .expect("no panic"));
ping!(rayon_ping, rayon_idle, |n| RAYON.install(|| n + 1));
ping!(tokio_ping, tokio_idle, |n| {
    let task = TOKIO.spawn(async move { n + 1 });
    futures_lite::future::block_on(task).expect("no panic")
});
ping!(threadpool_ping, threadpool_idle, |n| {
    let (sender, receiver) = channel();
    THREADPOOL.execute(move || sender.send(n + 1).expect("somebody waits"));
    receiver.recv().expect("a result")
});

// --- nothing to do ---

/// CPU nanoseconds of the whole process a millisecond, while `pool` has nothing to do for so many
/// of them.
fn rest(pool: &ThreadPool, milliseconds: u64) -> Figure {
    // It has worked, and all that it says to itself behind that has been said.
    pool.submit(|n: u64| n, 0)
        .join()
        .map_err(|error| error.to_string())?;
    pause_for(Duration::from_millis(20));
    let start = cpu_time();
    let until = Instant::now() + Duration::from_millis(milliseconds);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        pause_for(left);
    }
    let spent = cpu_time() - start;
    Ok(spent.as_nanos() as f64 / milliseconds as f64)
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(time.tv_sec.unsigned_abs(), nanoseconds)
}

pub(crate) fn hands_rest(milliseconds: u64) -> Figure {
    rest(&HANDS, milliseconds)
}

pub(crate) fn hands_auto_rest(milliseconds: u64) -> Figure {
    rest(&AUTO, milliseconds)
}

// --- computing ---

/// What is done with each number: something that the compiler can neither leave out nor replace by
/// a formula.
#[inline(always)]
fn kernel(sum: u64, n: u64) -> u64 {
    sum.wrapping_add(black_box(n))
}

fn summed(numbers: u64, sum: impl FnOnce() -> u64) -> Figure {
    let start = Instant::now();
    let sum = sum();
    let figure = start.elapsed().as_nanos() as f64 / numbers as f64;
    let expected = numbers * (numbers + 1) / 2;
    if sum == expected {
        Ok(figure)
    } else {
        Err(format!("the sum is {sum}, not {expected}"))
    }
}

pub(crate) fn hands_sum(numbers: u64) -> Figure {
    summed(numbers, || {
        HANDS.reduce(1..numbers + 1, || 0, kernel, |a, b| a + b)
    })
}

pub(crate) fn rayon_sum(numbers: u64) -> Figure {
    summed(numbers, || {
        RAYON.install(|| (1..numbers + 1).into_par_iter().fold(|| 0, kernel).sum())
    })
}

/// The number of forks on the way to the `n`th Fibonacci number, and that number.
fn fibonacci(forks: u64) -> (u32, u64) {
    let (mut n, mut a, mut b) = (1, 1_u64, 1_u64);
    while b < forks {
        (n, a, b) = (n + 1, b, a + b);
    }
    let _ = a;
    (n, b)
}

macro_rules! fork {
    ($name:ident, $install:expr, $join:path) => {
        pub(crate) fn $name(forks: u64) -> Figure {
            fn fibonacci_of(n: u32) -> u64 {
                if n < 2 {
                    return 1;
                }
                let (a, b) = $join(|| fibonacci_of(n - 1), || fibonacci_of(n - 2));
                a + b
            }
            let (n, expected) = fibonacci(forks);
            let mut result = 0;
            let figure = each(expected, || result = $install(&|| fibonacci_of(n)));
            if result == expected {
                figure
            } else {
                Err(format!("{result}, not {expected}"))
            }
        }
    };
}

fork!(
    hands_fork,
    |run: &(dyn Fn() -> u64 + Sync)| HANDS.install(run),
    hands::pool::join
);
fork!(
    rayon_fork,
    |run: &(dyn Fn() -> u64 + Sync)| RAYON.install(run),
    rayon::join
);
