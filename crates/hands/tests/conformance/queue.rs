//! What every [`WorkQueue`] promises, tested through the trait alone: `queue_conformance!(name,
//! make)` makes the tests for a backend, where `make` takes the capacity (`None`: no bound) and
//! returns an empty queue of `u64`.
//!
//! Nothing here depends on the order of items. No test sleeps: what has to be waiting is a future
//! that was polled once.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use hands::queue::{GetError, PutError, Shutdown, TaskDoneError, WorkQueue};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(2);

macro_rules! queue_conformance {
    ($name:ident, $make:expr) => {
        queue_conformance!(@all $name, $make, without_a_bound_it_is_never_full);
    };
    // For a backend whose memory is there from the beginning: no bound is one that the tests do not
    // reach.
    (bounded $name:ident, $make:expr) => {
        queue_conformance!(@all $name, $make,);
    };
    (@all $name:ident, $make:expr, $($more:ident)*) => {
        queue_conformance!(@tests $name, $make, $($more)*
            each_item_is_got_once
            a_full_queue_gives_the_item_back
            an_empty_queue_says_so
            no_time_means_no_waiting
            when_time_is_up_the_item_comes_back
            the_longest_time_out_is_for_ever
            a_waiting_get_is_woken_by_a_put
            a_waiting_put_is_woken_by_a_get
            a_drained_queue_hands_out_what_it_has_and_takes_no_more
            a_queue_shut_down_now_discards_and_uncounts
            drained_first_and_then_shut_down_now
            a_shutdown_wakes_everybody
            a_task_done_too_many_is_an_error
            join_waits_for_what_is_in_flight
            join_waits_after_a_shutdown_too
            all_joiners_are_woken
            many_producers_and_consumers_lose_nothing
            a_dropped_get_leaves_the_item
            a_dropped_get_passes_its_wake_up_on
            a_dropped_put_has_put_nothing
            a_dropped_put_passes_its_wake_up_on
            dropped_futures_lose_nothing
            time_outs_lose_nothing
            a_moved_future_wakes_its_new_waker
        );
    };
    (@tests $name:ident, $make:expr, $($test:ident)*) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $(#[test] fn $test() { $crate::conformance::queue::$test($make); })*
        }
    };
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn waker() -> (Arc<Woken>, Waker) {
        let woken = Arc::new(Woken::default());
        (Arc::clone(&woken), Waker::from(woken))
    }

    /// How often it was, once it was at all: what wakes it may be on another machine.
    fn once(&self) -> usize {
        let since = std::time::Instant::now();
        while self.times() == 0 && since.elapsed() < LONG {
            thread::yield_now();
        }
        self.times()
    }

    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Polls until it is ready; parks in between.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn drained(queue: &impl WorkQueue<u64>) -> BTreeSet<u64> {
    std::iter::from_fn(|| queue.try_get().ok()).collect()
}

pub(crate) fn each_item_is_got_once<Q: WorkQueue<u64>>(make: impl Fn(Option<usize>) -> Q) {
    let queue = make(Some(4));
    assert_eq!(queue.capacity(), Some(4));
    for item in 0..4 {
        assert_eq!(queue.len(), item as usize);
        assert!(!queue.is_full());
        queue.put(item).unwrap();
        assert!(!queue.is_empty());
    }
    assert!(queue.is_full());
    assert_eq!(drained(&queue), (0..4).collect());
    assert!(queue.is_empty());
    assert_eq!(queue.len(), 0);
}

pub(crate) fn a_full_queue_gives_the_item_back<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(Some(1));
    queue.try_put(1).unwrap();
    let error = queue.try_put(2).unwrap_err();
    assert_eq!(error, PutError::Full(2));
    assert_eq!(error.into_item(), 2);
    assert_eq!(queue.try_get(), Ok(1));
    queue.try_put(2).unwrap();
}

pub(crate) fn an_empty_queue_says_so<Q: WorkQueue<u64>>(make: impl Fn(Option<usize>) -> Q) {
    let queue = make(None);
    assert!(queue.is_empty());
    assert_eq!(queue.try_get(), Err(GetError::Empty));
    assert_eq!(queue.unfinished(), 0);
    queue.join();
}

pub(crate) fn without_a_bound_it_is_never_full<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(None);
    assert_eq!(queue.capacity(), None);
    for item in 0..10_000 {
        queue.try_put(item).unwrap();
    }
    assert!(!queue.is_full());
    assert_eq!(queue.len(), 10_000);
    assert_eq!(drained(&queue), (0..10_000).collect());
}

pub(crate) fn no_time_means_no_waiting<Q: WorkQueue<u64>>(make: impl Fn(Option<usize>) -> Q) {
    let queue = make(Some(1));
    assert_eq!(queue.get_timeout(Duration::ZERO), Err(GetError::TimedOut));
    queue.put_timeout(1, Duration::ZERO).unwrap();
    let error = queue.put_timeout(2, Duration::ZERO).unwrap_err();
    assert_eq!(error, PutError::TimedOut(2));
    // What is there is handed out even so.
    assert_eq!(queue.get_timeout(Duration::ZERO), Ok(1));
}

pub(crate) fn when_time_is_up_the_item_comes_back<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(Some(1));
    assert_eq!(queue.get_timeout(SHORT), Err(GetError::TimedOut));
    queue.put(1).unwrap();
    assert_eq!(queue.put_timeout(2, SHORT), Err(PutError::TimedOut(2)));
    assert!(!queue.join_timeout(SHORT));
    assert_eq!(queue.unfinished(), 1);
    assert_eq!(drained(&queue), BTreeSet::from([1]));
}

pub(crate) fn the_longest_time_out_is_for_ever<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(Some(1));
    thread::scope(|scope| {
        let got = scope.spawn(|| [(); 2].map(|()| queue.get_timeout(Duration::MAX).unwrap()));
        queue.put_timeout(1, Duration::MAX).unwrap();
        queue.put_timeout(2, Duration::MAX).unwrap();
        assert_eq!(got.join().unwrap(), [1, 2]);
    });
    queue.task_done().unwrap();
    queue.task_done().unwrap();
    assert!(queue.join_timeout(Duration::MAX));
}

pub(crate) fn a_waiting_get_is_woken_by_a_put<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(Some(1));
    let (woken, waker) = Woken::waker();
    let mut get = Box::pin(queue.get_async());
    assert!(poll(&mut get, &waker).is_pending());
    assert_eq!(woken.times(), 0);
    queue.put(7).unwrap();
    assert_eq!(block_on(get), Ok(7));

    thread::scope(|scope| {
        let got = scope.spawn(|| queue.get());
        queue.put(8).unwrap();
        assert_eq!(got.join().unwrap(), Ok(8));
    });
}

pub(crate) fn a_waiting_put_is_woken_by_a_get<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(Some(1));
    queue.put(1).unwrap();
    let (_, waker) = Woken::waker();
    let mut put = Box::pin(queue.put_async(2));
    assert!(poll(&mut put, &waker).is_pending());
    assert_eq!(queue.get(), Ok(1));
    block_on(put).unwrap();
    assert!(queue.is_full());

    thread::scope(|scope| {
        let put = scope.spawn(|| queue.put(3));
        assert_eq!(queue.get(), Ok(2));
        put.join().unwrap().unwrap();
    });
    assert_eq!(queue.get(), Ok(3));
}

pub(crate) fn a_drained_queue_hands_out_what_it_has_and_takes_no_more<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(Some(8));
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    assert!(!queue.is_shut_down());
    queue.shutdown(Shutdown::Drain);
    assert!(queue.is_shut_down());
    assert_eq!(queue.put(3), Err(PutError::ShutDown(3)));
    assert_eq!(queue.try_put(3), Err(PutError::ShutDown(3)));
    assert_eq!(queue.put_timeout(3, LONG), Err(PutError::ShutDown(3)));
    assert_eq!(block_on(queue.put_async(3)), Err(PutError::ShutDown(3)));
    let got = BTreeSet::from([queue.get().unwrap(), queue.get().unwrap()]);
    assert_eq!(got, BTreeSet::from([1, 2]));
    assert_eq!(queue.get(), Err(GetError::ShutDown));
    assert_eq!(queue.try_get(), Err(GetError::ShutDown));
    assert_eq!(queue.get_timeout(LONG), Err(GetError::ShutDown));
    assert_eq!(block_on(queue.get_async()), Err(GetError::ShutDown));
    // A second time changes nothing.
    queue.shutdown(Shutdown::Drain);
    assert_eq!(queue.unfinished(), 2);
}

pub(crate) fn a_queue_shut_down_now_discards_and_uncounts<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(Some(8));
    for item in 0..5 {
        queue.put(item).unwrap();
    }
    queue.get().unwrap();
    queue.shutdown(Shutdown::Now);
    assert_eq!(queue.try_get(), Err(GetError::ShutDown));
    assert_eq!(queue.put(9), Err(PutError::ShutDown(9)));
    assert_eq!(queue.len(), 0);
    // The one that was got.
    assert_eq!(queue.unfinished(), 1);
    queue.task_done().unwrap();
    assert_eq!(queue.task_done(), Err(TaskDoneError));
    queue.join();
}

pub(crate) fn drained_first_and_then_shut_down_now<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(None);
    queue.put(1).unwrap();
    queue.shutdown(Shutdown::Drain);
    queue.shutdown(Shutdown::Now);
    assert_eq!(queue.get(), Err(GetError::ShutDown));
    queue.join();
}

pub(crate) fn a_shutdown_wakes_everybody<Q: WorkQueue<u64>>(make: impl Fn(Option<usize>) -> Q) {
    for how in [Shutdown::Drain, Shutdown::Now] {
        let queue = make(Some(1));
        thread::scope(|scope| {
            let getters = [(); 3].map(|()| scope.spawn(|| queue.get()));
            let (_, waker) = Woken::waker();
            let mut get = Box::pin(queue.get_async());
            let _ = poll(&mut get, &waker);
            queue.shutdown(how);
            for getter in getters {
                assert_eq!(getter.join().unwrap(), Err(GetError::ShutDown));
            }
            assert_eq!(block_on(get), Err(GetError::ShutDown));
        });

        let queue = make(Some(1));
        queue.put(0).unwrap();
        thread::scope(|scope| {
            let queue = &queue;
            let putters = [1, 2, 3].map(|item| (item, scope.spawn(move || queue.put(item))));
            queue.shutdown(how);
            for (item, putter) in putters {
                assert_eq!(putter.join().unwrap(), Err(PutError::ShutDown(item)));
            }
        });
    }
}

pub(crate) fn a_task_done_too_many_is_an_error<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(None);
    assert_eq!(queue.task_done(), Err(TaskDoneError));
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    assert_eq!(queue.unfinished(), 2);
    queue.task_done().unwrap();
    queue.task_done().unwrap();
    assert_eq!(queue.task_done(), Err(TaskDoneError));
    // And counts no further down.
    queue.put(3).unwrap();
    assert_eq!(queue.unfinished(), 1);
}

pub(crate) fn join_waits_for_what_is_in_flight<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(None);
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    let (_, waker) = Woken::waker();
    let mut join = Box::pin(queue.join_async());
    assert!(poll(&mut join, &waker).is_pending());
    queue.get().unwrap();
    queue.get().unwrap();
    assert!(poll(&mut join, &waker).is_pending(), "got is not done");
    queue.task_done().unwrap();
    assert!(poll(&mut join, &waker).is_pending());
    assert!(!queue.join_timeout(Duration::ZERO));
    queue.put(3).unwrap();
    queue.task_done().unwrap();
    assert!(
        poll(&mut join, &waker).is_pending(),
        "one was put meanwhile"
    );
    queue.get().unwrap();
    queue.task_done().unwrap();
    block_on(join);
    queue.join();
    assert!(queue.join_timeout(Duration::ZERO));
}

pub(crate) fn join_waits_after_a_shutdown_too<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(None);
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    queue.get().unwrap();
    let (_, waker) = Woken::waker();
    let mut join = Box::pin(queue.join_async());
    assert!(poll(&mut join, &waker).is_pending());
    queue.shutdown(Shutdown::Now);
    assert!(poll(&mut join, &waker).is_pending(), "one is in flight");
    thread::scope(|scope| {
        let joined = scope.spawn(|| queue.join());
        queue.task_done().unwrap();
        joined.join().unwrap();
    });
    block_on(join);

    // Where nothing is in flight, the discarding itself is what they wait for.
    let queue = make(None);
    queue.put(1).unwrap();
    let mut join = Box::pin(queue.join_async());
    assert!(poll(&mut join, &waker).is_pending());
    queue.shutdown(Shutdown::Now);
    block_on(join);
}

pub(crate) fn all_joiners_are_woken<Q: WorkQueue<u64>>(make: impl Fn(Option<usize>) -> Q) {
    let queue = make(Some(16));
    thread::scope(|scope| {
        for item in 0..16 {
            queue.put(item).unwrap();
        }
        let joiners = [(); 4].map(|()| scope.spawn(|| queue.join()));
        for _ in 0..2 {
            scope.spawn(|| {
                while queue.try_get().is_ok() {
                    queue.task_done().unwrap();
                }
            });
        }
        for joiner in joiners {
            joiner.join().unwrap();
        }
        assert_eq!(queue.unfinished(), 0);
    });
}

pub(crate) fn many_producers_and_consumers_lose_nothing<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    for capacity in [Some(1), Some(7), None] {
        let queue = make(capacity);
        let got = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for producer in 0..4 {
                let queue = &queue;
                scope.spawn(move || {
                    for item in 0..500 {
                        let item = producer * 1000 + item;
                        if item % 2 == 0 {
                            queue.put(item).unwrap();
                        } else {
                            block_on(queue.put_async(item)).unwrap();
                        }
                    }
                });
            }
            for consumer in 0..4 {
                let (queue, got) = (&queue, &got);
                scope.spawn(move || {
                    loop {
                        let item = match consumer % 2 {
                            0 => queue.get(),
                            _ => block_on(queue.get_async()),
                        };
                        let Ok(item) = item else { break };
                        got.lock().unwrap().push(item);
                        queue.task_done().unwrap();
                    }
                });
            }
            // All that is put by then is done by then; a look later, all will have been.
            while got.lock().unwrap().len() < 2000 {
                queue.join();
                thread::yield_now();
            }
            queue.shutdown(Shutdown::Drain);
        });
        let mut got = got.into_inner().unwrap();
        got.sort_unstable();
        let put: Vec<u64> = (0..4)
            .flat_map(|producer| (0..500).map(move |item| producer * 1000 + item))
            .collect();
        assert_eq!(got, put);
    }
}

pub(crate) fn a_dropped_get_leaves_the_item<Q: WorkQueue<u64>>(make: impl Fn(Option<usize>) -> Q) {
    let queue = make(None);
    let (_, waker) = Woken::waker();
    let mut get = Box::pin(queue.get_async());
    assert!(poll(&mut get, &waker).is_pending());
    queue.put(1).unwrap();
    drop(get);
    drop(queue.get_async());
    assert_eq!(queue.try_get(), Ok(1));
}

pub(crate) fn a_dropped_get_passes_its_wake_up_on<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(None);
    let (_, waker) = Woken::waker();
    let mut first = Box::pin(queue.get_async());
    let mut second = Box::pin(queue.get_async());
    assert!(poll(&mut first, &waker).is_pending());
    let (woken, waker) = Woken::waker();
    assert!(poll(&mut second, &waker).is_pending());
    queue.put(1).unwrap();
    drop(first);
    assert_eq!(woken.once(), 1);
    assert_eq!(block_on(second), Ok(1));
}

pub(crate) fn a_dropped_put_has_put_nothing<Q: WorkQueue<u64>>(make: impl Fn(Option<usize>) -> Q) {
    let queue = make(Some(1));
    queue.put(1).unwrap();
    let (_, waker) = Woken::waker();
    let mut put = Box::pin(queue.put_async(2));
    assert!(poll(&mut put, &waker).is_pending());
    queue.get().unwrap();
    drop(put);
    drop(queue.put_async(3));
    assert_eq!(queue.try_get(), Err(GetError::Empty));
    assert_eq!(queue.unfinished(), 1);
}

pub(crate) fn a_dropped_put_passes_its_wake_up_on<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(Some(1));
    queue.put(1).unwrap();
    let (_, waker) = Woken::waker();
    let mut first = Box::pin(queue.put_async(2));
    let mut second = Box::pin(queue.put_async(3));
    assert!(poll(&mut first, &waker).is_pending());
    let (woken, waker) = Woken::waker();
    assert!(poll(&mut second, &waker).is_pending());
    queue.get().unwrap();
    drop(first);
    assert_eq!(woken.once(), 1);
    assert_eq!(block_on(second), Ok(()));
    assert_eq!(queue.get(), Ok(3));
}

/// Of 100,000 gets and 100,000 puts most are dropped after their first poll, at any moment of the
/// others' work.
pub(crate) fn dropped_futures_lose_nothing<Q: WorkQueue<u64>>(make: impl Fn(Option<usize>) -> Q) {
    const DROPS: usize = 50_000;
    let queue = make(Some(2));
    let put = AtomicUsize::new(0);
    let got = AtomicUsize::new(0);
    thread::scope(|scope| {
        let producers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut dropped = 0;
                while dropped < DROPS {
                    let mut future = Box::pin(queue.put_async(1));
                    match poll(&mut future, Waker::noop()) {
                        Poll::Ready(result) => {
                            result.unwrap();
                            put.fetch_add(1, Ordering::Relaxed);
                        }
                        Poll::Pending => dropped += 1,
                    }
                }
            })
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut dropped = 0;
                loop {
                    let mut future = Box::pin(queue.get_async());
                    let result = match poll(&mut future, Waker::noop()) {
                        Poll::Ready(result) => result,
                        Poll::Pending if dropped < DROPS => {
                            dropped += 1;
                            continue;
                        }
                        // From here on it waits for what it is owed.
                        Poll::Pending => block_on(future),
                    };
                    match result {
                        Ok(_) => got.fetch_add(1, Ordering::Relaxed),
                        Err(GetError::ShutDown) => break,
                        Err(error) => panic!("{error}"),
                    };
                }
            });
        }
        // Full most of the time, so that puts have something to wait for; and then empty, for the
        // gets.
        for producer in producers {
            producer.join().unwrap();
        }
        queue.shutdown(Shutdown::Drain);
    });
    assert_eq!(got.into_inner(), put.into_inner());
}

pub(crate) fn time_outs_lose_nothing<Q: WorkQueue<u64>>(make: impl Fn(Option<usize>) -> Q) {
    const ITEMS: u64 = 2_000;
    let queue = make(Some(1));
    let hair = Duration::from_nanos(1);
    let sum = thread::scope(|scope| {
        let consumers = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut sum = 0;
                loop {
                    match queue.get_timeout(hair) {
                        Ok(item) => sum += item,
                        Err(GetError::TimedOut) => {}
                        Err(_) => return sum,
                    }
                }
            })
        });
        for mut item in 1..=ITEMS {
            while let Err(error) = queue.put_timeout(item, hair) {
                item = error.into_item();
            }
        }
        queue.shutdown(Shutdown::Drain);
        consumers.map(|consumer| consumer.join().unwrap())
    });
    assert_eq!(sum.iter().sum::<u64>(), ITEMS * (ITEMS + 1) / 2);
}

pub(crate) fn a_moved_future_wakes_its_new_waker<Q: WorkQueue<u64>>(
    make: impl Fn(Option<usize>) -> Q,
) {
    let queue = make(None);
    let (before, old) = Woken::waker();
    let (after, new) = Woken::waker();
    let mut get = Box::pin(queue.get_async());
    assert!(poll(&mut get, &old).is_pending());
    assert!(poll(&mut get, &new).is_pending());
    queue.put(1).unwrap();
    assert_eq!((after.once(), before.times()), (1, 0));
}
