//! Memory for what is too large for the rings and not too large to be kept ready: one lane each
//! way, made when it is first needed.
//!
//! A message in a ring says that so many bytes come next in the lane. Each side keeps its own
//! place, so nothing that the other writes there leads outside of it.

use serde::{Deserialize, Serialize};

use crate::pool::process::protocol::control_block::{Damaged, sum};
use crate::primitive::Ordering;
use crate::shared::Memory;

/// Bytes of a lane.
const LANE: usize = if cfg!(hands_loom) { 32 } else { 4 << 20 };
/// Bytes of a payload that goes through one; longer ones go through the socket.
pub(in crate::pool::process) const LARGEST: usize = LANE / 2;
const LINE: usize = 128;
const DATA: usize = 2 * LINE;

/// Both lanes. A clone is the same memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::pool::process) struct Slab(Memory);

impl Slab {
    pub(in crate::pool::process) fn new() -> std::io::Result<Slab> {
        Memory::new(DATA + 2 * LANE).map(Slab)
    }

    /// The lane of the requests, and that of the replies.
    pub(in crate::pool::process) fn lanes(&self) -> Result<(Lane, Lane), Damaged> {
        if self.0.len() < DATA + 2 * LANE {
            return Err(Damaged);
        }
        let lane = |which: usize| Lane {
            memory: self.0.clone(),
            head_at: which * LINE,
            data: DATA + which * LANE,
            at: 0,
            head: 0,
        };
        Ok((lane(0), lane(1)))
    }
}

/// The number of bytes that come next, and their sum.
#[derive(Clone, Copy)]
pub(in crate::pool::process) struct Announced {
    length: usize,
    sum: u32,
}

/// What a message says of bytes that are in a lane.
pub(in crate::pool::process) fn announce(bytes: &[u8]) -> [u8; 12] {
    let mut said = [0; 12];
    said[..8].copy_from_slice(&(bytes.len() as u64).to_ne_bytes());
    said[8..].copy_from_slice(&sum(&[bytes]).to_ne_bytes());
    said
}

/// One end of a lane; which one is known by what is called.
pub(in crate::pool::process) struct Lane {
    memory: Memory,
    head_at: usize,
    data: usize,
    /// Where the own end is.
    at: u64,
    /// Where the reader was, when it was last looked at.
    head: u64,
}

impl Lane {
    /// Where a place is, and how many bytes there are from there to the end.
    fn place(&self, at: u64) -> (usize, usize) {
        // Less than `LANE`.
        let from = (at % LANE as u64) as usize;
        (self.data + from, LANE - from)
    }

    /// False: there is no room.
    pub(in crate::pool::process) fn put(&mut self, bytes: &[u8]) -> Result<bool, Damaged> {
        let head = self.memory.long(self.head_at).load(Ordering::Acquire);
        if head.wrapping_sub(self.head) > self.at.wrapping_sub(self.head) {
            return Err(Damaged);
        }
        self.head = head;
        let length = bytes.len().next_multiple_of(8) as u64;
        if self.at.wrapping_sub(head) + length > LANE as u64 {
            return Ok(false);
        }
        let (from, left) = self.place(self.at);
        let (first, second) = bytes.split_at(bytes.len().min(left));
        self.memory.write_whole(from, first);
        self.memory.write_whole(self.data, second);
        self.at += length;
        Ok(true)
    }

    /// How many bytes a message announces.
    pub(in crate::pool::process) fn announced(message: &[u8]) -> Result<Announced, Damaged> {
        let (length, sum) = message.split_first_chunk().ok_or(Damaged)?;
        let length = usize::try_from(u64::from_ne_bytes(*length)).map_err(|_| Damaged)?;
        let sum = sum.try_into().map_err(|_| Damaged)?;
        match length {
            0..=LARGEST => Ok(Announced {
                length,
                sum: u32::from_ne_bytes(sum),
            }),
            _ => Err(Damaged),
        }
    }

    /// Takes them.
    pub(in crate::pool::process) fn get(
        &mut self,
        announced: Announced,
        into: &mut Vec<u8>,
    ) -> Result<(), Damaged> {
        let length = announced.length;
        into.resize(length, 0);
        let (from, left) = self.place(self.at);
        let (first, second) = into.split_at_mut(length.min(left));
        self.memory.read(from, first);
        self.memory.read(self.data, second);
        self.at += length.next_multiple_of(8) as u64;
        let head = self.memory.long(self.head_at);
        head.store(self.at, Ordering::Release);
        match sum(&[into]) == announced.sum {
            true => Ok(()),
            false => Err(Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn announced(bytes: &[u8]) -> Announced {
        Lane::announced(&announce(bytes)).expect("no more than fit")
    }

    fn lane() -> (Lane, Lane) {
        let slab = Slab::new().expect("memory");
        let (put, _) = slab.lanes().expect("whole");
        let (get, _) = slab.lanes().expect("whole");
        (put, get)
    }

    #[test]
    fn all_sizes_come_back_round_and_round() {
        let (mut put, mut get) = lane();
        let mut got = Vec::new();
        for n in 0..40_usize {
            let bytes: Vec<u8> = (0..n * 50_001).map(|byte| (byte + n) as u8).collect();
            assert_eq!(put.put(&bytes), Ok(true));
            assert_eq!(get.get(announced(&bytes), &mut got), Ok(()));
            assert!(got == bytes, "{n}");
        }
    }

    #[test]
    fn what_has_no_room_waits() {
        let (mut put, mut get) = lane();
        let bytes = vec![1; LARGEST];
        assert_eq!(put.put(&bytes), Ok(true));
        assert_eq!(put.put(&bytes), Ok(true));
        assert_eq!(put.put(&[1]), Ok(false));
        assert_eq!(get.get(announced(&bytes), &mut Vec::new()), Ok(()));
        assert_eq!(put.put(&[1]), Ok(true));
    }

    #[test]
    fn what_was_overwritten_is_damage() {
        let (mut put, mut get) = lane();
        assert_eq!(put.put(&[1; 1000]), Ok(true));
        put.memory.write(put.data + 500, &[2]);
        let got = get.get(announced(&[1; 1000]), &mut Vec::new());
        assert_eq!(got, Err(Damaged));
    }

    proptest! {
        #[test]
        fn whatever_is_written_there_is_bytes_or_damage(
            head in any::<u64>(),
            announced in proptest::collection::vec(any::<u8>(), 0..16),
            length in any::<u64>(),
        ) {
            let (mut put, mut get) = lane();
            put.memory.long(put.head_at).store(head, Ordering::SeqCst);
            let _ = put.put(&[7; 1000]);
            let mut got = Vec::new();
            let said = [&length.to_ne_bytes()[..], &[0; 4]].concat();
            let both = [Lane::announced(&announced), Lane::announced(&said)];
            for announced in both.into_iter().flatten() {
                let _ = get.get(announced, &mut got);
            }
            prop_assert!(got.len() <= LARGEST);
        }
    }
}
