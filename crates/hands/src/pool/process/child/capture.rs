//! What a task writes to stderr, kept for its submitter.
//!
//! While a task is captured, a pipe takes the place of the worker's stderr. A thread of the worker
//! moves what comes through the pipe into an unnamed file, of which all but the last [`KEPT`] bytes
//! is freed again; the first [`KEPT`] bytes are kept in memory as well.
//!
//! When the task ends its worker, the pool reads the end of the file, then what is still in the
//! pipe. Nothing is lost between the two: `splice` takes bytes out of the pipe, puts them into the
//! file and moves the file's position in one system call, so that a worker that is killed has done
//! all three or none. (A `read` and a `write` lost what the task said last in two of a hundred
//! aborts on a loaded machine.)

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FallocateFlags, SeekFrom, fallocate};
use rustix::io::{Errno, pread};
use rustix::pipe::{SpliceFlags, splice};
use serde::{Deserialize, Serialize};

use super::call::Call;
use crate::machine::with_file_limit_as_error;
use crate::pool::process::protocol::capture::{Ends, KEPT, last};
use crate::process::again;
use crate::process::fork::end_if_copy;
use crate::task::{Data, Outcome, Task};
use crate::thread::panic::caught;
use crate::wire::answer::Answer;
use crate::wire::codec::{self, Failure, LaidReady};
use crate::wire::image::Code;
use crate::wire::outcome::{write_failed, write_result};

/// Bytes that are moved at once.
const PIECE: usize = 16 * 1024;

/// What a task came to, with what it wrote to stderr: its log, and the message of its panic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Captured<R> {
    outcome: Result<R, Answer>,
    stderr: Text,
}

impl<R> Captured<R> {
    /// What it wrote, with `�` in the place of what is no text. Of more than a mebibyte the first
    /// and the last half are kept, and a line between them says how much is missing.
    pub fn stderr(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.stderr.first).into_owned();
        if self.left_out() > 0 {
            text += &format!("\n... {} bytes are left out ...\n", self.left_out());
        }
        text + &String::from_utf8_lossy(&self.stderr.last)
    }

    /// How many bytes it wrote that have not been kept.
    pub fn left_out(&self) -> u64 {
        self.stderr.left_out
    }

    /// Its result, or its panic.
    ///
    /// # Errors
    ///
    /// As those of the task: see [`TaskError`](crate::task::TaskError).
    pub fn into_outcome(self) -> Outcome<R> {
        self.outcome.map_err(Answer::error)
    }
}

/// In a worker: what has come since the task began.
#[derive(Default)]
struct CapturedText {
    is_kept: bool,
    first: Vec<u8>,
    count: u64,
}

/// What a task wrote: the first and the last, and how much is missing between them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Text {
    first: Vec<u8>,
    last: Vec<u8>,
    left_out: u64,
}

struct Taker {
    file: OwnedFd,
    pipe: OwnedFd,
    stderr: OwnedFd,
    written: Mutex<CapturedText>,
}

static TAKER: OnceLock<Taker> = OnceLock::new();

/// By the worker: these are its own.
pub(in crate::pool::process) fn have(ends: Ends) {
    let _ = TAKER.set(Taker {
        file: ends.file.0,
        pipe: ends.pipe.0,
        stderr: ends.stderr.0,
        written: Mutex::default(),
    });
}

impl Taker {
    /// Moves what is in the pipe into the file.
    fn drain(&self, written: &mut CapturedText) {
        loop {
            let moved = with_file_limit_as_error(|| {
                splice(
                    &self.pipe,
                    None,
                    &self.file,
                    None,
                    PIECE,
                    SpliceFlags::NONBLOCK,
                )
            });
            match moved {
                Ok(length @ 1..) => self.moved(written, length),
                Err(Errno::INTR) => {}
                Ok(0) | Err(Errno::AGAIN) => return,
                // No room: a thread that writes is not to wait for that.
                Err(_) if !self.pass_by(written) => return,
                Err(_) => {}
            }
        }
    }

    /// `length` bytes have come into the file.
    fn moved(&self, written: &mut CapturedText, length: usize) {
        let Ok(end) = rustix::fs::tell(&self.file) else {
            return;
        };
        if !written.is_kept {
            let _ = self.clear();
            return;
        }
        written.count += length as u64;
        let room = (KEPT - written.first.len()).min(length);
        if room > 0 {
            let mut piece = vec![0; room];
            let got = pread(&self.file, &mut piece, end - length as u64).unwrap_or(0);
            written.first.extend(&piece[..got]);
        }
        let kept = KEPT as u64;
        // Once for each `KEPT` bytes, so that no more than twice of it takes memory.
        if end > kept && (end - length as u64) / kept != end / kept {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = fallocate(&self.file, flags, 0, end - kept);
        }
    }

    /// What the file does not take is kept in memory alone, as far as it is among the first.
    /// Whether there was anything.
    fn pass_by(&self, written: &mut CapturedText) -> bool {
        let mut buffer = [0; PIECE];
        let Ok(length @ 1..) = rustix::io::read(&self.pipe, &mut buffer) else {
            return false;
        };
        if written.is_kept {
            written.count += length as u64;
            let room = (KEPT - written.first.len()).min(length);
            written.first.extend(&buffer[..room]);
        }
        true
    }

    fn clear(&self) -> rustix::io::Result<()> {
        rustix::fs::seek(&self.file, SeekFrom::Start(0))?;
        rustix::fs::ftruncate(&self.file, 0)
    }

    fn watch(&self) {
        loop {
            let _ = poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], None);
            self.drain(&mut self.written.lock());
        }
    }

    fn begin(&self) {
        let mut written = self.written.lock();
        self.drain(&mut written);
        *written = CapturedText {
            is_kept: true,
            ..CapturedText::default()
        };
        let _ = self.clear();
    }

    fn end(&self) -> Text {
        let mut written = self.written.lock();
        self.drain(&mut written);
        let CapturedText { first, count, .. } = std::mem::take(&mut *written);
        let more = count - first.len() as u64;
        let last = last(&self.file, usize::try_from(more).unwrap_or(KEPT));
        let left_out = more - last.len() as u64;
        let _ = self.clear();
        Text {
            first,
            last,
            left_out,
        }
    }
}

/// Has what is written to stderr taken in from now on. Returned is what stderr was.
fn redirect() -> io::Result<OwnedFd> {
    static WATCHED: Mutex<bool> = Mutex::new(false);
    let taker = TAKER.get().ok_or(io::ErrorKind::NotFound)?;
    let mut is_watched = WATCHED.lock();
    if !*is_watched {
        let thread = std::thread::Builder::new().name("hands-capture".to_owned());
        thread.stack_size(128 * 1024).spawn(|| taker.watch())?;
        *is_watched = true;
    }
    let before = rustix::io::fcntl_dupfd_cloexec(io::stderr(), 3)?;
    taker.begin();
    rustix::stdio::dup2_stderr(taker.stderr.as_fd())?;
    Ok(before)
}

/// Runs a function, and returns what was written to stderr meanwhile.
fn capturing<T>(run: impl FnOnce() -> T) -> io::Result<(T, Text)> {
    let before = redirect()?;
    let done = run();
    end_if_copy();
    let _ = io::stderr().flush();
    let _ = rustix::stdio::dup2_stderr(before);
    let written = TAKER.get().map(Taker::end);
    Ok((done, written.unwrap_or_default()))
}

/// As [`code_of`](super::remote::code_of), for a task that is captured.
pub(in crate::pool::process) fn captured_code_of<F, A, R>(_task: F) -> Option<Code>
where
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    const { F::CAPTURES_NOTHING };
    let call: Call = call::<F, A, R>;
    Code::at(call as usize)
}

fn call<F, A, R>(input: &mut &[u8], carried: &mut LaidReady, output: &mut Vec<u8>) -> Vec<OwnedFd>
where
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    let argument = caught(|| codec::lend(carried, || codec::read::<A>(input)));
    let failed = match argument {
        Ok(Ok(argument)) => {
            // SAFETY: `captured_code_of`, which alone names this function, was given one.
            let run = unsafe { again::<F>() };
            match capturing(|| caught(|| run(argument))) {
                Ok((done, stderr)) => {
                    let captured = Captured {
                        outcome: done.map_err(Answer::from),
                        stderr,
                    };
                    return write_result(&captured, output);
                }
                Err(error) => Answer::SetUp(format!("its stderr cannot be kept: {error}")),
            }
        }
        Ok(Err(Failure::Decode(what) | Failure::Encode(what))) => Answer::Decode(what),
        Err(caught) => caught.into(),
    };
    *input = &[];
    write_failed(&failed, output);
    Vec::new()
}
