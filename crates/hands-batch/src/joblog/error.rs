//! What can go wrong with a job log, in words for the person who has to put it right.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;

use hands::text::is_deceptive;

/// Longest piece of a foreign line or of a command that a message repeats, in characters.
const SHOWN: usize = 120;

/// Why a job log could not be written, read or followed.
///
/// Each message names the log and ends with what to do.
#[non_exhaustive]
pub enum JobLogError {
    /// The file could not be opened.
    Open {
        /// The log.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file could not be read.
    Read {
        /// The log.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A row could not be written, for example because the disk is full. The log holds whole rows
    /// only.
    Write {
        /// The log.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file holds something else than a job log. It was left as it was.
    NotAJobLog {
        /// The file.
        path: PathBuf,
        /// The first line that does not fit, counted from 1.
        line: u64,
        /// How that line starts.
        found: Vec<u8>,
    },
    /// A job is no longer the one that was logged under its number.
    InputsChanged {
        /// The log.
        path: PathBuf,
        /// The number of the job, counted from 1.
        seq: u64,
        /// Its command in the log; empty when it could not be read again.
        logged: Vec<u8>,
        /// Its command now.
        now: Vec<u8>,
    },
    /// The log has jobs with higher numbers than this run.
    FewerInputs {
        /// The log.
        path: PathBuf,
        /// The highest number in the log.
        logged: u64,
        /// The number of jobs of this run.
        now: u64,
    },
}

impl fmt::Display for JobLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, source } => write!(
                f,
                "cannot open the job log `{}`: {source}; check that its directory exists and that you may write there",
                path.display()
            ),
            Self::Read { path, source } => write!(
                f,
                "cannot read the job log `{}`: {source}; make it readable, or run without --resume",
                path.display()
            ),
            Self::Write { path, source } => write!(
                f,
                "cannot write to the job log `{}`: {source}; make room there, then go on with --resume",
                path.display()
            ),
            Self::NotAJobLog { path, line, found } => write!(
                f,
                "`{}` is not a job log: line {line} is `{}`; name another file, or remove this one",
                path.display(),
                Shown(found)
            ),
            Self::InputsChanged {
                path,
                seq,
                logged,
                now,
            } => {
                let path = path.display();
                write!(f, "the inputs changed since `{path}`: job {seq} was ")?;
                if logged.is_empty() {
                    f.write_str("another command")?;
                } else {
                    write!(f, "`{}`", Shown(logged))?;
                }
                write!(
                    f,
                    " and is now `{}`; run without --resume, or with the same inputs",
                    Shown(now)
                )
            }
            Self::FewerInputs { path, logged, now } => write!(
                f,
                "the inputs changed since `{}`: it goes up to job {logged} and there are now {now}; \
                 run without --resume, or with the same inputs",
                path.display()
            ),
        }
    }
}

impl Error for JobLogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } | Self::Write { source, .. } => {
                Some(source)
            }
            Self::NotAJobLog { .. } | Self::InputsChanged { .. } | Self::FewerInputs { .. } => None,
        }
    }
}

/// Arbitrary bytes in a message: cut to a bearable length, on one line, unable to steer a terminal.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = SHOWN;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if left == 0 {
                    return f.write_char('…');
                }
                left -= 1;
                if is_deceptive(c) {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    f.write_char(c)?;
                }
            }
            for byte in chunk.invalid() {
                if left == 0 {
                    return f.write_char('…');
                }
                left -= 1;
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

hands::debug_is_sentence!(JobLogError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_short_line_whatever_the_bytes() {
        let found = [b"\x1b[31m\xff\n caf\xc3\xa9 ".as_slice(), &[b'x'; 5000]].concat();
        let error = JobLogError::NotAJobLog {
            path: "log".into(),
            line: 3,
            found,
        };
        let text = error.to_string();
        assert!(
            text.starts_with(r"`log` is not a job log: line 3 is `\u{1b}[31m\xff\n café xxx"),
            "{text}"
        );
        assert!(!text.contains(char::is_control));
        assert!(text.chars().count() < 400, "{text}");
    }

    #[test]
    fn a_change_of_inputs_is_told_with_both_commands() {
        let error = JobLogError::InputsChanged {
            path: "log".into(),
            seq: 7,
            logged: b"a".to_vec(),
            now: b"b".to_vec(),
        };
        assert_eq!(
            error.to_string(),
            "the inputs changed since `log`: job 7 was `a` and is now `b`; run without --resume, or with the same inputs"
        );
    }
}
