//! A stream cut into blocks at record ends, for `--pipe`: one input spread over many jobs.
//!
//! The blocks, one behind the other, are the stream: nothing is lost, doubled or cut inside a
//! record. Memory is bounded by the size of a block, or of a record where one is larger. A pipe is
//! read only when there is something to read.

mod boundary;

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use self::boundary::Boundary;
use self::boundary::Finder;
use super::input::{Fill, InputError, InputSource, Pull, Reader};

/// How a stream is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSpec {
    /// Bytes of a block, more or less one record.
    pub block: usize,
    /// The number of records in each block but the last, whatever their size.
    pub records: Option<NonZeroUsize>,
    /// Where it may be cut.
    pub boundary: Boundary,
    /// Leave the texts of the boundaries out.
    pub remove: bool,
}

impl Default for RecordSpec {
    /// Lines, in blocks of 1 MiB.
    fn default() -> RecordSpec {
        RecordSpec {
            block: 1 << 20,
            records: None,
            boundary: Boundary::Literal {
                end: b"\n".to_vec(),
                start: Vec::new(),
            },
            remove: false,
        }
    }
}

/// The blocks of a stream.
///
/// ```
/// use hands_batch::input::{Pull, InputSource};
/// use hands_batch::records::{RecordSpec, Records};
///
/// let file = tempfile::tempfile().and_then(|mut file| {
///     use std::io::{Seek, Write};
///     file.write_all(b"one\ntwo\nthree\n")?;
///     file.rewind()?;
///     Ok(file)
/// })?;
/// let spec = RecordSpec { block: 8, ..RecordSpec::default() };
/// let mut records = Records::new(file.into(), spec)?;
/// assert_eq!(records.pull()?, Pull::Item(b"one\ntwo\n".to_vec()));
/// assert_eq!(records.pull()?, Pull::Item(b"three\n".to_vec()));
/// assert_eq!(records.pull()?, Pull::End);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Records {
    reader: Reader,
    finder: Finder,
    block: usize,
    records: Option<NonZeroUsize>,
    remove: bool,
    /// Unused bytes before which no boundary needs to be looked for again.
    searched: usize,
    /// Boundaries found before `searched`, where records are counted.
    counted: usize,
    ended: bool,
}

impl Records {
    /// Cuts what comes from a descriptor.
    ///
    /// # Errors
    ///
    /// When a pattern is no regular expression, or the descriptor cannot be read.
    pub fn new(fd: OwnedFd, spec: RecordSpec) -> Result<Records, InputError> {
        let reader = Reader::new(fd).map_err(|error| InputError::Open {
            name: "stdin".into(),
            error,
        })?;
        Ok(Records {
            reader,
            finder: Finder::new(&spec.boundary)?,
            block: spec.block.max(1),
            records: spec.records,
            remove: spec.remove,
            searched: 0,
            counted: 0,
            ended: false,
        })
    }

    /// Cuts the program's stdin.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn stdin(spec: RecordSpec) -> Result<Records, InputError> {
        let fd = rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3);
        let fd = fd.map_err(|error| InputError::Open {
            name: "stdin".into(),
            error: error.into(),
        })?;
        Records::new(fd, spec)
    }

    /// Bytes of the next block, if enough has been read to say.
    fn cut(&mut self) -> Option<usize> {
        let bytes = self.reader.bytes();
        if let Some(records) = self.records {
            while let Some(at) = self.finder.first(bytes, self.searched, self.ended) {
                self.searched = at;
                self.counted += 1;
                if self.counted == records.get() {
                    return Some(at);
                }
            }
            return None;
        }
        if bytes.len() < self.block {
            return None;
        }
        if self.searched < self.block {
            // The last boundary that still fits.
            if let Some(at) = self.finder.last(bytes, self.block, self.ended) {
                return Some(at);
            }
            self.searched = self.block;
        }
        // A record larger than a block: up to where it ends.
        let found = self.finder.first(bytes, self.searched, self.ended);
        if found.is_none() {
            self.searched = self.finder.safe(bytes.len()).max(self.searched);
        }
        found
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.searched = 0;
        self.counted = 0;
        let block = self.reader.take(count);
        if self.remove {
            self.finder.remove(&block)
        } else {
            block
        }
    }
}

impl InputSource<Vec<u8>> for Records {
    fn pull(&mut self) -> Result<Pull<Vec<u8>>, InputError> {
        loop {
            if let Some(count) = self.cut() {
                return Ok(Pull::Item(self.take(count)));
            }
            if self.ended {
                let rest = self.reader.bytes().len();
                return Ok(if rest == 0 {
                    Pull::End
                } else {
                    Pull::Item(self.take(rest))
                });
            }
            match self.reader.fill() {
                Ok(Fill::More) => {}
                Ok(Fill::Pending) => return Ok(Pull::Pending),
                Ok(Fill::End) => self.ended = true,
                Err(error) => {
                    return Err(InputError::Read {
                        name: "stdin".into(),
                        error,
                    });
                }
            }
        }
    }

    fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.reader.as_fd())
    }
}

#[cfg(test)]
mod tests;
