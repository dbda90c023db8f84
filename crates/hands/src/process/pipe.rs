//! [`pipe`]: two ends between which values go both ways.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::reactor::Ready;
use crate::machine::Spin;
use crate::task::Data;
use crate::wire::codec::{self, Carried, Failure, Message};
use crate::wire::message as wire;

/// Two ends, each of which sends what the other receives. Either may be sent to another process, as
/// an argument, as a result or through another pipe.
///
/// ```
/// # hands::entry!();
/// use hands::process::{self, Pipe, pipe};
///
/// fn double(end: Pipe<u64, u64>) {
///     while let Ok(n) = end.recv() {
///         end.send(2 * n).expect("somebody listens");
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let _hands = hands::init();
/// let (ours, its) = pipe::<u64, u64>()?;
/// let process = process::spawn(double, its)?;
/// ours.send(21)?;
/// assert_eq!(ours.recv()?, 42);
/// drop(ours); // the other end is told
/// process.join()?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When no further descriptors can be had.
pub fn pipe<A: Data, B: Data>() -> io::Result<(Pipe<A, B>, Pipe<B, A>)> {
    let (one, other) = wire::pair()?;
    Ok((Pipe::of(one.into()), Pipe::of(other.into())))
}

/// One end of a [`pipe`], which sends `S` and receives `R`.
///
/// Both directions are apart: a thread that waits in [`recv`](Self::recv) keeps nobody from
/// sending. Values arrive whole and in order, no matter who sends them; several receivers of one
/// end get one value each. What is large does not wait in the kernel's buffer but in memory of its
/// own, so two sides that send each other something large at the same time do not wait for each
/// other; some hundreds of small values that nobody receives fill the buffer, and then
/// [`send`](Self::send) waits, and [`try_send`](Self::try_send) does not.
///
/// # When the other side is gone
///
/// What has been sent before is still received; then it is [`Closed`](PipeError::Closed), also when
/// the other side was killed. An end that has been sent to a process is in both until this one
/// drops its own; after [`spawn`](super::spawn) it has.
pub struct Pipe<S, R> {
    socket: Carried,
    /// How long it has been worth looking for what comes.
    spin: Spin,
    values: PhantomData<fn(S) -> R>,
}

/// Why a value was not sent or received.
#[non_exhaustive]
pub enum PipeError {
    /// The other end is gone, in every process that had it.
    Closed,
    /// Nothing came in time, or there was no room; a `try_` form waits for nothing.
    TimedOut,
    /// The value cannot be sent.
    Encode {
        /// Why.
        what: String,
    },
    /// What came cannot be read.
    Decode {
        /// Why.
        what: String,
    },
    /// The system refused something.
    System(io::Error),
}

impl fmt::Display for PipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PipeError::Closed => f.write_str("the other end of the pipe is gone"),
            PipeError::TimedOut => f.write_str("the other end of the pipe did nothing in time"),
            PipeError::Encode { what } => write!(f, "the value cannot be sent: {what}"),
            PipeError::Decode { what } => write!(f, "what was received cannot be read: {what}"),
            PipeError::System(error) => write!(f, "the pipe failed: {error}"),
        }
    }
}

impl std::error::Error for PipeError {}

impl From<Failure> for PipeError {
    fn from(failure: Failure) -> PipeError {
        match failure {
            Failure::Encode(what) => PipeError::Encode { what },
            Failure::Decode(what) => PipeError::Decode { what },
        }
    }
}

impl From<io::Error> for PipeError {
    fn from(error: io::Error) -> PipeError {
        match error.kind() {
            io::ErrorKind::WouldBlock => PipeError::TimedOut,
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => PipeError::Closed,
            _ => PipeError::System(error),
        }
    }
}

impl<S, R> Pipe<S, R> {
    fn of(socket: Carried) -> Pipe<S, R> {
        Pipe {
            socket,
            spin: Spin::default(),
            values: PhantomData,
        }
    }
}

impl<S: Data, R: Data> Pipe<S, R> {
    /// Sends a value; waits while the buffer is full.
    ///
    /// # Errors
    ///
    /// [`PipeError`], but for [`TimedOut`](PipeError::TimedOut).
    pub fn send(&self, value: S) -> Result<(), PipeError> {
        self.send_message(&codec::encode_value(&value)?, SendFlags::empty())
    }

    /// Sends a value if there is room.
    ///
    /// # Errors
    ///
    /// [`PipeError`]; with the value, if there is no room.
    pub fn try_send(&self, value: S) -> Result<(), (PipeError, Option<S>)> {
        let message = codec::encode_value(&value).map_err(|failure| (failure.into(), None))?;
        match self.send_message(&message, SendFlags::DONTWAIT) {
            Err(PipeError::TimedOut) => Err((PipeError::TimedOut, Some(value))),
            sent => sent.map_err(|error| (error, None)),
        }
    }

    fn send_message(&self, message: &Message, flags: SendFlags) -> Result<(), PipeError> {
        Ok(wire::send_with(&self.socket, message, flags)?)
    }

    /// Receives a value; waits for it.
    ///
    /// # Errors
    ///
    /// [`PipeError`], but for [`TimedOut`](PipeError::TimedOut).
    pub fn recv(&self) -> Result<R, PipeError> {
        self.look()
            .unwrap_or_else(|| self.recv_with(RecvFlags::empty()))
    }

    /// Receives a value if one is there.
    ///
    /// # Errors
    ///
    /// [`PipeError`].
    pub fn try_recv(&self) -> Result<R, PipeError> {
        self.recv_with(RecvFlags::DONTWAIT)
    }

    /// Receives a value; waits for it, but no longer than this.
    ///
    /// # Errors
    ///
    /// [`PipeError`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<R, PipeError> {
        let deadline = Instant::now().checked_add(timeout);
        if let Some(received) = self.look() {
            return received;
        }
        loop {
            let in_time = super::await_readable(&self.socket, deadline);
            match self.try_recv() {
                // Another receiver was faster.
                Err(PipeError::TimedOut) if in_time => {}
                received => return received,
            }
        }
    }

    /// What comes before it is worth sleeping.
    fn look(&self) -> Option<Result<R, PipeError>> {
        self.spin.look(|| match self.try_recv() {
            Err(PipeError::TimedOut) => None,
            received => Some(received),
        })
    }

    fn recv_with(&self, flags: RecvFlags) -> Result<R, PipeError> {
        let Some(Message { bytes, descriptors }) = wire::receive(&self.socket, flags)? else {
            return Err(PipeError::Closed);
        };
        Ok(codec::with_descriptors(descriptors, || {
            codec::decode_value(&bytes)
        })?)
    }

    /// [`send`](Self::send) for coroutines of any runtime.
    ///
    /// # Cancel safety
    ///
    /// The value has been sent when this is done, and has not been sent when it is dropped before.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_async(&self, value: S) -> Result<(), PipeError> {
        let message = codec::encode_value(&value)?;
        loop {
            match self.send_message(&message, SendFlags::DONTWAIT) {
                Err(PipeError::TimedOut) => {}
                sent => return sent,
            }
            Ready::to_write(self.socket.as_fd())?.await?;
        }
    }

    /// [`recv`](Self::recv) for coroutines of any runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it has received nothing: no value is lost.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub async fn recv_async(&self) -> Result<R, PipeError> {
        loop {
            match self.try_recv() {
                Err(PipeError::TimedOut) => {}
                received => return received,
            }
            Ready::to_read(self.socket.as_fd())?.await?;
        }
    }
}

impl<S, R> Serialize for Pipe<S, R> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        self.socket.serialize(serializer)
    }
}

impl<'de, S, R> Deserialize<'de> for Pipe<S, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pipe<S, R>, D::Error> {
        Carried::deserialize(deserializer).map(Pipe::of)
    }
}

impl<S, R> fmt::Debug for Pipe<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pipe").field(&self.socket).finish()
    }
}

debug_is_sentence!(PipeError);
