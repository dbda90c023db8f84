//! Processes that run a function of this program.
//!
//! ```
//! # hands::entry!();
//! use hands::process;
//!
//! fn sum(numbers: std::ops::Range<u64>) -> u64 {
//!     numbers.sum()
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let _hands = hands::init(); // first, so that copies of this program know what they are for
//!
//!     let halves = [process::spawn(sum, 0..500)?, process::spawn(sum, 500..1000)?];
//!     let total: u64 = halves.into_iter().map(|half| half.join()).sum::<Result<_, _>>()?;
//!     assert_eq!(total, 499_500);
//!     Ok(())
//! }
//! ```
//!
//! What it costs, beside a thread: a quarter of a millisecond, and memory of its own. What it
//! gives: it may crash, leak, run away or be killed, and nobody else is hurt.
//!
//! # What is promised
//!
//! - **A process ends as its handle says**: with its result, with the panic's message and place, or
//!   by which signal or exit code; each of them once, and in bounded time after it has ended.
//! - **No process outlives the program**, however that ends, `SIGKILL` included. At the end of
//!   `main` the guard of [`init`](crate::init) waits for those that are no daemons, and ends the
//!   daemons.
//! - **It does not matter what the program does with `SIGCHLD`**, or whether it waits for any
//!   child: these are not its children.
//! - **Nothing is left**: no zombie, no descriptor, no file.
//! - A function begins once. (If somebody kills the process that all others are forked from in the
//!   very instant of a fork, the function may have begun there, too, before that copy is killed
//!   with it.)
//! - A process starts with no signal blocked, none handled, and stdin from `/dev/null`. It knows
//!   nothing of the memory of the program but its argument.
//!
//! # How it works
//!
//! The first process starts a *zygote*: a copy of the program with one thread, which has done
//! nothing since it began. It forks itself for each process, reaps it, and tells how it ended
//! (`zygote.rs`). A function is named there by its distance from the start of the executable
//! (`image.rs`), so none needs to be registered. Arguments and results are written down by `serde`,
//! with the descriptors of what is shared beside them (`codec.rs`).
//!
//! # Platforms
//!
//! Linux 5.4 or later. Elsewhere this module is not there.

mod afresh;
mod builder;
mod entry;
mod error;
pub(crate) mod exit;
pub(crate) mod fork;
mod handle;
pub(crate) mod identity;
pub(crate) mod order;
mod pipe;
mod raw;
mod reactor;
pub(crate) mod rights;
mod role;
mod running;
pub(crate) mod spawner;
mod worker;
mod zygote;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use builder::{ProcessBuilder, StartMethod};
#[doc(hidden)]
pub use entry::enter;
pub use error::SpawnError;
pub use handle::{Process, Resources};
pub use pipe::{Pipe, PipeError, pipe};
pub use raw::{Fork, RawFork, fork};
#[cfg(feature = "async")]
pub(crate) use role::stop;
pub use spawner::preload;

use crate::task::{Data, Task};
use crate::wire::codec::{self, Failure, Message};
use crate::wire::image::Code;

/// Starts a process that calls `run` with this argument. [`ProcessBuilder`] has names, daemons,
/// limits and more.
///
/// # Errors
///
/// [`SpawnError`].
pub fn spawn<F, A, R>(run: F, argument: A) -> Result<Process<R>, SpawnError>
where
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    ProcessBuilder::new().spawn(run, argument)
}

static NAME: OnceLock<String> = OnceLock::new();

/// The name that the calling process was given, if it was [started](ProcessBuilder::name) with one.
pub fn current_name() -> Option<&'static str> {
    NAME.get().map(String::as_str)
}

fn set_own_name(name: &str) {
    let _ = NAME.set(name.to_owned());
    if let Ok(name) = std::ffi::CString::new(name) {
        // The kernel keeps the first 15 bytes.
        let _ = rustix::thread::set_name(&name);
    }
}

/// How many threads this process has.
fn threads() -> io::Result<usize> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("whether this process has other threads cannot be seen: {error}"),
        )
    })?;
    Ok(tasks.count())
}

/// Waits until there is something to read, or the other end is closed; false if `deadline` passes
/// before.
fn await_readable(fd: impl AsFd, deadline: Option<Instant>) -> bool {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            // A want of memory that passes; or of a single descriptor, which the limit may forbid.
            Err(_) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return false,
            Err(_) => std::thread::park_timeout(Duration::from_millis(1)),
        }
    }
}

/// What is called in another process in the place of `run`, and where it is. `None`: not in the
/// executable.
fn entry_of<F, A, R>(_run: F) -> Option<Code>
where
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    const { F::CAPTURES_NOTHING };
    Code::of(call::<F, A, R>)
}

fn call<F, A, R>(argument: &[u8], carried: Vec<OwnedFd>) -> Result<Message, Failure>
where
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    // SAFETY: `entry_of`, which alone names this function, was given one.
    let run = unsafe { again::<F>() };
    // What the function itself writes down must not take these for its own.
    let argument = codec::with_descriptors(carried, || codec::decode_value(argument))?;
    codec::encode_value(&run(argument))
}

/// As [`entry_of`], for a function that neither takes nor returns anything.
fn loader<F: Fn() + Copy + 'static>(_load: F) -> Option<Code> {
    const {
        assert!(
            size_of::<F>() == 0,
            "what is loaded before captures nothing: there is nobody it could be sent to"
        )
    };
    Code::of(|_, _| {
        // SAFETY: `loader` was given one.
        let load = unsafe { again::<F>() };
        load();
        Ok(Message::default())
    })
}

/// A function or closure that captures nothing, made from its type.
///
/// # Safety
///
/// There has been one of this type.
pub(crate) unsafe fn again<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0) };
    // SAFETY: it has no bytes, so any aligned pointer leads to one; and it is `Copy`, so there may
    // be another.
    unsafe { NonNull::<F>::dangling().as_ptr().read() }
}
