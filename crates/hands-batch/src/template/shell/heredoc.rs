//! Here-documents: `<<END`, then at the next newline the text up to a line `END`.

use memchr::memchr;

use super::item::{Item, QuoteContext, ScriptItems};
use super::reader::ScriptReader;
use crate::template::TemplateError;
use crate::template::error::shown;

/// A here-document whose text is still to come.
pub(super) struct HereDocument {
    /// The line that ends it.
    marker: Vec<u8>,
    /// The marker is quoted: nothing in the text is expanded.
    quoted: bool,
    /// `<<-`: tabs before lines are dropped.
    drops_tabs: bool,
    /// Where among the items the marker was announced.
    announced: usize,
}

impl ScriptReader<'_> {
    /// `<<` and the marker after it.
    pub(super) fn here_document_marker(
        &mut self,
        out: &mut ScriptItems,
    ) -> Result<HereDocument, TemplateError> {
        let drops_tabs = self.starts_with(b"<<-");
        self.copy(out, if drops_tabs { 3 } else { 2 });
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.copy(out, 1);
        }
        let start = self.at;
        let mut marker = Vec::new();
        let mut quote = None;
        while let Some(byte) = self.peek() {
            if self.placeholder_at(self.at).is_some() {
                let written = shown(&self.line[start..]);
                return Err(TemplateError::HereDocumentMarker { marker: written });
            }
            match (byte, quote) {
                (b'\'' | b'"', None) => quote = Some(byte),
                (_, Some(opened)) if byte == opened => quote = None,
                (b'\\', None) => {
                    self.at += 1;
                    marker.extend(self.peek());
                }
                (b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')', None) => {
                    break;
                }
                _ => marker.push(byte),
            }
            self.at += 1;
        }
        self.at = self.at.min(self.line.len());
        let written = &self.line[start..self.at];
        let quoted = written != marker;
        let announced = out.0.len();
        out.0.push(Item::Marker(written.to_vec()));
        Ok(HereDocument {
            marker,
            quoted,
            drops_tabs,
            announced,
        })
    }

    /// The text, up to and with the line that ends it.
    pub(super) fn here_document(
        &mut self,
        out: &mut ScriptItems,
        document: HereDocument,
    ) -> Result<(), TemplateError> {
        if document.quoted {
            return self.quoted_here_document(out, &document);
        }
        while let Some(length) = self.line_length() {
            if self.is_end(&document, length) {
                self.copy(out, length);
                return Ok(());
            }
            // To the end of this line, or of a substitution that goes over it.
            loop {
                let byte = self.peek();
                self.expanded(out, QuoteContext::Expanded)?;
                if byte.is_none_or(|byte| byte == b'\n') {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Copies the text when there is no placeholder in it; else unquotes the marker and escapes the
    /// text instead.
    fn quoted_here_document(
        &mut self,
        out: &mut ScriptItems,
        document: &HereDocument,
    ) -> Result<(), TemplateError> {
        let start = self.at;
        while let Some(length) = self.line_length()
            && !self.is_end(document, length)
        {
            self.at += length;
        }
        let end = self.at;
        if (start..end).all(|at| self.placeholder_at(at).is_none()) {
            out.text(&self.line[start..end]);
        } else {
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            if document.marker.is_empty() || !document.marker.iter().all(is_plain) {
                return Err(TemplateError::HereDocumentMarker {
                    marker: shown(&document.marker),
                });
            }
            out.0[document.announced] = Item::Marker(document.marker.clone());
            self.at = start;
            while self.at < end {
                if matches!(self.peek(), Some(b'\\' | b'$' | b'`')) {
                    out.text(b"\\");
                    self.copy(out, 1);
                } else {
                    self.brace(out, QuoteContext::Expanded);
                }
            }
        }
        let length = self.line_length().unwrap_or(0);
        self.copy(out, length);
        Ok(())
    }

    /// The length of the line here with its newline; `None` at the end.
    fn line_length(&self) -> Option<usize> {
        let rest = self.rest();
        (!rest.is_empty()).then(|| memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1))
    }

    fn is_end(&self, document: &HereDocument, length: usize) -> bool {
        let mut line = &self.rest()[..length];
        line = line.strip_suffix(b"\n").unwrap_or(line);
        while document.drops_tabs && line.starts_with(b"\t") {
            line = &line[1..];
        }
        line == document.marker
    }
}
