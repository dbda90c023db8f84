//! Everything at once, for a second; for as long as one likes with `HANDS_STRESS_SECONDS=600 ./test
//! -p hands stress`.

use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use hands::queue::{GetError, Lifo, Order, OrderedQueue, Priority, Shutdown};
use hands::sync::CancelToken;

/// A small generator, so that a run can be repeated as far as the threads' timing allows.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[derive(Default)]
struct Account {
    items: AtomicU64,
    sum: AtomicU64,
}

impl Account {
    fn add(&self, item: u64) {
        self.items.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(item, Ordering::Relaxed);
    }

    fn figures(self) -> (u64, u64) {
        (self.items.into_inner(), self.sum.into_inner())
    }
}

fn stress<O>()
where
    O: Order<u64>,
    OrderedQueue<u64, O>: Sync,
{
    let seconds = env::var("HANDS_STRESS_SECONDS").map_or(0.3, |text| text.parse().unwrap());
    let time = CancelToken::with_timeout(Duration::from_secs_f64(seconds));
    let mut round = 0;
    while !time.is_cancelled() {
        round += 1;
        one_round::<O>(round, &time);
    }
}

fn one_round<O>(round: u64, time: &CancelToken)
where
    O: Order<u64>,
    OrderedQueue<u64, O>: Sync,
{
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ round);
    let queue: OrderedQueue<u64, O> = match dice.roll(4) {
        0 => OrderedQueue::default(),
        capacity => OrderedQueue::bounded(usize::try_from(capacity * capacity).unwrap()),
    };
    let (put, got) = (Account::default(), Account::default());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let producers: Vec<_> = (0..1 + dice.roll(4))
            .map(|_| {
                let mut dice = Dice(dice.roll(u64::MAX) | 1);
                let (queue, put, stop) = (&queue, &put, &stop);
                scope.spawn(move || {
                    for _ in 0..dice.roll(20_000) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let item = dice.roll(1000);
                        let hair = Duration::from_nanos(dice.roll(50_000));
                        let result = match dice.roll(4) {
                            0 => queue.try_put(item),
                            1 => queue.put_timeout(item, hair),
                            _ => queue.put(item),
                        };
                        if result.is_ok() {
                            put.add(item);
                        }
                    }
                })
            })
            .collect();
        for _ in 0..1 + dice.roll(4) {
            let mut dice = Dice(dice.roll(u64::MAX) | 1);
            let (queue, got) = (&queue, &got);
            scope.spawn(move || {
                loop {
                    let hair = Duration::from_nanos(dice.roll(50_000));
                    let result = match dice.roll(4) {
                        0 => queue.try_get(),
                        1 => queue.get_timeout(hair),
                        _ => queue.get(),
                    };
                    match result {
                        Ok(item) => {
                            got.add(item);
                            queue.task_done().unwrap();
                        }
                        Err(GetError::ShutDown) => break,
                        Err(_) => {}
                    }
                }
            });
        }
        for _ in 0..dice.roll(3) {
            scope.spawn(|| queue.join());
        }
        for producer in producers {
            if time.is_cancelled() {
                stop.store(true, Ordering::Relaxed);
            }
            producer.join().unwrap();
        }
        queue.join();
        queue.shutdown(Shutdown::Drain);
    });
    assert_eq!(queue.unfinished(), 0, "round {round}");
    assert_eq!(got.figures(), put.figures(), "round {round}");
}

#[test]
fn stress_fifo() {
    stress::<hands::queue::Fifo>();
}

#[test]
fn stress_lifo() {
    stress::<Lifo>();
}

#[test]
fn stress_priority() {
    stress::<Priority>();
}
