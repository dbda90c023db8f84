//! The memory of one worker, which it has in common with the pool and with nobody else.
//!
//! ```text
//! line 0   BELL     the worker sleeps there          SLEEPS  says that it does, and for what
//! line 2   WATCHED  who wants to be woken by a reply    CORE  where a waiter for one runs, from 1
//! line 4   CLOSING  the worker is to end
//! line 6   CANCELS  how often a task was said to be no longer wanted; a thread that watches for that sleeps there
//! line 8   READY_AT when it was ready      STAGED  what of its results lies behind the end of the replies, and two sums of that
//! line 10… ends of the two rings, each on a line of its own
//! claims   two words for each task that may have been handed over: whose it is, and when it began
//! requests, replies: the rings
//! ```
//!
//! # Claims
//!
//! A task that has been handed over is *ready*. The worker makes that *taken* before it runs it,
//! the pool makes it *revoked* to have it back, each by one exchange; so a task is run or taken
//! back, and never both. When a worker dies, what it has taken is in doubt, and nothing else is. A
//! task that is taken and no longer wanted the pool makes *unwanted*.
//!
//! # What is believed
//!
//! The pool believes nothing that a worker can write there: ends of rings that make no sense, and
//! lengths beyond a ring, are [`Damaged`], which costs that worker its life, and nobody else
//! anything.
//!
//! A task that writes over memory that is not its own may hit what lies here, too. So whatever goes
//! through a ring or a lane has a sum (CRC-32), on both ways: what has been hit is damage, and
//! never another argument or result than was sent.

use serde::{Deserialize, Serialize};

use crate::primitive::{AtomicU32, AtomicU64, Ordering};
use crate::shared::Memory;

const LINE: usize = 64;
const BELL: usize = 0;
const SLEEPS: usize = 4;
const WATCHED: usize = 2 * LINE;
const CORE: usize = WATCHED + 4;
const CLOSING: usize = 4 * LINE;
const CANCELS: usize = 6 * LINE;
const READY_AT: usize = 8 * LINE;
const STAGED: usize = READY_AT + 8;
/// Of what is laid ready, by turns: the new one is there before [`STAGED`] says so, and the old one
/// until then.
const SUMS: [usize; 2] = [READY_AT + 16, READY_AT + 24];
const ENDS: usize = 10 * LINE;
const CLAIMS: usize = 20 * LINE;
const RINGS: usize = CLAIMS + 16 * MOST as usize;

/// The number of tasks that may have been handed over to one worker.
pub(in crate::pool::process) const MOST: u64 = if cfg!(hands_loom) { 4 } else { 1024 };
/// Bytes of a ring.
const RING: usize = if cfg!(hands_loom) { 64 } else { 256 * 1024 };
/// Bytes of a payload that goes through a ring; longer ones go through the socket.
pub(in crate::pool::process) const INLINE: usize = RING / 4;
const HEADER: usize = 32;

const READY: u64 = 1;
const TAKEN: u64 = 2;
const REVOKED: u64 = 3;
const UNWANTED: u64 = 4;

/// A claim: the task's number, and what it is.
const fn word(number: u64, state: u64) -> u64 {
    number << 3 | state
}

/// What a worker sleeps for, if it does.
pub(in crate::pool::process) const FOR_WORK: u32 = 1;
pub(in crate::pool::process) const FOR_ROOM: u32 = 2;

/// The other side has written what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool::process) struct Damaged;

/// What precedes a payload in a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pool::process) struct Header {
    /// Bytes of the payload.
    pub(in crate::pool::process) length: u32,
    /// In a request, the function's number. In a reply, [`LAST`] or 0.
    pub(in crate::pool::process) kind: u16,
    pub(in crate::pool::process) flags: u16,
    /// The task's number with this worker.
    pub(in crate::pool::process) number: u64,
    /// How many arguments or outcomes the payload has.
    pub(in crate::pool::process) count: u64,
    /// In a reply, the nanoseconds that the task took.
    pub(in crate::pool::process) time: u64,
}

/// A reply after which no other comes for this task.
pub(in crate::pool::process) const LAST: u16 = 1;
/// A reply that the worker is of no use, with the reason.
pub(in crate::pool::process) const BAD_START: u16 = 2;
/// The payload, or descriptors that belong to it, came by the socket.
pub(in crate::pool::process) const BY_SOCKET: u16 = 1;

/// The payload is in the slab; in its place is how long it is.
pub(in crate::pool::process) const IN_SLAB: u16 = 8;
/// The payload of a request begins with the context of the task.
pub(in crate::pool::process) const WITH_CONTEXT: u16 = 4;

/// The sum of several pieces as if they were one.
pub(in crate::pool::process) fn sum(pieces: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    pieces.iter().for_each(|piece| hasher.update(piece));
    hasher.finalize()
}

/// Where a header has the sum of itself, without that, and of its payload.
const SUM: std::ops::Range<usize> = 20..24;

impl Header {
    fn bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&self.length.to_ne_bytes());
        bytes[4..6].copy_from_slice(&self.kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&self.flags.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_ne_bytes());
        // No message has 4 GiB, and each argument and outcome has a byte.
        bytes[16..20].copy_from_slice(&(self.count as u32).to_ne_bytes());
        bytes[24..].copy_from_slice(&self.time.to_ne_bytes());
        bytes
    }

    fn of(bytes: &[u8; HEADER]) -> Header {
        let long = |at: usize| {
            let mut long = [0; 8];
            long.copy_from_slice(&bytes[at..at + 8]);
            u64::from_ne_bytes(long)
        };
        Header {
            length: u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            kind: u16::from_ne_bytes([bytes[4], bytes[5]]),
            flags: u16::from_ne_bytes([bytes[6], bytes[7]]),
            number: long(8),
            count: long(16) & 0xffff_ffff,
            time: long(24),
        }
    }
}

/// The memory of a worker. A clone is the same memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::pool::process) struct ControlBlock(Memory);

impl ControlBlock {
    pub(in crate::pool::process) fn new() -> std::io::Result<ControlBlock> {
        Memory::new(RINGS + 2 * RING).map(ControlBlock)
    }

    pub(in crate::pool::process) fn is_whole(&self) -> bool {
        self.0.len() >= RINGS + 2 * RING
    }

    pub(in crate::pool::process) fn notifier(&self) -> &AtomicU32 {
        self.0.word(BELL)
    }

    pub(in crate::pool::process) fn sleeps(&self) -> &AtomicU32 {
        self.0.word(SLEEPS)
    }

    pub(in crate::pool::process) fn watched(&self) -> &AtomicU32 {
        self.0.word(WATCHED)
    }

    pub(in crate::pool::process) fn core(&self) -> &AtomicU32 {
        self.0.word(CORE)
    }

    pub(in crate::pool::process) fn closing(&self) -> &AtomicU32 {
        self.0.word(CLOSING)
    }

    pub(in crate::pool::process) fn cancels(&self) -> &AtomicU32 {
        self.0.word(CANCELS)
    }

    /// When the worker was ready; 0 before. Nanoseconds on the clock that all processes have, as
    /// all times here.
    pub(in crate::pool::process) fn ready_at(&self) -> &AtomicU64 {
        self.0.long(READY_AT)
    }

    fn staged(&self) -> &AtomicU64 {
        self.0.long(STAGED)
    }

    fn claim(&self, number: u64) -> &AtomicU64 {
        // Less than `MOST`.
        self.0.long(CLAIMS + 16 * (number % MOST) as usize)
    }

    /// When a task that is taken began.
    pub(in crate::pool::process) fn began_at(&self, number: u64) -> &AtomicU64 {
        self.0.long(CLAIMS + 16 * (number % MOST) as usize + 8)
    }

    /// By the pool, before the request is there.
    pub(in crate::pool::process) fn offer(&self, number: u64) {
        self.claim(number)
            .store(word(number, READY), Ordering::Release);
    }

    fn exchange(&self, number: u64, from: u64, to: u64) -> bool {
        let (from, to) = (word(number, from), word(number, to));
        let (had, not) = (Ordering::SeqCst, Ordering::SeqCst);
        let claim = self.claim(number);
        claim.compare_exchange(from, to, had, not).is_ok()
    }

    /// By the worker: whether it is to run it, as from `now`.
    pub(in crate::pool::process) fn take(&self, number: u64, now: u64) -> bool {
        self.staged().store(0, Ordering::Relaxed);
        self.began_at(number).store(now, Ordering::Relaxed);
        self.exchange(number, READY, TAKEN)
    }

    /// By the pool: whether it has it back.
    pub(in crate::pool::process) fn revoke(&self, number: u64) -> bool {
        self.exchange(number, READY, REVOKED)
    }

    /// By the pool: the worker is to end with it, if it has begun.
    pub(in crate::pool::process) fn request_cancel(&self, number: u64) {
        self.exchange(number, TAKEN, UNWANTED);
        self.cancels().fetch_add(1, Ordering::SeqCst);
    }

    pub(in crate::pool::process) fn is_taken(&self, number: u64) -> bool {
        let claim = self.claim(number).load(Ordering::SeqCst);
        claim == word(number, TAKEN) || claim == word(number, UNWANTED)
    }

    /// By the pool: nobody has done anything with it since it was offered.
    pub(in crate::pool::process) fn is_offered(&self, number: u64) -> bool {
        self.claim(number).load(Ordering::SeqCst) == word(number, READY)
    }

    /// By the pool: what stands there is what one of the two may have written. If not, nothing is
    /// known of how far it has come.
    pub(in crate::pool::process) fn is_sound(&self, number: u64) -> bool {
        let claim = self.claim(number).load(Ordering::SeqCst);
        [READY, TAKEN, UNWANTED]
            .iter()
            .any(|state| claim == word(number, *state))
    }

    pub(in crate::pool::process) fn is_unwanted(&self, number: u64) -> bool {
        self.claim(number).load(Ordering::SeqCst) == word(number, UNWANTED)
    }

    pub(in crate::pool::process) fn requests(&self) -> MessageRing {
        MessageRing::new(self.clone(), 0)
    }

    pub(in crate::pool::process) fn replies(&self) -> MessageRing {
        MessageRing::new(self.clone(), 1)
    }
}

/// The sum of what is laid ready, behind one of the word that says so.
fn staged_sum(staged: u64, of_payload: u32) -> u64 {
    let of_word = sum(&[&staged.to_ne_bytes(), &of_payload.to_ne_bytes()]);
    u64::from(of_word) << 32 | u64::from(of_payload)
}

/// One end of a ring; which one is known by what is called. Its own position is its own, and is
/// never read back.
pub(in crate::pool::process) struct MessageRing {
    control: ControlBlock,
    tail_at: usize,
    head_at: usize,
    data: usize,
    /// Of the own end.
    at: u64,
    /// Of the other, when it was last looked at.
    seen: u64,
    /// The sum of what is laid ready.
    staged: crc32fast::Hasher,
}

const fn padded(length: usize) -> usize {
    length.next_multiple_of(8)
}

impl MessageRing {
    fn new(control: ControlBlock, which: usize) -> MessageRing {
        MessageRing {
            tail_at: ENDS + 4 * which * LINE,
            head_at: ENDS + (4 * which + 2) * LINE,
            data: RINGS + which * RING,
            control,
            at: 0,
            seen: 0,
            staged: crc32fast::Hasher::new(),
        }
    }

    fn memory(&self) -> &Memory {
        &self.control.0
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        // Less than `RING`.
        let from = (at % RING as u64) as usize;
        let first = bytes.len().min(RING - from);
        self.memory().write_whole(self.data + from, &bytes[..first]);
        self.memory().write_whole(self.data, &bytes[first..]);
    }

    /// As [`write`](Self::write), where the bytes before and behind them are to stay.
    fn write_between(&self, at: u64, bytes: &[u8]) {
        // Less than `RING`.
        let from = (at % RING as u64) as usize;
        let first = bytes.len().min(RING - from);
        self.memory().write(self.data + from, &bytes[..first]);
        self.memory().write(self.data, &bytes[first..]);
    }

    fn read(&self, at: u64, bytes: &mut [u8]) {
        let from = (at % RING as u64) as usize;
        let first = bytes.len().min(RING - from);
        self.memory().read(self.data + from, &mut bytes[..first]);
        self.memory().read(self.data, &mut bytes[first..]);
    }

    /// For the writer: whether `length` bytes have room after the end.
    fn has_room(&mut self, bytes: usize) -> Result<bool, Damaged> {
        let used = |at: u64, seen: u64| at.wrapping_sub(seen);
        if used(self.at, self.seen) + bytes as u64 <= RING as u64 {
            return Ok(true);
        }
        // Sequentially consistent, as what `get` stores: who finds no room goes to sleep.
        let head = self.memory().long(self.head_at).load(Ordering::SeqCst);
        let moved = head.wrapping_sub(self.seen);
        if moved > used(self.at, self.seen) {
            return Err(Damaged);
        }
        self.seen = head;
        Ok(used(self.at, self.seen) + bytes as u64 <= RING as u64)
    }

    /// The own end, as far as it fits beside what is laid ready there.
    fn place(&self) -> u64 {
        (self.at / 8) & 0xff_ffff
    }

    /// Whether a message with so long a payload has room.
    pub(in crate::pool::process) fn fits(&mut self, payload: usize) -> Result<bool, Damaged> {
        self.has_room(HEADER + padded(payload))
    }

    /// Puts a message, if there is room.
    pub(in crate::pool::process) fn put(
        &mut self,
        mut header: Header,
        payload: &[u8],
    ) -> Result<bool, Damaged> {
        if !self.has_room(HEADER + padded(payload.len()))? {
            return Ok(false);
        }
        self.write(self.at + HEADER as u64, payload);
        header.length = payload.len() as u32;
        let mut bytes = header.bytes();
        let sum = sum(&[&bytes, payload]);
        bytes[SUM].copy_from_slice(&sum.to_ne_bytes());
        self.publish(header, &bytes);
        Ok(true)
    }

    fn publish(&mut self, header: Header, bytes: &[u8; HEADER]) {
        self.write(self.at, bytes);
        self.at += (HEADER + padded(header.length as usize)) as u64;
        // A thread that sees it sees the message. Sequentially consistent, as the other side may be
        // about to sleep.
        let tail = self.memory().long(self.tail_at);
        tail.store(self.at, Ordering::SeqCst);
    }

    /// Lays bytes ready behind the end, where the payload of the next message will be, `before` of
    /// which are there already; and says that it has `count` outcomes. False: there is no room.
    pub(in crate::pool::process) fn stage(
        &mut self,
        before: usize,
        bytes: &[u8],
        count: u64,
    ) -> bool {
        let length = before + bytes.len();
        if !matches!(self.has_room(HEADER + padded(length)), Ok(true)) {
            return false;
        }
        self.write_between(self.at + (HEADER + before) as u64, bytes);
        if before == 0 {
            self.staged.reset();
        }
        self.staged.update(bytes);
        // Where it lies, too: what was laid ready for a message that has been put since does not
        // count.
        let staged = self.place() << 40 | count << 20 | length as u64;
        let sum = staged_sum(staged, self.staged.clone().finalize());
        let place = self.control.0.long(SUMS[(count & 1) as usize]);
        place.store(sum, Ordering::Relaxed);
        self.control.staged().store(staged, Ordering::Release);
        true
    }

    /// For the one who gets, when the other has died: what it had laid ready, and how many outcomes
    /// that is.
    pub(in crate::pool::process) fn left(&mut self, payload: &mut Vec<u8>) -> Result<u64, Damaged> {
        payload.clear();
        let staged = self.control.staged().load(Ordering::Acquire);
        if staged == 0 {
            return Ok(0);
        }
        let (place, count) = (staged >> 40, staged >> 20 & 0xf_ffff);
        let length = (staged & 0xf_ffff) as usize;
        let said = self.control.0.long(SUMS[(count & 1) as usize]);
        let said = said.load(Ordering::Relaxed);
        let of_payload = said as u32;
        if said != staged_sum(staged, of_payload) || length > RING - HEADER {
            return Err(Damaged);
        }
        if place != self.place() {
            return Ok(0);
        }
        payload.resize(length, 0);
        self.read(self.at + HEADER as u64, payload);
        match sum(&[payload]) == of_payload {
            true => Ok(count),
            false => Err(Damaged),
        }
    }

    /// For the one who gets.
    pub(in crate::pool::process) fn is_empty(&self) -> bool {
        self.memory().long(self.tail_at).load(Ordering::SeqCst) == self.at
    }

    /// Gets the next message, if there is one.
    pub(in crate::pool::process) fn get(
        &mut self,
        payload: &mut Vec<u8>,
    ) -> Result<Option<Header>, Damaged> {
        if self.at == self.seen {
            let tail = self.memory().long(self.tail_at).load(Ordering::SeqCst);
            let there = tail.wrapping_sub(self.at);
            if there == 0 {
                return Ok(None);
            }
            if there > RING as u64 || !there.is_multiple_of(8) {
                return Err(Damaged);
            }
            self.seen = tail;
        }
        let there = self.seen.wrapping_sub(self.at) as usize;
        if there < HEADER {
            return Err(Damaged);
        }
        let mut bytes = [0; HEADER];
        self.read(self.at, &mut bytes);
        let header = Header::of(&bytes);
        let length = header.length as usize;
        if HEADER + padded(length) > there {
            return Err(Damaged);
        }
        payload.resize(length, 0);
        self.read(self.at + HEADER as u64, payload);
        let mut said = [0; 4];
        said.copy_from_slice(&bytes[SUM]);
        bytes[SUM].fill(0);
        if u32::from_ne_bytes(said) != sum(&[&bytes, payload]) {
            return Err(Damaged);
        }
        self.at += (HEADER + padded(length)) as u64;
        let head = self.memory().long(self.head_at);
        // Sequentially consistent, as the other side may be about to sleep until there is room.
        head.store(self.at, Ordering::SeqCst);
        Ok(Some(header))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(number: u64) -> Header {
        Header {
            number,
            kind: 3,
            flags: 1,
            count: 9,
            time: 77,
            length: 0,
        }
    }

    #[test]
    fn messages_arrive_whole_and_in_order_round_and_round() -> Result<(), Damaged> {
        let Ok(control) = ControlBlock::new() else {
            panic!("memory");
        };
        let (mut put, mut get) = (control.requests(), control.requests());
        let (mut sent, mut got, mut payload) = (0, 0, Vec::new());
        while got < 5000 {
            let bytes = vec![sent as u8; (sent as usize * 37) % 3000];
            if sent < 5000 && put.put(header(sent), &bytes)? {
                sent += 1;
                continue;
            }
            let Some(header) = get.get(&mut payload)? else {
                panic!("{sent} were put and {got} got");
            };
            assert_eq!((header.number, header.time), (got, 77));
            assert_eq!(payload, vec![got as u8; (got as usize * 37) % 3000]);
            got += 1;
        }
        assert!(get.is_empty());
        Ok(())
    }

    #[test]
    fn what_was_laid_ready_can_be_had_without_the_message() -> Result<(), Damaged> {
        let Ok(control) = ControlBlock::new() else {
            panic!("memory");
        };
        let (mut put, mut get) = (control.replies(), control.replies());
        let mut payload = Vec::new();
        assert!(put.stage(0, b"one", 1) && put.stage(3, b"two", 2));
        assert!(get.is_empty());
        assert_eq!(
            (get.left(&mut payload), payload.as_slice()),
            (Ok(2), &b"onetwo"[..])
        );
        put.put(header(1), b"onetwo")?;
        let got = get.get(&mut payload)?;
        assert!(got.is_some_and(|header| header.number == 1) && payload == b"onetwo");
        assert_eq!(get.left(&mut payload), Ok(0));
        Ok(())
    }

    #[test]
    fn a_task_is_run_or_taken_back() {
        let Ok(control) = ControlBlock::new() else {
            panic!("memory");
        };
        for number in [1, 5, MOST + 5] {
            control.offer(number);
            assert!(control.take(number, 7) && !control.revoke(number) && control.is_taken(number));
            assert_eq!(control.began_at(number).load(Ordering::Relaxed), 7);
            assert!(!control.is_unwanted(number));
            control.request_cancel(number);
            assert!(control.is_unwanted(number) && control.is_taken(number));
            control.offer(number);
            control.request_cancel(number);
            assert!(!control.is_unwanted(number), "it has not begun");
            assert!(
                control.revoke(number) && !control.take(number, 8) && !control.is_taken(number)
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_overwritten_no_other_message_comes_of_it(
            words in proptest::collection::vec((0..100_usize, 1..u64::MAX), 1..4),
            lengths in proptest::collection::vec(0..200_usize, 1..4),
            is_staged in any::<bool>(),
        ) {
            let control = ControlBlock::new()?;
            let (mut put, mut get) = (control.replies(), control.replies());
            let message = |n: usize| vec![n as u8 + 1; lengths[n]];
            for n in 0..lengths.len() {
                prop_assert_eq!(put.put(header(n as u64), &message(n)), Ok(true));
            }
            prop_assert!(!is_staged || put.stage(0, b"laid ready", 1));
            for (at, bits) in &words {
                let place = control.0.long(if *at < 4 { READY_AT + 8 * at } else { RINGS + RING + 8 * (at - 4) });
                place.fetch_xor(*bits, Ordering::Relaxed);
            }
            let mut payload = Vec::new();
            for (n, length) in lengths.iter().enumerate() {
                match get.get(&mut payload) {
                    Ok(Some(got)) => {
                        let sent = Header { length: *length as u32, ..header(n as u64) };
                        prop_assert_eq!((got, &payload), (sent, &message(n)));
                    }
                    Ok(None) => prop_assert!(false, "it is there"),
                    Err(Damaged) => return Ok(()),
                }
            }
            match get.left(&mut payload) {
                Ok(0) => prop_assert!(!is_staged),
                Ok(count) => prop_assert_eq!((count, &payload[..]), (1, &b"laid ready"[..])),
                Err(Damaged) => {}
            }
        }

        #[test]
        fn whatever_is_written_there_is_a_message_or_damage(
            ends in any::<[u64; 2]>(),
            near in 0..600_000_u64,
            is_near in any::<bool>(),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            staged in any::<u64>(),
        ) {
            let control = ControlBlock::new()?;
            let (mut get, mut put) = (control.replies(), control.requests());
            control.0.write(RINGS + RING, &bytes);
            let tail = if is_near { near } else { ends[0] };
            control.0.long(get.tail_at).store(tail, Ordering::SeqCst);
            control.0.long(put.head_at).store(ends[1], Ordering::SeqCst);
            control.staged().store(staged, Ordering::SeqCst);
            let mut payload = Vec::new();
            for _ in 0..10 {
                if get.get(&mut payload).is_err() {
                    break;
                }
                prop_assert!(payload.len() <= RING);
            }
            let _ = get.left(&mut payload);
            prop_assert!(payload.len() <= RING);
            for number in 0..20 {
                if put.put(header(number), &[7; 40_000]).is_err() {
                    break;
                }
            }
        }
    }
}
