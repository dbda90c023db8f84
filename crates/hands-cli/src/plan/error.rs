//! Flags that do not make a plan, and what to do about it.

use std::error::Error;
use std::fmt;

/// Flags that do not make a batch. Shown it is one sentence, and where there is one a second line
/// with a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanError {
    message: String,
    hint: Option<&'static str>,
}

impl PlanError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(self, hint: &'static str) -> Self {
        Self {
            hint: Some(hint),
            ..self
        }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl Error for PlanError {}
