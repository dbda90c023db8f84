//! Tasks that borrow.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use hands::pool::{Pool, Shutdown, ThreadPool};

use crate::support::in_time;

#[test]
fn a_scope_ends_after_its_tasks_and_theirs() {
    let pool = ThreadPool::with_workers(2).unwrap();
    let ran = AtomicUsize::new(0);
    pool.scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                for _ in 0..10 {
                    scope.spawn(|| {
                        ran.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
        }
    });
    assert_eq!(ran.load(Ordering::Relaxed), 100);
}

#[test]
fn a_panic_in_a_scope_comes_out_after_the_other_tasks() {
    let pool = ThreadPool::with_workers(1).unwrap();
    let ran = AtomicUsize::new(0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|scope| {
            scope.spawn(|| panic!("the first"));
            for _ in 0..10 {
                scope.spawn(|| {
                    ran.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
    }));
    assert_eq!(
        *result.unwrap_err().downcast::<&str>().unwrap(),
        "the first"
    );
    assert_eq!(ran.load(Ordering::Relaxed), 10);
}

#[test]
fn a_scope_whose_own_function_panics_waits_all_the_same() {
    let pool = ThreadPool::with_workers(1).unwrap();
    let ran = AtomicUsize::new(0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        pool.scope(|scope| {
            scope.spawn(|| {
                ran.fetch_add(1, Ordering::Relaxed);
            });
            panic!("its own");
        });
    }));
    assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "its own");
    assert_eq!(ran.load(Ordering::Relaxed), 1);
}

#[test]
fn scopes_within_scopes_on_one_worker_do_not_wait_for_ever() {
    fn tree(pool: &ThreadPool, depth: usize) -> usize {
        if depth == 0 {
            return 1;
        }
        let sum = AtomicUsize::new(0);
        pool.scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    sum.fetch_add(tree(pool, depth - 1), Ordering::Relaxed);
                });
            }
        });
        sum.into_inner()
    }
    in_time(|| {
        let pool = ThreadPool::with_workers(1).unwrap();
        assert_eq!(pool.install(|| tree(&pool, 6)), 64);
    });
}

#[test]
fn a_scope_says_so_when_its_pool_is_shut_down() {
    in_time(|| {
        let pool = ThreadPool::with_workers(1).unwrap();
        let (begun, begins) = channel();
        let (end, ends) = channel::<()>();
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| {
                pool.scope(|scope| {
                    scope.spawn(move || {
                        begun.send(()).unwrap();
                        let _ = ends.recv();
                    });
                    scope.spawn(|| panic!("it never begins"));
                });
            });
            begins.recv().unwrap();
            let ending = threads.spawn(|| pool.shutdown(Shutdown::Now));
            // Refused from now on, and so the other has been discarded or is about to be.
            while pool.execute(|| {}) {}
            drop(end);
            ending.join().unwrap();
            let payload = waiting.join().unwrap_err();
            let message = payload.downcast_ref::<&str>().unwrap();
            assert!(
                message.starts_with("the pool was shut down before"),
                "{message}"
            );
        });
        let refused = catch_unwind(AssertUnwindSafe(|| pool.install(|| 1)));
        assert!(refused.is_err());
    });
}
