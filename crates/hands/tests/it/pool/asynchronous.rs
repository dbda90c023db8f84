//! What the pool of coroutines can do beyond what all do: captures, streams, runtimes, finding what
//! blocks.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::StreamExt;
use futures_lite::future::{block_on, yield_now};
use hands::pool::{AsyncPool, Blocked, Pool, Shutdown};
use hands::sync::{CancelToken, Event};
use hands::task::TaskError;

use crate::support::in_time;

fn pool(in_flight: usize) -> AsyncPool {
    let builder = AsyncPool::builder().in_flight(in_flight);
    builder.build().expect("a pool")
}

async fn moment() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[test]
fn a_coroutine_may_capture_what_is_its_own() {
    in_time(|| {
        let pool = pool(4);
        let text = String::from("its own");
        let handle = pool.spawn(async move {
            moment().await;
            text.len()
        });
        assert_eq!(handle.join(), Ok(7));
    });
}

#[test]
fn coroutines_wake_each_other() {
    in_time(|| {
        let pool = pool(200);
        let (send, receive) = async_channel::bounded::<u64>(1);
        let senders = (0..100_u64).map(|n| {
            let send = send.clone();
            pool.spawn(async move {
                for _ in 0..50 {
                    send.send(n).await.unwrap();
                }
                0
            })
        });
        let mut handles: Vec<_> = senders.collect();
        drop(send);
        handles.extend((0..3).map(|_| {
            let receive = receive.clone();
            pool.spawn(async move {
                let mut sum = 0;
                while let Ok(n) = receive.recv().await {
                    sum += n;
                    if n % 7 == 0 {
                        yield_now().await;
                    }
                }
                sum
            })
        }));
        let total: u64 = handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .sum();
        assert_eq!(total, 50 * (0..100).sum::<u64>());
    });
}

#[test]
fn one_that_wakes_itself_while_it_is_polled_is_polled_again() {
    in_time(|| {
        let pool = pool(1);
        let mut polls = 0;
        let handle = pool.spawn(poll_fn(move |context| {
            polls += 1;
            context.waker().wake_by_ref();
            match polls {
                1000 => Poll::Ready(polls),
                _ => Poll::Pending,
            }
        }));
        assert_eq!(handle.join(), Ok(1000));
    });
}

#[test]
fn a_map_keeps_the_order_of_its_inputs_or_does_not() {
    in_time(|| {
        let pool = pool(10);
        let first_is_slow = |n: u64| async move {
            let pause = if n == 0 { 50 } else { n % 3 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
            n
        };
        let ordered = pool.map_async(first_is_slow, 0..100).blocking();
        let ordered: Vec<u64> = ordered.map(Result::unwrap).collect();
        assert_eq!(ordered, (0..100).collect::<Vec<_>>());
        let unordered = pool.map_async(first_is_slow, 0..100).unordered().blocking();
        let mut unordered: Vec<u64> = unordered.map(Result::unwrap).collect();
        assert_ne!(unordered.first(), Some(&0));
        unordered.sort_unstable();
        assert_eq!(unordered, ordered);
    });
}

#[test]
fn a_map_takes_no_more_inputs_than_it_may() {
    in_time(|| {
        let pool = pool(4);
        for (ahead, is_ordered) in [
            (None, true),
            (None, false),
            (Some(2), true),
            (Some(9), false),
        ] {
            let taken = AtomicUsize::new(0);
            let inputs = (0_u64..).inspect(|_| {
                taken.fetch_add(1, Ordering::Relaxed);
            });
            let mut map = pool.map_async(|n| async move { n }, inputs);
            if let Some(ahead) = ahead {
                map = map.ahead(ahead);
            }
            if !is_ordered {
                map = map.unordered();
            }
            assert_eq!(
                taken.load(Ordering::Relaxed),
                0,
                "taken before anybody asked"
            );
            for (given, _) in map.blocking().take(1000).enumerate() {
                let most = taken.load(Ordering::Relaxed) - given;
                assert!(most <= ahead.unwrap_or(4), "{most} inputs are ahead");
            }
        }
    });
}

#[test]
fn a_map_over_a_stream_gives_outcomes_while_its_input_waits() {
    in_time(|| {
        let pool = pool(4);
        let (send, receive) = async_channel::unbounded::<u64>();
        let mut progress = Vec::new();
        {
            let map = pool.map_stream(|n| async move { n + 1 }, receive);
            let mut map = map.progress(|progress_| progress.push(*progress_));
            for n in 0..3 {
                send.try_send(n).unwrap();
                assert_eq!(block_on(map.next()), Some(Ok(n + 1)));
            }
            let mut context = Context::from_waker(Waker::noop());
            assert!(pin!(map.next()).poll(&mut context).is_pending());
            drop(send);
            assert_eq!(block_on(map.next()), None);
        }
        assert_eq!(progress.len(), 3);
        assert_eq!(progress[2].given, 3);
    });
}

#[test]
fn a_dropped_map_cancels_what_is_unfinished() {
    in_time(|| {
        let pool = pool(4);
        let dropped = Arc::new(AtomicUsize::new(0));
        struct Note(Arc<AtomicUsize>);
        impl Drop for Note {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let task = |n: u64| {
            let note = Note(Arc::clone(&dropped));
            async move {
                if n > 0 {
                    std::future::pending::<()>().await;
                }
                drop(note);
            }
        };
        let mut map = pool.map_async(task, 0..).blocking();
        assert_eq!(map.next(), Some(Ok(())));
        drop(map);
        pool.join();
        assert_eq!(pool.coroutines().in_flight, 0);
        assert!(dropped.load(Ordering::SeqCst) > 1);
    });
}

#[test]
fn one_that_blocks_is_found_and_named() {
    async fn rude(go: Arc<Event>) {
        moment().await;
        go.wait();
    }
    in_time(|| {
        let (send, receive) = std::sync::mpsc::channel::<Blocked>();
        let pool = AsyncPool::builder()
            .threads(1)
            .blocked_after(Duration::from_millis(10))
            .on_blocked(move |blocked| drop(send.send(blocked.clone())))
            .build()
            .unwrap();
        let go = Arc::new(Event::new());
        let handle = pool.spawn(rude(Arc::clone(&go)));
        let blocked = receive.recv().unwrap();
        assert!(blocked.task.ends_with("rude"), "{blocked:?}");
        assert!(blocked.for_at_least >= Duration::from_millis(10));
        let figures = pool.coroutines();
        assert!(figures.blocked >= 1);
        assert_eq!(
            figures.last_blocked.map(|last| last.task),
            Some(blocked.task)
        );
        go.set();
        assert_eq!(handle.join(), Ok(()));
    });
}

#[test]
fn one_that_blocks_does_not_hold_up_whom_it_has_woken() {
    in_time(|| {
        let pool = AsyncPool::builder().threads(2).build().unwrap();
        let (ready, done) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (begun, waits) = async_channel::bounded::<()>(1);
        let woken = {
            let (ready, done) = (Arc::clone(&ready), Arc::clone(&done));
            pool.spawn(async move {
                begun.send(()).await.unwrap();
                ready.wait_async().await;
                done.set();
            })
        };
        let rude = pool.spawn(async move {
            waits.recv().await.unwrap();
            ready.set();
            done.wait();
        });
        assert_eq!((woken.join(), rude.join()), (Ok(()), Ok(())));
    });
}

#[test]
fn on_a_runtime_of_the_caller_s_that_has_one_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let pool = AsyncPool::on(tokio::runtime::Handle::current()).unwrap();
        let handles: Vec<_> = (0..100_u64)
            .map(|n| {
                pool.spawn(async move {
                    moment().await;
                    n
                })
            })
            .collect();
        for (n, handle) in (0..).zip(handles) {
            assert_eq!(handle.await, Ok(n));
        }
        pool.spawn(moment()).await.unwrap();
        pool.join_async().await;
        let function = pool.submit(|n: u64| n + 1, 1);
        assert_eq!(function.await, Ok(2));
        pool.shutdown_async(Shutdown::Drain).await;
        assert_eq!(pool.spawn(moment()).await, Err(TaskError::PoolClosed));
    });
}

#[test]
fn tasks_of_the_runtime_s_that_are_none_of_the_pool_s_have_no_token_of_its() {
    in_time(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
        let pool = AsyncPool::on(runtime.handle().clone()).unwrap();
        let ours: Vec<_> = (0..4)
            .map(|_| {
                pool.spawn(async {
                    for _ in 0..200 {
                        assert!(CancelToken::current().is_some());
                        yield_now().await;
                    }
                })
            })
            .collect();
        let others: Vec<_> = (0..4)
            .map(|_| {
                runtime.spawn(async {
                    for _ in 0..200 {
                        assert!(CancelToken::current().is_none());
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        assert!(ours.into_iter().all(|ours| ours.join().is_ok()));
        runtime.block_on(async {
            for other in others {
                other.await.unwrap();
            }
        });
    });
}

#[test]
fn when_the_runtime_ends_all_have_an_outcome() {
    in_time(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let builder = AsyncPool::builder().in_flight(2);
        let pool = builder.runtime(runtime.handle().clone()).build().unwrap();
        let begun = Arc::new(Event::new());
        let handles: Vec<_> = (0..4)
            .map(|_| {
                let begun = Arc::clone(&begun);
                pool.spawn(async move {
                    begun.set();
                    std::future::pending::<()>().await;
                })
            })
            .collect();
        begun.wait();
        drop(runtime);
        for handle in handles {
            assert_eq!(handle.join(), Err(TaskError::Cancelled));
        }
        pool.join();
        assert_eq!(pool.spawn(async {}).join(), Err(TaskError::PoolClosed));
    });
}

#[test]
fn dropped_within_a_runtime_it_holds_nobody_up_and_finishes() {
    in_time(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let handles = runtime.block_on(async {
            let pool = AsyncPool::new().unwrap();
            let handles: Vec<_> = (0..10).map(|_| pool.spawn(moment())).collect();
            let function = pool.spawn_blocking(|| ());
            drop(pool);
            (handles, function)
        });
        assert!(handles.0.into_iter().all(|handle| handle.join().is_ok()));
        assert_eq!(handles.1.join(), Ok(()));
    });
}

#[test]
fn a_coroutine_that_joins_its_own_pool_is_told() {
    in_time(|| {
        let pool = Arc::new(pool(2));
        let own = Arc::clone(&pool);
        let handle = pool.spawn(async move { own.join() });
        let Err(TaskError::Panicked(panicked)) = handle.join() else {
            panic!("it would wait for itself");
        };
        assert!(
            panicked.message.contains("its own pool"),
            "{}",
            panicked.message
        );
    });
}

#[test]
fn one_may_cancel_itself_and_end_its_pool() {
    in_time(|| {
        let pool = Arc::new(pool(2));
        let own = Arc::clone(&pool);
        let reached = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&reached);
        let handle = pool.spawn(async move {
            own.shutdown(Shutdown::Now);
            moment().await;
            note.store(true, Ordering::SeqCst);
        });
        assert_eq!(handle.join(), Err(TaskError::Cancelled));
        assert!(!reached.load(Ordering::SeqCst));
    });
}

#[test]
fn functions_run_on_threads_that_may_block() {
    in_time(|| {
        let builder = AsyncPool::builder().threads(1).in_flight(1);
        let pool = builder.function_threads(2, 2).build().unwrap();
        let sum = Arc::new(AtomicU64::new(0));
        let meet = Arc::new(std::sync::Barrier::new(2));
        let handles = [(); 2].map(|()| {
            let (sum, meet) = (Arc::clone(&sum), Arc::clone(&meet));
            pool.spawn_blocking(move || {
                meet.wait();
                sum.fetch_add(1, Ordering::SeqCst);
            })
        });
        assert!(handles.into_iter().all(|handle| handle.join().is_ok()));
        assert_eq!(sum.load(Ordering::SeqCst), 2);
        assert_eq!(pool.coroutines().blocked, 0);
    });
}

#[test]
fn a_hundred_thousand_sleep_at_once() {
    in_time(|| {
        let pool = pool(100_000);
        for _ in 0..100_000 {
            drop(pool.spawn(tokio_sleep()));
        }
        assert!(pool.coroutines().waiting == 0);
        pool.join();
        assert_eq!(pool.coroutines().finished, 100_000);
    });
}

async fn tokio_sleep() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (builder, why) in [
        (AsyncPool::builder().in_flight(0), "at least 1"),
        (AsyncPool::builder().threads(0), "0 threads"),
        (AsyncPool::builder().name("a\0b"), "NUL"),
        (AsyncPool::builder().function_threads(3, 2), "at least 3"),
    ] {
        let refused = builder.build().err().unwrap().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}
