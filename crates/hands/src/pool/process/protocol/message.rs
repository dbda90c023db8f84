//! What a worker is given at its start, and what goes through its socket.

use serde::{Deserialize, Serialize};

use super::capture::Ends;
use crate::pool::process::protocol::control_block::ControlBlock;
use crate::pool::process::protocol::slab::Slab;
use crate::shared::Memory;
use crate::wire::codec::{self, Carried};
use crate::wire::image::Code;

/// What a worker is given.
#[derive(Serialize, Deserialize)]
pub(in crate::pool::process) struct WorkerStart {
    pub(in crate::pool::process) control: ControlBlock,
    /// One word, at which a waiter for an outcome sleeps.
    pub(in crate::pool::process) notifier: Memory,
    /// What the pool's own thread is woken by.
    pub(in crate::pool::process) service: Carried,
    pub(in crate::pool::process) socket: Carried,
    /// What wakes a worker that has coroutines.
    pub(in crate::pool::process) doorbell: Option<Carried>,
    /// What takes the place of stderr while a task is captured.
    pub(in crate::pool::process) capture: Ends,
    pub(in crate::pool::process) initializer: Option<Code>,
    pub(in crate::pool::process) number: u64,
    /// Bytes of memory from which on it wants to be replaced.
    pub(in crate::pool::process) heavy: Option<u64>,
    pub(in crate::pool::process) state: Option<StateOf>,
}

/// How a worker makes the state that it has for itself.
#[derive(Serialize, Deserialize)]
pub(in crate::pool::process) struct StateOf {
    pub(in crate::pool::process) code: Code,
    #[serde(with = "codec::raw")]
    pub(in crate::pool::process) argument: Vec<u8>,
    pub(in crate::pool::process) descriptors: Vec<Carried>,
}

/// What goes through the socket, each in time for the request or the reply that needs it.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::pool::process) enum SocketMessage {
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
pub(in crate::pool::process) enum Kind {
    Call,
    #[cfg(feature = "async")]
    Coroutine,
}
