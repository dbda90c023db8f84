//! Looking for the mark of a run in a process's environment.

/// As often a process is looked at again that has no environment yet, a millisecond apart: it is on
/// its way to another program.
pub(super) const LOOKS: u32 = 10;

/// Looks for an entry in NUL-separated text that arrives in pieces: one that is `mark`, or `mark`
/// followed by `.` (a job of the run) or by `/` (a run inside the job).
pub(super) struct Search<'a> {
    mark: &'a [u8],
    /// Bytes of `mark` matched so far in this entry, or `None` once the entry differs.
    matched: Option<usize>,
}

impl<'a> Search<'a> {
    pub(super) fn new(mark: &'a [u8]) -> Search<'a> {
        Search {
            mark,
            matched: Some(0),
        }
    }

    /// True once the entry has been seen whole.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> bool {
        for &byte in chunk {
            if self.matched == Some(self.mark.len()) && matches!(byte, 0 | b'.' | b'/') {
                return true;
            }
            self.matched = match self.matched {
                _ if byte == 0 => Some(0),
                Some(matched) if self.mark.get(matched) == Some(&byte) => Some(matched + 1),
                _ => None,
            };
        }
        false
    }

    /// Whether the text ended right behind the entry.
    pub(super) fn at_end(&self) -> bool {
        self.matched == Some(self.mark.len())
    }
}
