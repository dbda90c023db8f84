//! What an engineer who knows rayon and tokio reaches for.
#![allow(clippy::unwrap_used, reason = "it fails the test")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hands::pool::{Pool, Shutdown, ThreadPool, chunks, chunks_mut, enumerate, split};
use hands::queue::{LifoQueue, PriorityQueue, Queue};
use hands::sync::{CancelToken, Event, Semaphore};

use crate::support::in_time;

#[test]
fn threads_take_any_closure_and_any_type() {
    in_time(|| {
        let pool = ThreadPool::new().unwrap();
        let shared = Arc::new(Mutex::new(0_u64));
        let read = |path: &'static str| std::fs::read(path);
        let opened: std::io::Result<Vec<u8>> = pool.submit(read, "/nowhere").join().unwrap();
        assert!(opened.is_err());
        let sum = Arc::clone(&shared);
        let add = move |n: Arc<u64>| *sum.lock().unwrap() += *n;
        assert_eq!(pool.map(add, (1..=100).map(Arc::new)).count(), 100);
        let sum = Arc::clone(&shared);
        let many = pool.submit_many(
            move |n: Arc<u64>| *sum.lock().unwrap() += *n,
            (1..=100).map(Arc::new),
        );
        assert!(many.join().iter().all(Result::is_ok));
        assert_eq!(*shared.lock().unwrap(), 2 * 5050);
    });
}

#[test]
fn a_broadcast_reaches_each_worker_once_also_when_they_sleep_or_work() {
    in_time(|| {
        let pool = Arc::new(ThreadPool::with_workers(4).unwrap());
        let id = |_| std::thread::current().id();
        for _ in 0..50 {
            let threads: HashSet<_> = pool
                .broadcast(id)
                .into_iter()
                .map(|one| one.join().unwrap())
                .collect();
            assert_eq!(threads.len(), 4);
        }
        let inner = Arc::clone(&pool);
        let from_within = pool.spawn(move || {
            let handles = inner.broadcast(id);
            handles
                .into_iter()
                .map(|one| one.join().unwrap())
                .collect::<HashSet<_>>()
                .len()
        });
        assert_eq!(from_within.join(), Ok(4));
        pool.shutdown(Shutdown::Drain);
        assert!(
            pool.broadcast(id)
                .into_iter()
                .all(|one| one.join().is_err())
        );
    });
}

#[test]
fn a_full_queue_of_tasks_makes_who_submits_wait_and_hangs_nobody() {
    in_time(|| {
        let builder = ThreadPool::builder().workers(1).queue_capacity(2);
        let pool = Arc::new(builder.build().unwrap());
        let (open, closed) = channel::<()>();
        let first = pool.spawn(move || closed.recv().is_err());
        let inner = Arc::clone(&pool);
        let submitted = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&submitted);
        let submits = std::thread::spawn(move || {
            for _ in 0..10 {
                inner.execute(|| ());
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        while submitted.load(Ordering::SeqCst) < 2 {
            std::thread::yield_now();
        }
        assert!(pool.stats().queued <= 2);
        drop(open);
        assert_eq!(first.join(), Ok(true));
        submits.join().unwrap();
        // A task that submits more than has room waits, and another worker makes room.
        let inner = Arc::clone(&pool);
        let parent = pool.spawn(move || {
            let children: Vec<_> = (0..100_u64).map(|n| inner.spawn(move || n)).collect();
            children
                .into_iter()
                .map(|child| child.join().unwrap())
                .sum::<u64>()
        });
        assert_eq!(parent.join(), Ok(4950));
        assert!(ThreadPool::builder().queue_capacity(0).build().is_err());
    });
}

#[test]
fn to_join_and_to_shut_down_may_have_a_time_out() {
    in_time(|| {
        let pool = ThreadPool::with_workers(1).unwrap();
        let (open, closed) = channel::<()>();
        pool.execute(move || assert!(closed.recv().is_err()));
        assert!(!pool.join_timeout(Duration::from_millis(1)));
        assert!(!pool.shutdown_timeout(Shutdown::Drain, Duration::from_millis(1)));
        drop(open);
        assert!(pool.join_timeout(Duration::from_secs(60)));
        assert!(pool.shutdown_timeout(Shutdown::Drain, Duration::from_secs(60)));
    });
}

#[test]
fn whatever_has_parts_can_be_gone_through() {
    in_time(|| {
        let pool = ThreadPool::with_workers(2).unwrap();
        let sum = |a: u64, b: u64| a + b;
        let numbers: Vec<u64> = (0..1000).collect();
        assert_eq!(pool.reduce(numbers.clone(), || 0, sum, sum), 499_500);
        assert_eq!(pool.reduce(&numbers, || 0, |sum, n| sum + n, sum), 499_500);
        assert_eq!(pool.reduce(0..=1000_u64, || 0, sum, sum), 500_500);
        assert_eq!(
            pool.reduce(250..=u8::MAX, || 0, |sum, n| sum + u64::from(n), sum),
            1515
        );
        assert_eq!(
            pool.reduce(i8::MIN..=i8::MAX, || 0, |count, _| count + 1, sum),
            256
        );
        #[expect(clippy::reversed_empty_ranges, reason = "an empty one is meant")]
        let empty = 7..=6_u32;
        assert_eq!(pool.reduce(empty, || 0, |count, _| count + 1, sum), 0);
        let of_pieces = |sum: u64, piece: &[u64]| sum + piece.iter().sum::<u64>();
        assert_eq!(
            pool.reduce(chunks(&numbers, 7), || 0, of_pieces, sum),
            499_500
        );
        let mut numbers = numbers;
        pool.for_each(&mut numbers, |n| *n += 1);
        pool.for_each(
            enumerate(chunks_mut(&mut numbers, 10)),
            |(number, piece)| {
                assert_eq!(piece.len(), 10);
                piece[0] = number as u64;
            },
        );
        assert!(numbers.iter().step_by(10).copied().eq(0..100));
        assert_eq!(split(0..3, 0).into_iter().flatten().count(), 3);
        assert_eq!(split(0..0, 0), []);
        assert_eq!(split(vec![1, 2, 3], 2), [vec![1, 2], vec![3]]);
    });
}

#[test]
fn locks_signals_and_queues_may_be_statics() {
    static EVENT: Event = Event::new();
    static PERMITS: Semaphore = Semaphore::bounded(1);
    static CHANGED: hands::sync::Condvar = hands::sync::Condvar::new();
    static FIFO: Queue<u32> = Queue::unbounded();
    static LIFO: LifoQueue<u32> = LifoQueue::unbounded();
    static HEAP: PriorityQueue<u32> = PriorityQueue::unbounded();
    EVENT.set();
    EVENT.wait();
    drop(PERMITS.acquire());
    assert!(!CHANGED.notify_one());
    for n in [3, 1, 2] {
        FIFO.put(n).unwrap();
        LIFO.put(n).unwrap();
        HEAP.put(n).unwrap();
    }
    assert_eq!(FIFO.get_many(10).unwrap(), [3, 1, 2]);
    assert_eq!(LIFO.try_iter().collect::<Vec<_>>(), [2, 1, 3]);
    assert_eq!(HEAP.get_many(2).unwrap(), [1, 2]);
    assert!(FIFO.get_deadline(Instant::now()).is_err());
}

#[test]
fn a_map_over_a_queue_hands_out_what_is_ready() {
    in_time(|| {
        let pool = ThreadPool::with_workers(2).unwrap();
        let queue = Queue::unbounded();
        queue.put(1).unwrap();
        let mut map = pool.map(|n: u64| n, &queue);
        // Nothing else is there, and nobody puts anything before this has come.
        assert_eq!(map.next(), Some(Ok(1)));
        queue.put(2).unwrap();
        queue.put(3).unwrap();
        assert_eq!(map.next(), Some(Ok(2)));
        queue.shutdown(Shutdown::Drain);
        assert_eq!(map.next(), Some(Ok(3)));
        assert_eq!(map.next(), None);
    });
}

#[test]
fn an_owned_permit_goes_with_its_task() {
    in_time(|| {
        let pool = ThreadPool::with_workers(2).unwrap();
        let permits = Arc::new(Semaphore::bounded(1));
        for _ in 0..100 {
            let permit = permits.acquire_owned();
            pool.execute(move || drop(permit));
        }
        pool.join();
        assert_eq!(permits.available(), 1);
        assert!(permits.try_acquire_owned(2).is_none());
        let forgotten = permits
            .acquire_owned_timeout(1, Duration::ZERO)
            .unwrap()
            .unwrap();
        assert_eq!(forgotten.permits(), 1);
        forgotten.forget();
        assert!(
            permits
                .acquire_owned_timeout(1, Duration::ZERO)
                .unwrap()
                .is_none()
        );
        permits.release(1).unwrap();
    });
}

#[cfg(feature = "async")]
#[test]
fn coroutines_have_streams_permits_and_tokens() {
    use futures_core::Stream;
    use hands::pool::AsyncPool;
    use std::future::{pending, poll_fn};
    use std::pin::pin;

    in_time(|| {
        let pool = AsyncPool::new().unwrap();
        let queue: Arc<Queue<u32>> = Arc::new((0..100).collect());
        queue.shutdown(Shutdown::Drain);
        let permits = Arc::new(Semaphore::bounded(1));
        let (own, kept) = (Arc::clone(&queue), Arc::clone(&permits));
        let counted = pool.spawn(async move {
            let mut stream = pin!(own.stream());
            let mut sum = 0;
            while let Some(n) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
                let _permit = kept.acquire_owned_async().await;
                sum += n;
            }
            sum
        });
        assert_eq!(counted.join(), Ok(4950));
        assert_eq!(permits.available(), 1);
        let token = CancelToken::new();
        let waits = token.clone();
        let task = pool.spawn(async move {
            let ready = waits.run_until_cancelled(async { 7 }).await;
            let never = waits.run_until_cancelled(pending::<()>()).await;
            (ready, never.is_err())
        });
        drop(token.drop_guard());
        let (ready, is_cancelled) = task.join().unwrap();
        // It was cancelled before, between, or after.
        assert!(is_cancelled && ready.is_ok_and(|seven| seven == 7) == ready.is_ok());
    });
}

#[test]
fn resizing_in_a_loop_does_not_flood_the_queue() {
    in_time(|| {
        let pool = ThreadPool::with_workers(4).unwrap();
        let (open, closed) = channel::<()>();
        let closed = Arc::new(Mutex::new(closed));
        for _ in 0..4 {
            let closed = Arc::clone(&closed);
            pool.execute(move || assert!(closed.lock().unwrap().recv().is_err()));
        }
        for _ in 0..10_000 {
            pool.resize(1).unwrap();
            pool.resize(4).unwrap();
        }
        assert!(pool.stats().queued < 100, "{}", pool.stats().queued);
        drop(open);
        pool.join();
    });
}

/// Counts how many of it there are.
struct Counted(Arc<AtomicUsize>, [u64; 64]);

impl Counted {
    fn new(all: &Arc<AtomicUsize>) -> Counted {
        all.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(all), [7; 64])
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Bytes of the heap in use, as far as this test can know: KiB of memory that belongs to no file.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.unwrap()
        .trim()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

pub(crate) const SCENES: crate::support::Scenes =
    &[("cancelled", cancelled), ("no_threads", no_threads)];

fn cancelled() {
    let pool = ThreadPool::with_workers(1).expect("a thread");
    let (open, closed) = channel::<()>();
    pool.execute(move || assert!(closed.recv().is_err()));
    let all = Arc::new(AtomicUsize::new(0));
    let kept = |counted: Counted| move || counted.1[3];
    let before = resident();
    for _ in 0..1_000_000 {
        let handle = pool.spawn(kept(Counted::new(&all)));
        assert!(handle.cancel());
    }
    assert_eq!(all.load(Ordering::SeqCst), 0);
    assert!(pool.stats().queued < 3000, "{}", pool.stats().queued);
    let after = resident();
    // A tenth of what the tasks would take.
    assert!(after < before + (50 << 10), "{before} KiB became {after}");
    drop(open);
    pool.join();
    assert_eq!(pool.stats().not_run, 1_000_000);
    assert_eq!(pool.stats().finished, 1_000_001);
}

#[test]
fn a_million_cancelled_tasks_do_not_keep_their_memory() {
    crate::support::Scene::new("cancelled").succeed();
}

#[cfg(feature = "async")]
#[test]
fn cancelled_coroutines_that_wait_for_their_turn_are_taken_out() {
    use hands::pool::AsyncPool;

    in_time(|| {
        let pool = AsyncPool::builder().in_flight(1).build().unwrap();
        let busy = pool.spawn(std::future::pending::<()>());
        let kept = pool.spawn(async { 7 });
        for _ in 0..10_000 {
            assert!(pool.spawn(async {}).cancel());
        }
        assert!(pool.coroutines().waiting < 3000);
        busy.cancel();
        assert_eq!(kept.join(), Ok(7));
        pool.join();
        assert_eq!(pool.coroutines().finished, 10_002);
    });
}

/// From here on the system has no memory for another stack, and so no thread.
fn refuse_threads() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let size: u64 = line
        .and_then(|line| line.trim().split(' ').next()?.parse().ok())
        .expect("KiB");
    let limit = Some((size << 10) + (256 << 10));
    let limit = Rlimit {
        current: limit,
        maximum: limit,
    };
    setrlimit(Resource::As, limit).expect("a limit");
}

pub(crate) fn no_threads() {
    use hands::task::{Options, TaskError};
    let pool = ThreadPool::with_workers(2).expect("threads");
    assert_eq!(pool.spawn(|| 1).join(), Ok(1));
    refuse_threads();
    assert!(ThreadPool::with_workers(1).is_err());
    assert!(pool.resize(4).is_err());
    // The two that there are go on, and are what is counted.
    assert_eq!(pool.stats().workers, 2);
    assert_eq!(pool.spawn(|| 2).join(), Ok(2));
    #[cfg(feature = "async")]
    assert!(hands::pool::AsyncPool::new().is_err());
    // The first time-out of this program wants a thread.
    let options = Options::new().timeout(Duration::from_secs(60));
    let refused = pool.spawn_with(options, || 3).join();
    assert!(
        matches!(refused, Err(TaskError::Refused { .. })),
        "{refused:?}"
    );
    assert_eq!(pool.spawn(|| 4).join(), Ok(4));
    // One that waits has no other worker in its place; it is the last only where both wait.
    let pool = Arc::new(pool);
    let inner = Arc::clone(&pool);
    let nested = pool.spawn(move || inner.spawn(|| 5).join());
    assert_eq!(nested.join(), Ok(Ok(5)));
}

#[test]
fn a_thread_that_cannot_be_had_is_an_error_of_that_call_and_of_no_other() {
    crate::support::Scene::new("no_threads").succeed();
}
