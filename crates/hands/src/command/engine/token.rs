//! What epoll gives back with an event: which child, and which of its descriptors.

use rustix::event::epoll;

use super::Key;

/// Which descriptor of a child.
#[derive(Clone, Copy)]
pub(super) enum TokenPart {
    Pidfd = 0,
    Stdout = 1,
    Stderr = 2,
    Stdin = 3,
}

/// Layout: generation in the upper 32 bits, then 30 bits of index, then the part.
pub(super) fn token(key: Key, part: TokenPart) -> epoll::EventData {
    let index = key.index.min(0x3fff_ffff);
    epoll::EventData::new_u64(u64::from(key.generation) << 32 | u64::from(index) << 2 | part as u64)
}

pub(super) fn from_token(token: u64) -> (Key, TokenPart) {
    let index = (token >> 2) as u32 & 0x3fff_ffff;
    let index = if index == 0x3fff_ffff {
        u32::MAX
    } else {
        index
    };
    let part = match token & 3 {
        0 => TokenPart::Pidfd,
        1 => TokenPart::Stdout,
        2 => TokenPart::Stderr,
        _ => TokenPart::Stdin,
    };
    (
        Key {
            index,
            generation: (token >> 32) as u32,
        },
        part,
    )
}
