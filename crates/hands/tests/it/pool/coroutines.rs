//! Coroutines in a pool of processes: many at a time in each worker, each with an end of its own.

use std::time::Duration;

use hands::pool::{Pool, ProcessPool, Shutdown};
use hands::shared::{Bytes, Event, Slice, Value};
use hands::sync::CancelToken;
use hands::task::{Handle, Options, TaskError};

use crate::support::in_time;

fn pool(workers: usize, coroutines: usize) -> ProcessPool {
    let builder = ProcessPool::builder().workers(workers);
    builder.coroutines(coroutines).build().expect("a pool")
}

async fn moment() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Waits until so many have come here.
async fn meet((come, all): (Value<u32>, u32)) -> u32 {
    come.update(|come| *come += 1);
    while come.get() < all {
        moment().await;
    }
    std::process::id()
}

async fn forever(begun: Value<u32>) {
    begun.update(|begun| *begun += 1);
    std::future::pending().await
}

fn await_count(value: &Value<u32>, count: u32) {
    while value.get() < count {
        std::thread::yield_now();
    }
}

#[test]
fn as_many_as_were_asked_for_are_in_flight() {
    in_time(|| {
        let pool = pool(2, 50);
        let come = Value::new(0).unwrap();
        let handles: Vec<_> = (0..100)
            .map(|_| pool.submit_async(meet, (come.clone(), 100)))
            .collect();
        let mut pids: Vec<u32> = handles.into_iter().map(|h| h.join().unwrap()).collect();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), 2);
        assert_eq!(pool.stats().finished, 100);
    });
}

#[test]
fn a_worker_that_dies_takes_along_those_that_had_begun_in_it_and_no_other() {
    in_time(|| {
        let pool = pool(1, 4);
        let begun = Value::new(0).unwrap();
        let waiting: Vec<Handle<()>> = (0..3)
            .map(|_| pool.submit_async(forever, begun.clone()))
            .collect();
        await_count(&begun, 3);
        let fatal = pool.submit_async(
            async |go: Event| {
                while !go.is_set() {
                    moment().await;
                }
                std::process::abort()
            },
            {
                let go = Event::new().unwrap();
                go.set();
                go
            },
        );
        let fatal: Handle<()> = fatal;
        let later: Vec<_> = (0..20)
            .map(|n: u64| pool.submit_async(async |n: u64| n * n, n))
            .collect();
        for handle in waiting.into_iter().chain([fatal]) {
            assert!(matches!(handle.join(), Err(TaskError::Died(died)) if died.signal == Some(6)));
        }
        for (n, handle) in (0..).zip(later) {
            assert_eq!(handle.join(), Ok(n * n));
        }
    });
}

#[test]
fn one_that_is_cancelled_is_dropped_and_its_neighbours_go_on() {
    struct Note(Value<u32>);
    impl Drop for Note {
        fn drop(&mut self) {
            let token = CancelToken::current();
            let by = if token.is_some_and(|token| token.is_cancelled()) {
                100
            } else {
                1
            };
            self.0.update(|dropped| *dropped += by);
        }
    }
    in_time(|| {
        let pool = pool(1, 3);
        let (come, dropped) = (Value::new(0).unwrap(), Value::new(0).unwrap());
        let neighbour = pool.submit_async(meet, (come.clone(), 2));
        let cancelled = pool.submit_async(
            async |(begun, dropped): (Value<u32>, Value<u32>)| {
                let _note = Note(dropped);
                forever(begun).await;
            },
            (come.clone(), dropped.clone()),
        );
        let pid = neighbour.join().unwrap();
        assert!(!cancelled.cancel(), "it has begun");
        assert_eq!(cancelled.join(), Err(TaskError::Cancelled));
        assert!(dropped.get() > 0, "dropped before that was told");
        assert_eq!(
            pool.submit_async(meet, (come, 3)).join(),
            Ok(pid),
            "the worker lives"
        );
    });
}

#[test]
fn one_whose_time_is_up_costs_itself() {
    in_time(|| {
        let pool = pool(1, 3);
        let come = Value::new(0).unwrap();
        let options = Options::new().timeout(Duration::from_millis(20));
        let neighbour = pool.submit_async(meet, (come.clone(), 3));
        let late = pool.submit_async_with(options, forever, come.clone());
        assert!(matches!(late.join(), Err(TaskError::TimedOut { .. })));
        let last = pool.submit_async(meet, (come, 3));
        assert_eq!(neighbour.join(), last.join());
    });
}

#[test]
fn one_that_does_not_await_is_ended_with_its_worker() {
    in_time(|| {
        let pool = ProcessPool::builder()
            .workers(1)
            .coroutines(2)
            .grace(Duration::from_millis(20))
            .build()
            .unwrap();
        let options = Options::new().timeout(Duration::from_millis(20));
        let spins = pool.submit_async_with(
            options,
            async |()| loop {
                std::hint::spin_loop();
            },
            (),
        );
        let spins: Handle<()> = spins;
        assert!(matches!(spins.join(), Err(TaskError::TimedOut { .. })));
        assert_eq!(pool.submit_async(async |n: u8| n, 3).join(), Ok(3));
    });
}

#[test]
fn panics_large_values_and_shared_ones() {
    in_time(|| {
        let pool = pool(1, 3);
        let panicked = pool.submit_async(
            async |()| {
                moment().await;
                panic!("in the middle")
            },
            (),
        );
        let panicked: Handle<()> = panicked;
        let Err(TaskError::Panicked(panicked)) = panicked.join() else {
            panic!("it has panicked");
        };
        assert_eq!(panicked.message, "in the middle");
        assert!(panicked.location.unwrap().file.ends_with("coroutines.rs"));
        let large = pool.submit_async(async |text: String| text + "!", "x".repeat(1 << 20));
        assert_eq!(large.join().unwrap().len(), (1 << 20) + 1);
        let shared = async |bytes: Bytes| Bytes::new(&[&bytes[..], b"!"].concat()).unwrap();
        let bytes = Bytes::new(b"abc").unwrap();
        assert_eq!(&*pool.submit_async(shared, bytes).join().unwrap(), b"abc!");
        // A function that is no coroutine, beside them.
        assert_eq!(pool.submit(|n: u64| n + 1, 1).join(), Ok(2));
        assert!(pool.map(|n: u64| n, 0..100).all(|n| n.is_ok()));
    });
}

#[test]
fn without_coroutines_there_is_one_at_a_time() {
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        let handles: Vec<_> = (0..10_u64)
            .map(|n| {
                pool.submit_async(
                    async |n: u64| {
                        moment().await;
                        n
                    },
                    n,
                )
            })
            .collect();
        for (n, handle) in (0..).zip(handles) {
            assert_eq!(handle.join(), Ok(n));
        }
    });
}

#[test]
fn all_have_an_outcome_when_the_pool_is_shut_down() {
    in_time(|| {
        let pool = pool(2, 20);
        let begun = Value::new(0).unwrap();
        let handles: Vec<Handle<()>> = (0..100)
            .map(|_| pool.submit_async(forever, begun.clone()))
            .collect();
        await_count(&begun, 40);
        pool.shutdown(Shutdown::Now);
        for handle in handles {
            assert_eq!(handle.join(), Err(TaskError::Cancelled));
        }
        assert_eq!(begun.get(), 40);
    });
}

#[test]
fn too_many_or_none_are_refused() {
    for most in [0, 1025] {
        let refused = ProcessPool::builder().coroutines(most).build();
        assert!(
            refused
                .err()
                .unwrap()
                .to_string()
                .contains("from 1 to 1024")
        );
    }
}

type Argument = (Slice<u64>, usize, bool);

async fn misbehave((begun, number, is_bad): Argument) -> usize {
    begun.set(number, begun.get(number).expect("it has so many") + 1);
    moment().await;
    if is_bad {
        std::process::abort();
    }
    number
}

#[test]
fn whoever_dies_none_is_lost_or_begun_twice() {
    in_time(|| {
        const TASKS: usize = 2000;
        let pool = pool(2, 16);
        let begun = Slice::<u64>::zeroed(TASKS).unwrap();
        let handles: Vec<_> = (0..TASKS)
            .map(|n| pool.submit_async(misbehave, (begun.clone(), n, n % 97 == 3)))
            .collect();
        let mut died = 0;
        for (n, handle) in handles.into_iter().enumerate() {
            match handle.join() {
                Ok(result) => assert_eq!((result, begun.get(n)), (n, Some(1))),
                Err(TaskError::Died(_)) => {
                    died += 1;
                    assert!(begun.get(n) <= Some(1));
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!((21..=21 * 16).contains(&died), "{died}");
    });
}
