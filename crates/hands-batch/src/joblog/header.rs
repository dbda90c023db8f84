//! The first line of a file tells whether it is a job log: nothing is cut or overwritten before
//! that is known.

/// The first line of every job log, its newline included.
pub(super) const HEADER: &[u8] =
    b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// The number of bytes from the start of a file that is enough for [`LogOpening::of`], and to show
/// what a foreign file is.
pub(super) const ENOUGH: usize = 256;

/// What the start of a file says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogOpening<'a> {
    /// Nothing yet, or a header that a kill or a full disk left unfinished.
    Blank,
    /// A job log, whose rows start at this offset.
    JobLog(usize),
    /// Something else, and its first line.
    Foreign(&'a [u8]),
}

impl LogOpening<'_> {
    /// Judges a file by its first [`ENOUGH`] bytes, or all of them when it has fewer.
    pub(super) fn of(start: &[u8]) -> LogOpening<'_> {
        let Some(end) = memchr::memchr(b'\n', start) else {
            return if HEADER.starts_with(start) {
                LogOpening::Blank
            } else {
                LogOpening::Foreign(start)
            };
        };
        // Not compared whole: GNU parallel renamed a column once.
        let line = &start[..end];
        if line.starts_with(b"Seq\tHost\t") && line.ends_with(b"\tCommand") {
            LogOpening::JobLog(end + 1)
        } else {
            LogOpening::Foreign(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_log_is_known_by_its_first_line() {
        assert_eq!(LogOpening::of(HEADER), LogOpening::JobLog(HEADER.len()));
        let older = b"Seq\tHost\tStarttime\tRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n1\t:";
        assert_eq!(LogOpening::of(older), LogOpening::JobLog(older.len() - 3));
        assert_eq!(
            LogOpening::of(b"hello\nworld\n"),
            LogOpening::Foreign(b"hello")
        );
        assert_eq!(LogOpening::of(b"\n"), LogOpening::Foreign(b""));
    }

    #[test]
    fn only_the_beginnings_of_the_header_count_as_unfinished() {
        for end in 0..HEADER.len() {
            assert_eq!(LogOpening::of(&HEADER[..end]), LogOpening::Blank);
        }
        assert_eq!(
            LogOpening::of(b"Seq\tHosts"),
            LogOpening::Foreign(b"Seq\tHosts")
        );
    }
}
