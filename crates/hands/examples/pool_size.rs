//! How many workers? N·(x+y)/x, for tasks that compute for x and wait for y on N cores: measured,
//! beside what a pool that sizes itself finds.
//!
//! ```console
//! $ cargo run --release --example pool_size
//! ```
//!
//! To see the tutorial's figures, N is 1: the program keeps to one core.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "what it prints is what it is for, and sleeping stands for waiting"
)]

use std::time::{Duration, Instant};

use hands::pool::{Pool, Sizing, ThreadPool, formula};

/// CPU time that this thread has used.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Computes for x, waits for y.
fn task(x: Duration, y: Duration) {
    let start = cpu_time();
    while cpu_time() - start < x {
        std::hint::spin_loop();
    }
    std::thread::sleep(y);
}

/// N is 1.
fn keep_to_one_core() -> hands::Result<()> {
    let mut one = rustix::thread::CpuSet::new();
    let all = rustix::thread::sched_getaffinity(None)?;
    let first = (0..1024).find(|core| all.is_set(*core));
    one.set(first.unwrap_or(0));
    Ok(rustix::thread::sched_setaffinity(None, &one)?)
}

/// Tasks a second.
fn rate(pool: &ThreadPool, tasks: u32, x: Duration, y: Duration) -> f64 {
    let start = Instant::now();
    for done in pool.map(move |_| task(x, y), 0..tasks) {
        done.expect("it does not panic");
    }
    f64::from(tasks) / start.elapsed().as_secs_f64()
}

#[hands::main]
fn main() -> hands::Result<()> {
    let tasks = std::env::args()
        .nth(1)
        .map_or(Ok(600), |text| text.parse())?;
    keep_to_one_core()?;
    for (x, y) in [(1000, 1000), (400, 1600)]
        .map(|(x, y)| (Duration::from_micros(x), Duration::from_micros(y)))
    {
        let wanted = formula(1, x, y);
        println!(
            "{}% CPU: the formula says {wanted} workers",
            100 * x.as_micros() / (x + y).as_micros()
        );
        for workers in [1, wanted, 2 * wanted] {
            let pool = ThreadPool::with_workers(workers)?;
            println!(
                "  {workers:>2} workers: {:>5.0} tasks/s",
                rate(&pool, tasks, x, y)
            );
        }
        let pool = ThreadPool::auto()?;
        let rate = rate(&pool, 3 * tasks, x, y);
        let stats = pool.stats();
        println!(
            "  itself: {rate:>8.0} tasks/s with {} workers",
            stats.workers
        );
        if let Sizing::Auto(why) = stats.sizing {
            println!("  {why}");
        }
    }
    Ok(())
}
