//! Text with placeholders in it, where nothing else is special.

use super::Row;
use super::placeholder::{InputNames, Placeholder, scan};

/// A stretch of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TemplatePart {
    Literal(Vec<u8>),
    Value(Placeholder),
}

/// The parts of `text`.
pub(super) fn parts(text: &[u8], names: &InputNames) -> Vec<TemplatePart> {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match scan(&text[at..], names) {
            Some((placeholder, length)) => {
                parts.push(TemplatePart::Value(placeholder));
                at += length;
            }
            None => {
                push_byte(&mut parts, text[at]);
                at += 1;
            }
        }
    }
    parts
}

/// Adds a byte of text.
pub(super) fn push_byte(parts: &mut Vec<TemplatePart>, byte: u8) {
    match parts.last_mut() {
        Some(TemplatePart::Literal(text)) => text.push(byte),
        _ => parts.push(TemplatePart::Literal(vec![byte])),
    }
}

/// The placeholders of some parts.
pub(super) fn placeholders(parts: &[TemplatePart]) -> impl Iterator<Item = Placeholder> + '_ {
    parts.iter().filter_map(|part| match part {
        TemplatePart::Value(placeholder) => Some(*placeholder),
        TemplatePart::Literal(_) => None,
    })
}

/// Appends the columns of `row` in this placeholder's form, joined by a space.
pub(super) fn join_row(out: &mut Vec<u8>, placeholder: Placeholder, row: &Row) {
    for (place, column) in row.iter().enumerate() {
        if place > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(&placeholder.form.of(column));
    }
}
