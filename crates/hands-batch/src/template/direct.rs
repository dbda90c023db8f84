//! Words that are executed as they are, without a shell.

use super::parts::{TemplatePart, join_row, placeholders};
use super::placeholder::{Placeholder, PlaceholderSource};
use super::{JobArgs, Row, TemplateError};

/// What the system needs for an argument beyond its bytes: a NUL at its end and a pointer to it.
pub(super) const ARGUMENT_OVERHEAD: usize = 1 + 8;
/// The longest that `{#}` and `{%}` get.
const LONGEST_NUMBER: usize = 20;

/// A word of the command. Its shape is found once, so that a job does only the copying.
#[derive(Clone, Debug)]
pub(super) enum Word {
    /// No placeholder.
    Fixed(Vec<u8>),
    /// `{}` or a form of it by itself: a word for each column of each row.
    EachInput(Placeholder),
    /// Holds a `{}`: repeated for each row.
    EachRow(Vec<TemplatePart>),
    /// Other placeholders only. Left out when they all are past the last input, unless it `stays`.
    Once {
        parts: Vec<TemplatePart>,
        stays: bool,
    },
}

impl Word {
    /// `quoted`: the user put quotes around some of it, so that it is a word even when empty and
    /// `"{}"` is one word.
    pub(super) fn new(parts: Vec<TemplatePart>, quoted: bool) -> Self {
        match parts.as_slice() {
            [] => Self::Fixed(Vec::new()),
            [TemplatePart::Literal(_)] => match parts.into_iter().next() {
                Some(TemplatePart::Literal(text)) => Self::Fixed(text),
                _ => Self::Fixed(Vec::new()),
            },
            [TemplatePart::Value(placeholder)] if placeholder.is_inputs() && !quoted => {
                Self::EachInput(*placeholder)
            }
            _ if placeholders(&parts).any(Placeholder::is_inputs) => Self::EachRow(parts),
            _ => {
                let stays = quoted
                    || parts
                        .iter()
                        .any(|part| matches!(part, TemplatePart::Literal(_)));
                Self::Once { parts, stays }
            }
        }
    }

    pub(super) fn placeholders(&self) -> impl Iterator<Item = Placeholder> + '_ {
        let (alone, parts): (_, &[TemplatePart]) = match self {
            Self::Fixed(_) => (None, &[]),
            Self::EachInput(placeholder) => (Some(*placeholder), &[]),
            Self::EachRow(parts) | Self::Once { parts, .. } => (None, parts),
        };
        alone.into_iter().chain(placeholders(parts))
    }

    /// Appends the words that this one becomes for a job.
    pub(super) fn expand(&self, args: &JobArgs<'_>, out: &mut Vec<Vec<u8>>) {
        match self {
            Self::Fixed(text) => out.push(text.clone()),
            Self::EachInput(placeholder) => {
                out.extend(
                    args.rows
                        .iter()
                        .flatten()
                        .map(|value| placeholder.form.of(value).into_owned()),
                );
            }
            Self::EachRow(parts) if args.rows.is_empty() => {
                out.push(build(parts, &Vec::new(), args))
            }
            Self::EachRow(parts) => out.extend(args.rows.iter().map(|row| build(parts, row, args))),
            Self::Once { parts, stays } => {
                // The common `{2}` and `{1.}` alone need no second buffer.
                if let [TemplatePart::Value(placeholder)] = parts.as_slice() {
                    match placeholder.value(args) {
                        Some(value) => out.push(value.into_owned()),
                        None if *stays => out.push(Vec::new()),
                        None => {}
                    }
                } else if *stays
                    || placeholders(parts).any(|placeholder| placeholder.value(args).is_some())
                {
                    out.push(build(parts, &Vec::new(), args));
                }
            }
        }
    }

    /// Bytes of arguments that do not depend on the inputs.
    pub(super) fn fixed_cost(&self) -> usize {
        match self {
            Self::Fixed(text) => text.len() + ARGUMENT_OVERHEAD,
            Self::EachInput(_) | Self::EachRow(_) => 0,
            Self::Once { parts, .. } => parts_cost(parts, None) + ARGUMENT_OVERHEAD,
        }
    }

    /// Bytes of arguments that a row adds, at most.
    pub(super) fn row_cost(&self, row: &Row) -> usize {
        match self {
            Self::Fixed(_) => 0,
            Self::EachInput(placeholder) => row
                .iter()
                .map(|value| placeholder.form.cost(value) + ARGUMENT_OVERHEAD)
                .sum(),
            Self::EachRow(parts) => parts_cost(parts, Some(row)) + ARGUMENT_OVERHEAD,
            Self::Once { parts, .. } => placeholders(parts)
                .filter(|placeholder| placeholder.is_input())
                .map(|placeholder| longest(placeholder, row))
                .sum(),
        }
    }
}

fn longest(placeholder: Placeholder, row: &Row) -> usize {
    let costs = row.iter().map(|value| placeholder.form.cost(value));
    costs.max().unwrap_or(0)
}

/// The most bytes that these parts take with `row`; without one, what they take without any input.
fn parts_cost(parts: &[TemplatePart], row: Option<&Row>) -> usize {
    let cost = |part: &TemplatePart| match (part, row) {
        (TemplatePart::Literal(text), _) => text.len(),
        (
            TemplatePart::Value(Placeholder {
                source: PlaceholderSource::Seq | PlaceholderSource::Slot,
                ..
            }),
            _,
        ) => LONGEST_NUMBER,
        (TemplatePart::Value(_), None) => 0,
        (
            TemplatePart::Value(Placeholder {
                source: PlaceholderSource::Inputs,
                form,
            }),
            Some(row),
        ) => row.iter().map(|value| form.cost(value) + 1).sum(),
        (TemplatePart::Value(placeholder), Some(row)) => longest(*placeholder, row),
    };
    parts.iter().map(cost).sum()
}

fn build(parts: &[TemplatePart], row: &Row, args: &JobArgs<'_>) -> Vec<u8> {
    let mut word = Vec::with_capacity(parts_cost(parts, Some(row)));
    for part in parts {
        match part {
            TemplatePart::Literal(text) => word.extend_from_slice(text),
            TemplatePart::Value(placeholder) if placeholder.is_inputs() => {
                join_row(&mut word, *placeholder, row)
            }
            TemplatePart::Value(placeholder) => {
                word.extend_from_slice(&placeholder.value(args).unwrap_or_default())
            }
        }
    }
    word
}

/// The arguments of a job.
pub(super) fn argv(words: &[Word], args: &JobArgs<'_>) -> Result<Vec<Vec<u8>>, TemplateError> {
    let mut out = Vec::with_capacity(words.len() + args.rows.len().saturating_sub(1));
    for word in words {
        word.expand(args, &mut out);
    }
    if out.is_empty() {
        return Err(TemplateError::Empty);
    }
    match out.iter().find(|word| memchr::memchr(0, word).is_some()) {
        Some(word) => Err(TemplateError::nul(word)),
        None => Ok(out),
    }
}
