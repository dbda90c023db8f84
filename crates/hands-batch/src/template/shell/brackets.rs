//! Arithmetic, `${…}` and backquotes.

use super::item::{QuoteContext, ScriptItems};
use super::reader::ScriptReader;
use crate::template::TemplateError;

impl ScriptReader<'_> {
    /// Whether the `((` at `at` is closed by `))`. Otherwise it is two brackets, as in `((a); b)`.
    pub(super) fn is_arithmetic(&self, at: usize) -> bool {
        if !self.line[at..].starts_with(b"((") {
            return false;
        }
        let mut open = 2;
        let mut place = at + 2;
        let mut quote = None;
        while let Some(&byte) = self.line.get(place) {
            match byte {
                b'\\' if quote != Some(b'\'') => place += 1,
                b'\'' | b'"' => match quote {
                    None => quote = Some(byte),
                    Some(opened) if opened == byte => quote = None,
                    Some(_) => {}
                },
                b'(' if quote.is_none() => open += 1,
                b')' if quote.is_none() => {
                    open -= 1;
                    if open == 1 {
                        return self.line.get(place + 1) == Some(&b')');
                    }
                }
                _ => {}
            }
            place += 1;
        }
        false
    }

    /// Text that a shell evaluates as a number, between `open` and `close`.
    pub(super) fn arithmetic(
        &mut self,
        out: &mut ScriptItems,
        open: &'static [u8],
        close: &'static [u8],
    ) -> Result<(), TemplateError> {
        let start = self.at;
        self.copy(out, open.len());
        let mut inner = 0_usize;
        loop {
            match self.peek() {
                None => {
                    let opened = if open == b"[" { "[" } else { "((" };
                    return Err(self.unclosed(opened, start));
                }
                Some(_) if inner == 0 && self.starts_with(close) => {
                    self.copy(out, close.len());
                    return Ok(());
                }
                Some(byte) => {
                    // Only brackets of the closing kind count.
                    if byte == open[0] {
                        inner += 1;
                    } else if byte == close[0] {
                        inner = inner.saturating_sub(1);
                    }
                    self.expanded(out, QuoteContext::Number)?;
                }
            }
        }
    }

    /// `${…}`
    pub(super) fn parameter(
        &mut self,
        out: &mut ScriptItems,
        outer: QuoteContext,
    ) -> Result<(), TemplateError> {
        let start = self.at;
        self.copy(out, 2);
        // `${#x}` and `${!x}`, but `${#}` and `${#-…}` are the parameter `#`.
        let next = self.line.get(self.at + 1).copied().unwrap_or(b'}');
        if matches!(self.peek(), Some(b'#' | b'!'))
            && (next.is_ascii_alphanumeric() || next == b'_')
        {
            self.copy(out, 1);
        }
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let name = self.rest().iter().take_while(|byte| is_name(byte)).count();
        // A special parameter is one byte.
        let special = name == 0 && self.peek().is_some_and(|byte| b"#?$!@*-".contains(&byte));
        self.copy(out, if special { 1 } else { name });
        if self.peek() == Some(b'[') {
            self.deeper(|reader| reader.arithmetic(out, b"[", b"]"))?;
        }
        let context = match (self.peek(), self.line.get(self.at + 1)) {
            // Patterns have quotes of their own, even within double quotes.
            (Some(b'#' | b'%' | b'/' | b'^' | b',' | b'@'), _) => QuoteContext::Bare,
            // `${x:1:2}`
            (Some(b':'), next) if !next.is_some_and(|byte| b"-=+?".contains(byte)) => {
                QuoteContext::Number
            }
            _ if outer == QuoteContext::Bare => QuoteContext::Bare,
            _ => QuoteContext::Expanded,
        };
        loop {
            match self.peek() {
                None => return Err(self.unclosed("${", start)),
                Some(b'}') => {
                    self.copy(out, 1);
                    return Ok(());
                }
                Some(b'"') => {
                    let inside = if context == QuoteContext::Bare {
                        QuoteContext::Double
                    } else {
                        QuoteContext::Expanded
                    };
                    self.double(out, inside)?;
                }
                Some(b'\'') if context == QuoteContext::Bare => self.single(out)?,
                // As outside of quotes, where it escapes a brace.
                Some(b'\\') if context == QuoteContext::Bare => self.copy(out, 2),
                Some(_) => self.expanded(out, context)?,
            }
        }
    }

    /// `` `…` ``: copied when there is no placeholder in it, else rewritten to `$(…)`.
    pub(super) fn backquotes(
        &mut self,
        out: &mut ScriptItems,
        outer: QuoteContext,
    ) -> Result<(), TemplateError> {
        let start = self.at;
        let mut script = Vec::new();
        let mut used = false;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(self.unclosed("`", start)),
                Some(b'`') => break,
                // One level of backslashes goes.
                Some(b'\\') => {
                    let next = self.line.get(self.at + 1).copied();
                    match next {
                        Some(next)
                            if b"$`\\".contains(&next)
                                || next == b'"' && outer != QuoteContext::Bare =>
                        {
                            script.push(next);
                            self.at += 2;
                        }
                        _ => {
                            script.push(b'\\');
                            self.at += 1;
                        }
                    }
                }
                Some(byte) => {
                    let length = match self.placeholder_at(self.at) {
                        Some((_, length)) => {
                            used = true;
                            length
                        }
                        None => 1,
                    };
                    debug_assert!(length == 1 || byte == b'{');
                    script.extend_from_slice(&self.line[self.at..self.at + length]);
                    self.at += length;
                }
            }
        }
        self.at += 1;
        if !used {
            out.text(&self.line[start..self.at]);
            return Ok(());
        }
        let (names, depth) = (self.names, self.depth);
        let mut inside = ScriptItems::default();
        self.deeper(|_| {
            ScriptReader {
                line: &script,
                names,
                at: 0,
                depth: depth + 1,
            }
            .commands(&mut inside, None)
        })
        // The place in the text between the backquotes says nothing to the user.
        .map_err(|error| match error {
            TemplateError::Unbalanced { opened, rest, .. } => TemplateError::Unbalanced {
                opened,
                at: start,
                rest,
            },
            other => other,
        })?;
        // `$((` would be arithmetic; and a comment or here-document would take the closing bracket.
        out.text(if script.starts_with(b"(") {
            b"$( "
        } else {
            b"$("
        });
        out.append(inside);
        out.text(if script.contains(&b'#') || script.contains(&b'<') {
            b"\n)"
        } else {
            b")"
        });
        Ok(())
    }
}
