//! A bounded queue of events, from any number of threads to one, without locks.
//!
//! # Protocol
//!
//! Each slot has a turn. A slot whose turn is `n` is free for the `n`th event; with `n + 1` it
//! holds the `n`th event; and after that was read it has the turn `n + size`. A writer claims the
//! number `n` by raising `next`, and only if the slot is free for it. So a slot has one writer at a
//! time, and a reader that sees `n + 1` sees all words of the event: they were written before.
//!
//! A writer that stops between its claim and the last word delays the reader at this event. Other
//! writers go on until the ring is full, and then count what they lose. The source of the method is
//! Dmitry Vyukov's bounded queue, <https://www.1024cores.net/home/lock-free-algorithms/queues>.

use crate::primitive::{AtomicU64, Ordering, Padded};

/// The words of an event.
pub(super) type Words = [u64; 6];

pub(super) struct EventRing {
    slots: Box<[EventSlot]>,
    /// The number of the next event to be written.
    next: Padded<AtomicU64>,
    /// The number of the next event to be read. Written by the reader alone.
    read: Padded<AtomicU64>,
    /// Events for which there was no room.
    lost: Padded<AtomicU64>,
}

/// On a cache line of its own.
#[repr(align(64))]
struct EventSlot {
    turn: AtomicU64,
    words: [AtomicU64; 6],
}

impl EventRing {
    /// For this number of events; a power of two.
    pub(super) fn new(size: usize) -> EventRing {
        let slot = |turn| EventSlot {
            turn: AtomicU64::new(turn),
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        };
        EventRing {
            slots: (0..size.next_power_of_two() as u64).map(slot).collect(),
            next: Padded::default(),
            read: Padded::default(),
            lost: Padded::default(),
        }
    }

    fn slot(&self, number: u64) -> &EventSlot {
        // As many bits of the number as there are places.
        &self.slots[number as usize & (self.slots.len() - 1)]
    }

    /// Writes an event, or counts that it is lost.
    pub(super) fn put(&self, words: &Words) {
        let mut number = self.next.load(Ordering::Relaxed);
        loop {
            let slot = self.slot(number);
            let turn = slot.turn.load(Ordering::Acquire);
            if turn == number {
                let (set, got) = (Ordering::Relaxed, Ordering::Relaxed);
                let claimed = self
                    .next
                    .compare_exchange_weak(number, number + 1, set, got);
                let Err(now) = claimed else {
                    for (place, word) in slot.words.iter().zip(words) {
                        place.store(*word, Ordering::Relaxed);
                    }
                    slot.turn.store(number + 1, Ordering::Release);
                    return;
                };
                number = now;
            } else if turn < number {
                // What was written here a round ago has not been read.
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            } else {
                number = self.next.load(Ordering::Relaxed);
            }
        }
    }

    /// The next event, if it has been written. Called by one thread at a time.
    pub(super) fn get(&self) -> Option<Words> {
        let number = self.read.load(Ordering::Relaxed);
        let slot = self.slot(number);
        if slot.turn.load(Ordering::Acquire) != number + 1 {
            return None;
        }
        let words = std::array::from_fn(|at| slot.words[at].load(Ordering::Relaxed));
        self.read.store(number + 1, Ordering::Relaxed);
        // After the words have been read: from now on they may be written over.
        let free = number + self.slots.len() as u64;
        slot.turn.store(free, Ordering::Release);
        Some(words)
    }

    /// How many were lost since this was last asked.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(all(test, not(hands_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_what_does_comes_in_order() {
        let ring = EventRing::new(4);
        (0..6).for_each(|n| ring.put(&[n; 6]));
        let got: Vec<u64> = std::iter::from_fn(|| ring.get())
            .map(|words| words[0])
            .collect();
        assert_eq!((got, ring.take_lost()), (vec![0, 1, 2, 3], 2));
        ring.put(&[7; 6]);
        assert_eq!((ring.get(), ring.get()), (Some([7; 6]), None));
        assert_eq!(ring.take_lost(), 0);
    }

    #[test]
    fn events_of_many_threads_are_whole_and_each_comes_once_or_is_counted() {
        const EACH: u64 = 100_000;
        let ring = EventRing::new(256);
        let seen = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..3)
                .map(|writer| {
                    let ring = &ring;
                    scope.spawn(move || (0..EACH).for_each(|n| ring.put(&[writer << 32 | n; 6])))
                })
                .collect();
            let mut last = [None; 3];
            let mut seen = 0;
            loop {
                let done = writers.iter().all(|writer| writer.is_finished());
                while let Some(words) = ring.get() {
                    assert!(words.iter().all(|word| *word == words[0]), "{words:?}");
                    let (writer, n) = ((words[0] >> 32) as usize, words[0] & 0xffff_ffff);
                    assert!(last[writer] < Some(n), "out of order");
                    last[writer] = Some(n);
                    seen += 1;
                }
                if done {
                    return seen;
                }
            }
        });
        assert_eq!(seen + ring.take_lost(), 3 * EACH);
    }
}

#[cfg(all(test, hands_loom))]
mod model {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn two_writers_and_a_reader_lose_nothing_uncounted_and_tear_nothing() {
        loom::model(|| {
            let ring = Arc::new(EventRing::new(2));
            let writers = [1, 2].map(|n| {
                let ring = Arc::clone(&ring);
                loom::thread::spawn(move || ring.put(&[n; 6]))
            });
            let mut got = Vec::new();
            got.extend(ring.get());
            for writer in writers {
                writer.join().expect("a writer");
            }
            got.extend(std::iter::from_fn(|| ring.get()));
            assert!(
                got.iter()
                    .all(|words| words.iter().all(|word| *word == words[0]))
            );
            assert_eq!(got.len() as u64 + ring.take_lost(), 2);
        });
    }
}
