//! Pools of threads and of processes.

mod around;
#[cfg(feature = "async")]
mod coroutines;
mod faults;
mod fork;
mod process;
mod scope;
mod sizing;
mod workers;

use hands::pool::{ProcessPool, ThreadPool};

pub(crate) const SCENES: crate::support::Scenes = around::SCENES;

pool_conformance!(threads, |workers| ThreadPool::with_workers(workers)
    .unwrap());

pool_conformance!(threads_that_measure, |workers| {
    let builder = ThreadPool::builder().auto();
    let builder = builder.min_workers(workers).max_workers(workers);
    builder.build().unwrap()
});

pool_conformance!(processes, |workers| ProcessPool::with_workers(workers)
    .unwrap());

#[cfg(feature = "async")]
pool_conformance!(processes_with_coroutines, |workers| {
    let builder = ProcessPool::builder().workers(workers);
    builder.coroutines(1).build().unwrap()
});
