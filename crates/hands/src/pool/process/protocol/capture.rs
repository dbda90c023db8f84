//! The pipe and the file that take the place of a worker's stderr while a task is captured: what
//! the pool keeps of them, and what the worker gets. See `child/capture.rs` for how they are used.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, OFlags, memfd_create};
use rustix::io::pread;
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use crate::wire::codec::Carried;

/// Bytes that are kept of the beginning, and as many of the end.
pub(in crate::pool::process) const KEPT: usize = 512 * 1024;
/// What the pool keeps of a worker's.
pub(in crate::pool::process) struct Capture {
    file: OwnedFd,
    pipe: OwnedFd,
}

/// What the worker gets.
#[derive(Serialize, Deserialize)]
pub(in crate::pool::process) struct Ends {
    pub(in crate::pool::process) file: Carried,
    pub(in crate::pool::process) pipe: Carried,
    pub(in crate::pool::process) stderr: Carried,
}

impl Capture {
    /// For a new worker.
    pub(in crate::pool::process) fn new() -> io::Result<(Capture, Ends)> {
        let file = memfd_create("hands-stderr", MemfdFlags::CLOEXEC)?;
        let (pipe, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
        // The reading end only: who writes is to wait.
        rustix::fs::fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        let ends = Ends {
            file: file.try_clone()?.into(),
            pipe: pipe.try_clone()?.into(),
            stderr: stderr.into(),
        };
        Ok((Capture { file, pipe }, ends))
    }

    /// The last that was written, up to `most` bytes, when the worker has ended.
    pub(in crate::pool::process) fn last(&self, most: usize) -> Vec<u8> {
        let mut text = last(&self.file, most);
        let mut buffer = [0; 4096];
        // What it has started may write on: so no more than a pipe has.
        for _ in 0..256 {
            match rustix::io::read(&self.pipe, &mut buffer) {
                Ok(length @ 1..) => text.extend(&buffer[..length]),
                _ => break,
            }
        }
        text.split_off(text.len().saturating_sub(most))
    }
}

/// The last up to `most` bytes before the file's position, which pool and worker share.
pub(in crate::pool::process) fn last(file: &OwnedFd, most: usize) -> Vec<u8> {
    let end = rustix::fs::tell(file).unwrap_or(0);
    let length = most.min(KEPT).min(usize::try_from(end).unwrap_or(KEPT));
    let mut text = vec![0; length];
    let mut got = 0;
    while got < length {
        match pread(file, &mut text[got..], end - (length - got) as u64) {
            Ok(more @ 1..) => got += more,
            _ => break,
        }
    }
    text.truncate(got);
    text
}
