//! Queues between processes: what every queue promises, and that nobody who is killed hurts the
//! others.

use std::collections::BTreeSet;

use hands::process;
use hands::queue::{GetError, PutError, Shutdown};
use hands::shared::Queue;

use crate::support::{in_time, rounds};

queue_conformance!(bounded shared, |capacity: Option<usize>| {
    Queue::<u64>::sized(capacity.unwrap_or(20_000), 10).unwrap()
});

#[test]
fn items_go_from_process_to_process_once_each() {
    in_time(|| {
        let queue = Queue::<(u32, String)>::sized(16, 64).unwrap();
        let produce = |(queue, own): (Queue<(u32, String)>, u32)| {
            for n in 0..2000 {
                queue.put((own * 10_000 + n, format!("item {n}"))).unwrap();
            }
        };
        let consume = |queue: Queue<(u32, String)>| {
            let mut got = Vec::new();
            while let Ok((n, text)) = queue.get() {
                assert_eq!(text, format!("item {}", n % 10_000));
                queue.task_done().unwrap();
                got.push(n);
            }
            got
        };
        let consumers = [(); 2].map(|()| process::spawn(consume, queue.clone()).unwrap());
        let producers = [1, 2].map(|own| process::spawn(produce, (queue.clone(), own)).unwrap());
        for producer in producers {
            producer.join().unwrap();
        }
        queue.join();
        queue.shutdown(Shutdown::Drain);
        let mut got: Vec<u32> = Vec::new();
        for consumer in consumers {
            let of_one = consumer.join().unwrap();
            // In the order in which each producer put them.
            for own in [1, 2] {
                assert!(of_one.iter().filter(|n| *n / 10_000 == own).is_sorted());
            }
            got.extend(of_one);
        }
        got.sort_unstable();
        assert!(got.into_iter().eq((10_000..12_000).chain(20_000..22_000)));
    });
}

#[test]
fn an_item_that_has_no_room_is_refused() {
    let queue = Queue::sized(2, 8).unwrap();
    queue.put("short".to_owned()).unwrap();
    let long = "much too long".to_owned();
    assert_eq!(
        queue.put(long.clone()),
        Err(PutError::Refused(long.clone()))
    );
    assert_eq!(queue.try_put(long.clone()), Err(PutError::Refused(long)));
    assert_eq!(queue.get().as_deref(), Ok("short"));
    assert_eq!((queue.capacity(), queue.is_empty()), (2, true));
    assert!(Queue::<u8>::sized(usize::MAX, usize::MAX).is_err());
}

#[test]
fn coroutines_wait_for_other_processes() {
    in_time(|| {
        let there = Queue::<u64>::sized(1, 10).unwrap();
        let back = Queue::<u64>::sized(1, 10).unwrap();
        let echo = |(there, back): (Queue<u64>, Queue<u64>)| {
            while let Ok(n) = there.get() {
                back.put(n + 1).unwrap();
            }
        };
        let process = process::spawn(echo, (there.clone(), back.clone())).unwrap();
        futures_lite::future::block_on(async {
            for n in 0..200 {
                there.put_async(n).await.unwrap();
                assert_eq!(back.get_async().await, Ok(n + 1));
            }
        });
        there.shutdown(Shutdown::Now);
        process.join().unwrap();
    });
}

/// Processes that put and get without end are killed at any moment; the queue goes on, and nothing
/// is there twice.
#[test]
fn killed_at_any_moment_nobody_hurts_the_others() {
    in_time(|| {
        let queue = Queue::<[u64; 4]>::sized(8, 64).unwrap();
        let got_queue = Queue::<u64>::sized(100_000, 10).unwrap();
        let mut next = 0;
        for round in rounds(40) {
            let produce = |(queue, from): (Queue<[u64; 4]>, u64)| {
                for n in from.. {
                    queue.put([n; 4]).unwrap();
                }
            };
            let consume = |(queue, got): (Queue<[u64; 4]>, Queue<u64>)| {
                while let Ok(item) = queue.get() {
                    assert_eq!(item, [item[0]; 4], "an item is whole");
                    got.put(item[0]).unwrap();
                }
            };
            let producer: process::Process<()> =
                process::spawn(produce, (queue.clone(), round * 1_000_000)).unwrap();
            let consumer = process::spawn(consume, (queue.clone(), got_queue.clone())).unwrap();
            let mut seen = BTreeSet::new();
            while seen.len() < 50 {
                let n = got_queue.get().unwrap();
                assert!(n >= next && seen.insert(n), "{n} in round {round}");
            }
            if round % 2 == 0 {
                producer.kill();
                consumer.kill();
            } else {
                consumer.kill();
                producer.kill();
            }
            assert!(producer.join().is_err());
            assert!(consumer.join().is_err());
            while let Ok(n) = got_queue.try_get() {
                assert!(n >= next && seen.insert(n), "{n} in round {round}");
            }
            while let Ok(item) = queue.try_get() {
                assert_eq!(item, [item[0]; 4], "an item is whole");
                assert!(item[0] >= next && seen.insert(item[0]), "{item:?}");
            }
            // All but the one that the consumer had in its hands.
            let last = *seen.last().unwrap();
            let missing = (round * 1_000_000..last)
                .filter(|n| !seen.contains(n))
                .count();
            assert!(missing <= 1, "{missing} in round {round}");
            next = (round + 1) * 1_000_000;
            assert_eq!(queue.try_get(), Err(GetError::Empty));
        }
    });
}
