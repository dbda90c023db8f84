//! Finding placeholders in text, and their values for a job.

use std::borrow::Cow;

use memchr::memchr;

use super::path::Form;
use super::rules::Rule;
use super::{JobArgs, Row};

/// Where a placeholder's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PlaceholderSource {
    /// `{}`: every column of every row.
    Inputs,
    /// `{2}`, `{-1}` or a name: one input, counted over all rows, from 1 or backwards from -1.
    Input(i64),
    /// `{#}`.
    Seq,
    /// `{%}`.
    Slot,
}

/// One placeholder: whose value, and which part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Placeholder {
    pub(super) source: PlaceholderSource,
    pub(super) form: Form,
}

impl Placeholder {
    /// `{}`, which is added to a command that has no placeholder.
    pub(super) const INPUTS: Self = Self {
        source: PlaceholderSource::Inputs,
        form: Form::Whole,
    };

    pub(super) fn is_input(self) -> bool {
        matches!(
            self.source,
            PlaceholderSource::Inputs | PlaceholderSource::Input(_)
        )
    }

    pub(super) fn is_slot(self) -> bool {
        self.source == PlaceholderSource::Slot
    }

    /// Whether it stands for as many values as there are inputs.
    pub(super) fn is_inputs(self) -> bool {
        self.source == PlaceholderSource::Inputs
    }

    /// The value of a placeholder that has one; `None` for a number past the last input.
    pub(super) fn value<'a>(self, args: &JobArgs<'a>) -> Option<Cow<'a, [u8]>> {
        match self.source {
            PlaceholderSource::Inputs => None,
            PlaceholderSource::Input(number) => {
                let value = nth(args.rows, number)?;
                Some(self.form.of(value))
            }
            PlaceholderSource::Seq => Some(Cow::Owned(args.seq.to_string().into_bytes())),
            PlaceholderSource::Slot => Some(Cow::Owned(args.slot.to_string().into_bytes())),
        }
    }
}

/// What placeholders may be called beyond those that are always there.
#[derive(Clone, Debug, Default)]
pub(super) struct InputNames {
    /// Columns of the input.
    pub(super) columns: Vec<Vec<u8>>,
    /// Defined by the user; the longest first, as one may end with another.
    pub(super) rules: Vec<Rule>,
}

impl InputNames {
    pub(super) fn new(columns: &[Vec<u8>], rules: &[Rule]) -> InputNames {
        let mut rules = rules.to_vec();
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.inside().len()));
        InputNames {
            columns: columns.to_vec(),
            rules,
        }
    }
}

/// How many inputs `{-1}` counts back over.
fn inputs(rows: &[Row]) -> usize {
    rows.iter().map(Vec::len).sum()
}

/// The place of input `number`, counted from 0, when there are `total`.
pub(super) fn position(number: i64, total: usize) -> Option<usize> {
    let distance = usize::try_from(number.unsigned_abs()).ok()?;
    let place = if number < 0 {
        total.checked_sub(distance)?
    } else {
        distance.checked_sub(1)?
    };
    (place < total).then_some(place)
}

fn nth(rows: &[Row], number: i64) -> Option<&[u8]> {
    // Nearly always one row: no counting then.
    if let [row] = rows {
        return row.get(position(number, row.len())?).map(Vec::as_slice);
    }
    let place = position(number, inputs(rows))?;
    rows.iter().flatten().nth(place).map(Vec::as_slice)
}

/// The placeholder that `text` starts with, and its length.
pub(super) fn scan(text: &[u8], names: &InputNames) -> Option<(Placeholder, usize)> {
    let inside = text.strip_prefix(b"{")?;
    let inside = &inside[..memchr(b'}', inside)?];
    let placeholder = read(inside, names)?;
    Some((placeholder, inside.len() + 2))
}

fn read(inside: &[u8], names: &InputNames) -> Option<Placeholder> {
    let whole = |source| {
        Some(Placeholder {
            source,
            form: Form::Whole,
        })
    };
    match inside {
        b"" => return whole(PlaceholderSource::Inputs),
        b"#" => return whole(PlaceholderSource::Seq),
        b"%" => return whole(PlaceholderSource::Slot),
        _ => {}
    }
    // A name first: it may end in what looks like a form, or be a number (a table with a column for
    // each year).
    if let Some(source) = named(inside, names).or_else(|| numbered(inside)) {
        return whole(source);
    }
    const FORMS: [(&[u8], Form); 4] = [
        (b"/.", Form::Stem),
        (b"//", Form::Folder),
        (b"/", Form::Name),
        (b".", Form::NoExtension),
    ];
    let own = names
        .rules
        .iter()
        .map(|&rule| (rule.inside(), Form::Rule(rule)));
    own.chain(FORMS).find_map(|(suffix, form)| {
        let rest = inside.strip_suffix(suffix)?;
        let source = if rest.is_empty() {
            PlaceholderSource::Inputs
        } else {
            named(rest, names).or_else(|| numbered(rest))?
        };
        Some(Placeholder { source, form })
    })
}

fn named(text: &[u8], names: &InputNames) -> Option<PlaceholderSource> {
    let place = names.columns.iter().position(|name| name == text)?;
    Some(PlaceholderSource::Input(i64::try_from(place).ok()? + 1))
}

fn numbered(text: &[u8]) -> Option<PlaceholderSource> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty()
        || digits.iter().all(|&digit| digit == b'0')
        || !digits.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    // A number too large for the type is past every input, as the largest one is.
    let number = str::from_utf8(digits).ok()?.parse().unwrap_or(i64::MAX);
    Some(PlaceholderSource::Input(if digits.len() < text.len() {
        -number
    } else {
        number
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, names: &[&str]) -> Option<(PlaceholderSource, Form, usize)> {
        let names: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        let names = InputNames::new(&names, &[]);
        scan(text.as_bytes(), &names).map(|(found, length)| (found.source, found.form, length))
    }

    #[test]
    fn every_placeholder_is_found() {
        assert_eq!(
            found("{}x", &[]),
            Some((PlaceholderSource::Inputs, Form::Whole, 2))
        );
        assert_eq!(
            found("{.}", &[]),
            Some((PlaceholderSource::Inputs, Form::NoExtension, 3))
        );
        assert_eq!(
            found("{/}", &[]),
            Some((PlaceholderSource::Inputs, Form::Name, 3))
        );
        assert_eq!(
            found("{//}", &[]),
            Some((PlaceholderSource::Inputs, Form::Folder, 4))
        );
        assert_eq!(
            found("{/.}", &[]),
            Some((PlaceholderSource::Inputs, Form::Stem, 4))
        );
        assert_eq!(
            found("{#}", &[]),
            Some((PlaceholderSource::Seq, Form::Whole, 3))
        );
        assert_eq!(
            found("{%}", &[]),
            Some((PlaceholderSource::Slot, Form::Whole, 3))
        );
        assert_eq!(
            found("{12}", &[]),
            Some((PlaceholderSource::Input(12), Form::Whole, 4))
        );
        assert_eq!(
            found("{01}", &[]),
            Some((PlaceholderSource::Input(1), Form::Whole, 4))
        );
        assert_eq!(
            found("{-2//}", &[]),
            Some((PlaceholderSource::Input(-2), Form::Folder, 6))
        );
        assert_eq!(
            found("{b/.}", &["a", "b"]),
            Some((PlaceholderSource::Input(2), Form::Stem, 5))
        );
        assert_eq!(
            found("{my $(x) `col`}", &["my $(x) `col`"]),
            Some((PlaceholderSource::Input(1), Form::Whole, 15))
        );
    }

    #[test]
    fn a_name_wins_over_a_number_and_over_a_form() {
        assert_eq!(
            found("{2}", &["2", "1"]),
            Some((PlaceholderSource::Input(1), Form::Whole, 3))
        );
        assert_eq!(
            found("{a.}", &["a", "a."]),
            Some((PlaceholderSource::Input(2), Form::Whole, 4))
        );
    }

    #[test]
    fn other_braces_are_text() {
        for text in [
            "{a,b}",
            "{1..3}",
            "{print $1}",
            "{0}",
            "{-0}",
            "{-}",
            "{+1}",
            "{1a}",
            "{#.}",
            "{",
            "{1",
            "{ }",
            "x{}",
        ] {
            assert_eq!(found(text, &["n"]), None, "{text}");
        }
    }

    #[test]
    fn a_number_of_any_size_is_only_past_the_end() {
        let rows = [vec![b"a".to_vec(), b"b".to_vec()], vec![b"c".to_vec()]];
        let args = JobArgs {
            rows: &rows,
            seq: 1,
            slot: 1,
        };
        let value = |text: &str| {
            scan(text.as_bytes(), &InputNames::default()).and_then(|(found, _)| found.value(&args))
        };
        assert_eq!(value("{3}").as_deref(), Some(&b"c"[..]));
        assert_eq!(value("{-3}").as_deref(), Some(&b"a"[..]));
        assert_eq!(value("{4}"), None);
        assert_eq!(value("{-4}"), None);
        assert_eq!(value("{99999999999999999999999}"), None);
        assert_eq!(value("{-99999999999999999999999}"), None);
    }
}
