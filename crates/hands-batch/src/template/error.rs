//! Why a command could not be built, in words that say what to change.

use std::fmt;

use hands::text::is_deceptive;

/// A command that could not be understood, or an input that it cannot take.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateError {
    /// There is no program to run.
    Empty,
    /// A quote, bracket or backslash has no end.
    Unbalanced {
        /// What was opened, such as `"` or `$(`.
        opened: &'static str,
        /// Where, in bytes from the start of the command.
        at: usize,
        /// The text from there on, cut short.
        rest: String,
    },
    /// An argument would hold a NUL byte, which the system cannot pass.
    Nul {
        /// The argument, with its bytes made visible.
        value: String,
    },
    /// An input that is used in shell arithmetic is not a number.
    NotANumber {
        /// The input, with its bytes made visible.
        value: String,
    },
    /// No input is used, and there is no place at the end of the command where one could be added.
    NowhereToAppend {
        /// What the command ends with.
        ending: &'static str,
    },
    /// A placeholder stands where a shell takes only fixed text: in the end marker of a
    /// here-document.
    HereDocumentMarker {
        /// The marker as it was written.
        marker: String,
    },
    /// Substitutions within substitutions, deeper than anyone writes.
    TooDeep,
    /// More inputs for one shell script than fit into an argument.
    ScriptTooLong {
        /// The length the script would have, in bytes.
        bytes: usize,
    },
}

/// How deep the substitutions of a script may nest; the reader recurses.
pub(super) const MAX_DEPTH: usize = 50;

impl TemplateError {
    pub(super) fn unbalanced(opened: &'static str, line: &[u8], at: usize) -> Self {
        let rest = line.get(at..).unwrap_or_default();
        Self::Unbalanced {
            opened,
            at,
            rest: shown(rest),
        }
    }

    pub(super) fn nul(value: &[u8]) -> Self {
        Self::Nul {
            value: shown(value),
        }
    }
}

/// Enough of a byte string to recognise it in a message.
pub(super) fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 40;
    let cut = &bytes[..bytes.len().min(LONGEST)];
    let mut text = String::new();
    for letter in String::from_utf8_lossy(cut).chars() {
        if is_deceptive(letter) {
            text.extend(letter.escape_debug());
        } else {
            text.push(letter);
        }
    }
    if cut.len() < bytes.len() {
        text.push('…');
    }
    text
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(
                f,
                "there is no command to run; give a program and its arguments"
            ),
            Self::Unbalanced {
                opened: "\\", at, ..
            } => {
                write!(
                    f,
                    "the command ends in a lone `\\` (byte {at}); write `\\\\` for a backslash"
                )
            }
            Self::Unbalanced { opened, at, rest } => write!(
                f,
                "`{opened}` at byte {at} of the command is never closed: `{rest}`; close it, or put `\\` before it"
            ),
            Self::Nul { value } => write!(
                f,
                "a NUL byte cannot be in an argument: `{value}`; with NUL-separated input use `-0`"
            ),
            Self::NotANumber { value } => write!(
                f,
                "`{value}` is not a number, and the command uses it in shell arithmetic, where it could run as code; \
                 give numbers, or take the placeholder out of the arithmetic"
            ),
            Self::NowhereToAppend { ending } => write!(
                f,
                "the command ends in {ending}, so the input cannot be added at its end; put `{{}}` where it belongs"
            ),
            Self::HereDocumentMarker { marker } => write!(
                f,
                "the end marker of a here-document must be plain text to use a placeholder with it: `{marker}`; \
                 use a word such as `END`"
            ),
            Self::TooDeep => write!(
                f,
                "the command nests more than {MAX_DEPTH} substitutions; put it into a script file and run that"
            ),
            Self::ScriptTooLong { bytes } => write!(
                f,
                "the shell script for this many inputs has {bytes} bytes, more than one argument can have; \
                 give each job fewer inputs"
            ),
        }
    }
}

impl std::error::Error for TemplateError {}

hands::debug_is_sentence!(TemplateError);
