//! The queue in the memory: a ring of places, and two numbers.
//!
//! # Protocol
//!
//! - `TAIL` counts the items put, `HEAD` those got; place *n* modulo the capacity has item *n*. A
//!   process that puts has the lock of that end, writes the item to its place, and then makes it
//!   visible by one store of `TAIL`; a process that gets has the lock of the other end, copies the
//!   item, and takes it by one store of `HEAD`. So at every instruction the ring is a ring: a
//!   process that inherits a lock from a process that was killed has nothing to mend.
//! - `DONE` counts calls of `task_done`. Unfinished is what has been put and not been done; after a
//!   shutdown that discards, what has been got and not been done: by one store, all that is in the
//!   ring has been discarded.
//! - Each side that waits has a number that changes when there is something to look at, and a count
//!   of sleepers. A process that changes the ring looks at the count behind that; a process that
//!   sleeps is counted before it looks at the ring once more.
//! - **What others write is not believed.** The geometry is each handle's own. Two ends further
//!   apart than the capacity, or an item longer than a place, make a queue that is damaged, and
//!   counts as shut down.

use std::io;
use std::time::Instant;

use crate::machine::Spin;
use crate::primitive::{AtomicU32, AtomicU64, Ordering};
use crate::shared::lock;
use crate::shared::memory::Memory;
use crate::shared::wait::{ALL, wait, wake};
use crate::shared::{TooLarge, step};

/// Where in the memory is what; each on cache lines of its own, as different processes write them.
const PUT_LOCK: usize = 0;
const TAIL: usize = 128;
/// The other end as it was when somebody with this end's lock last looked: beside the lock, so that
/// looking at it takes no line of memory away from those at the other end.
const HEAD_SEEN: usize = 8;
const GET_LOCK: usize = 256;
const HEAD: usize = 384;
const TAIL_SEEN: usize = GET_LOCK + 8;
const DONE: usize = 512;
const SHUT: usize = 640;
const SIDES: usize = 768;
const SIDE: usize = 128;
const PLACES: usize = SIDES + 4 * SIDE;

/// Bytes before an item in its place: how long it is.
const LENGTH: usize = 8;

/// How often the core is told to wait between two looks of a process that would sleep: nearly a
/// microsecond, in which some items come.
const PAUSE: u32 = if cfg!(hands_loom) { 0 } else { 100 };

/// What is in `SHUT`.
const OPEN: u32 = 0;
const DRAINING: u32 = 1;

/// Those who wait for something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// For an item.
    Items,
    /// For room.
    Room,
    /// For everything to be done.
    Idle,
    /// In the name of coroutines: for anything.
    Any,
}

pub(super) enum RingPut {
    Done,
    Full,
    ShutDown,
    TooLarge,
}

pub(super) enum Got {
    /// It has been copied.
    Item,
    Empty,
    ShutDown,
    Damaged,
}

pub(super) struct Ring {
    memory: Memory,
    capacity: usize,
    /// Bytes of a place, a multiple of 8.
    place: usize,
    /// How long it has been worth looking, on each side.
    spins: [Spin; 4],
}

/// A lock of one end, until the end of the block.
struct HeldSide<'a>(&'a AtomicU32);

impl Drop for HeldSide<'_> {
    fn drop(&mut self) {
        lock::unlock(self.0);
    }
}

impl Ring {
    pub(super) fn new(capacity: usize, item_bytes: usize) -> io::Result<Ring> {
        let place = item_bytes
            .checked_next_multiple_of(8)
            .and_then(|bytes| bytes.checked_add(LENGTH))
            .ok_or(TooLarge)?;
        let length = Ring::length(capacity, place).ok_or(TooLarge)?;
        Ok(Ring {
            memory: Memory::new(length)?,
            capacity,
            place,
            spins: Default::default(),
        })
    }

    fn length(capacity: usize, place: usize) -> Option<usize> {
        capacity.checked_mul(place)?.checked_add(PLACES)
    }

    /// `None`: the memory has fewer places.
    pub(super) fn of(memory: Memory, capacity: usize, place: usize) -> Option<Ring> {
        let is_sound = capacity > 0 && place > LENGTH && place.is_multiple_of(8);
        let fits = Ring::length(capacity, place).is_some_and(|length| length <= memory.len());
        (is_sound && fits).then(|| Ring {
            memory,
            capacity,
            place,
            spins: Default::default(),
        })
    }

    pub(super) fn parts(&self) -> (&Memory, usize, usize) {
        (&self.memory, self.capacity, self.place)
    }

    fn number(&self, at: usize) -> &AtomicU64 {
        self.memory.long(at)
    }

    /// `None`: somebody else had it until `deadline`.
    fn hold(&self, at: usize, deadline: Option<Instant>) -> Option<HeldSide<'_>> {
        let word = self.memory.word(at);
        // Whom it is inherited from does not matter: nothing is left half done.
        lock::lock(word, deadline).map(|_| HeldSide(word))
    }

    /// The numbers of both ends. Without either lock they need not fit together.
    fn ends(&self) -> (u64, u64) {
        let head = self.number(HEAD).load(Ordering::SeqCst);
        let tail = self.number(TAIL).load(Ordering::SeqCst);
        (head, tail)
    }

    /// For who has the lock of puts: the number of the next item, and whether there is room.
    /// `None`: they make no sense.
    fn room(&self) -> Option<(u64, bool)> {
        let capacity = self.capacity as u64;
        let tail = self.number(TAIL).load(Ordering::Relaxed);
        let seen = self.number(HEAD_SEEN);
        // The other end only goes on, so what was room is room.
        if tail.wrapping_sub(seen.load(Ordering::Acquire)) < capacity {
            return Some((tail, true));
        }
        let head = self.number(HEAD).load(Ordering::SeqCst);
        // Release and acquire: for the next to have this lock, too, the place has been left by
        // a process that copied from it.
        seen.store(head, Ordering::Release);
        let length = tail.wrapping_sub(head);
        (length <= capacity).then_some((tail, length < capacity))
    }

    /// For who has the lock of gets: the number of the next item, and whether it is there. `None`:
    /// they make no sense.
    fn item(&self) -> Option<(u64, bool)> {
        let capacity = self.capacity as u64;
        let head = self.number(HEAD).load(Ordering::Relaxed);
        let seen = self.number(TAIL_SEEN);
        let known = seen.load(Ordering::Acquire).wrapping_sub(head);
        if known != 0 && known <= capacity {
            return Some((head, true));
        }
        let tail = self.number(TAIL).load(Ordering::SeqCst);
        // Release and acquire: the next to have this lock sees the items as we do.
        seen.store(tail, Ordering::Release);
        let length = tail.wrapping_sub(head);
        (length <= capacity).then_some((head, length > 0))
    }

    fn shut(&self) -> u32 {
        self.memory.word(SHUT).load(Ordering::SeqCst)
    }

    fn place(&self, number: u64) -> usize {
        let at = number % self.capacity as u64;
        // Less than the capacity, which is a `usize`.
        PLACES + at as usize * self.place
    }

    pub(super) fn try_put(&self, bytes: &[u8], deadline: Option<Instant>) -> RingPut {
        if bytes.len() > self.place - LENGTH {
            return RingPut::TooLarge;
        }
        let Some(_held) = self.hold(PUT_LOCK, deadline) else {
            return RingPut::Full;
        };
        if self.shut() != OPEN {
            return RingPut::ShutDown;
        }
        let tail = match self.room() {
            Some((tail, true)) => tail,
            Some((_, false)) => return RingPut::Full,
            None => return RingPut::ShutDown,
        };
        let place = self.place(tail);
        self.number(place)
            .store(bytes.len() as u64, Ordering::Relaxed);
        step();
        self.memory.write_whole(place + LENGTH, bytes);
        step();
        // A process that sees it sees the item.
        self.number(TAIL)
            .store(tail.wrapping_add(1), Ordering::SeqCst);
        step();
        RingPut::Done
    }

    /// Copies the next item to `bytes`, of which nothing else is left.
    pub(super) fn try_get(&self, bytes: &mut Vec<u8>, deadline: Option<Instant>) -> Got {
        let Some(_held) = self.hold(GET_LOCK, deadline) else {
            return Got::Empty;
        };
        // In this order: once it is shut, no more is put.
        let shut = self.shut();
        if shut > DRAINING {
            return Got::ShutDown;
        }
        let head = match self.item() {
            Some((head, true)) => head,
            Some((_, false)) if shut == DRAINING => return Got::ShutDown,
            Some((_, false)) => return Got::Empty,
            None => return Got::Damaged,
        };
        let place = self.place(head);
        let length = self.number(place).load(Ordering::Relaxed);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let is_sound = length <= self.place - LENGTH;
        bytes.resize(if is_sound { length } else { 0 }, 0);
        self.memory.read(place + LENGTH, bytes);
        step();
        self.number(HEAD)
            .store(head.wrapping_add(1), Ordering::SeqCst);
        step();
        if is_sound { Got::Item } else { Got::Damaged }
    }

    pub(super) fn len(&self) -> usize {
        if self.shut() > DRAINING {
            return 0;
        }
        let (head, tail) = self.ends();
        let length = usize::try_from(tail.wrapping_sub(head)).unwrap_or(usize::MAX);
        length.min(self.capacity)
    }

    /// Whether a get would wait: what is shut is not waited for.
    pub(super) fn is_empty(&self) -> bool {
        self.shut() == OPEN && self.len() == 0
    }

    /// Whether a put would wait.
    pub(super) fn is_full(&self) -> bool {
        self.shut() == OPEN && self.len() == self.capacity
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many count: all that were put, or, once the rest has been discarded, all that were got.
    fn counted(&self) -> u64 {
        let at = if self.shut() > DRAINING { HEAD } else { TAIL };
        self.number(at).load(Ordering::SeqCst)
    }

    pub(super) fn unfinished(&self) -> u64 {
        // In this order: what is put and done in between does not make it less than nothing.
        let done = self.number(DONE).load(Ordering::SeqCst);
        self.counted().saturating_sub(done)
    }

    /// False: everything is done already.
    pub(super) fn task_done(&self) -> bool {
        let next = |done: u64| (done < self.counted()).then(|| done + 1);
        let (set, got) = (Ordering::SeqCst, Ordering::SeqCst);
        step();
        let is_counted = self.number(DONE).fetch_update(set, got, next).is_ok();
        step();
        is_counted
    }

    pub(super) fn shutdown(&self, discard: bool) {
        // With both locks nobody is in the middle of a put or a get.
        let _putting = self.hold(PUT_LOCK, None);
        let _getting = self.hold(GET_LOCK, None);
        let how = DRAINING + u32::from(discard);
        step();
        self.memory.word(SHUT).fetch_max(how, Ordering::SeqCst);
        step();
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.shut() != OPEN
    }

    fn changes(&self, side: Side) -> &AtomicU32 {
        self.memory.word(SIDES + side as usize * SIDE)
    }

    fn sleepers(&self, side: Side) -> &AtomicU32 {
        self.memory.word(SIDES + side as usize * SIDE + 64)
    }

    /// Sleeps until there is something to look at, or for a while, if `is_so` still. False:
    /// `deadline` has passed.
    pub(super) fn sleep(
        &self,
        side: Side,
        deadline: Option<Instant>,
        is_so: impl Fn() -> bool,
    ) -> bool {
        let is_other = || {
            // Each look takes the line away from who is about to change it, and many items in one
            // look are had for the price of one.
            for _ in 0..PAUSE {
                std::hint::spin_loop();
            }
            (!is_so()).then_some(())
        };
        if self.spins[side as usize].look(is_other).is_some() {
            // However often somebody says that there is something, and there is not.
            return deadline.is_none_or(|deadline| Instant::now() < deadline);
        }
        let changes = self.changes(side);
        let seen = changes.load(Ordering::SeqCst);
        let sleepers = self.sleepers(side);
        sleepers.fetch_add(1, Ordering::SeqCst);
        step();
        let in_time = match is_so() {
            true => wait(changes, seen, deadline),
            false => deadline.is_none_or(|deadline| Instant::now() < deadline),
        };
        step();
        sleepers.fetch_sub(1, Ordering::SeqCst);
        in_time
    }

    /// There is something to look at for one of that side, or for all.
    pub(super) fn notify(&self, side: Side, all: bool) {
        for (side, count) in [(side, if all { ALL } else { 1 }), (Side::Any, ALL)] {
            if self.sleepers(side).load(Ordering::SeqCst) != 0 {
                step();
                self.changes(side).fetch_add(1, Ordering::SeqCst);
                step();
                wake(self.changes(side), count);
                step();
            }
        }
    }

    /// From now on [`notify`](Self::notify) changes what this returns; until
    /// [`ignore`](Self::ignore).
    pub(super) fn heed(&self) -> u32 {
        self.sleepers(Side::Any).fetch_add(1, Ordering::SeqCst);
        self.changes(Side::Any).load(Ordering::SeqCst)
    }

    pub(super) fn ignore(&self) {
        self.sleepers(Side::Any).fetch_sub(1, Ordering::SeqCst);
    }

    /// Sleeps for a while, or until there is something new since `seen`; returns what is to be seen
    /// now.
    pub(super) fn await_change(&self, seen: u32) -> u32 {
        wait(self.changes(Side::Any), seen, None);
        self.changes(Side::Any).load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever another process has written there: answers, and no panic.
        #[test]
        fn scribbled_numbers_are_answered(
            ends in any::<[u64; 3]>(),
            seen in any::<[u64; 2]>(),
            near in 0..20_u64,
            is_near in any::<bool>(),
            shut in any::<u32>(),
            length in any::<u64>(),
        ) {
            let ring = Ring::new(4, 16).expect("memory");
            let [tail, head, done] = ends;
            ring.number(HEAD).store(head, Ordering::SeqCst);
            let tail = if is_near { head.wrapping_add(near) } else { tail };
            ring.number(TAIL).store(tail, Ordering::SeqCst);
            ring.number(HEAD_SEEN).store(seen[0], Ordering::SeqCst);
            ring.number(TAIL_SEEN).store(seen[1], Ordering::SeqCst);
            ring.number(DONE).store(done, Ordering::SeqCst);
            ring.memory.word(SHUT).store(shut % 4, Ordering::SeqCst);
            for place in 0..4 {
                ring.number(ring.place(place)).store(length, Ordering::SeqCst);
            }
            prop_assert!(ring.len() <= 4);
            let mut bytes = Vec::new();
            for _ in 0..10 {
                let _ = ring.try_put(&[1; 16], None);
                let _ = ring.try_get(&mut bytes, None);
                prop_assert!(bytes.len() <= 16);
                let _ = ring.task_done();
                let _ = (ring.unfinished(), ring.is_full(), ring.is_empty());
            }
            ring.shutdown(true);
            let left = ring.len();
            prop_assert_eq!(left, 0);
            prop_assert!(!matches!(ring.try_get(&mut bytes, None), Got::Item));
        }
    }

    #[test]
    fn a_geometry_that_does_not_fit_is_refused() {
        let memory = || Memory::new(PLACES + 64).expect("memory");
        assert!(Ring::of(memory(), 4, 16).is_some());
        for (capacity, place) in [
            (5, 16),
            (0, 16),
            (4, 8),
            (4, 17),
            (usize::MAX, usize::MAX),
            (1 << 61, 8),
        ] {
            assert!(
                Ring::of(memory(), capacity, place).is_none(),
                "{capacity} {place}"
            );
        }
    }
}
