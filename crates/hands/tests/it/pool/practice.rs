//! Tasks in practice: who ran them, a state of each worker's own, results as they come, retries,
//! limits of what is in memory, another number of workers.

use std::collections::HashSet;
use std::time::Duration;

use hands::pool::{Pool, ProcessPool, WorkerId};
use hands::shared::{Event, Semaphore, Value};
use hands::task::{Options, TaskError};

use crate::support::{HANGS, in_time};

/// What it was before.
fn count_up(count: &Value<u64>) -> u64 {
    count.update(|count| {
        *count += 1;
        *count - 1
    })
}

#[test]
fn a_handle_and_a_task_say_who_runs_it() {
    in_time(|| {
        let pool = ProcessPool::with_workers(2).unwrap();
        let task = pool.submit(
            |()| WorkerId::current().map(|own| (own.number, own.pid)),
            (),
        );
        let known = loop {
            if task.is_finished() {
                break task.worker().unwrap();
            }
        };
        assert_eq!(task.join(), Ok(Some((known.number, known.pid))));
        assert_eq!(WorkerId::current(), None, "this is the program");
        // One that runs, one that waits, and one that has died.
        let (begun, go) = (Event::new().unwrap(), Event::new().unwrap());
        let one = ProcessPool::with_workers(1).unwrap();
        let runs = one.submit(
            |(begun, go): (Event, Event)| {
                begun.set();
                go.wait();
                std::process::id()
            },
            (begun.clone(), go.clone()),
        );
        let waits = one.submit(|()| std::process::abort(), ());
        let waits: hands::task::Handle<()> = waits;
        begun.wait();
        assert_eq!(waits.worker(), None);
        let id = runs.worker().unwrap();
        assert_eq!(one.worker_stats()[0].pid, id.pid);
        assert_eq!(one.worker_stats()[0].number, id.number);
        go.set();
        assert_eq!(runs.join(), Ok(id.pid));
        while !waits.is_finished() {
            std::thread::yield_now();
        }
        assert_eq!(waits.worker(), Some(id));
        assert!(matches!(waits.join(), Err(TaskError::Died(died)) if died.pid == id.pid));
    });
}

/// What could not be sent.
struct Counter {
    made_by: u32,
    count: std::rc::Rc<std::cell::Cell<u64>>,
}

fn make((made, from): (Value<u64>, u64)) -> Counter {
    count_up(&made);
    Counter {
        made_by: std::process::id(),
        count: std::rc::Rc::new(from.into()),
    }
}

fn next(counter: &mut Counter, add: u64) -> (u32, u64) {
    assert_eq!(counter.made_by, std::process::id());
    counter.count.set(counter.count.get() + add);
    (counter.made_by, counter.count.get())
}

#[test]
fn each_worker_has_a_state_of_its_own_which_tasks_are_lent() {
    in_time(|| {
        let made = Value::new(0).unwrap();
        let pool = ProcessPool::builder()
            .workers(2)
            .state(make, (made.clone(), 100));
        let pool = pool.build().unwrap();
        let tasks: Vec<_> = (0..50).map(|_| pool.with_state(next, 1)).collect();
        // In whatever order: a task that waits for one worker may be given to the other.
        let mut counts = std::collections::HashMap::<u32, Vec<u64>>::new();
        for task in tasks {
            let (worker, count) = task.join().unwrap();
            counts.entry(worker).or_default().push(count);
        }
        for counts in counts.values_mut() {
            counts.sort_unstable();
            assert!(counts.iter().copied().eq(101..101 + counts.len() as u64));
        }
        assert_eq!(counts.values().map(Vec::len).sum::<usize>(), 50);
        assert!(made.get() <= 2);
        // One that panics with it costs it.
        let before: HashSet<u32> = pool
            .worker_stats()
            .iter()
            .map(|worker| worker.pid)
            .collect();
        let bad = pool.with_state(|_: &mut Counter, ()| panic!("half done"), ());
        let bad: Result<(), _> = bad.join();
        assert!(matches!(bad, Err(TaskError::Panicked(_))));
        while pool
            .worker_stats()
            .iter()
            .all(|worker| before.contains(&worker.pid))
        {
            std::thread::yield_now();
        }
        // What is of another type is not there.
        match pool.with_state(|_: &mut String, ()| (), ()).join() {
            Err(TaskError::Init { message }) => assert!(
                message.contains("String") && message.contains("another one"),
                "{message}"
            ),
            other => panic!("{other:?}"),
        }
        let none = ProcessPool::with_workers(1).unwrap();
        match none.with_state(next, 1).join() {
            Err(TaskError::Init { message }) => assert!(
                message.contains("have none") && message.contains("state("),
                "{message}"
            ),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_state_that_cannot_be_made_is_an_error_of_all() {
    in_time(|| {
        fn fails(name: String) -> Counter {
            panic!("no model called {name}")
        }
        let pool = ProcessPool::builder()
            .workers(1)
            .state(fails, "it".to_owned());
        let pool = pool.build().unwrap();
        match pool.with_state(next, 1).join() {
            Err(TaskError::Init { message }) => {
                assert!(message.contains("no model called it"), "{message}")
            }
            other => panic!("{other:?}"),
        }
    });
}

/// Numbers, and how far it has come.
fn count((made, items): (Value<u64>, u64)) -> impl Iterator<Item = Vec<u64>> {
    (0..items).map(move |n| {
        count_up(&made);
        vec![n; 1000]
    })
}

#[test]
fn items_of_a_stream_come_in_order_while_it_runs_and_not_far_ahead() {
    in_time(|| {
        let made = Value::new(0_u64).unwrap();
        let pool = ProcessPool::with_workers(1).unwrap();
        let mut stream = pool.stream(count, (made.clone(), 1000));
        for n in 0..1000 {
            assert_eq!(stream.next(), Some(Ok(vec![n; 1000])));
            assert!(
                made.get() <= n + 1 + 17,
                "{} made when {n} was taken",
                made.get()
            );
        }
        assert_eq!((stream.next(), stream.next()), (None, None));
        let none: Vec<_> = pool.stream(count, (made, 0)).collect();
        assert_eq!(none, []);
    });
}

#[test]
fn a_stream_ends_with_the_fate_of_its_worker() {
    in_time(|| {
        // Also where tasks of workers that died are begun again: its items have been taken.
        let pool = ProcessPool::builder()
            .workers(1)
            .retries(3)
            .build()
            .unwrap();
        let dies = |n: u64| {
            (0..).inspect(move |at| {
                if *at == n {
                    std::process::abort()
                }
            })
        };
        let items: Vec<Result<u64, _>> = pool.stream(dies, 3).collect();
        assert_eq!(items[..3], [Ok(0), Ok(1), Ok(2)]);
        assert!(matches!(&items[3..], [Err(TaskError::Died(died))] if died.signal == Some(6)));
        let panics = |n: u64| (0..=n).map(|at| 10 / (2 - at.min(2)));
        let items: Vec<Result<u64, _>> = pool.stream(panics, 5).collect();
        assert_eq!(items[..2], [Ok(5), Ok(10)]);
        assert!(matches!(&items[2..], [Err(TaskError::Panicked(_))]));
        let refused = {
            let closed = ProcessPool::with_workers(1).unwrap();
            closed.close();
            closed.stream(panics, 1).collect::<Vec<_>>()
        };
        assert_eq!(refused, [Err(TaskError::PoolClosed)]);
    });
}

#[test]
fn a_stream_that_nobody_takes_from_any_more_gives_its_worker_back() {
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        let pid = pool.submit(|()| std::process::id(), ()).join();
        let mut stream = pool.stream(|from: u64| from.., 0);
        assert_eq!(stream.next(), Some(Ok(0)));
        drop(stream);
        assert_eq!(pool.submit(|()| std::process::id(), ()).join(), pid);
    });
}

#[test]
fn a_pool_has_as_many_workers_as_it_is_told_to_have() {
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        let workers = |count: usize| {
            while pool.worker_stats().len() != count {
                std::thread::yield_now();
            }
            assert_eq!((pool.workers(), pool.stats().workers), (count, count));
        };
        // Two that wait for each other need two workers.
        let (here, there) = (Semaphore::new(0).unwrap(), Semaphore::new(0).unwrap());
        let meet = |(own, other): (Semaphore, Semaphore)| {
            other.release();
            own.acquire();
        };
        let one = pool.submit(meet, (here.clone(), there.clone()));
        let other = pool.submit(meet, (there, here));
        pool.resize(3).unwrap();
        assert_eq!((one.join(), other.join()), (Ok(()), Ok(())));
        workers(3);
        // What runs, and what waits, is not lost with those that go.
        let (began, go) = (Semaphore::new(0).unwrap(), Semaphore::new(0).unwrap());
        let wait = |(began, go): (Semaphore, Semaphore)| {
            began.release();
            go.acquire();
        };
        let tasks: Vec<_> = (0..8)
            .map(|_| pool.submit(wait, (began.clone(), go.clone())))
            .collect();
        (0..3).for_each(|_| began.acquire());
        pool.resize(1).unwrap();
        (0..8).for_each(|_| go.release());
        for task in tasks {
            assert_eq!(task.join(), Ok(()));
        }
        workers(1);
        let told = pool.resize(0).map_err(|error| error.to_string());
        assert!(told.is_err_and(|told| told.contains("at least 1")));
        pool.resize(2).unwrap();
        workers(2);
    });
}

#[test]
fn a_task_that_has_too_much_in_memory_fails_and_others_go_on() {
    in_time(|| {
        let pool = ProcessPool::builder()
            .workers(1)
            .resident_limit(200 << 20)
            .build()
            .unwrap();
        // Reserved is not used.
        let reserves = |bytes: usize| Vec::<u8>::with_capacity(bytes).capacity();
        assert!(pool.submit(reserves, 1 << 32).join().is_ok());
        let uses = |bytes: usize| {
            let used = vec![1_u8; bytes];
            std::thread::park_timeout(HANGS);
            used.len()
        };
        let limit = 200 << 20;
        assert_eq!(
            pool.submit(uses, 400 << 20).join(),
            Err(TaskError::MemoryLimit { limit })
        );
        assert_eq!(pool.submit(reserves, 10).join(), Ok(10));
    });
}

fn err_until((tries, enough): (Value<u64>, u64)) -> Result<u64, String> {
    match count_up(&tries) {
        before if before < enough => Err(format!("{before}")),
        before => Ok(before),
    }
}

#[test]
fn a_result_that_is_an_err_is_tried_again_where_that_is_asked_for() {
    in_time(|| {
        let pool = ProcessPool::builder()
            .workers(2)
            .retries(3)
            .build()
            .unwrap();
        let tries = || Value::new(0).unwrap();
        assert_eq!(
            pool.submit_until_ok(err_until, (tries(), 3)).join(),
            Ok(Ok(3))
        );
        assert_eq!(pool.stats().retried, 3);
        let tried = tries();
        let last = pool.submit_until_ok(err_until, (tried.clone(), 9)).join();
        assert_eq!((last, tried.get()), (Ok(Err("3".to_owned())), 4));
        // Nobody has asked for it.
        let tried = tries();
        let first = pool.submit(err_until, (tried.clone(), 9)).join();
        assert_eq!((first, tried.get()), (Ok(Err("0".to_owned())), 1));
    });
}

#[test]
fn a_task_whose_time_was_up_is_tried_again_where_that_is_asked_for() {
    in_time(|| {
        let pool = ProcessPool::builder()
            .workers(1)
            .retries(2)
            .retry_timed_out()
            .grace(Duration::from_millis(10))
            .build()
            .unwrap();
        let slow_at_first = |(tries, enough): (Value<u64>, u64)| {
            let before = count_up(&tries);
            if before < enough {
                std::thread::park_timeout(HANGS);
            }
            before
        };
        let options = Options::new().timeout(Duration::from_millis(200));
        let tries = Value::new(0).unwrap();
        assert_eq!(
            pool.submit_with(options, slow_at_first, (tries, 2)).join(),
            Ok(2)
        );
        assert_eq!((pool.stats().retried, pool.stats().timed_out), (2, 0));
        let tries = Value::new(0).unwrap();
        let options = Options::new().timeout(Duration::from_millis(50));
        let never = pool
            .submit_with(options, slow_at_first, (tries.clone(), 99))
            .join();
        assert!(
            matches!(never, Err(TaskError::TimedOut { .. })),
            "{never:?}"
        );
        assert_eq!((tries.get(), pool.stats().timed_out), (3, 1));
    });
}

#[test]
fn deaths_and_replacements_are_counted() {
    in_time(|| {
        let pool = ProcessPool::with_workers(2).unwrap();
        for _ in 0..3 {
            let died: Result<(), _> = pool.submit(|()| std::process::exit(1), ()).join();
            assert!(matches!(died, Err(TaskError::Died(_))));
        }
        let stats = pool.stats();
        assert_eq!((stats.died, stats.finished), (3, 3));
        while pool.stats().replaced < 3 {
            std::thread::yield_now();
        }
    });
}
