//! What only threads can do, and what becomes of their workers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Barrier, Mutex};

use hands::context::Local;
use hands::pool::{Pool, Shutdown, ThreadPool};
use hands::sync::CancelToken;
use hands::task::{TaskError, When, as_completed, wait};

use crate::support::in_time;

#[test]
fn a_task_may_wait_for_tasks_of_its_own_pool() {
    in_time(|| {
        for workers in [1, 2] {
            let pool = Arc::new(ThreadPool::with_workers(workers).unwrap());
            let inner = Arc::clone(&pool);
            let sum = pool.spawn(move || {
                let parts = (1..=10).map(|n: u64| {
                    let pool = Arc::clone(&inner);
                    inner.spawn(move || pool.spawn(move || n).join().unwrap())
                });
                let parts: Vec<_> = parts.collect();
                parts
                    .into_iter()
                    .map(|part| part.join().unwrap())
                    .sum::<u64>()
            });
            assert_eq!(sum.join(), Ok(55));
            let inner = Arc::clone(&pool);
            let sum = pool.spawn(move || {
                let parts = || (1..=4).map(|n: u64| inner.spawn(move || n));
                let completed: u64 = as_completed(parts()).map(|(_, part)| part.unwrap()).sum();
                let waited = wait(parts(), When::All).done.into_iter();
                completed + waited.map(|part| part.join().unwrap()).sum::<u64>()
            });
            assert_eq!(sum.join(), Ok(20));
        }
    });
}

#[test]
fn a_task_that_waits_is_woken_for_work_that_comes_later() {
    in_time(|| {
        let pool = Arc::new(ThreadPool::with_workers(2).unwrap());
        let (go, goes) = channel::<()>();
        let inner = Arc::clone(&pool);
        // Both workers wait: one for the other's task, which waits for one that is submitted later.
        let outer = pool.spawn(move || {
            let pool = Arc::clone(&inner);
            let waiting = inner.spawn(move || {
                goes.recv().unwrap();
                let (done, is_done) = channel();
                pool.execute(move || done.send(5).unwrap());
                is_done.recv().unwrap()
            });
            waiting.join().unwrap()
        });
        go.send(()).unwrap();
        assert_eq!(outer.join(), Ok(5));
    });
}

#[test]
fn an_initialiser_runs_once_on_each_worker_before_its_tasks() {
    thread_local! { static NUMBER: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) }; }
    let runs = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&runs);
    let pool = ThreadPool::builder().workers(3).initializer(move |number| {
        noted.lock().unwrap().push(number);
        NUMBER.set(Some(number));
    });
    let pool = pool.build().unwrap();
    let together = Arc::new(Barrier::new(3));
    let handles = [(); 3].map(|()| {
        let together = Arc::clone(&together);
        pool.spawn(move || {
            together.wait();
            NUMBER.get()
        })
    });
    let mut seen: Vec<_> = handles
        .into_iter()
        .map(|handle| handle.join().unwrap().unwrap())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2]);
    runs.lock().unwrap().sort_unstable();
    assert_eq!(*runs.lock().unwrap(), [0, 1, 2]);
}

#[test]
fn an_initialiser_that_fails_fails_all_tasks_and_hangs_nobody() {
    in_time(|| {
        let pool = ThreadPool::builder()
            .workers(2)
            .initializer(|_| panic!("no licence"));
        let pool = pool.build().unwrap();
        let handles: Vec<_> = (0..10).map(|n| pool.submit(|n: u64| n, n)).collect();
        for handle in handles {
            let error = handle.join().unwrap_err();
            assert_eq!(
                error,
                TaskError::Init {
                    message: "no licence".into()
                }
            );
            assert!(error.to_string().ends_with("no licence"), "{error}");
        }
        pool.join();
        assert!(!pool.execute(|| {}));
    });
}

#[test]
fn context_and_token_follow_into_the_task() {
    static USER: Local<&str> = Local::new();
    let pool = ThreadPool::with_workers(1).unwrap();
    let request = CancelToken::new();
    let handle = USER.with("ada", || {
        request.enter(|| {
            pool.spawn(|| {
                (
                    USER.get().map(|user| *user),
                    CancelToken::current().unwrap(),
                )
            })
        })
    });
    let (user, own) = handle.join().unwrap();
    assert_eq!(user, Some("ada"));
    assert!(!own.is_cancelled());
    request.cancel();
    assert!(own.is_cancelled(), "it is a child of the request's");
    assert_eq!(pool.spawn(|| USER.get().map(|user| *user)).join(), Ok(None));
}

#[test]
fn what_a_task_starts_hears_of_its_cancellation() {
    in_time(|| {
        let pool = ThreadPool::with_workers(1).unwrap();
        let (begun, begins) = channel();
        let handle = pool.spawn(move || {
            let helper = hands::thread::spawn(move || {
                let token = CancelToken::current().expect("that of the task");
                begun.send(()).unwrap();
                token.wait();
            });
            helper.join().unwrap();
            CancelToken::current().unwrap().is_cancelled()
        });
        begins.recv().unwrap();
        assert!(!handle.cancel());
        assert_eq!(handle.join(), Ok(true));
    });
}

#[test]
fn a_token_that_is_entered_within_a_task_is_nearer() {
    let pool = ThreadPool::with_workers(1).unwrap();
    let handle = pool.spawn(|| {
        let own = CancelToken::current().unwrap();
        let other = CancelToken::new();
        other.cancel();
        let inside = other.enter(|| CancelToken::current().unwrap().is_cancelled());
        (
            inside,
            own.is_cancelled(),
            CancelToken::current().unwrap().is_cancelled(),
        )
    });
    assert_eq!(handle.join(), Ok((true, false, false)));
}

#[test]
fn a_task_that_is_run_by_its_waiter_has_its_own_token() {
    in_time(|| {
        let pool = Arc::new(ThreadPool::with_workers(1).unwrap());
        let inner = Arc::clone(&pool);
        let handle = pool.spawn(move || {
            let own = CancelToken::current().unwrap();
            let other = inner.spawn(|| CancelToken::current().unwrap());
            let other = other.join().unwrap();
            let scoped = inner.scope(|scope| {
                let handle = scope.spawn(CancelToken::current);
                handle.join().unwrap()
            });
            own.cancel();
            (
                other.is_cancelled(),
                scoped.is_some_and(|scoped| scoped.is_cancelled()),
            )
        });
        // Both were submitted by the task, and so stand under its token.
        assert_eq!(handle.join(), Ok((true, true)));
    });
}

#[test]
fn a_pool_grows_and_shrinks() {
    in_time(|| {
        let pool = ThreadPool::with_workers(1).unwrap();
        let meet = |number: usize| {
            let together = Arc::new(Barrier::new(number));
            let handles: Vec<_> = (0..number)
                .map(|_| {
                    let together = Arc::clone(&together);
                    pool.spawn(move || {
                        together.wait();
                    })
                })
                .collect();
            handles
                .into_iter()
                .for_each(|handle| handle.join().unwrap());
        };
        for workers in [4, 2, 8, 1, 3] {
            pool.resize(workers).unwrap();
            meet(workers);
            while pool.stats().workers > workers {
                std::thread::yield_now();
            }
        }
        assert!(pool.resize(0).is_err());
        assert_eq!(pool.workers(), 3);
    });
}

#[test]
fn builders_refuse_what_cannot_be() {
    let none = ThreadPool::with_workers(0).unwrap_err();
    assert!(none.to_string().contains("at least 1"), "{none}");
    let name = ThreadPool::builder().name("a\0b").build().unwrap_err();
    assert!(name.to_string().contains(r"`a\0b`"), "{name}");
}

#[test]
fn a_pool_that_is_dropped_by_its_own_task_does_not_wait_for_itself() {
    in_time(|| {
        let pool = Arc::new(ThreadPool::with_workers(1).unwrap());
        let own = Arc::clone(&pool);
        let (given_up, is_given_up) = channel::<()>();
        let handle = pool.spawn(move || {
            is_given_up.recv().unwrap_err();
            drop(own);
        });
        drop(pool);
        drop(given_up);
        assert_eq!(handle.join(), Ok(()));
    });
}

#[test]
fn to_join_ones_own_pool_is_an_error() {
    let pool = Arc::new(ThreadPool::with_workers(1).unwrap());
    let own = Arc::clone(&pool);
    let outcome = pool.spawn(move || own.join()).join();
    let Err(TaskError::Panicked(panicked)) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(panicked.message.contains("wait for itself"), "{panicked}");
}

#[test]
fn closures_without_a_handle_are_run_and_counted() {
    let pool = ThreadPool::with_workers(2).unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    for n in 0..1000 {
        let ran = Arc::clone(&ran);
        assert!(pool.execute(move || {
            ran.fetch_add(1, Ordering::Relaxed);
            assert!(n != 500, "one of them");
        }));
    }
    pool.join();
    assert_eq!(ran.load(Ordering::Relaxed), 1000);
    assert_eq!((pool.stats().finished, pool.stats().panicked), (1000, 1));
    pool.close();
    assert!(!pool.execute(|| unreachable!("it is closed")));
}

#[test]
fn figures_while_tasks_run() {
    in_time(|| {
        let pool = ThreadPool::with_workers(1).unwrap();
        let (begun, begins) = channel();
        let (end, ends) = sync_channel::<()>(0);
        let running = pool.spawn(move || {
            begun.send(()).unwrap();
            let _ = ends.recv();
        });
        let queued = pool.spawn(|| {});
        begins.recv().unwrap();
        let stats = pool.stats();
        assert_eq!((stats.busy, stats.queued, stats.finished), (1, 1, 0));
        assert!(queued.cancel());
        drop(end);
        running.join().unwrap();
        pool.join();
        assert_eq!((pool.stats().finished, pool.stats().not_run), (2, 1));
        pool.shutdown(Shutdown::Drain);
        assert_eq!(pool.stats().workers, 0);
    });
}
