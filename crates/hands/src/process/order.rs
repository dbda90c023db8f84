//! What the processes of one program say to each other.

use std::io;
use std::os::fd::OwnedFd;

use crate::wire::answer::Answer;
use crate::wire::message as wire;
use rustix::net::RecvFlags;
use serde::{Deserialize, Serialize};

use crate::wire::codec::{self, Message};
use crate::wire::image::{self, Code};

/// Raised when the messages change. Both sides are of one build; this tells a mistake of ours from
/// one of the user's.
const VERSION: u32 = 1;

/// The first word of a copy of the program.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    version: u32,
    image: Vec<u8>,
}

impl Hello {
    pub(crate) fn new() -> Hello {
        Hello {
            version: VERSION,
            image: image::id().to_vec(),
        }
    }
}

/// Said to a zygote in answer to its hello.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// Run once, before anything is forked.
    pub(crate) preload: Option<Code>,
}

/// Its answer to that: what went wrong.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Loaded(pub(crate) Option<String>);

/// What a zygote is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// A process. Beside it travel, in this order: where to answer; stdin, stdout and stderr; the
    /// directory to be in, if one is given; what belongs to the argument.
    Make(SpawnOrder),
    /// A signal to one of its processes, or to that one's whole group. There is no reply.
    Signal { pid: i32, signal: i32, group: bool },
}

/// A process to be made.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SpawnOrder {
    /// Start the program afresh instead of forking.
    pub(crate) afresh: bool,
    pub(crate) name: Option<String>,
    /// The program's process group, for one that is to stay in it.
    pub(crate) group: Option<i32>,
    pub(crate) has_directory: bool,
    /// Set, or taken away.
    pub(crate) environment: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Bytes of address space.
    pub(crate) memory_limit: Option<u64>,
    /// Seconds of CPU time.
    pub(crate) cpu_limit: Option<u64>,
    pub(crate) nice: i32,
    pub(crate) code: Option<Code>,
    #[serde(with = "codec::raw")]
    pub(crate) argument: Vec<u8>,
}

/// What the zygote replies.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Made {
    Process { pid: i32 },
    Refused { errno: i32 },
}

/// What is said where a process answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    /// By the process: how its function ended. Beside it travel the descriptors of the result.
    Answer(Answer),
    /// By the zygote, last: it has been reaped. The status is as `wait` gives it; times are in
    /// nanoseconds.
    Ended {
        status: i32,
        cpu_user: u64,
        cpu_system: u64,
        max_rss: u64,
    },
}

impl Told {
    pub(crate) fn message(&self) -> Message {
        // Strings and numbers can always be written down.
        codec::encode(self).unwrap_or_default()
    }
}

/// The next message, with its descriptors. `None`: the other end is closed.
pub(super) fn next<T: serde::de::DeserializeOwned>(
    socket: &OwnedFd,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let Some(message) = wire::receive(socket, RecvFlags::empty())? else {
        return Ok(None);
    };
    let read = codec::decode(&message.bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some((read, message.descriptors)))
}
