//! Colour: on a terminal, unless NO_COLOR is set, or as `--color` says.

use std::io::{self, IsTerminal};

use crate::flags::ColourWhen;

/// How messages on stderr are coloured, or that they are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// Decides by the flag, the environment and what stderr is.
    pub(crate) fn new(when: ColourWhen) -> Paint {
        let on = match when {
            ColourWhen::Always => true,
            ColourWhen::Never => false,
            ColourWhen::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let capable = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
                capable && !set("NO_COLOR") && io::stderr().is_terminal()
            }
        };
        Paint { on }
    }

    /// What went wrong: red.
    pub(crate) fn wrong(self, text: &str) -> String {
        if self.on {
            format!("\x1b[31m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_has_the_last_word() {
        assert_eq!(Paint::new(ColourWhen::Never).wrong("x"), "x");
        assert_eq!(
            Paint::new(ColourWhen::Always).wrong("x"),
            "\x1b[31mx\x1b[0m"
        );
    }
}
