//! [`InputError`]: why an input cannot be used.

use std::fmt;
use std::io;

/// Why an input cannot be used, naming it and the place.
#[non_exhaustive]
pub enum InputError {
    /// It cannot be opened.
    Open {
        /// The file as it was named.
        name: String,
        /// The system's reason.
        error: io::Error,
    },
    /// It cannot be read on.
    Read {
        /// The file as it was named, or `stdin`.
        name: String,
        /// The system's reason.
        error: io::Error,
    },
    /// A regular expression is none.
    Pattern {
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A regular expression that separates columns matches where there is nothing.
    EmptyMatch {
        /// As it was given.
        pattern: String,
    },
    /// A value holds a NUL byte, which no argument can.
    Nul {
        /// The file as it was named, or `stdin`.
        name: String,
        /// The number of the value in it, from 1.
        line: u64,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputError::Open { name, error } => {
                write!(f, "cannot open input file `{name}`: {error}")?;
                if error.kind() == io::ErrorKind::NotFound {
                    f.write_str(
                        "\n  hint: `::::` and `-a` name files; words themselves follow `:::`",
                    )?;
                }
                Ok(())
            }
            InputError::Read { name, error } => {
                write!(f, "cannot read input from `{name}`: {error}")
            }
            InputError::Pattern { pattern, reason } => {
                // The parser's message shows the place below the pattern; lines of ours follow it.
                write!(
                    f,
                    "`{pattern}` is not a regular expression: {reason}\n  hint: put `\\` before a character that is meant as it is: {}",
                    regex::escape(pattern)
                )
            }
            InputError::EmptyMatch { pattern } => write!(
                f,
                "`{pattern}` matches the empty text, so it would cut between all characters\n  hint: `|`, `*` and `?` are special in a regular expression; for the text itself write `{}`",
                regex::escape(pattern)
            ),
            InputError::Nul { name, line } => write!(
                f,
                "input {line} of `{name}` holds a NUL byte, which no argument can\n  hint: `-0` reads inputs that end in NUL"
            ),
        }
    }
}

impl std::error::Error for InputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InputError::Open { error, .. } | InputError::Read { error, .. } => Some(error),
            InputError::Pattern { .. } | InputError::EmptyMatch { .. } | InputError::Nul { .. } => {
                None
            }
        }
    }
}

hands::debug_is_sentence!(InputError);
