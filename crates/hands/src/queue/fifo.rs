//! First in, first out, with a lock at each end.
//!
//! # How it works
//!
//! ```text
//! put ─► Tail { buffer, put }                    Head { buffer, got } ─► get
//!             └──── swapped, when the head's is empty ────┘
//! ```
//!
//! Producers share one lock, consumers another; they meet only when consumers have used up their
//! buffer and take over the producers' whole, so once for many items. Each end counts, and
//! publishes its count for the other: a producer that has room by the count it saw last need not
//! look at the consumers' cache line at all.
//!
//! # Protocol
//!
//! - Lock order: head before tail.
//! - `put` and `got` only grow. Each is written under its own end's lock, so that end reads it
//!   exactly; the other end reads an old value at worst. For a producer that means fewer places
//!   than there are, never more.
//! - Who awaits an item is enlisted in the tail (a thread that puts holds that lock), who awaits
//!   space in the head. Enlisting happens under *both* locks, behind an exact look at both counts.
//! - Items are dropped, and wakers woken, behind the unlock: both may run foreign code.
//!
//! # What else was tried
//!
//! A ring of slots with a sequence number each (as in crossbeam-channel) is as fast at one item a
//! slot and slower with many threads on few cores, where a thread that is suspended between
//! claiming its slot and filling it holds up all; it also needs `unsafe`. One lock for both ends
//! was 2 to 4 times slower with one producer and one consumer. Spinning before parking gained
//! nothing on two cores, and lost up to half with eight threads; for yielding see
//! [`patience`](super::patience).

use std::collections::VecDeque;
use std::mem;
use std::task::{Poll, Waker};

use super::core::{Core, Refusal, Shutdown};
use super::error::GetError;
use crate::foreign::{dispose, wake, wake_each};
use crate::primitive::{AtomicU64, Mutex, MutexGuard, Ordering, Padded};
use crate::sync::waiters::{Ticket, Waiters, join_line};

/// Room made at once; a queue of a million places need not hold them before they are used.
const FIRST_ROOM: usize = 1024;

#[derive(Debug)]
pub struct FifoCore<T> {
    capacity: u64,
    tail: Padded<TailEnd<T>>,
    head: Padded<HeadEnd<T>>,
}

#[derive(Debug)]
struct TailEnd<T> {
    /// [`Tail::put`], for the other end.
    put: AtomicU64,
    tail: Mutex<Tail<T>>,
}

#[derive(Debug)]
struct HeadEnd<T> {
    /// [`Head::got`], for the other end.
    got: AtomicU64,
    head: Mutex<Head<T>>,
}

#[derive(Debug)]
struct Tail<T> {
    buffer: VecDeque<T>,
    put: u64,
    got_seen: u64,
    shut_down: bool,
    getters: Waiters,
}

#[derive(Debug)]
struct Head<T> {
    buffer: VecDeque<T>,
    got: u64,
    putters: Waiters,
}

impl<T> FifoCore<T> {
    #[cfg(not(hands_loom))]
    pub(super) const fn unbounded() -> FifoCore<T> {
        FifoCore {
            capacity: u64::MAX,
            tail: Padded(TailEnd {
                put: AtomicU64::new(0),
                tail: Mutex::new(Tail {
                    buffer: VecDeque::new(),
                    put: 0,
                    got_seen: 0,
                    shut_down: false,
                    getters: Waiters::new(),
                }),
            }),
            head: Padded(HeadEnd {
                got: AtomicU64::new(0),
                head: Mutex::new(Head {
                    buffer: VecDeque::new(),
                    got: 0,
                    putters: Waiters::new(),
                }),
            }),
        }
    }

    fn tail(&self) -> MutexGuard<'_, Tail<T>> {
        self.tail.tail.lock()
    }

    fn head(&self) -> MutexGuard<'_, Head<T>> {
        self.head.head.lock()
    }

    /// Whether nothing is in it, at a glance: no lock is taken.
    pub(super) fn seems_empty(&self) -> bool {
        self.head.got.load(Ordering::Acquire) == self.tail.put.load(Ordering::Acquire)
    }

    /// Takes the items out that are not to be kept.
    pub(super) fn sweep(&self, mut keeps: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut swept = Vec::new();
        let mut head = self.head();
        let mut tail = self.tail();
        let Tail { buffer, .. } = &mut *tail;
        for buffer in [&mut head.buffer, buffer] {
            for item in mem::take(buffer) {
                match keeps(&item) {
                    true => buffer.push_back(item),
                    false => swept.push(item),
                }
            }
        }
        head.got += swept.len() as u64;
        self.head.got.store(head.got, Ordering::Release);
        let woken: Vec<_> = (0..swept.len())
            .map_while(|_| head.putters.first())
            .collect();
        drop(tail);
        drop(head);
        wake_each(woken);
        swept
    }

    /// Takes over what the producers have put; an error if that is nothing.
    fn refill(&self, head: &mut Head<T>) -> Result<(), GetError> {
        let mut tail = self.tail();
        if tail.buffer.is_empty() {
            return Err(if tail.shut_down {
                GetError::ShutDown
            } else {
                GetError::Empty
            });
        }
        mem::swap(&mut head.buffer, &mut tail.buffer);
        give_back(&mut tail.buffer, head.buffer.len());
        Ok(())
    }

    /// Whether there is no room by an exact count: the caller holds both locks.
    fn is_full(&self, head: &Head<T>, tail: &Tail<T>) -> bool {
        tail.put - head.got >= self.capacity
    }
}

impl<T> Core<T> for FifoCore<T> {
    fn with_capacity(capacity: Option<usize>) -> FifoCore<T> {
        let room = capacity.map_or(0, |capacity| capacity.min(FIRST_ROOM));
        FifoCore {
            capacity: capacity.map_or(u64::MAX, |capacity| capacity as u64),
            tail: Padded(TailEnd {
                put: AtomicU64::new(0),
                tail: Mutex::new(Tail {
                    buffer: VecDeque::with_capacity(room),
                    put: 0,
                    got_seen: 0,
                    shut_down: false,
                    getters: Waiters::default(),
                }),
            }),
            head: Padded(HeadEnd {
                got: AtomicU64::new(0),
                head: Mutex::new(Head {
                    buffer: VecDeque::with_capacity(room),
                    got: 0,
                    putters: Waiters::default(),
                }),
            }),
        }
    }

    fn capacity(&self) -> Option<usize> {
        (self.capacity < u64::MAX).then(|| usize::try_from(self.capacity).unwrap_or(usize::MAX))
    }

    #[inline]
    fn try_put(&self, item: T) -> Result<(), (Refusal, T)> {
        let mut tail = self.tail();
        if tail.shut_down {
            return Err((Refusal::ShutDown, item));
        }
        if tail.put - tail.got_seen >= self.capacity {
            tail.got_seen = self.head.got.load(Ordering::Acquire);
            if tail.put - tail.got_seen >= self.capacity {
                return Err((Refusal::Full, item));
            }
        }
        tail.buffer.push_back(item);
        tail.put += 1;
        self.tail.put.store(tail.put, Ordering::Release);
        let woken = tail.getters.first();
        drop(tail);
        if let Some(waker) = woken {
            wake(waker);
        }
        Ok(())
    }

    #[inline]
    fn try_get(&self) -> Result<T, GetError> {
        let mut head = self.head();
        if head.buffer.is_empty() {
            self.refill(&mut head)?;
        }
        // Made where it is returned: a large item is moved once.
        let result = head.buffer.pop_front().ok_or(GetError::Empty);
        head.got += 1;
        self.head.got.store(head.got, Ordering::Release);
        let woken = head.putters.first();
        drop(head);
        if let Some(waker) = woken {
            wake(waker);
        }
        result
    }

    fn await_space(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> bool {
        let polled = join_line(waker, |caller| {
            let mut head = self.head();
            let tail = self.tail();
            if tail.shut_down || !self.is_full(&head, &tail) {
                return Some(Poll::Ready(()));
            }
            head.putters.enlist(ticket, caller, ())
        });
        polled.is_pending()
    }

    fn await_item(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> bool {
        let polled = join_line(waker, |caller| {
            let head = self.head();
            let mut tail = self.tail();
            if tail.shut_down || !head.buffer.is_empty() || !tail.buffer.is_empty() {
                return Some(Poll::Ready(()));
            }
            tail.getters.enlist(ticket, caller, ())
        });
        polled.is_pending()
    }

    fn leave_space(&self, ticket: Ticket) {
        let mut head = self.head();
        if let Some(left) = head.putters.leave(ticket) {
            drop(head);
            return dispose(left);
        }
        let woken = {
            let tail = self.tail();
            (!self.is_full(&head, &tail)).then(|| head.putters.first())
        };
        drop(head);
        wake_each(woken.flatten());
    }

    fn leave_item(&self, ticket: Ticket) {
        let head = self.head();
        let mut tail = self.tail();
        if let Some(left) = tail.getters.leave(ticket) {
            drop((tail, head));
            return dispose(left);
        }
        let is_empty = head.buffer.is_empty() && tail.buffer.is_empty();
        let woken = if is_empty { None } else { tail.getters.first() };
        drop(tail);
        drop(head);
        if let Some(waker) = woken {
            wake(waker);
        }
    }

    fn len(&self) -> usize {
        // Nothing is got meanwhile, so that this is the length at one moment and never above the
        // capacity.
        let head = self.head();
        let put = self.tail.put.load(Ordering::Acquire);
        usize::try_from(put - head.got).unwrap_or(usize::MAX)
    }

    fn put_so_far(&self) -> u64 {
        self.tail.put.load(Ordering::Acquire)
    }

    fn shut_down(&self, how: Shutdown) -> Vec<T> {
        let mut head = self.head();
        let mut tail = self.tail();
        tail.shut_down = true;
        let mut discarded = [VecDeque::new(), VecDeque::new()];
        if how == Shutdown::Now {
            discarded = [mem::take(&mut head.buffer), mem::take(&mut tail.buffer)];
            head.got = tail.put;
            self.head.got.store(head.got, Ordering::Release);
        }
        let woken = [head.putters.all(), tail.getters.all()];
        drop(tail);
        drop(head);
        wake_each(woken.into_iter().flatten());
        discarded.into_iter().flatten().collect()
    }

    fn is_shut_down(&self) -> bool {
        self.tail().shut_down
    }
}

/// Lets memory go that a burst has left behind: half of an empty buffer that is far larger than
/// what came last.
fn give_back<T>(buffer: &mut VecDeque<T>, last: usize) {
    if buffer.capacity() > FIRST_ROOM && buffer.capacity() / 8 > last {
        buffer.shrink_to(buffer.capacity() / 2);
    }
}
