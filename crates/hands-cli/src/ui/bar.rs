//! A few lines below what is written on a terminal, drawn anew now and then.
//!
//! They stand below the cursor, which rests on the line where the next output comes. So what
//! somebody else writes to the terminal meanwhile stands where it would without them, and is never
//! erased: it goes over the first of these lines, which are drawn anew below it.

use std::io::{self, IsTerminal, Write};

use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};
use unicode_width::UnicodeWidthChar;

/// Whether stderr is a terminal that can move its cursor.
pub(crate) fn can_draw() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Whether this program is in the foreground there: in the background the lines of another would be
/// drawn over.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stderr()).is_ok_and(|group| group == getpgrp())
}

#[derive(Debug, Default)]
pub(crate) struct Bar {
    /// What stands there.
    drawn: String,
}

impl Bar {
    /// Draws `text`, whose lines are cut to what the terminal is wide, and which is cut to what it
    /// is high.
    pub(crate) fn draw(&mut self, text: &str) {
        if !is_in_foreground() {
            return;
        }
        let (columns, rows) = match tcgetwinsize(io::stderr()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => (80, 24),
        };
        let lines = text
            .lines()
            .take(usize::from(rows).saturating_sub(2).max(1));
        let lines: Vec<&str> = lines
            .map(|line| cut(line, usize::from(columns).saturating_sub(1)))
            .collect();
        let drawing = format!("\x1b[J\r\n{}\x1b[{}A\r", lines.join("\r\n"), lines.len());
        if self.drawn != drawing {
            put(&drawing);
            self.drawn = drawing;
        }
    }

    /// Takes it away.
    pub(crate) fn clear(&mut self) {
        if !std::mem::take(&mut self.drawn).is_empty() && is_in_foreground() {
            put("\x1b[J");
        }
    }
}

/// Nobody may be left to see it.
fn put(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

/// The beginning of a line that has no more columns than this.
pub(crate) fn cut(line: &str, columns: usize) -> &str {
    let mut width = 0;
    for (at, letter) in line.char_indices() {
        width += letter.width().unwrap_or(0);
        if width > columns {
            return &line[..at];
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_columns() {
        for (line, columns, beginning) in [
            ("abc", 3, "abc"),
            ("abc", 2, "ab"),
            ("日本語", 4, "日本"),
            ("日本語", 5, "日本"),
            ("e\u{301}x", 1, "e\u{301}"),
        ] {
            assert_eq!(cut(line, columns), beginning, "{line} {columns}");
        }
    }
}
