//! Pools in one process.

mod fork;
mod scope;
mod sizing;
mod workers;

use hands::pool::ThreadPool;

pool_conformance!(threads, |workers| ThreadPool::with_workers(workers)
    .unwrap());

pool_conformance!(threads_that_measure, |workers| {
    let builder = ThreadPool::builder().auto();
    let builder = builder.min_workers(workers).max_workers(workers);
    builder.build().unwrap()
});
