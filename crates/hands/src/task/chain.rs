//! [`ErrorChain`]: an error of any kind, on its way from another process.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Any error, as text, with all that caused it: for a task in another process whose error cannot be
/// sent itself.
///
/// The `?` operator makes it of any error. (An error that is `Serialize` and `Deserialize` needs
/// none of this: it goes as it is.)
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let _hands = hands::init();
/// use hands::pool::{Pool, ProcessPool};
/// use hands::task::ErrorChain;
///
/// fn parse(text: String) -> Result<u32, ErrorChain> {
///     Ok(text.parse::<u32>()?)
/// }
///
/// let pool = ProcessPool::with_workers(1)?;
/// assert_eq!(pool.submit(parse, "7".to_owned()).join()?.unwrap(), 7);
/// let error = pool.submit(parse, "x".to_owned()).join()?.unwrap_err();
/// assert_eq!(error.to_string(), "invalid digit found in string");
/// assert_eq!(error.type_name(), "core::num::error::ParseIntError");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorChain {
    type_name: String,
    messages: Vec<String>,
}

impl ErrorChain {
    /// What it says, and then what each of its causes says, the root last.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        self.messages.iter().map(String::as_str)
    }

    /// The name of its type, as [`std::any::type_name`] has it.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// An error with the same texts and causes, for what wants one. (This is none itself, or `?`
    /// could not make it of any.)
    pub fn into_error(self) -> Box<dyn Error + Send + Sync> {
        let mut cause = None;
        for message in self.messages.into_iter().rev() {
            cause = Some(Box::new(Link { message, cause }));
        }
        match cause {
            Some(link) => link,
            None => self.type_name.into(),
        }
    }
}

struct Link {
    message: String,
    cause: Option<Box<Link>>,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.message, f)
    }
}

impl Error for Link {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl<E: Error> From<E> for ErrorChain {
    fn from(error: E) -> ErrorChain {
        let mut messages = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(error) = cause {
            messages.push(error.to_string());
            cause = error.source();
        }
        ErrorChain {
            type_name: std::any::type_name::<E>().to_owned(),
            messages,
        }
    }
}

/// The error's own text; with `{:#}`, and what caused it.
impl fmt::Display for ErrorChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = if f.alternate() { usize::MAX } else { 1 };
        for (n, message) in self.messages().take(count).enumerate() {
            let between = if n > 0 { ": " } else { "" };
            write!(f, "{between}{message}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ErrorChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self:#}", self.type_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_come_along() {
        let root: Link = Link {
            message: "root".to_owned(),
            cause: None,
        };
        let chain = ErrorChain::from(Link {
            message: "top".to_owned(),
            cause: Some(Box::new(root)),
        });
        assert_eq!(chain.to_string(), "top");
        assert_eq!(format!("{chain:#}"), "top: root");
        assert!(chain.messages().eq(["top", "root"]));
        let error = chain.into_error();
        let cause = error.source().map(ToString::to_string);
        assert_eq!(
            (error.to_string(), cause),
            ("top".to_owned(), Some("root".to_owned()))
        );
    }
}
