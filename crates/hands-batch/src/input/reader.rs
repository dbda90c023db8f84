//! Bytes from a descriptor, read only when there are some.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::Errno;

/// Bytes read at once.
const BLOCK: usize = 64 * 1024;

/// A descriptor and what has been read from it but not used.
#[derive(Debug)]
pub(crate) struct Reader {
    fd: OwnedFd,
    /// A regular file always has something to read.
    regular: bool,
    buffer: Vec<u8>,
    start: usize,
}

/// What [`Reader::fill`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    More,
    Pending,
    End,
}

impl Reader {
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Reader> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
        if kind == FileType::Directory {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let regular = kind == FileType::RegularFile;
        Ok(Reader {
            fd,
            regular,
            buffer: Vec::new(),
            start: 0,
        })
    }

    pub(crate) fn open(path: &Path) -> io::Result<Reader> {
        Reader::new(File::open(path)?.into())
    }

    /// The program's stdin, shared with everything else that uses it.
    pub(crate) fn stdin() -> io::Result<Reader> {
        Reader::new(rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?)
    }

    /// Bytes read and not yet used.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Takes the unused bytes up to `count` out.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.bytes()[..count].to_vec();
        self.consume(count);
        taken
    }

    /// Reads more behind the unused bytes, if that does not block.
    pub(crate) fn fill(&mut self) -> io::Result<Fill> {
        loop {
            if !self.regular {
                let mut ready = [PollFd::new(&self.fd, PollFlags::IN)];
                match poll(
                    &mut ready,
                    Some(&Timespec {
                        tv_sec: 0,
                        tv_nsec: 0,
                    }),
                ) {
                    Ok(0) => return Ok(Fill::Pending),
                    Ok(_) => {}
                    Err(Errno::INTR) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            // Used bytes are dropped when they are most of the buffer, so that each is moved at
            // most once on average.
            if self.start > self.buffer.len() / 2 {
                self.buffer.drain(..self.start);
                self.start = 0;
            }
            let end = self.buffer.len();
            self.buffer.resize(end + BLOCK, 0);
            let got = rustix::io::read(&self.fd, &mut self.buffer[end..]);
            self.buffer.truncate(end + *got.as_ref().unwrap_or(&0));
            match got {
                Ok(0) => return Ok(Fill::End),
                Ok(_) => return Ok(Fill::More),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Fill::Pending),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests;
