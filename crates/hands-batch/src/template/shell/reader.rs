//! The reader's position in a script, and the quotes.

use super::item::{QuoteContext, ScriptItems, Source};
use crate::template::TemplateError;
use crate::template::error::MAX_DEPTH;
use crate::template::placeholder::{InputNames, Placeholder, scan};

/// Reads a script.
///
/// # Errors
///
/// A quote or bracket that is never closed, where it matters to what a placeholder means.
pub(in crate::template) fn read(line: &[u8], names: &InputNames) -> Result<Source, TemplateError> {
    let mut items = ScriptItems::default();
    let ending = ScriptReader {
        line,
        names,
        at: 0,
        depth: 0,
    }
    .commands(&mut items, None)?;
    Ok(Source { items, ending })
}

/// One method for each kind of text; each starts at its opening, copies it, and ends after its end.
pub(super) struct ScriptReader<'a> {
    pub(super) line: &'a [u8],
    pub(super) names: &'a InputNames,
    pub(super) at: usize,
    pub(super) depth: usize,
}

impl ScriptReader<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    pub(super) fn rest(&self) -> &[u8] {
        self.line.get(self.at..).unwrap_or_default()
    }

    pub(super) fn starts_with(&self, text: &[u8]) -> bool {
        self.rest().starts_with(text)
    }

    /// Copies the next `length` bytes, or what there is of them.
    pub(super) fn copy(&mut self, out: &mut ScriptItems, length: usize) {
        let rest = self.rest();
        let text = &rest[..length.min(rest.len())];
        out.text(text);
        self.at += text.len();
    }

    pub(super) fn placeholder_at(&self, at: usize) -> Option<(Placeholder, usize)> {
        scan(self.line.get(at..)?, self.names)
    }

    /// A placeholder, or the text `{`.
    pub(super) fn brace(&mut self, out: &mut ScriptItems, context: QuoteContext) {
        match self.placeholder_at(self.at) {
            Some((placeholder, length)) => {
                out.value(placeholder, context);
                self.at += length;
            }
            None => self.copy(out, 1),
        }
    }

    pub(super) fn unclosed(&self, opened: &'static str, at: usize) -> TemplateError {
        TemplateError::unbalanced(opened, self.line, at)
    }

    /// Reads what is inside of something, bounded in depth.
    pub(super) fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, TemplateError>,
    ) -> Result<T, TemplateError> {
        if self.depth == MAX_DEPTH {
            return Err(TemplateError::TooDeep);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// A backslash where it escapes only some bytes, and not `{`: before a placeholder it is a
    /// backslash, which has to be doubled since a reference starts with `$` or a quote.
    pub(super) fn backslash(&mut self, out: &mut ScriptItems) {
        if self.placeholder_at(self.at + 1).is_some() {
            out.text(b"\\\\");
            self.at += 1;
        } else {
            self.copy(out, 2);
        }
    }

    /// A backslash outside of quotes. One that escapes a placeholder escapes its last brace, too,
    /// which means something by itself in zsh.
    pub(super) fn escaped(&mut self, out: &mut ScriptItems) {
        match self.placeholder_at(self.at + 1) {
            Some((_, length)) if length > 1 => {
                self.copy(out, length);
                out.text(b"\\}");
                self.at += 1;
            }
            _ => self.copy(out, 2),
        }
    }

    /// `'…'`
    pub(super) fn single(&mut self, out: &mut ScriptItems) -> Result<(), TemplateError> {
        let start = self.at;
        self.copy(out, 1);
        loop {
            match self.peek() {
                None => return Err(self.unclosed("'", start)),
                Some(b'{') => self.brace(out, QuoteContext::Single),
                Some(byte) => {
                    self.copy(out, 1);
                    if byte == b'\'' {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// `$'…'`
    pub(super) fn dollar_single(&mut self, out: &mut ScriptItems) -> Result<(), TemplateError> {
        let start = self.at;
        self.copy(out, 2);
        loop {
            match self.peek() {
                None => return Err(self.unclosed("$'", start)),
                Some(b'{') => self.brace(out, QuoteContext::Dollar),
                Some(b'\\') => self.backslash(out),
                Some(byte) => {
                    self.copy(out, 1);
                    if byte == b'\'' {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// `"…"`; `context` is `Expanded` when it is itself within `"${x:-"…"}"`, whose inner quotes
    /// shells disagree on.
    pub(super) fn double(
        &mut self,
        out: &mut ScriptItems,
        context: QuoteContext,
    ) -> Result<(), TemplateError> {
        let start = self.at;
        self.copy(out, 1);
        loop {
            match self.peek() {
                None => return Err(self.unclosed("\"", start)),
                Some(b'"') => {
                    self.copy(out, 1);
                    return Ok(());
                }
                Some(_) => self.expanded(out, context)?,
            }
        }
    }

    /// One step in text where only backslash, `$`, backquotes and placeholders mean something.
    pub(super) fn expanded(
        &mut self,
        out: &mut ScriptItems,
        context: QuoteContext,
    ) -> Result<(), TemplateError> {
        match self.peek() {
            Some(b'\\') => self.backslash(out),
            Some(b'$') => self.dollar(out, context)?,
            Some(b'`') => self.backquotes(out, context)?,
            Some(b'{') => self.brace(out, context),
            _ => self.copy(out, 1),
        }
        Ok(())
    }

    /// `$` and what belongs to it.
    pub(super) fn dollar(
        &mut self,
        out: &mut ScriptItems,
        context: QuoteContext,
    ) -> Result<(), TemplateError> {
        let next = self.line.get(self.at + 1).copied();
        match next {
            Some(b'(') if self.is_arithmetic(self.at + 1) => {
                self.copy(out, 1);
                self.deeper(|reader| reader.arithmetic(out, b"((", b"))"))
            }
            Some(b'(') => {
                let start = self.at;
                self.copy(out, 2);
                self.deeper(|reader| reader.commands(out, Some(start)))
                    .map(drop)
            }
            Some(b'[') if context != QuoteContext::Number => {
                // bash's old arithmetic. Elsewhere it is text, and the worst is that an input must
                // be a number.
                self.copy(out, 1);
                self.deeper(|reader| reader.arithmetic(out, b"[", b"]"))
            }
            Some(b'{') => {
                if self.placeholder_at(self.at + 1).is_some() && !self.is_parameter(self.at + 1) {
                    // A dollar sign: without the backslash `$"${hands_1}"` and `$${hands_1}` are
                    // something else.
                    out.text(b"\\$");
                    self.at += 1;
                    return Ok(());
                }
                self.deeper(|reader| reader.parameter(out, context))
            }
            Some(b'\'') if context == QuoteContext::Bare => self.dollar_single(out),
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let name = self.line[self.at + 1..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
                    .count();
                self.copy(out, 1 + name);
                Ok(())
            }
            Some(byte) if byte.is_ascii_digit() || b"#?$!@*-".contains(&byte) => {
                self.copy(out, 2);
                Ok(())
            }
            _ => {
                self.copy(out, 1);
                Ok(())
            }
        }
    }

    /// Whether the placeholder at `at`, which follows a `$`, is rather a parameter of the shell:
    /// `${1}`, `${name}`.
    fn is_parameter(&self, at: usize) -> bool {
        let Some((_, length)) = self.placeholder_at(at) else {
            return false;
        };
        let inside = &self.line[at + 1..at + length - 1];
        let is_name = inside
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            && !inside.first().is_none_or(u8::is_ascii_digit);
        inside == b"#" || is_name || !inside.is_empty() && inside.iter().all(u8::is_ascii_digit)
    }
}
