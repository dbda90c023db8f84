//! The one error of this folder: words that are no rule.

use std::error::Error;
use std::fmt;

/// Text that does not say what the rule needs: the message names the text and shows one that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRule {
    message: String,
}

impl InvalidRule {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for InvalidRule {}
