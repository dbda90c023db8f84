//! A script with its values written out, for a person to paste.
//!
//! Each value is quoted literally for its context. Where that cannot be done on one line with
//! certainty (a script of several lines, here-documents, arithmetic) there is no such line, and the
//! caller shows the arguments themselves.

use super::item::{Item, QuoteContext};
use super::render::{Cell, Next, Render, Values, WordShape, render};
use crate::template::{JobArgs, quote};

/// The script on one line, if it can be written so.
pub(super) fn line(items: &[Item], shape: &WordShape, args: &JobArgs<'_>) -> Option<Vec<u8>> {
    let mut paste = Paste {
        line: Vec::new(),
        values: Values::of(args),
        faithful: true,
    };
    render(items, shape, &mut paste);
    paste.faithful.then_some(paste.line)
}

struct Paste<'a> {
    line: Vec<u8>,
    values: Values<'a>,
    faithful: bool,
}

impl Render for Paste<'_> {
    fn text(&mut self, text: &[u8]) {
        self.faithful &= quote::is_printable(text);
        self.line.extend_from_slice(text);
    }

    fn values(&mut self, cells: &[Cell], context: QuoteContext, next: Next) {
        if cells.is_empty() {
            return;
        }
        let mut value = Vec::new();
        for (place, &cell) in cells.iter().enumerate() {
            if place > 0 {
                value.push(b' ');
            }
            value.extend(self.values.get(cell));
        }
        let line = &mut self.line;
        match context {
            QuoteContext::Bare if stands_bare(line.last(), &value, next) => {
                line.extend_from_slice(&value)
            }
            QuoteContext::Bare => quote::visible(line, &value),
            QuoteContext::Double if stands_in_double(line.last(), &value) => {
                for byte in value {
                    if b"\\\"$`".contains(&byte) {
                        line.push(b'\\');
                    }
                    line.push(byte);
                }
            }
            QuoteContext::Double => within(line, b"\"", &value, b"\""),
            QuoteContext::Single if quote::is_printable(&value) && !value.contains(&b'\'') => {
                line.extend_from_slice(&value);
            }
            QuoteContext::Single => within(line, b"'", &value, b"'"),
            QuoteContext::Dollar => within(line, b"'", &value, b"$'"),
            QuoteContext::Expanded | QuoteContext::Number => self.faithful = false,
        }
    }
}

/// Leaves the quotes around, gives the value its own, and returns to them.
fn within(line: &mut Vec<u8>, close: &[u8], value: &[u8], open: &[u8]) {
    line.extend_from_slice(close);
    quote::visible(line, value);
    line.extend_from_slice(open);
}

/// Whether a value outside of quotes can do without, given what is before and after it: `$x` must
/// not get longer, `2` must not become `2>`, nor `f` become `f()`.
fn stands_bare(before: Option<&u8>, value: &[u8], next: Next) -> bool {
    let before = matches!(before, None | Some(b' ' | b'/'));
    let after = matches!(
        next,
        Next::End | Next::Byte(b' ' | b'/' | b'.' | b';' | b'|')
    );
    before && after && quote::is_plain_command(value)
}

/// Whether a value can be written into the double quotes it stands in. `!` would be history for a
/// person's shell.
fn stands_in_double(before: Option<&u8>, value: &[u8]) -> bool {
    matches!(before, Some(b'"' | b' ' | b'/' | b'.' | b',' | b'='))
        && quote::is_printable(value)
        && !value.contains(&b'!')
}
