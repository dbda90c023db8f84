//! Coroutines that wait for others of their pool, that block, and whose time is up.
#![allow(clippy::unwrap_used, reason = "it fails the test")]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use hands::pool::{AsyncPool, Pool, Shutdown};
use hands::task::{Options, TaskError};
use tokio::task::yield_now;

use crate::support::in_time;

fn nested(pool: Arc<AsyncPool>, deep: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move {
        if deep == 0 {
            return 0;
        }
        let inner = Arc::clone(&pool);
        pool.spawn(nested(inner, deep - 1)).await.unwrap() + 1
    })
}

#[test]
fn a_coroutine_that_awaits_its_own_pool_lends_its_place() {
    in_time(|| {
        for threads in [1, 2] {
            let builder = AsyncPool::builder().in_flight(1).threads(threads);
            let pool = Arc::new(builder.build().unwrap());
            assert_eq!(pool.spawn(nested(Arc::clone(&pool), 1000)).join(), Ok(1000));
            let parent = |n: u32| {
                let inner = Arc::clone(&pool);
                pool.spawn(async move {
                    yield_now().await;
                    let children: Vec<_> =
                        (0..3).map(|k| inner.spawn(async move { n + k })).collect();
                    let mut sum = 0;
                    for child in children {
                        sum += child.await.unwrap();
                    }
                    sum
                })
            };
            let parents: Vec<_> = (0..2000).map(parent).collect();
            for (n, parent) in (0..).zip(parents) {
                assert_eq!(parent.join(), Ok(3 * n + 3));
            }
            // What was lent has been given back.
            pool.join();
            let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let counted = (0..100).map(|_| {
                let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                pool.spawn(async move {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    yield_now().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                })
            });
            counted
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|one| one.join().unwrap());
            assert_eq!(most.load(Ordering::SeqCst), 1);
        }
    });
}

#[test]
fn to_block_a_coroutine_by_a_join_is_a_panic_that_says_what_to_write() {
    in_time(|| {
        let pool = Arc::new(AsyncPool::new().unwrap());
        let inner = Arc::clone(&pool);
        let outcome = pool.spawn(async move {
            let handle = inner.spawn(std::future::pending::<()>());
            let _ = handle.join();
        });
        let Err(TaskError::Panicked(panicked)) = outcome.join() else {
            panic!("it would block");
        };
        assert!(
            panicked.message.contains("handle.await"),
            "{}",
            panicked.message
        );
        pool.shutdown(Shutdown::Now);

        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let blocked = std::thread::spawn(move || {
            runtime.block_on(async {
                let pool = AsyncPool::on(tokio::runtime::Handle::current()).unwrap();
                let handle = pool.spawn(async { 1 });
                // Where one may block it is no panic.
                let other = pool.spawn(async { 2 });
                let elsewhere = tokio::task::spawn_blocking(move || other.join());
                assert_eq!(elsewhere.await.unwrap(), Ok(2));
                assert_eq!(handle.await, Ok(1));
                let _ = pool.spawn(std::future::pending::<()>()).join();
            });
        });
        let payload = blocked.join().unwrap_err();
        let message = payload.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(message.contains("handle.await"), "{message}");
    });
}

/// Says when it is dropped.
struct Kept(Arc<AtomicBool>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_coroutine_whose_time_is_up_has_been_dropped_when_its_join_says_so() {
    in_time(|| {
        let pool = AsyncPool::builder()
            .in_flight(1)
            .threads(1)
            .build()
            .unwrap();
        for _ in 0..50 {
            // The one runs, the other waits for its place.
            let handles = [1, 2].map(|ms| {
                let dropped = Arc::new(AtomicBool::new(false));
                let kept = Kept(Arc::clone(&dropped));
                let options =
                    Options::new().deadline(std::time::Instant::now() + Duration::from_millis(ms));
                let handle = pool.spawn_with(options, async move {
                    std::future::pending::<()>().await;
                    drop(kept);
                });
                (handle, dropped)
            });
            for (handle, dropped) in handles {
                assert!(matches!(handle.join(), Err(TaskError::TimedOut { .. })));
                assert!(dropped.load(Ordering::SeqCst));
            }
        }
    });
}

#[test]
fn coroutines_that_block_hold_up_no_others() {
    in_time(|| {
        let builder = AsyncPool::builder().threads(1);
        let pool = builder
            .blocked_after(Duration::from_millis(20))
            .build()
            .unwrap();
        // Three are blocked, by what only the fourth can do; that one sleeps before.
        let meeting = Arc::new(Barrier::new(4));
        let blocks = |in_place: bool| {
            let meeting = Arc::clone(&meeting);
            pool.spawn(async move {
                match in_place {
                    true => tokio::task::block_in_place(|| meeting.wait()),
                    false => meeting.wait(),
                };
            })
        };
        let blocked = [blocks(false), blocks(true), blocks(false)];
        let last = Arc::clone(&meeting);
        let frees = pool.spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            tokio::task::block_in_place(|| last.wait());
        });
        assert_eq!(frees.join(), Ok(()));
        blocked
            .into_iter()
            .for_each(|blocked| blocked.join().unwrap());
        // The substitutes are gone, and it is as it was.
        assert_eq!(pool.spawn(async { 7 }).join(), Ok(7));
    });
}

#[test]
fn a_pool_whose_last_owner_is_its_own_function_runs_what_was_submitted() {
    in_time(|| {
        for is_shut_down in [false, true] {
            let pool = Arc::new(AsyncPool::builder().threads(1).build().unwrap());
            let (told, hear) = channel();
            let (open, closed) = channel::<()>();
            let own = Arc::clone(&pool);
            let function = pool.spawn_blocking(move || {
                let _ = closed.recv();
                if is_shut_down {
                    own.shutdown(Shutdown::Drain);
                }
                drop(own);
                7
            });
            // Waits for the function that drops the pool.
            pool.spawn(async move { told.send(function.await).unwrap() })
                .on_done(|_| ());
            drop(pool);
            drop(open);
            assert_eq!(hear.recv().unwrap(), Ok(7));
        }
    });
}

/// A future that cancels itself when it is dropped.
struct Cancels(Arc<Mutex<Option<hands::task::Handle<()>>>>);

impl Drop for Cancels {
    fn drop(&mut self) {
        if let Ok(handle) = self.0.try_lock()
            && let Some(handle) = &*handle
        {
            handle.cancel();
        }
        panic!("dropped");
    }
}

#[test]
fn a_future_that_panics_and_cancels_itself_when_it_is_dropped_hurts_nobody() {
    in_time(|| {
        let pool = AsyncPool::builder()
            .in_flight(1)
            .threads(1)
            .build()
            .unwrap();
        let (open, closed) = channel::<()>();
        let busy = pool.spawn(async move { closed.recv().is_err() });
        let slot = Arc::new(Mutex::new(None));
        for _ in 0..3 {
            let cancels = Cancels(Arc::clone(&slot));
            let handle = pool.spawn(async move { drop(cancels) });
            *slot.lock().unwrap() = Some(handle);
        }
        assert!(slot.lock().unwrap().as_ref().unwrap().cancel());
        drop(open);
        assert_eq!(busy.join(), Ok(true));
        assert_eq!(pool.spawn(async { 7 }).join(), Ok(7));
        pool.shutdown(Shutdown::Now);
    });
}
