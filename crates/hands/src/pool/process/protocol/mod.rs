//! What the pool and one of its workers have in common, and how each may use it.
//!
//! | file | what it is |
//! |---|---|
//! | `control_block` | the words and rings in the memory that both have: every word with who may write it |
//! | `slab` | room for payloads that are too long for a ring |
//! | `message` | what travels through the socket beside the memory |
//! | `wake` | how each wakes the other; README.md argues that no wake-up is lost, and `model` checks it |
//! | `capture` | the pipe and the file that take the place of stderr |
//! | `core` | which core each is on, and when to move |
//! | `reserved` | the values that have a meaning of their own |
//!
//! Nothing here knows of queues, handles or functions: the pool's side is in `dispatch/`, the
//! worker's in `child/`.

pub(super) mod capture;
pub(super) mod control_block;
pub(super) mod core;
pub(super) mod message;
#[cfg(all(test, hands_loom))]
mod model;
pub(super) mod reserved;
pub(super) mod slab;
pub(super) mod wake;
