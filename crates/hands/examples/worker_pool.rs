//! A pool made by hand, and the library's: a hundred jobs, ten workers.
//!
//! ```console
//! $ cargo run --release --example worker_pool
//! ```
//!
//! By hand it is a queue and threads that take from it. What is missing there, the library's pool
//! has: results, panics that cost one job, errors that come back, a size that fits, cancelling,
//! waiting for some jobs rather than all.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "what it prints is what it is for, and sleeping stands for work"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use hands::pool::ThreadPool;
use hands::queue::{Queue, Shutdown};
use hands::thread::{JoinHandle, spawn};

const JOBS: u64 = 100;
const WORKERS: usize = 10;

fn job(n: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(2));
    n * n
}

type Job = Box<dyn FnOnce() + Send>;

/// A queue of jobs, and threads that run them.
struct WorkManager {
    queue: Arc<Queue<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl WorkManager {
    fn new(workers: usize) -> WorkManager {
        let queue: Arc<Queue<Job>> = Arc::new(Queue::unbounded());
        let worker = |_| {
            let queue = Arc::clone(&queue);
            spawn(move || queue.iter().for_each(|job| job()))
        };
        let threads = (0..workers).map(worker).collect();
        WorkManager { queue, threads }
    }

    fn add(&self, job: impl FnOnce() + Send + 'static) -> hands::Result<()> {
        Ok(self
            .queue
            .put(Box::new(job))
            .map_err(|refused| refused.to_string())?)
    }

    fn wait_for_all(self) -> hands::Result<()> {
        self.queue.shutdown(Shutdown::Drain);
        Ok(self.threads.into_iter().try_for_each(JoinHandle::join)?)
    }
}

#[hands::main]
fn main() -> hands::Result<()> {
    let start = Instant::now();
    let (manager, results) = (WorkManager::new(WORKERS), Arc::new(Queue::unbounded()));
    for n in 0..JOBS {
        let results = Arc::clone(&results);
        manager.add(move || results.put(job(n)).expect("nobody shuts it down"))?;
    }
    manager.wait_for_all()?;
    let sum: u64 = results.try_iter().sum();
    println!("by hand:    {sum} after {:?}", start.elapsed());

    let start = Instant::now();
    let pool = ThreadPool::with_workers(WORKERS)?;
    let sum: u64 = pool.map(job, 0..JOBS).sum::<Result<_, _>>()?;
    println!("ThreadPool: {sum} after {:?}", start.elapsed());
    Ok(())
}
