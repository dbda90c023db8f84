//! Results, payloads, closures and callbacks belong to the user. Whatever they do, they cost their
//! own task and nothing else.
#![allow(
    clippy::mem_forget,
    reason = "what panics when it is dropped must not be dropped by the test"
)]
#![allow(clippy::unwrap_used, reason = "it fails the test")]

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use hands::pool::{Pool, Shutdown, ThreadPool, join};
use hands::task::TaskError;

use crate::support::in_time;

/// Its destructor panics, with a payload whose destructor panics, and so on without end. It has no
/// bytes, so nothing leaks with one that is given up.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
}

/// Whether both workers of a pool still do what they are given, at the same time.
fn is_whole(pool: &ThreadPool) -> bool {
    let meeting = Arc::new(std::sync::Barrier::new(2));
    let come = |_| {
        let meeting = Arc::clone(&meeting);
        pool.spawn(move || meeting.wait().is_leader())
    };
    let leaders = (0..2).map(come).collect::<Vec<_>>();
    leaders
        .into_iter()
        .filter_map(|leader| leader.join().ok())
        .count()
        == 2
}

fn pool() -> Arc<ThreadPool> {
    Arc::new(ThreadPool::with_workers(2).unwrap())
}

#[test]
fn a_result_whose_destructor_panics_costs_no_worker() {
    in_time(|| {
        let pool = pool();
        for _ in 0..10 {
            drop(pool.spawn(|| Bomb));
        }
        pool.join();
        assert!(is_whole(&pool));
    });
}

#[test]
fn a_payload_whose_destructor_panics_costs_no_worker() {
    in_time(|| {
        let pool = pool();
        for _ in 0..10 {
            pool.execute(|| panic_any(Bomb));
            drop(pool.spawn(|| panic_any(Bomb)));
            pool.spawn(|| ()).on_done(|_| panic_any(Bomb));
        }
        pool.join();
        assert_eq!(pool.stats().panicked, 20);
        assert!(is_whole(&pool));
    });
}

#[test]
fn what_a_closure_keeps_may_panic_when_it_is_dropped() {
    in_time(|| {
        let pool = pool();
        let (open, closed) = channel::<()>();
        let closed = Arc::new(Mutex::new(closed));
        let busy = [(); 2].map(|()| {
            let closed = Arc::clone(&closed);
            pool.spawn(move || closed.lock().unwrap().recv().is_err())
        });
        let kept = |bomb: Bomb| move || drop(bomb);
        let cancelled = pool.spawn(kept(Bomb));
        assert!(cancelled.cancel());
        assert_eq!(cancelled.join(), Err(TaskError::Cancelled));
        let handles: Vec<_> = (0..10).map(|_| pool.spawn(kept(Bomb))).collect();
        pool.execute(kept(Bomb));
        drop(open);
        for handle in handles {
            assert!(matches!(handle.join(), Err(TaskError::Panicked(_))));
        }
        busy.into_iter()
            .for_each(|busy| assert!(busy.join().unwrap()));
        assert!(is_whole(&pool));
    });
}

#[test]
fn a_shutdown_at_once_discards_what_panics_when_it_is_dropped() {
    in_time(|| {
        let pool = pool();
        let (open, closed) = channel::<()>();
        let closed = Arc::new(Mutex::new(closed));
        for _ in 0..2 {
            let closed = Arc::clone(&closed);
            pool.execute(move || assert!(closed.lock().unwrap().recv().is_err()));
        }
        let kept = |bomb: Bomb| move || drop(bomb);
        let handles: Vec<_> = (0..10).map(|_| pool.spawn(kept(Bomb))).collect();
        pool.execute(kept(Bomb));
        let end = std::thread::spawn(move || pool.shutdown(Shutdown::Now));
        for handle in handles {
            assert_eq!(handle.join(), Err(TaskError::Cancelled));
        }
        drop(open);
        end.join().unwrap();
    });
}

#[test]
fn a_scope_is_left_only_when_all_that_borrow_have_ended() {
    in_time(|| {
        let pool = pool();
        let inner = Arc::clone(&pool);
        let handle = pool.spawn(move || {
            let ended = AtomicUsize::new(0);
            let (begun, begin) = channel();
            let (open, closed) = channel::<()>();
            let left = catch_unwind(AssertUnwindSafe(|| {
                inner.scope(|scope| {
                    let ended = &ended;
                    scope.execute(move || {
                        begun.send(()).unwrap();
                        let _ = closed.recv();
                        ended.fetch_add(1, Ordering::SeqCst);
                    });
                    // The other worker has it.
                    begin.recv().unwrap();
                    inner.execute(|| panic_any(Bomb));
                    scope.execute(|| panic_any(Bomb));
                    scope.execute(|| panic_any(Bomb));
                    drop(scope.spawn(|| Bomb));
                    drop(scope.spawn(|| panic_any(Bomb)));
                    std::thread::spawn(move || drop(open));
                    panic_any(Bomb);
                })
            }));
            std::mem::forget(left.unwrap_err());
            ended.into_inner()
        });
        assert_eq!(handle.join(), Ok(1));
        assert!(is_whole(&pool));
    });
}

#[test]
fn a_join_is_left_only_when_both_halves_have_ended() {
    in_time(|| {
        let pool = pool();
        for (a, b) in [(true, false), (false, true), (true, true)] {
            let bomb = |is_one: bool| {
                move || {
                    if is_one {
                        panic_any(Bomb);
                    }
                    Bomb
                }
            };
            let left = catch_unwind(AssertUnwindSafe(|| {
                let (a, b) = pool.both(bomb(a), bomb(b));
                std::mem::forget((a, b));
            }));
            std::mem::forget(left.unwrap_err());
            let ended = AtomicUsize::new(0);
            let left = catch_unwind(AssertUnwindSafe(|| {
                pool.install(|| {
                    let count = || ended.fetch_add(1, Ordering::SeqCst);
                    join(|| join(count, || panic_any(Bomb)), count)
                });
            }));
            std::mem::forget(left.unwrap_err());
            assert_eq!(ended.into_inner(), 2);
        }
        let each = AtomicUsize::new(0);
        let left = catch_unwind(AssertUnwindSafe(|| {
            pool.for_each(0..1000, |n| {
                each.fetch_add(1, Ordering::SeqCst);
                if n == 500 {
                    panic_any(Bomb);
                }
            });
        }));
        std::mem::forget(left.unwrap_err());
        let so_far = each.load(Ordering::SeqCst);
        assert!(is_whole(&pool));
        assert_eq!(each.load(Ordering::SeqCst), so_far);
    });
}

#[test]
fn a_task_has_room_for_what_it_wants_of_the_stack() {
    /// Calls itself until no more than that is left. Asked of the stack itself: under some
    /// sanitizers locals lie elsewhere.
    fn use_stack(down_to: usize) -> u8 {
        let frame = std::hint::black_box([1_u8; 1 << 10]);
        match left() > down_to {
            true => frame[0].wrapping_add(use_stack(down_to)),
            false => frame[1],
        }
    }
    fn left() -> usize {
        stacker::remaining_stack().unwrap()
    }
    in_time(|| {
        let pool = Arc::new(ThreadPool::with_workers(1).unwrap());
        // Each has half of what is left, or a stack of its own.
        fn nest(pool: &Arc<ThreadPool>, deep: u32) -> u32 {
            use_stack(left() - (900 << 10));
            if deep == 0 {
                return 0;
            }
            let inner = Arc::clone(pool);
            let handle = pool.spawn(move || nest(&inner, deep - 1));
            // Used while it waits.
            let frame = std::hint::black_box([0_u8; 20 << 10]);
            handle.join().unwrap() + 1 + u32::from(frame[0])
        }
        assert_eq!(nest(&pool, 20), 20);
    });
}

#[test]
fn a_callback_of_a_time_out_may_use_the_stack_and_delays_no_other() {
    use hands::task::Options;
    use std::time::Duration;

    in_time(|| {
        let pool = ThreadPool::with_workers(3).unwrap();
        let options = Options::new().timeout(Duration::from_millis(5));
        let (told, hear) = channel();
        // The callbacks of all the others are kept until that of the last has been called.
        let last = Arc::new((Mutex::new(false), std::sync::Condvar::new()));
        let wait = || hands::sync::CancelToken::current().unwrap().wait();
        for n in 0..3 {
            let (last, told) = (Arc::clone(&last), told.clone());
            let handle = pool.spawn_with(options, wait);
            handle.on_done(move |outcome| {
                let frame = std::hint::black_box([1_u8; 1 << 19]);
                assert!(matches!(outcome, Err(TaskError::TimedOut { .. })) && frame[7] == 1);
                let (is_last, changed) = &*last;
                told.send(n).unwrap();
                let mut is_last = is_last.lock().unwrap();
                while !*is_last {
                    is_last = changed.wait(is_last).unwrap();
                }
            });
        }
        let mut heard: Vec<_> = hear.iter().take(3).collect();
        heard.sort_unstable();
        assert_eq!(heard, [0, 1, 2]);
        *last.0.lock().unwrap() = true;
        last.1.notify_all();
    });
}

#[test]
fn a_deadline_that_has_passed_prevents_the_start() {
    use hands::task::Options;
    use std::time::Instant;

    in_time(|| {
        let pool = ThreadPool::with_workers(1).unwrap();
        for _ in 0..1000 {
            let options = Options::new().deadline(Instant::now());
            let handle = pool.spawn_with(options, || unreachable!("it has no time"));
            let outcome: Result<(), _> = handle.join();
            assert!(matches!(outcome, Err(TaskError::TimedOut { .. })));
        }
        assert_eq!(pool.stats().panicked, 0);
    });
}

#[test]
fn a_panic_keeps_its_payload() {
    in_time(|| {
        let pool = ThreadPool::with_workers(1).unwrap();
        let outcome = pool.spawn(|| panic_any(vec![1, 2, 3])).join();
        let Err(TaskError::Panicked(panicked)) = outcome else {
            panic!("it panicked");
        };
        let copy = panicked.clone();
        let payload = panicked.take_payload().unwrap();
        assert_eq!(*payload.downcast::<Vec<i32>>().unwrap(), [1, 2, 3]);
        assert!(copy.take_payload().is_none());
    });
}
