//! One contestant's run: so many items from producers to consumers, and whether each came out once.

use super::shape::Shape;
use std::hint::black_box;
use std::ops::RangeInclusive;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use futures_lite::future::block_on;

use super::channel::{Channel, Coroutines};

/// What goes through: something with a number from 1 up in it.
pub(crate) trait Item: Send {
    fn numbered(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Item for u64 {
    fn numbered(number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

/// The number at its beginning, and inverted at its end.
impl Item for [u8; 256] {
    fn numbered(number: u64) -> Self {
        let mut bytes = [0; 256];
        bytes[..8].copy_from_slice(&number.to_ne_bytes());
        bytes[248..].copy_from_slice(&(!number).to_ne_bytes());
        bytes
    }

    /// 0, which is nobody's, if the item is put together from two.
    fn number(&self) -> u64 {
        let at = |from: usize| self[from..].first_chunk().copied().map(u64::from_ne_bytes);
        let first = at(0).unwrap_or_default();
        if at(248) == Some(!first) { first } else { 0 }
    }
}

/// What one consumer got.
#[derive(Default)]
pub(crate) struct Tally {
    items: u64,
    sum: u64,
}

impl Tally {
    /// The whole item is looked at, so that no compiler can leave part of it behind.
    pub(crate) fn count<T: Item>(&mut self, item: &T) {
        self.items += 1;
        self.sum += black_box(item).number();
    }
}

/// A run that counts as one; it returns its seconds, or what went wrong.
pub(crate) type Race = fn(Shape) -> Result<f64, String>;

/// With blocking calls, a thread each.
pub(crate) fn threads<C: Channel<T>, T: Item>(shape: Shape) -> Result<f64, String> {
    race::<C, T>(
        shape,
        |sender, numbers| {
            for number in numbers {
                C::put(sender, T::numbered(number));
            }
        },
        |receiver, tally| {
            while let Some(item) = C::get(receiver) {
                tally.count(&item);
                C::done(receiver);
            }
        },
    )
}

/// With futures, a thread each that does nothing but run one coroutine.
pub(crate) fn coroutines<C: Coroutines<T>, T: Item>(shape: Shape) -> Result<f64, String> {
    race::<C, T>(
        shape,
        |sender, numbers| {
            block_on(async {
                for number in numbers {
                    C::put_async(sender, T::numbered(number)).await;
                }
            });
        },
        |receiver, tally| {
            block_on(async {
                while let Some(item) = C::get_async(receiver).await {
                    tally.count(&item);
                }
            });
        },
    )
}

fn race<C: Channel<T>, T: Item>(
    shape: Shape,
    produce: impl Fn(&mut C::Sender, RangeInclusive<u64>) + Sync,
    consume: impl Fn(&mut C::Receiver, &mut Tally) + Sync,
) -> Result<f64, String> {
    let (senders, receivers) = C::open(shape);
    let start = Barrier::new(shape.producers + shape.consumers);
    let (start, produce, consume) = (&start, &produce, &consume);
    // Each thread looks at the clock itself: one that only watches might be the last to be let on a
    // processor.
    let (began, ended, tallies) = thread::scope(|scope| {
        let producers: Vec<_> = (1..)
            .zip(senders)
            .map(|(nth, mut sender)| {
                scope.spawn(move || {
                    let share = shape.items / shape.producers as u64;
                    start.wait();
                    let began = Instant::now();
                    produce(&mut sender, (nth - 1) * share + 1..=nth * share);
                    began
                })
            })
            .collect();
        let consumers: Vec<_> = receivers
            .into_iter()
            .map(|mut receiver| {
                scope.spawn(move || {
                    let mut tally = Tally::default();
                    start.wait();
                    let began = Instant::now();
                    consume(&mut receiver, &mut tally);
                    (began, Instant::now(), tally)
                })
            })
            .collect();
        let mut began: Vec<Instant> = producers.into_iter().map(joined).collect();
        let (mut ended, mut tallies) = (Vec::new(), Vec::new());
        for consumer in consumers {
            let (start, end, tally) = joined(consumer);
            began.push(start);
            ended.push(end);
            tallies.push(tally);
        }
        (began, ended, tallies)
    });
    check(shape, &tallies)?;
    let began = began.into_iter().min().expect("somebody took part");
    let ended = ended.into_iter().max().expect("somebody consumed");
    Ok((ended - began).as_secs_f64())
}

fn joined<R>(thread: thread::ScopedJoinHandle<'_, R>) -> R {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Nobody is fast by losing items, or by giving one to two consumers.
pub(crate) fn check(shape: Shape, tallies: &[Tally]) -> Result<(), String> {
    let items: u64 = tallies.iter().map(|tally| tally.items).sum();
    let sum: u64 = tallies.iter().map(|tally| tally.sum).sum();
    let put = shape.items;
    let right = put * (put + 1) / 2;
    if items != put {
        return Err(format!("{items} of {put} items came out"));
    }
    if sum != right {
        return Err(format!("the items sum up to {sum} instead of {right}"));
    }
    Ok(())
}
