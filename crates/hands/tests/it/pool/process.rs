//! A pool of processes: what becomes of tasks whose worker dies, is killed or runs out of time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hands::pool::{Pool, ProcessPool, Shutdown};
use hands::shared::{Bytes, Event, Value};
use hands::sync::CancelToken;
use hands::task::{Options, TaskError};
use serde::{Deserialize, Deserializer, Serialize};

use crate::support::in_time;

fn square(n: u64) -> u64 {
    n * n
}

fn die_at_seven(n: u64) -> u64 {
    if n == 7 {
        std::process::abort();
    }
    n
}

fn signal_of<R>(outcome: &Result<R, TaskError>) -> Option<i32> {
    match outcome {
        Err(TaskError::Died(died)) => died.signal,
        _ => None,
    }
}

#[test]
fn a_worker_that_dies_costs_its_task_and_no_other() {
    in_time(|| {
        let pool = ProcessPool::with_workers(2).unwrap();
        let handles: Vec<_> = (0..100).map(|n| pool.submit(die_at_seven, n)).collect();
        for (n, handle) in (0..).zip(handles) {
            match (n, handle.join()) {
                (7, outcome) => assert_eq!(signal_of(&outcome), Some(6), "{outcome:?}"),
                (n, outcome) => assert_eq!(outcome, Ok(n)),
            }
        }
        assert_eq!(pool.submit(square, 3).join(), Ok(9));
    });
}

#[test]
fn one_that_dies_in_a_chunk_costs_that_one() {
    in_time(|| {
        let pool = ProcessPool::with_workers(2).unwrap();
        let outcomes = pool.submit_many(die_at_seven, 0..1000).join();
        for (n, outcome) in (0..).zip(outcomes) {
            match n {
                7 => assert_eq!(signal_of(&outcome), Some(6), "{outcome:?}"),
                n => assert_eq!(outcome, Ok(n)),
            }
        }
        let outcomes = pool.map(die_at_seven, 0..20).chunk(20);
        let failed = outcomes.filter(Result::is_err).count();
        assert_eq!(failed, 1);
    });
}

#[test]
fn how_it_died_and_what_it_wrote_last_is_told() {
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        let exit = |code: i32| -> u8 {
            eprintln!("about to leave with {code}");
            std::process::exit(code)
        };
        let outcome = pool.submit(exit, 3).join();
        let Err(TaskError::Died(died)) = &outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!((died.code, died.signal), (Some(3), None));
        assert!(died.stderr_tail.contains("about to leave with 3"), "{died}");
        // Not SIGSEGV: a sanitizer catches that one, and leaves with a code.
        let killed = pool.submit(|()| -> u8 { std::process::abort() }, ());
        let told = killed.join().unwrap_err().to_string();
        assert!(told.contains("killed by signal 6 (SIGABRT)"), "{told}");
    });
}

#[test]
fn a_task_is_begun_again_as_often_as_was_asked_for() {
    in_time(|| {
        let pool = ProcessPool::builder()
            .workers(1)
            .retries(2)
            .build()
            .unwrap();
        let begun = Value::new(0_u32).unwrap();
        let third_time = |begun: Value<u32>| {
            let times = begun.update(|times| {
                *times += 1;
                *times
            });
            if times < 3 {
                std::process::abort();
            }
            times
        };
        assert_eq!(pool.submit(third_time, begun.clone()).join(), Ok(3));
        let never = |begun: Value<u32>| -> u32 {
            begun.update(|times| *times += 1);
            std::process::abort()
        };
        let begun = Value::new(0).unwrap();
        let outcome = pool.submit(never, begun.clone()).join();
        assert_eq!((signal_of(&outcome), begun.get()), (Some(6), 3));
    });
}

#[test]
fn a_task_that_does_not_look_at_the_clock_is_ended_with_its_worker() {
    in_time(|| {
        let grace = Duration::from_millis(20);
        let pool = ProcessPool::builder()
            .workers(1)
            .grace(grace)
            .build()
            .unwrap();
        let timeout = Duration::from_millis(50);
        let spin = |()| loop {
            std::hint::spin_loop();
        };
        let options = Options::new().timeout(timeout);
        let late: Result<(), TaskError> = pool.submit_with(options, spin, ()).join();
        assert_eq!(late, Err(TaskError::TimedOut { after: timeout }));
        assert_eq!(pool.submit(square, 4).join(), Ok(16));
    });
}

#[test]
fn a_task_that_is_cancelled_and_does_not_listen_is_ended_with_its_worker() {
    in_time(|| {
        let grace = Duration::from_millis(20);
        let pool = ProcessPool::builder()
            .workers(1)
            .grace(grace)
            .build()
            .unwrap();
        let begun = Event::new().unwrap();
        let spin = |begun: Event| {
            begun.set();
            loop {
                std::hint::spin_loop();
            }
        };
        let handle = pool.submit(spin, begun.clone());
        let queued = pool.submit(square, 4);
        begun.wait();
        assert!(!handle.cancel());
        let outcome: Result<(), TaskError> = handle.join();
        assert_eq!(outcome, Err(TaskError::Cancelled));
        assert_eq!(queued.join(), Ok(16));
    });
}

#[test]
fn memory_has_a_limit_and_the_neighbours_are_unharmed() {
    in_time(|| {
        let limit = 256 << 20;
        let pool = ProcessPool::builder()
            .workers(2)
            .memory_limit(limit)
            .build()
            .unwrap();
        let fill = |bytes: usize| vec![1_u8; bytes].len();
        let handles: Vec<_> = [1000, 1 << 30, 2000]
            .map(|bytes| pool.submit(fill, bytes))
            .into();
        let outcomes: Vec<_> = handles.into_iter().map(|handle| handle.join()).collect();
        let expected = [Ok(1000), Err(TaskError::MemoryLimit { limit }), Ok(2000)];
        assert_eq!(outcomes, expected);
    });
}

#[test]
fn large_arguments_and_results_and_shared_ones_go_through() {
    in_time(|| {
        let pool = ProcessPool::with_workers(2).unwrap();
        for length in [0, 1, 1000, 100_000, 3_000_000] {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let back = |mut bytes: Vec<u8>| {
                bytes.reverse();
                bytes
            };
            let mut expected = bytes.clone();
            expected.reverse();
            assert!(pool.submit(back, bytes).join() == Ok(expected), "{length}");
        }
        let shared = Bytes::new(&vec![7; 5_000_000]).unwrap();
        let sum = |bytes: Bytes| (bytes.iter().map(|n| u64::from(*n)).sum::<u64>(), bytes);
        let (seen, back) = pool.submit(sum, shared.clone()).join().unwrap();
        assert!(seen == 35_000_000 && back == shared);
        let both = |bytes: Bytes| [bytes.clone(), bytes];
        let many = vec![shared.clone(), Bytes::new(b"x").unwrap(), shared];
        for (back, sent) in pool.submit_many(both, many.clone()).zip(many) {
            assert!(back.unwrap().iter().all(|back| *back == sent));
        }
    });
}

#[test]
fn what_cannot_be_sent_is_that_tasks_error() {
    #[derive(serde::Deserialize)]
    struct Stubborn;
    impl serde::Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not this one"))
        }
    }
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        let refused = pool.submit(|_: Stubborn| (), Stubborn).join();
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("argument"), "{refused}");
        let refused = pool.submit(|()| Stubborn, ()).join().err();
        assert!(
            matches!(refused, Some(TaskError::Encode { .. })),
            "{refused:?}"
        );
        assert_eq!(pool.submit(square, 4).join(), Ok(16));
    });
}

#[test]
fn workers_are_replaced_when_they_have_done_enough_or_grown_too_large() {
    in_time(|| {
        let pool = ProcessPool::builder()
            .workers(2)
            .max_tasks_per_worker(10)
            .build()
            .unwrap();
        let own_pid = |_: u64| std::process::id();
        let pids: Vec<u32> = pool.map(own_pid, 0..100).map(Result::unwrap).collect();
        let mut counted = std::collections::BTreeMap::new();
        pids.iter()
            .for_each(|pid| *counted.entry(pid).or_insert(0) += 1);
        assert!(
            counted.len() >= 10 && counted.values().all(|&tasks| tasks <= 10),
            "{counted:?}"
        );
        let pool = ProcessPool::builder()
            .workers(1)
            .recycle_above(100 << 20)
            .build()
            .unwrap();
        let leak = |_: u64| {
            let until = std::time::Instant::now() + Duration::from_millis(25);
            while std::time::Instant::now() < until {
                std::thread::yield_now();
            }
            Vec::leak(vec![1_u8; 40 << 20]);
            std::process::id()
        };
        let pids: BTreeSet<u32> = pool.map(leak, 0..9).map(Result::unwrap).collect();
        assert!(pids.len() >= 3, "{pids:?}");
    });
}

#[test]
fn an_initialiser_runs_first_in_each_worker_and_fails_for_all() {
    static NUMBER: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    in_time(|| {
        let note = |number: u64| NUMBER.set(number).unwrap();
        let pool = ProcessPool::builder()
            .workers(2)
            .initializer(note)
            .build()
            .unwrap();
        let number = |_: u64| *NUMBER.get().unwrap();
        assert!(pool.map(number, 0..20).all(|number| number.unwrap() < 2));
        let bad = |_: u64| panic!("no licence");
        let pool = ProcessPool::builder()
            .workers(2)
            .initializer(bad)
            .build()
            .unwrap();
        let refused = pool.submit(square, 4).join().unwrap_err().to_string();
        assert!(refused.contains("no licence"), "{refused}");
        let refused = pool.submit(square, 4).join();
        assert!(
            matches!(refused, Err(TaskError::Init { .. })),
            "{refused:?}"
        );
    });
}

#[test]
fn workers_that_never_begin_are_not_replaced_for_ever() {
    in_time(|| {
        let die = |_: u64| std::process::abort();
        let pool = ProcessPool::builder()
            .workers(2)
            .initializer(die)
            .build()
            .unwrap();
        let refused = pool.submit(square, 4).join().unwrap_err().to_string();
        assert!(refused.contains("5 workers in a row"), "{refused}");
    });
}

#[test]
fn a_pool_outlives_the_thread_that_made_it() {
    in_time(|| {
        let made = std::thread::spawn(|| ProcessPool::with_workers(1).unwrap());
        let pool = made.join().unwrap();
        assert_eq!(pool.submit(square, 4).join(), Ok(16));
    });
}

#[test]
fn nobody_waits_behind_a_long_task_while_another_worker_is_idle() {
    in_time(|| {
        let pool = ProcessPool::with_workers(2).unwrap();
        // So that many are handed over at a time.
        drop(pool.submit_many(square, 0..10_000).join());
        for _ in 0..200 {
            drop(pool.submit(square, 1).join());
        }
        let open = Event::new().unwrap();
        let wait = |open: Option<Event>| {
            if let Some(open) = open {
                open.wait();
            }
        };
        let long = pool.submit(wait, Some(open.clone()));
        let short: Vec<_> = (0..20).map(|_| pool.submit(wait, None)).collect();
        for handle in short {
            assert_eq!(handle.join(), Ok(()));
        }
        open.set();
        assert_eq!(long.join(), Ok(()));
    });
}

#[test]
fn all_that_is_queued_has_an_outcome_when_it_is_shut_down_now() {
    in_time(|| {
        let pool = ProcessPool::with_workers(2).unwrap();
        let wait = |_: u64| {
            CancelToken::current().unwrap().wait();
        };
        let handles: Vec<_> = (0..100_000).map(|n| pool.submit(wait, n)).collect();
        pool.shutdown(Shutdown::Now);
        assert!(handles.iter().all(|handle| handle.is_finished()));
    });
}

#[test]
fn coroutines_wait_for_tasks() {
    in_time(|| {
        let pool = ProcessPool::with_workers(2).unwrap();
        futures_lite::future::block_on(async {
            for n in 0..200 {
                assert_eq!(pool.submit(square, n).await, Ok(n * n));
            }
        });
    });
}

#[test]
fn a_result_that_panics_when_it_is_dropped_hurts_nobody() {
    /// Goes off where it was not made.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Bomb(u32);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert_eq!(self.0, std::process::id(), "not here");
        }
    }
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        for _ in 0..10 {
            let handle = pool.submit(|()| Bomb(std::process::id()), ());
            // Where the result is there already it goes off here, which is the caller's own affair.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(handle)));
        }
        pool.join();
        assert_eq!(pool.submit(square, 3).join(), Ok(9));
    });
}

#[test]
fn callbacks_may_submit_join_and_drop_the_last_owner() {
    in_time(|| {
        let pool = Arc::new(ProcessPool::with_workers(1).unwrap());
        let (told, hear) = std::sync::mpsc::channel();
        for joins in [false, true] {
            let inner = Arc::clone(&pool);
            let told = told.clone();
            let handle = pool.submit(|n: u64| n, 1);
            handle.on_done(move |_| {
                let joined = inner.submit(|n: u64| n + 1, 1).join();
                told.send((joined, inner.map(|n: u64| n, 0..3).count()))
                    .unwrap();
            });
            if joins {
                assert_eq!(handle.join(), Ok(1));
            }
            assert_eq!(hear.recv().unwrap(), (Ok(2), 3));
        }
        let last = std::sync::Mutex::new(Some(Arc::clone(&pool)));
        let handle = pool.submit(|n: u64| n, 3);
        handle.on_done(move |_| {
            drop(last.lock().unwrap().take());
            told.send((Ok(0), 0)).unwrap();
        });
        drop(pool);
        assert_eq!(hear.recv().unwrap(), (Ok(0), 0));
        assert_eq!(handle.join(), Ok(3));
    });
}

#[test]
fn a_callback_that_blocks_holds_up_no_other_task() {
    in_time(|| {
        let pool = ProcessPool::with_workers(2).unwrap();
        let (open, closed) = std::sync::mpsc::channel::<()>();
        let closed = Arc::new(std::sync::Mutex::new(closed));
        // Not done before it has its callback, which would be called here then.
        let go = Event::new().unwrap();
        let blocks = Arc::clone(&closed);
        pool.submit(|go: Event| go.wait(), go.clone())
            .on_done(move |_| assert!(blocks.lock().unwrap().recv().is_err()));
        go.set();
        for n in 0..20 {
            assert_eq!(pool.submit(|n: u64| n * n, n).join(), Ok(n * n));
        }
        // Nor those that have callbacks, too, and come in one go with one that blocks.
        let (told, hear) = std::sync::mpsc::channel();
        let go = Event::new().unwrap();
        let held = [0, 1].map(|_| pool.submit(|go: Event| go.wait(), go.clone()));
        for n in 0..20_u64 {
            let (told, closed) = (told.clone(), Arc::clone(&closed));
            pool.submit(|n: u64| n, n).on_done(move |_| {
                if n == 0 {
                    assert!(closed.lock().unwrap().recv().is_err());
                } else {
                    told.send(n).unwrap();
                }
            });
        }
        go.set();
        assert_eq!(hear.iter().take(19).sum::<u64>(), 190);
        assert!(held.into_iter().all(|held| held.join().is_ok()));
        // Nor a death, which only the pool's own thread sees.
        let died = pool.submit(|()| std::process::abort(), ());
        let died: Result<(), _> = died.join();
        assert!(matches!(died, Err(TaskError::Died(_))));
        drop(open);
    });
}

/// A result that takes as long to read as somebody wants.
static READS: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[derive(Serialize)]
struct ReadLate;

impl<'de> Deserialize<'de> for ReadLate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ReadLate, D::Error> {
        drop(READS.lock());
        <()>::deserialize(deserializer).map(|()| ReadLate)
    }
}

#[test]
fn a_time_out_is_kept_while_others_results_are_read_or_come_without_end() {
    in_time(|| {
        let pool = ProcessPool::with_workers(3).unwrap();
        let go = Event::new().unwrap();
        let never = pool.submit(|go: Event| go.wait(), go.clone());
        let reads = READS.lock();
        let late = pool.submit(|()| ReadLate, ());
        let Err(never) = never.join_timeout(Duration::from_millis(50)) else {
            panic!("nobody has set the event");
        };
        let Err(late) = late.join_timeout(Duration::from_millis(50)) else {
            panic!("it cannot be read yet");
        };
        drop(reads);
        assert!(late.join().is_ok());
        // Short tasks of another thread, as fast as they go.
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    assert_eq!(pool.map(square, 0..100).chunk(1).count(), 100);
                }
            });
            let Err(never) = never.join_timeout(Duration::from_millis(200)) else {
                panic!("nobody has set the event");
            };
            is_over.store(true, Ordering::SeqCst);
            go.set();
            assert!(never.join().is_ok());
        });
    });
}

#[test]
fn an_argument_that_no_worker_can_take_fails_and_those_after_it_run() {
    in_time(|| {
        let builder = ProcessPool::builder().workers(1).memory_limit(300 << 20);
        let pool = builder.build().unwrap();
        let large = pool.submit(|text: String| text.len(), "x".repeat(400 << 20));
        let small = pool.submit(square, 3);
        let outcome = large.join();
        match outcome {
            Err(TaskError::Decode { what }) => assert!(what.contains("memory"), "{what}"),
            Err(TaskError::MemoryLimit { .. } | TaskError::Died(_)) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(small.join(), Ok(9));
    });
}

#[test]
fn more_shared_things_than_a_message_carries_are_an_error_or_go_in_parts() {
    use hands::shared::Memory;

    let some =
        |count: usize| -> Vec<Memory> { (0..count).map(|_| Memory::new(8).unwrap()).collect() };
    in_time(move || {
        let pool = ProcessPool::with_workers(2).unwrap();
        let many = pool.submit(|all: Vec<Memory>| all.len(), some(300)).join();
        assert!(matches!(many, Err(TaskError::Encode { .. })), "{many:?}");
        let most = pool.submit(|all: Vec<Memory>| all.len(), some(252)).join();
        assert_eq!(most, Ok(252));
        // Each of a chunk has few of them, and all together too many.
        let lengths = pool
            .map(|memory: Memory| memory.len(), some(600))
            .chunk(600);
        assert_eq!(lengths.filter(|length| *length == Ok(8)).count(), 600);
        // And one of them too many by itself.
        let mixed = [1, 300, 2].map(some);
        let counts: Vec<_> = pool
            .map(|all: Vec<Memory>| all.len(), mixed)
            .chunk(3)
            .collect();
        assert_eq!((&counts[0], &counts[2]), (&Ok(1), &Ok(2)));
        assert!(
            matches!(counts[1], Err(TaskError::Encode { .. })),
            "{counts:?}"
        );
        let made = |count: usize| -> Vec<Memory> {
            (0..count)
                .map(|_| Memory::new(8).expect("memory"))
                .collect()
        };
        let result = pool.submit(made, 300).join().map(|all| all.len());
        assert!(
            matches!(result, Err(TaskError::Encode { .. })),
            "{result:?}"
        );
        assert_eq!(pool.submit(made, 252).join().map(|all| all.len()), Ok(252));
        assert_eq!(pool.submit(square, 3).join(), Ok(9));
    });
}

#[test]
fn an_initialisers_long_complaint_is_heard() {
    fn complain(_: u64) {
        panic!("{}", "too large to be put into the ring ".repeat(10_000));
    }
    in_time(|| {
        let builder = ProcessPool::builder().workers(1).initializer(complain);
        let outcome = match builder.build() {
            Ok(pool) => pool.submit(square, 1).join(),
            Err(error) => panic!("its worker is started, and then fails: {error}"),
        };
        let Err(TaskError::Init { message }) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(message.contains("too large to be put"), "{message}");
    });
}
