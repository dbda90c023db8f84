//! What a worker is given at its start, and what goes through its socket.

use serde::{Deserialize, Serialize};

use super::board::Board;
use super::capture::Ends;
use super::slab::Slab;
use crate::shared::Memory;
use crate::wire::codec::{self, Carried};
use crate::wire::image::Code;

/// What a worker is given.
#[derive(Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) board: Board,
    /// One word, at which whoever waits for an outcome sleeps.
    pub(super) bell: Memory,
    /// What the pool's own thread is woken by.
    pub(super) service: Carried,
    pub(super) socket: Carried,
    /// What wakes a worker that has coroutines.
    pub(super) doorbell: Option<Carried>,
    /// What takes the place of stderr while a task is captured.
    pub(super) capture: Ends,
    pub(super) initializer: Option<Code>,
    pub(super) number: u64,
    /// Bytes of memory from which on it wants to be replaced.
    pub(super) heavy: Option<u64>,
    pub(super) state: Option<StateOf>,
}

/// How a worker makes the state that it has for itself.
#[derive(Serialize, Deserialize)]
pub(super) struct StateOf {
    pub(super) code: Code,
    #[serde(with = "codec::raw")]
    pub(super) argument: Vec<u8>,
    pub(super) descriptors: Vec<Carried>,
}

/// What goes through the socket, each in time for the request or the reply that needs it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Parcel {
    /// Memory for large payloads.
    Slab(Slab),
    /// The next function, to be called by its number from now on.
    Function(Code, Kind),
    /// A payload, with its descriptors.
    Payload {
        number: u64,
        #[serde(with = "codec::raw")]
        bytes: Vec<u8>,
    },
}

/// What a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Call,
    #[cfg(feature = "async")]
    Coroutine,
}
