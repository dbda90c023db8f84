//! Pools of threads and of processes.

mod around;
#[cfg(feature = "async")]
mod asynchronous;
#[cfg(feature = "async")]
mod coroutine_waits;
#[cfg(feature = "async")]
mod coroutines;
mod events;
mod faults;
mod foreign;
mod fork;
mod practice;
mod process;
mod reach;
mod scope;
mod sizing;
mod trust;
mod waits;
mod workers;

#[cfg(feature = "async")]
use hands::pool::AsyncPool;
use hands::pool::{ProcessPool, ThreadPool};

pub(crate) const SCENES: &[crate::support::Scenes] = &[around::SCENES, reach::SCENES];

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

#[cfg(feature = "async")]
pool_conformance!(functions_of_a_pool_of_coroutines, |workers| {
    let builder = AsyncPool::builder().in_flight(workers);
    builder.function_threads(workers, workers).build().unwrap()
});

#[cfg(feature = "async")]
coroutine_pool_conformance!(coroutines_on_threads, |in_flight| {
    AsyncPool::builder().in_flight(in_flight).build().unwrap()
});

#[cfg(feature = "async")]
coroutine_pool_conformance!(coroutines_on_one_thread, |in_flight| {
    let builder = AsyncPool::builder().in_flight(in_flight);
    builder.threads(1).build().unwrap()
});

#[cfg(feature = "async")]
coroutine_pool_conformance!(coroutines_in_a_process, |in_flight| {
    let builder = ProcessPool::builder().workers(1);
    builder.coroutines(in_flight).build().unwrap()
});
