//! Does a pool that sizes itself find the size that a sweep finds? Five kinds of work, each in
//! pools of fixed sizes and in one of its own choice.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark is there to be read"
)]

#[path = "../../../../benches/options.rs"]
pub(crate) mod options;
#[path = "../../../../benches/shared.rs"]
mod shared;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hands::pool::{Pool, Shutdown, ThreadPool};
use options::Options;
use serde_json::{Value, json};
use shared::{at_turn, machine, median, tell};

const SIZES: [usize; 13] = [1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 40, 64];
/// When the pool must have found its size.
const FOUND: Duration = Duration::from_secs(3);

/// Milliseconds on the CPU, waiting, and at a disk that serves one at a time.
struct Work {
    name: &'static str,
    title: &'static str,
    cpu: f64,
    wait: f64,
    disk: f64,
}

const ALL: [Work; 5] = [
    Work {
        name: "cpu",
        title: "all CPU",
        cpu: 5.0,
        wait: 0.0,
        disk: 0.0,
    },
    Work {
        name: "20-80",
        title: "20 % CPU, 80 % waiting",
        cpu: 2.0,
        wait: 8.0,
        disk: 0.0,
    },
    Work {
        name: "50-50",
        title: "50 % CPU, 50 % waiting",
        cpu: 4.0,
        wait: 4.0,
        disk: 0.0,
    },
    Work {
        name: "95-wait",
        title: "5 % CPU, 95 % waiting",
        cpu: 0.5,
        wait: 9.5,
        disk: 0.0,
    },
    Work {
        name: "disk",
        title: "CPU, then a disk that serves one at a time",
        cpu: 2.0,
        wait: 0.0,
        disk: 3.0,
    },
];

impl Work {
    fn task(&self, disk: &Arc<Mutex<()>>) -> impl FnOnce() + Send + use<> {
        let [cpu, wait, at_disk] =
            [self.cpu, self.wait, self.disk].map(|ms| Duration::from_secs_f64(ms / 1e3));
        let disk = Arc::clone(disk);
        move || {
            let start = thread_cpu();
            while thread_cpu() - start < cpu {
                for n in 0..1000 {
                    std::hint::black_box(n);
                }
            }
            pause(wait);
            if !at_disk.is_zero() {
                let _served = disk.lock().expect("nobody panics");
                pause(at_disk);
            }
        }
    }
}

fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[expect(clippy::disallowed_methods, reason = "waiting is what is measured")]
fn pause(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}

/// Tasks a second between two moments since the start, and the most workers there were.
fn throughput(pool: &ThreadPool, work: &Work, from: Duration, until: Duration) -> (f64, usize) {
    let disk = Arc::default();
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut counted = None;
    let mut most = 0;
    loop {
        for _ in pool.stats().queued..256 {
            let task = work.task(&disk);
            let done = Arc::clone(&done);
            pool.execute(move || {
                task();
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        most = most.max(pool.workers());
        let now = start.elapsed();
        if counted.is_none() && now >= from {
            counted = Some((now, done.load(Ordering::Relaxed)));
        }
        if let Some((from, before)) = counted
            && now >= until
        {
            let tasks = done.load(Ordering::Relaxed) - before;
            return (tasks as f64 / (now - from).as_secs_f64(), most);
        }
        pause(Duration::from_millis(4));
    }
}

struct Found {
    /// The smallest size that did within 3 % of the most.
    best: usize,
    best_rate: f64,
    rate: f64,
    most: usize,
    /// What the pool said of its size at the end.
    why: String,
}

fn measure(work: &Work, window: Duration, round: usize) -> std::io::Result<Found> {
    let mut rates = Vec::new();
    let mut own = None;
    let all = SIZES.len() + 1;
    for turn in 0..all {
        let at = at_turn(turn, round, all);
        let Some(&size) = SIZES.get(at) else {
            tell(&format!("{}: its own size", work.name));
            let pool = ThreadPool::auto()?;
            let found = FOUND.min(2 * window);
            let (rate, most) = throughput(&pool, work, found, found + 2 * window);
            own = Some((rate, most, pool.stats().sizing.to_string()));
            pool.shutdown(Shutdown::Now);
            continue;
        };
        tell(&format!("{}: {size} workers", work.name));
        let pool = ThreadPool::with_workers(size)?;
        let (rate, _) = throughput(&pool, work, window / 4, window * 5 / 4);
        pool.shutdown(Shutdown::Now);
        rates.push((size, rate));
    }
    rates.sort_by_key(|(size, _)| *size);
    let most = rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let enough = rates.iter().find(|(_, rate)| *rate >= 0.97 * most);
    let (best, best_rate) = enough.copied().unwrap_or((1, most));
    let (rate, most, why) = own.unwrap_or_default();
    Ok(Found {
        best,
        best_rate,
        rate,
        most,
        why,
    })
}

/// Measures, prints the table, and says whether all targets were met.
pub(crate) fn run(options: &Options) -> std::io::Result<bool> {
    let window = Duration::from_millis(if options.quick { 60 } else { 1000 });
    println!("{}; median of {} rounds\n", machine(), options.runs);
    println!(
        "| work | best size | tasks/s there | `auto`, tasks/s from second 3 | of the best | target | most workers | target | says |"
    );
    println!("|---|--:|--:|--:|--:|---|--:|---|---|");
    let mut lines: Vec<Value> = Vec::new();
    let mut all_met = true;
    for work in &ALL {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == work.name) {
            continue;
        }
        let rounds = (0..options.runs).map(|round| measure(work, window, round));
        let rounds = rounds.collect::<Result<Vec<Found>, _>>()?;
        let of = |figure: fn(&Found) -> f64| median(rounds.iter().map(figure).collect());
        let share = of(|found| found.rate / found.best_rate);
        let excess = of(|found| found.most as f64 / found.best as f64);
        let verdict = |met: bool| if met { "met" } else { "**missed**" };
        let (fast, small) = (share >= 0.9, excess <= 2.0);
        all_met &= fast && small;
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {share:.2} × | ≥ 0.9 ×: {} | {:.0} | ≤ 2 × best: {} | {} |",
            work.title,
            of(|found| found.best as f64),
            of(|found| found.best_rate),
            of(|found| found.rate),
            verdict(fast),
            of(|found| found.most as f64),
            verdict(small),
            rounds.last().map_or("", |found| &found.why),
        );
        let round = |found: &Found| json!({ "best": found.best, "best_rate": found.best_rate, "rate": found.rate, "most": found.most, "why": found.why });
        lines.push(
            json!({ "work": work.name, "rounds": rounds.iter().map(round).collect::<Vec<_>>() }),
        );
    }
    tell("");
    if let Some(path) = &options.json {
        std::fs::write(
            path,
            format!("{:#}\n", json!({ "machine": machine(), "lines": lines })),
        )?;
    }
    Ok(all_met)
}

pub(crate) fn options_from(words: impl IntoIterator<Item = String>) -> Result<Options, String> {
    let names = ALL.each_ref().map(|work| work.name);
    Options::from_words(words, "sizing", &names)
}

#[allow(
    dead_code,
    reason = "the smoke test includes this file as a module and calls `run`"
)]
fn main() -> ExitCode {
    let options = match options_from(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(told) => {
            eprintln!("{told}");
            return ExitCode::from(2);
        }
    };
    // `cargo bench` starts this in the folder of the crate; paths were given from where the user
    // is.
    let moved = std::env::var_os("HANDS_BENCH_FROM").map_or(Ok(()), std::env::set_current_dir);
    match moved.and_then(|()| run(&options)) {
        Ok(all_met) => ExitCode::from(u8::from(options.check && !all_met)),
        Err(error) => {
            eprintln!("the benchmark could not run: {error}");
            ExitCode::FAILURE
        }
    }
}
