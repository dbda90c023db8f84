//! [`Sink`]: where a batch writes, without ever being held up by a slow reader.
//!
//! A reader that stops reading (`hands run … | less`) must not stop the event loop, which has
//! time-outs to keep and signals to answer. But the descriptor's non-blocking flag must not be set:
//! it belongs to everyone who shares it, the shell included. So a pipe or a terminal is opened anew
//! through `/proc/self/fd`, which gives a description of our own; where that is refused, each write
//! is preceded by a poll and small enough not to block.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use hands::command::engine::with_file_limit_as_error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// Bytes that a pipe always takes at once when it is ready at all.
const PIPE_ATOM: usize = 4096;

/// Queued bytes above which a batch brings no more until some are written.
const FULL: usize = 256 * 1024;

/// The end of a batch's output: a file, pipe, terminal or [`Write`].
pub struct Sink {
    target: Target,
    queue: Vec<u8>,
    sent: usize,
    is_terminal: bool,
    /// The last byte that was written, if any was.
    last: u8,
}

enum Target {
    Fd { fd: OwnedFd, blocking: Blocking },
    Writer(Box<dyn Write + Send>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Blocking {
    /// A regular file: writing takes as long as it takes.
    Always,
    /// Opened by us without blocking.
    Never,
    /// Shared with others: poll first, then write little.
    Shared,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

impl Sink {
    /// The program's stdout.
    ///
    /// # Errors
    ///
    /// When it is closed.
    pub fn stdout() -> io::Result<Sink> {
        Sink::fd(io::stdout().as_fd())
    }

    /// The program's stderr.
    ///
    /// # Errors
    ///
    /// When it is closed.
    pub fn stderr() -> io::Result<Sink> {
        Sink::fd(io::stderr().as_fd())
    }

    /// A copy of an open descriptor.
    ///
    /// # Errors
    ///
    /// When the descriptor is not open, or no further one can be had.
    pub fn fd(fd: BorrowedFd<'_>) -> io::Result<Sink> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode);
        let own = match kind {
            FileType::Fifo | FileType::CharacterDevice => {
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                rustix::fs::open(path, flags, Mode::empty()).ok()
            }
            _ => None,
        };
        let (fd, blocking) = match (own, kind) {
            (Some(own), _) => (own, Blocking::Never),
            (None, FileType::RegularFile) => {
                (rustix::io::fcntl_dupfd_cloexec(fd, 3)?, Blocking::Always)
            }
            (None, _) => (rustix::io::fcntl_dupfd_cloexec(fd, 3)?, Blocking::Shared),
        };
        let is_terminal = kind == FileType::CharacterDevice && rustix::termios::isatty(&fd);
        Ok(Sink {
            is_terminal,
            ..Sink::new(Target::Fd { fd, blocking })
        })
    }

    /// Anything that can be written to. While its `write` blocks, the batch waits.
    pub fn writer(writer: impl Write + Send + 'static) -> Sink {
        Sink::new(Target::Writer(Box::new(writer)))
    }

    fn new(target: Target) -> Sink {
        Sink {
            target,
            queue: Vec::new(),
            sent: 0,
            is_terminal: false,
            last: b'\n',
        }
    }

    /// What the next [`flush`](Self::flush) writes: append to it.
    pub(super) fn queue(&mut self) -> &mut Vec<u8> {
        // What has been written in parts is dropped in one go, so that it costs little and does not
        // pile up.
        if self.sent > FULL {
            self.queue.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.queue
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len() - self.sent
    }

    /// Whether the reader is behind, so that no more should be brought.
    pub(super) fn is_full(&self) -> bool {
        self.queued() >= FULL
    }

    /// Writes what can be written now; true once the queue is empty.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        while self.sent < self.queue.len() {
            let rest = &self.queue[self.sent..];
            let written = match &mut self.target {
                Target::Writer(writer) => writer.write(rest),
                Target::Fd { fd, blocking } => {
                    with_file_limit_as_error(|| write_some(fd, *blocking, rest))
                }
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.last = rest[written - 1];
                    self.sent += written;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.queue.clear();
        self.sent = 0;
        // One burst must not be paid for with memory for ever.
        self.queue.shrink_to(FULL);
        if let Target::Writer(writer) = &mut self.target {
            writer.flush()?;
        }
        Ok(true)
    }

    /// Whether it is a terminal, on which the last line has not ended.
    pub(super) fn is_mid_line(&self) -> bool {
        self.is_terminal && self.last != b'\n'
    }

    /// The descriptor to wait for when [`flush`](Self::flush) was not done.
    pub(super) fn waitable(&self) -> Option<BorrowedFd<'_>> {
        match &self.target {
            Target::Fd { fd, .. } => Some(fd.as_fd()),
            Target::Writer(_) => None,
        }
    }

    /// A file for the caller's own use, such as a log that goes to the same place.
    pub fn try_clone_fd(&self) -> Option<File> {
        match &self.target {
            Target::Fd { fd, .. } => fd.try_clone().ok().map(File::from),
            Target::Writer(_) => None,
        }
    }
}

fn write_some(fd: &OwnedFd, blocking: Blocking, bytes: &[u8]) -> io::Result<usize> {
    if blocking != Blocking::Shared {
        return Ok(rustix::io::write(fd, bytes)?);
    }
    let mut ready = [PollFd::new(fd, PollFlags::OUT)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if poll(&mut ready, Some(&now))? == 0 {
        return Err(Errno::AGAIN.into());
    }
    Ok(rustix::io::write(fd, &bytes[..bytes.len().min(PIPE_ATOM)])?)
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;
    use crate::hang_up::hang_up;

    #[test]
    fn a_reader_that_does_not_read_holds_up_nobody_and_loses_nothing() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).expect("pipe");
        let mut sink = Sink::fd(write.as_fd()).expect("sink");
        drop(write);
        let text: Vec<u8> = (0..1_000_000_u32)
            .map(|number| number.to_le_bytes()[0])
            .collect();
        sink.queue().extend_from_slice(&text);
        assert!(!sink.flush().expect("flush"));
        let mut got = Vec::new();
        let mut buffer = [0; 8192];
        while got.len() < text.len() {
            let count = rustix::io::read(&read, &mut buffer).expect("read");
            got.extend_from_slice(&buffer[..count]);
            sink.flush().expect("flush");
        }
        assert!(got == text);
    }

    #[test]
    fn a_reader_that_is_gone_is_a_broken_pipe() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).expect("pipe");
        let mut sink = Sink::fd(write.as_fd()).expect("sink");
        hang_up(read, &write);
        sink.queue().push(b'x');
        assert_eq!(
            sink.flush().expect_err("nobody reads").kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}
