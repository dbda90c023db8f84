//! A task may wait for others of its pool, in any number and order, and no wait is without an end.
#![allow(clippy::unwrap_used, reason = "it fails the test")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::Duration;

use hands::pool::{Pool, Shutdown, ThreadPool, join};
use hands::task::{self, Handle, TaskError, When, as_completed};

use crate::support::in_time;

/// With small stacks, on which few frames have room.
fn small(workers: usize) -> Arc<ThreadPool> {
    let builder = ThreadPool::builder().workers(workers);
    Arc::new(builder.stack_size(256 << 10).build().unwrap())
}

/// Runs until it is told to end, or until its other side is gone.
fn gate() -> (Sender<()>, Receiver<()>) {
    channel()
}

const MANY: u64 = 100_000;

#[test]
fn a_hundred_thousand_tasks_wait_for_one_each() {
    in_time(|| {
        let pool = small(2);
        let parent = |n| {
            let inner = Arc::clone(&pool);
            pool.spawn(move || inner.spawn(move || n + 1).join().unwrap())
        };
        let parents: Vec<_> = (0..MANY).map(parent).collect();
        let sum: u64 = parents
            .into_iter()
            .map(|parent| parent.join().unwrap())
            .sum();
        assert_eq!(sum, MANY * (MANY + 1) / 2);
    });
}

#[test]
fn a_hundred_thousand_tasks_wait_for_the_one_before() {
    in_time(|| {
        let pool = small(2);
        let (open, closed) = gate();
        let first = pool.spawn(move || {
            let _ = closed.recv();
            Ok(0)
        });
        // Flat, as an error that quotes an error that quotes an error would be long.
        let link = |before: Handle<Result<u64, TaskError>>| move || before.join()?.map(|n| n + 1);
        let chain = (0..MANY).fold(first, |before, _| pool.spawn(link(before)));
        open.send(()).unwrap();
        assert_eq!(chain.join(), Ok(Ok(MANY)));
    });
}

/// Tasks of which each takes the handle of another out of its place, and joins it.
fn linked(pool: &Arc<ThreadPool>, awaits: impl Fn(usize) -> Option<usize>, count: usize) -> u64 {
    let places: Arc<Vec<Mutex<Option<Handle<u64>>>>> =
        Arc::new((0..count).map(|_| Mutex::new(None)).collect());
    let ready = Arc::new(OnceLock::<()>::new());
    let awaited: Vec<_> = (0..count).map(&awaits).collect();
    for (n, awaited) in awaited.iter().copied().enumerate() {
        let (all, ready) = (Arc::clone(&places), Arc::clone(&ready));
        let handle = pool.spawn(move || {
            ready.wait();
            let Some(awaited) = awaited else { return 1 };
            let handle = all[awaited].lock().unwrap().take().expect("joined once");
            handle.join().unwrap() + 1
        });
        *places[n].lock().unwrap() = Some(handle);
    }
    ready.set(()).unwrap();
    let is_awaited = |n: &usize| awaited.contains(&Some(*n));
    let last = if count > 1000 {
        None
    } else {
        (0..count).find(|n| !is_awaited(n))
    };
    let last = last.unwrap_or(0);
    let handle = places[last]
        .lock()
        .unwrap()
        .take()
        .expect("nobody awaits it");
    handle.join().unwrap()
}

#[test]
fn tasks_of_which_each_waits_for_a_later_one_all_end() {
    in_time(|| {
        let later = |n| (n + 1 < 20_000).then_some(n + 1);
        assert_eq!(linked(&small(2), later, 20_000), 20_000);
    });
}

#[test]
fn tasks_that_wait_for_each_other_in_no_order_all_end() {
    in_time(|| {
        for (workers, step) in [(1, 7), (2, 89), (3, 577)] {
            // A walk through all of 1000, each step as far as the others.
            let next = |n: usize| (!(n + step).is_multiple_of(1000)).then_some((n + step) % 1000);
            assert_eq!(linked(&small(workers), next, 1000), 1000);
        }
    });
}

#[test]
fn one_that_waits_runs_what_it_waits_for_and_nothing_else() {
    in_time(|| {
        let pool = Arc::new(ThreadPool::with_workers(1).unwrap());
        let inner = Arc::clone(&pool);
        let lock = Arc::new(Mutex::new(()));
        let (about, outcome) = channel();
        let outer = pool.spawn(move || {
            let held = lock.lock().unwrap();
            // In the queue before the awaited one, and in want of what its waiter has.
            let other = Arc::clone(&lock);
            let wants = inner.spawn(move || drop(other.lock().unwrap()));
            let inner_outcome = inner.spawn(|| 7).join();
            about.send(inner_outcome).unwrap();
            drop(held);
            wants.join()
        });
        assert_eq!(outcome.recv().unwrap(), Ok(7));
        assert_eq!(outer.join(), Ok(Ok(())));
    });
}

#[test]
fn a_join_with_a_time_out_keeps_it_on_a_worker() {
    in_time(|| {
        let pool = Arc::new(ThreadPool::with_workers(1).unwrap());
        let (open, closed) = gate();
        let (inner, own) = (Arc::clone(&pool), Arc::new(Mutex::new(closed)));
        let handle = pool.spawn(move || {
            // Neither of the two can end before the gate is open, which this does afterwards.
            let wait = |gate: Arc<Mutex<Receiver<()>>>| move || gate.lock().unwrap().recv().is_ok();
            let first = inner.spawn(wait(Arc::clone(&own)));
            let second = inner.spawn(wait(own));
            let second = second.join_timeout(Duration::from_millis(50)).unwrap_err();
            let first = first.join_timeout(Duration::from_millis(50)).unwrap_err();
            open.send(()).unwrap();
            open.send(()).unwrap();
            (first.join(), second.join())
        });
        assert_eq!(handle.join(), Ok((Ok(true), Ok(true))));
    });
}

#[test]
fn waiting_for_many_on_the_only_worker_ends() {
    in_time(|| {
        let pool = Arc::new(ThreadPool::with_workers(1).unwrap());
        let inner = Arc::clone(&pool);
        let handle = pool.spawn(move || {
            let spawn = || {
                (0..100_u64)
                    .map(|n| inner.spawn(move || n))
                    .collect::<Vec<_>>()
            };
            let all = task::wait(spawn(), When::All);
            let first = task::wait(spawn(), When::First);
            let sum: u64 = as_completed(spawn()).map(|(_, n)| n.unwrap()).sum();
            let mapped: u64 = inner.map(|n: u64| n, 0..100).map(|n| n.unwrap()).sum();
            let many: u64 = inner
                .submit_many(|n: u64| n, 0..100)
                .map(|n| n.unwrap())
                .sum();
            (all.done.len(), first.done.is_empty(), sum, mapped, many)
        });
        assert_eq!(handle.join(), Ok((100, false, 4950, 4950, 4950)));
    });
}

#[test]
fn scopes_and_halves_nest_on_the_only_worker() {
    fn nest(pool: &ThreadPool, deep: u32) -> u32 {
        if deep == 0 {
            return 1;
        }
        let inner = pool.scope(|scope| {
            let handle = scope.spawn(|| nest(pool, deep - 1));
            scope.execute(|| ());
            handle.join().unwrap()
        });
        let (a, b) = join(|| inner, || pool.install(|| 1));
        a + b
    }
    in_time(|| {
        let pool = ThreadPool::with_workers(1).unwrap();
        assert_eq!(pool.install(|| nest(&pool, 50)), 51);
        // Deeper than a stack of that size has room for, so on several of them.
        let pool = small(1);
        assert_eq!(pool.install(|| nest(&pool, 200)), 201);
    });
}

#[test]
fn at_the_bound_the_last_wait_is_an_error_that_says_so() {
    in_time(|| {
        let builder = ThreadPool::builder().workers(1).max_waiting(0);
        let pool = Arc::new(builder.build().unwrap());
        let inner = Arc::clone(&pool);
        let outer = pool.spawn(move || {
            let queued = inner.spawn(|| 1);
            // It would have to be run by another worker, for this one may not be held up beyond its
            // time.
            queued
                .join_timeout(Duration::from_secs(60))
                .map_err(|_| "late")
        });
        let Ok(Ok(Err(error))) = outer.join() else {
            panic!("there is no worker that could run it");
        };
        assert_eq!(error, TaskError::TooManyWaiting { waiting: 0 });
        assert!(error.to_string().contains("max_waiting"), "{error}");
        // It stays in the queue, and those after it are run as well.
        assert_eq!(pool.spawn(|| 2).join(), Ok(2));
    });
}

#[test]
fn workers_of_two_pools_wait_for_each_other() {
    in_time(|| {
        let one = Arc::new(ThreadPool::with_workers(1).unwrap());
        let two = Arc::new(ThreadPool::with_workers(1).unwrap());
        fn bounce(here: Arc<ThreadPool>, there: Arc<ThreadPool>, left: u32) -> u32 {
            if left == 0 {
                return 0;
            }
            let inner = Arc::clone(&there);
            let handle = inner.spawn(move || bounce(there, here, left - 1));
            handle.join().unwrap() + 1
        }
        assert_eq!(bounce(one, two, 100), 100);
    });
}

#[test]
fn callbacks_may_submit_and_join() {
    in_time(|| {
        let pool = Arc::new(ThreadPool::with_workers(1).unwrap());
        let (told, hear) = channel();
        let inner = Arc::clone(&pool);
        pool.spawn(|| 1).on_done(move |_| {
            let joined = inner.spawn(|| 2).join();
            told.send((joined, inner.map(|n: u64| n, 0..3).count()))
                .unwrap();
        });
        assert_eq!(hear.recv().unwrap(), (Ok(2), 3));
    });
}

#[test]
fn several_threads_shut_one_pool_down_and_each_waits_for_its_end() {
    in_time(|| {
        for _ in 0..20 {
            let pool = Arc::new(ThreadPool::with_workers(2).unwrap());
            let done = Arc::new(Barrier::new(4));
            let finished = Arc::new(Mutex::new(0));
            let (open, closed) = gate();
            let counted = Arc::clone(&finished);
            pool.execute(move || {
                let _ = closed.recv();
                *counted.lock().unwrap() += 1;
            });
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    let (pool, done) = (Arc::clone(&pool), Arc::clone(&done));
                    let finished = Arc::clone(&finished);
                    std::thread::spawn(move || {
                        done.wait();
                        pool.shutdown(Shutdown::Drain);
                        assert_eq!(*finished.lock().unwrap(), 1);
                    })
                })
                .collect();
            done.wait();
            open.send(()).unwrap();
            for thread in threads {
                thread.join().unwrap();
            }
        }
    });
}

#[test]
fn a_pool_whose_last_owner_is_its_own_task_runs_what_was_submitted() {
    in_time(|| {
        let pool = Arc::new(ThreadPool::with_workers(1).unwrap());
        let (told, hear) = channel();
        let own = Arc::clone(&pool);
        let (open, closed) = gate();
        pool.execute(move || {
            let _ = closed.recv();
            drop(own);
        });
        for n in 0..10 {
            let told = told.clone();
            pool.execute(move || told.send(n).unwrap());
        }
        drop((pool, told));
        open.send(()).unwrap();
        assert!(hear.iter().eq(0..10));
    });
}

#[test]
fn tasks_that_wait_while_the_pool_drains_get_what_they_wait_for() {
    in_time(|| {
        let pool = small(1);
        let parents: Vec<_> = (0..100)
            .map(|n| {
                let child = pool.spawn(move || n);
                pool.spawn(move || {
                    child
                        .join_timeout(Duration::from_secs(60))
                        .unwrap()
                        .unwrap()
                })
            })
            .collect();
        pool.shutdown(Shutdown::Drain);
        for (n, parent) in (0..).zip(parents) {
            assert_eq!(parent.join(), Ok(n));
        }
    });
}
