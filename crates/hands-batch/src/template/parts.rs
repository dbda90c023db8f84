//! Text with placeholders in it, where nothing else is special.

use super::placeholder::{Names, Placeholder, scan};
use super::{JobArgs, Options, Row};

/// A stretch of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Vec<u8>),
    Value(Placeholder),
}

/// The parts of `text`.
pub(super) fn parts(text: &[u8], names: &Names) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match scan(&text[at..], names) {
            Some((placeholder, length)) => {
                parts.push(Part::Value(placeholder));
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
pub(super) fn push_byte(parts: &mut Vec<Part>, byte: u8) {
    match parts.last_mut() {
        Some(Part::Literal(text)) => text.push(byte),
        _ => parts.push(Part::Literal(vec![byte])),
    }
}

/// The placeholders of some parts.
pub(super) fn placeholders(parts: &[Part]) -> impl Iterator<Item = Placeholder> + '_ {
    parts.iter().filter_map(|part| match part {
        Part::Value(placeholder) => Some(*placeholder),
        Part::Literal(_) => None,
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

/// Plain text with the placeholders of a command in it, for `--tagstring` and `--results`.
///
/// All inputs of a `{}` are joined by a space. There is no quoting and nothing is added to a text without
/// placeholders.
///
/// ```
/// use hands_batch::template::{JobArgs, Options, Text};
///
/// let options = Options { names: vec![b"file".to_vec(), b"year".to_vec()], ..Options::default() };
/// let text = Text::parse(b"{#}: {/.} of {year}", &options);
/// let rows = [vec![b"logs/a.txt".to_vec(), b"2024".to_vec()]];
/// let args = JobArgs { rows: &rows, seq: 7, slot: 1 };
/// assert_eq!(text.expand(&args), b"7: a 2024 of 2024");
/// ```
#[derive(Clone, Debug)]
pub struct Text(Vec<Part>);

impl Text {
    /// Reads `text`. Of the options the names and the rules count.
    pub fn parse(text: &[u8], options: &Options) -> Self {
        Self(parts(text, &Names::new(&options.names, &options.rules)))
    }

    /// The text for one job. A number past the last input is empty.
    pub fn expand(&self, args: &JobArgs<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => out.extend_from_slice(text),
                Part::Value(placeholder) if placeholder.is_inputs() => {
                    for (place, row) in args.rows.iter().enumerate() {
                        if place > 0 {
                            out.push(b' ');
                        }
                        join_row(&mut out, *placeholder, row);
                    }
                }
                Part::Value(placeholder) => {
                    out.extend_from_slice(&placeholder.value(args).unwrap_or_default());
                }
            }
        }
        out
    }
}
