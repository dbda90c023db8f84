//! One line of the log: how it is written, and how it is read back.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memchr::memchr;

/// Opens an escape in the Command column; see the table in the module's header.
const ESCAPE: u8 = 0x01;

/// One finished job, as the log keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobLogEntry<'a> {
    /// The job's number, counted from 1.
    pub seq: u64,
    /// The machine it ran on; `:` is this one.
    pub host: &'a str,
    /// When it was started. Kept in milliseconds.
    pub start: SystemTime,
    /// From start to end. Kept in milliseconds.
    pub runtime: Duration,
    /// Bytes given to the job on its standard input.
    pub sent: u64,
    /// Bytes the job wrote.
    pub received: u64,
    /// Its exit code; 0 when it was ended by a signal, -1 when it ran out of time, as GNU parallel
    /// has it.
    pub exit: i32,
    /// The signal that ended it, or 0.
    pub signal: i32,
    /// The command as it is shown to people, in any bytes.
    pub command: &'a [u8],
}

impl JobLogEntry<'_> {
    /// Adds this entry to `out` as one line of nine columns.
    pub(super) fn write_row(&self, out: &mut Vec<u8>) {
        // The run time is padded to ten places as GNU parallel does: scripts cut columns by
        // position too.
        let runtime = self.runtime.as_millis();
        let runtime = format!("{}.{:03}", runtime / 1000, runtime % 1000);
        let Self {
            seq,
            host,
            sent,
            received,
            exit,
            signal,
            ..
        } = self;
        let start = epoch_seconds(self.start);
        write!(
            out,
            "{seq}\t{host}\t{start}\t{runtime:>10}\t{sent}\t{received}\t{exit}\t{signal}\t"
        )
        .expect("writing to a Vec cannot fail");
        escape(self.command, out);
        out.push(b'\n');
    }
}

/// What resuming needs of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Logged<'a> {
    pub(super) seq: u64,
    /// Exit code and signal were both 0.
    pub(super) succeeded: bool,
    /// The Command column as it stands in the file.
    pub(super) raw_command: &'a [u8],
}

impl Logged<'_> {
    /// Reads a line without its newline; `None` when it is no row of a job log.
    pub(super) fn parse(line: &[u8]) -> Option<Logged<'_>> {
        let mut rest = line;
        let mut column = || {
            let end = memchr(b'\t', rest)?;
            let (column, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            Some(column)
        };
        let seq = integer(column()?)?;
        let host = column()?;
        let numbers = [column()?, column()?, column()?, column()?];
        let exit: i64 = integer(column()?)?;
        let signal: i64 = integer(column()?)?;
        let fits = !host.is_empty() && numbers.into_iter().all(is_number);
        fits.then_some(Logged {
            seq,
            succeeded: exit == 0 && signal == 0,
            raw_command: rest,
        })
    }

    /// The command as [`JobLogEntry::command`] was.
    pub(super) fn command(&self) -> Cow<'_, [u8]> {
        unescape(self.raw_command)
    }
}

/// Seconds since the epoch with three decimals; a clock set before 1970 gives a negative number.
fn epoch_seconds(time: SystemTime) -> String {
    let (sign, distance) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => ("", after),
        Err(before) => ("-", before.duration()),
    };
    format!(
        "{sign}{}.{:03}",
        distance.as_secs(),
        distance.subsec_millis()
    )
}

fn integer<N: std::str::FromStr>(column: &[u8]) -> Option<N> {
    std::str::from_utf8(column).ok()?.parse().ok()
}

/// Digits with a point or a sign, padded with spaces: what GNU parallel accepts in these columns.
fn is_number(column: &[u8]) -> bool {
    let digits = column.trim_ascii();
    !digits.is_empty()
        && digits
            .iter()
            .all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-'))
}

fn escape(command: &[u8], out: &mut Vec<u8>) {
    out.reserve(command.len() + 1);
    for &byte in command {
        match byte {
            b'\n' => out.push(0),
            b'\t' => out.extend([ESCAPE, b't']),
            b'\r' => out.extend([ESCAPE, b'r']),
            0 => out.extend([ESCAPE, b'0']),
            ESCAPE => out.extend([ESCAPE, b'1']),
            _ => out.push(byte),
        }
    }
}

fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.iter().any(|&b| b == 0 || b == ESCAPE) {
        return Cow::Borrowed(raw);
    }
    let mut command = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let meant = match (byte, bytes.peek()) {
            (0, _) => b'\n',
            (ESCAPE, Some(b't')) => b'\t',
            (ESCAPE, Some(b'r')) => b'\r',
            (ESCAPE, Some(b'0')) => 0,
            (ESCAPE, Some(b'1')) => ESCAPE,
            // Another program's log may have the bare byte.
            _ => {
                command.push(byte);
                continue;
            }
        };
        if byte == ESCAPE {
            bytes.next();
        }
        command.push(meant);
    }
    Cow::Owned(command)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(entry: &JobLogEntry<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        entry.write_row(&mut out);
        out
    }

    fn entry(seq: u64, command: &[u8]) -> JobLogEntry<'_> {
        JobLogEntry {
            seq,
            host: ":",
            start: UNIX_EPOCH + Duration::from_millis(1_795_418_470_102),
            runtime: Duration::from_micros(3_999),
            sent: 0,
            received: 2,
            exit: 0,
            signal: 0,
            command,
        }
    }

    #[test]
    fn a_row_has_the_columns_and_number_formats_of_gnu_parallel() {
        assert_eq!(
            row(&entry(1, b"echo a")),
            b"1\t:\t1795418470.102\t     0.003\t0\t2\t0\t0\techo a\n"
        );
        let late = JobLogEntry {
            runtime: Duration::from_secs(12_345_678),
            exit: -1,
            signal: 15,
            ..entry(12, b"x")
        };
        assert_eq!(
            row(&late),
            b"12\t:\t1795418470.102\t12345678.000\t0\t2\t-1\t15\tx\n"
        );
        let early = JobLogEntry {
            start: UNIX_EPOCH - Duration::from_millis(1500),
            ..entry(1, b"x")
        };
        assert!(row(&early).starts_with(b"1\t:\t-1.500\t"));
    }

    #[test]
    fn a_newline_is_written_as_gnu_parallel_writes_it() {
        assert!(row(&entry(5, b"echo \"x\ny\"")).ends_with(b"\techo \"x\0y\"\n"));
    }

    #[test]
    fn rows_of_gnu_parallel_are_understood() {
        let line = b"4\t:\t1795418471.380\t     0.002\t0\t4\t0\t0\techo \"x\ty\"";
        let logged = Logged::parse(line).expect("a row");
        assert_eq!((logged.seq, logged.succeeded), (4, true));
        assert_eq!(logged.command().as_ref(), b"echo \"x\ty\"");
        let line = b"1\tuser@host\t1795418472.272\t     1.746\t0\t0\t-1\t15\tsleep 10";
        assert_eq!(Logged::parse(line).map(|l| l.succeeded), Some(false));
    }

    #[test]
    fn other_lines_are_no_rows() {
        for line in [
            "",
            "hello",
            "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand",
            "1\t:\t1.0\t1.0\t0\t0\t0\t0",
            "-1\t:\t1.0\t1.0\t0\t0\t0\t0\tx",
            "1\t\t1.0\t1.0\t0\t0\t0\t0\tx",
            "1\t:\tnow\t1.0\t0\t0\t0\t0\tx",
            "1\t:\t1.0\t1.0\t0\t0\tzero\t0\tx",
            "99999999999999999999999\t:\t1.0\t1.0\t0\t0\t0\t0\tx",
        ] {
            assert_eq!(Logged::parse(line.as_bytes()), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn any_command_is_one_line_of_nine_columns_and_comes_back(
            seq: u64, exit: i32, signal: i32, sent: u64, received: u64,
            command in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let written = row(&JobLogEntry { exit, signal, sent, received, ..entry(seq, &command) });
            let (last, line) = written.split_last().expect("a line");
            prop_assert_eq!(*last, b'\n');
            prop_assert!(!line.iter().any(|b| matches!(b, b'\n' | b'\r')));
            prop_assert_eq!(line.iter().filter(|&&b| b == b'\t').count(), 8);
            let logged = Logged::parse(line).expect("our own row");
            prop_assert_eq!(logged.seq, seq);
            prop_assert_eq!(logged.succeeded, exit == 0 && signal == 0);
            prop_assert_eq!(logged.command().into_owned(), command);
        }

        #[test]
        fn control_bytes_next_to_letters_come_back(
            command in proptest::collection::vec(proptest::sample::select(b"\x00\x01\n\r\ttr01x".to_vec()), 0..40),
        ) {
            let written = row(&entry(1, &command));
            let logged = Logged::parse(&written[..written.len() - 1]).expect("our own row");
            prop_assert_eq!(logged.command().into_owned(), command);
        }

        #[test]
        fn no_line_makes_the_reader_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(logged) = Logged::parse(&line) {
                logged.command();
            }
        }
    }
}
