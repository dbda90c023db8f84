//! What a task writes to stderr, kept for whoever submitted it.
//!
//! Each worker has an unnamed file in common with the pool. While a task is captured it takes the place of the worker's stderr: so
//! what the task wrote is there also when it takes its worker along.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, fstat, ftruncate, memfd_create};
use serde::{Deserialize, Serialize};

use super::remote::{Call, write_failed, write_result};
use crate::process::again;
use crate::process::codec::{self, Failure, LaidReady};
use crate::process::image::Code;
use crate::process::order::Answer;
use crate::task::{Data, Outcome, Task};
use crate::thread::panic::caught;

/// What a task came to, with what it wrote to stderr: its log, and the message of its panic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Captured<R> {
    outcome: Result<R, Answer>,
    stderr: Vec<u8>,
}

impl<R> Captured<R> {
    /// What it wrote, with `�` in the place of what is no text.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
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

/// The file, in a worker.
static FILE: OnceLock<OwnedFd> = OnceLock::new();

/// For a new worker.
pub(super) fn file() -> io::Result<OwnedFd> {
    let file = memfd_create("hands-stderr", MemfdFlags::CLOEXEC)?;
    // Whoever has it writes behind what is there, also when that has been thrown away.
    fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

/// By the worker: this is its file.
pub(super) fn have(file: OwnedFd) {
    let _ = FILE.set(file);
}

/// The last that is there, for the pool.
pub(super) fn last(file: &OwnedFd, most: u64) -> Vec<u8> {
    read(file, most).unwrap_or_default()
}

fn read(file: &OwnedFd, most: u64) -> io::Result<Vec<u8>> {
    let length = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
    let mut bytes = vec![0; usize::try_from(length.min(most)).unwrap_or(0)];
    let mut from = length.saturating_sub(most);
    let mut got = 0;
    while got < bytes.len() {
        match rustix::io::pread(file, &mut bytes[got..], from)? {
            0 => break,
            more => (got, from) = (got + more, from + more as u64),
        }
    }
    bytes.truncate(got);
    Ok(bytes)
}

/// Runs a function, and returns what was written to stderr meanwhile.
fn capturing<T>(run: impl FnOnce() -> T) -> (T, Vec<u8>) {
    let redirected = FILE.get().and_then(|file| {
        ftruncate(file, 0).ok()?;
        let before = rustix::io::fcntl_dupfd_cloexec(io::stderr(), 3).ok()?;
        rustix::stdio::dup2_stderr(file).ok()?;
        Some((file, before))
    });
    let done = run();
    let Some((file, before)) = redirected else {
        return (done, Vec::new());
    };
    let _ = io::stderr().flush();
    let _ = rustix::stdio::dup2_stderr(before);
    let written = read(file, u64::MAX).unwrap_or_default();
    let _ = ftruncate(file, 0);
    (done, written)
}

/// As [`code_of`](super::remote::code_of), for a task that is captured.
pub(super) fn captured_code_of<F, A, R>(_task: F) -> Option<Code>
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
            let (done, stderr) = capturing(|| caught(|| run(argument)));
            let outcome = done.map_err(Answer::from);
            return write_result(&Captured { outcome, stderr }, output);
        }
        Ok(Err(Failure::Decode(what) | Failure::Encode(what))) => Answer::Decode(what),
        Err(caught) => caught.into(),
    };
    *input = &[];
    write_failed(&failed, output);
    Vec::new()
}
