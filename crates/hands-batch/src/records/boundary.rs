//! Where a stream may be cut.

use memchr::memmem;
use regex::bytes::Regex;

use crate::input::InputError;

/// Where one record ends and the next starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// Behind `end` and before `start`; either may be empty. Both empty: anywhere.
    Literal {
        /// What a record ends with.
        end: Vec<u8>,
        /// What a record starts with.
        start: Vec<u8>,
    },
    /// The same as regular expressions; either may be empty, not both.
    Pattern {
        /// What a record ends with.
        end: String,
        /// What a record starts with.
        start: String,
    },
}

/// How far back a pattern's match may begin and still be found when more bytes arrive. A longer
/// separator is found only if it came in whole.
const REACH: usize = 4096;

/// Looks for boundaries. A boundary is a place in the bytes, from 1.
#[derive(Debug)]
pub(super) enum Finder {
    Anywhere,
    Literal {
        text: Vec<u8>,
        end: usize,
    },
    /// The first group is the end, the second the start.
    Pattern(Regex),
}

impl Finder {
    pub(super) fn new(boundary: &Boundary) -> Result<Finder, InputError> {
        match boundary {
            Boundary::Literal { end, start } if end.is_empty() && start.is_empty() => {
                Ok(Finder::Anywhere)
            }
            Boundary::Literal { end, start } => Ok(Finder::Literal {
                text: [&end[..], &start[..]].concat(),
                end: end.len(),
            }),
            Boundary::Pattern { end, start } => {
                let wrong = |pattern: &str, error: regex::Error| InputError::Pattern {
                    pattern: pattern.to_owned(),
                    reason: error.to_string(),
                };
                // Each by itself first, so that an error names what the user wrote.
                for pattern in [end, start] {
                    Regex::new(pattern).map_err(|error| wrong(pattern, error))?;
                }
                let both = format!("(?P<hands_end>{end})(?P<hands_start>{start})");
                Regex::new(&both)
                    .map(Finder::Pattern)
                    .map_err(|error| wrong(&both, error))
            }
        }
    }

    /// The first boundary behind `from`. `ended`: no more bytes will come.
    pub(super) fn first(&self, bytes: &[u8], from: usize, ended: bool) -> Option<usize> {
        match self {
            Finder::Anywhere => (bytes.len() > from).then_some(from + 1),
            Finder::Literal { text, end } => {
                // A boundary at `from` itself has been used: its text began `end` before it.
                let mut start = (from + 1).saturating_sub(*end);
                loop {
                    let at = start + memmem::find(bytes.get(start..)?, text)?;
                    if at + end > from {
                        return Some(at + end);
                    }
                    start = at + 1;
                }
            }
            Finder::Pattern(_) => self.matches(bytes, from, ended).find(|&at| at > from),
        }
    }

    /// The last boundary at or before `limit`.
    pub(super) fn last(&self, bytes: &[u8], limit: usize, ended: bool) -> Option<usize> {
        match self {
            Finder::Anywhere => Some(limit.min(bytes.len())),
            Finder::Literal { text, end } => {
                let window = &bytes[..bytes.len().min(limit + (text.len() - end))];
                let at = memmem::rfind(window, text)? + end;
                (at > 0).then_some(at)
            }
            Finder::Pattern(_) => self
                .matches(bytes, 0, ended)
                .take_while(|&at| at <= limit)
                .filter(|&at| at > 0)
                .last(),
        }
    }

    /// Boundaries of a pattern, from a little before `from` on. A match that touches the end of the
    /// bytes might become longer with the next ones, so it counts only when there are none.
    fn matches<'a>(
        &'a self,
        bytes: &'a [u8],
        from: usize,
        ended: bool,
    ) -> impl Iterator<Item = usize> + 'a {
        let base = from.saturating_sub(REACH);
        let pattern = match self {
            Finder::Pattern(pattern) => Some(pattern),
            _ => None,
        };
        let matches = pattern
            .into_iter()
            .flat_map(move |pattern| pattern.captures_iter(&bytes[base..]));
        matches
            .filter(move |found| {
                ended
                    || found
                        .get(0)
                        .is_some_and(|whole| base + whole.end() < bytes.len())
            })
            .filter_map(move |found| Some(base + found.name("hands_end")?.end()))
    }

    /// How many of `length` bytes need not be searched again once more have come.
    pub(super) fn safe(&self, length: usize) -> usize {
        match self {
            Finder::Anywhere => length,
            Finder::Literal { text, .. } => length.saturating_sub(text.len()),
            Finder::Pattern(_) => length.saturating_sub(REACH),
        }
    }

    /// The bytes without the texts of the boundaries.
    pub(super) fn remove(&self, block: &[u8]) -> Vec<u8> {
        match self {
            Finder::Anywhere => block.to_vec(),
            Finder::Literal { text, end } => {
                let (end, start) = text.split_at(*end);
                let mut kept = Vec::with_capacity(block.len());
                let mut rest = block;
                while let Some(&byte) = rest.first() {
                    let separator = [text, end, start]
                        .into_iter()
                        .find(|separator| !separator.is_empty() && rest.starts_with(separator));
                    match separator {
                        Some(separator) => rest = &rest[separator.len()..],
                        None => {
                            kept.push(byte);
                            rest = &rest[1..];
                        }
                    }
                }
                kept
            }
            Finder::Pattern(pattern) => pattern.replace_all(block, &b""[..]).into_owned(),
        }
    }
}
