//! Pools in one process.

mod fork;
mod scope;
mod workers;

use hands::pool::ThreadPool;

pool_conformance!(threads, |workers| ThreadPool::with_workers(workers)
    .unwrap());
