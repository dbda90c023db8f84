//! The script as the shell gets it, with its values beside it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::OnceLock;

use super::item::{Item, QuoteContext, Source};
use super::paste;
use super::render::{Cell, Render, Values, WordShape, render};
use crate::template::direct::ARGUMENT_OVERHEAD;
use crate::template::error::shown;
use crate::template::path::Form;
use crate::template::placeholder::{self, Placeholder};
use crate::template::{JobArgs, Row, TemplateError, quote};

/// The most bytes one argument can have: the kernel's `MAX_ARG_STRLEN` without the NUL, for pages
/// of 4 KiB.
const LONGEST_ARGUMENT: usize = 128 * 1024 - 1;
/// More inputs than this are referred to as `"$@"`, where that can be.
const MANY: usize = 32;
/// Variables are numbered from here when a script is only measured, so that none has more digits.
const WIDE_NUMBERS: usize = 100_000;

/// A command that a shell runs.
#[derive(Debug)]
pub(in crate::template) struct Script {
    items: Vec<Item>,
    shell: Vec<u8>,
    /// Jobs mostly have one shape; its script is kept.
    first: OnceLock<Compiled>,
    spread: OnceLock<Option<Vec<Item>>>,
    growth: OnceLock<Growth>,
    /// The forms that the user has defined: what they make may be longer than the input.
    rules: Vec<Form>,
}

/// A script for jobs of one shape.
#[derive(Clone, Debug)]
struct Compiled {
    shape: WordShape,
    text: Vec<u8>,
    /// The positional arguments.
    cells: Vec<Cell>,
    /// Which of them must be numbers.
    numbers: Vec<bool>,
}

/// What each further row of `columns` columns adds.
#[derive(Clone, Copy, Debug)]
struct Growth {
    columns: usize,
    text: usize,
    values: usize,
}

impl Script {
    pub(in crate::template) fn new(source: Source, shell: Vec<u8>) -> Self {
        let forms = source.placeholders().map(|placeholder| placeholder.form);
        let rules = forms.filter(|form| matches!(form, Form::Rule(_)));
        Self {
            rules: rules.collect(),
            items: source.items.0,
            shell,
            first: OnceLock::new(),
            spread: OnceLock::new(),
            growth: OnceLock::new(),
        }
    }

    pub(in crate::template) fn shell(&self) -> &[u8] {
        &self.shell
    }

    pub(in crate::template) fn argv(
        &self,
        args: &JobArgs<'_>,
    ) -> Result<Vec<Vec<u8>>, TemplateError> {
        let first = self
            .first
            .get_or_init(|| self.compile(WordShape::of(args.rows), 0));
        if first.shape.fits(args.rows) {
            self.fill(first, args)
        } else {
            self.fill(&self.compile(WordShape::of(args.rows), 0), args)
        }
    }

    fn compile(&self, shape: WordShape, numbers_from: usize) -> Compiled {
        let total: usize = shape.0.iter().sum();
        if total > MANY
            && let Some(items) = self.spread()
        {
            let mut whole = Script::compiled(items, WordShape(Vec::new()), numbers_from);
            let inputs = (0..total).map(|place| Cell::Input(place, Form::Whole));
            whole.cells.extend(inputs);
            whole.numbers.resize(whole.cells.len(), false);
            return Compiled { shape, ..whole };
        }
        Script::compiled(&self.items, shape, numbers_from)
    }

    /// The items with `"$@"` where each input is a word of its own, so that many inputs make the
    /// script no longer. `None`: the script has other uses for an input, or something in it may
    /// give `$@` another meaning.
    fn spread(&self) -> Option<&[Item]> {
        let spread = self.spread.get_or_init(|| {
            let each = |item: &Item| match item {
                Item::Text(text) | Item::Marker(text) if changes_arguments(text) => None,
                Item::Value(value, _) if value.is_input() => None,
                Item::Word(word) => match word.as_slice() {
                    [Item::Value(Placeholder::INPUTS, QuoteContext::Bare)] => {
                        Some(Item::Text(b"\"$@\"".to_vec()))
                    }
                    _ => None,
                },
                other => Some(other.clone()),
            };
            self.items.iter().map(each).collect::<Option<Vec<Item>>>()
        });
        spread.as_deref()
    }

    fn compiled(items: &[Item], shape: WordShape, numbers_from: usize) -> Compiled {
        let mut writer = Writer {
            body: Vec::new(),
            numbered: HashMap::new(),
            cells: Vec::new(),
            numbers: Vec::new(),
            numbers_from,
        };
        render(items, &shape, &mut writer);
        let Writer {
            body,
            cells,
            numbers,
            ..
        } = writer;
        let mut text = Vec::new();
        for number in (1..=cells.len()).map(|number| number + numbers_from) {
            // `$10` would be `${1}0`.
            let assignment = if number < 10 {
                format!("hands_{number}=${number}")
            } else {
                format!("hands_{number}=${{{number}}}")
            };
            text.extend_from_slice(assignment.as_bytes());
            text.push(b' ');
        }
        if !cells.is_empty() {
            text.pop();
            text.extend_from_slice(format!("; shift {}; ", cells.len()).as_bytes());
        }
        text.extend_from_slice(&body);
        Compiled {
            shape,
            text,
            cells,
            numbers,
        }
    }

    fn fill(&self, script: &Compiled, args: &JobArgs<'_>) -> Result<Vec<Vec<u8>>, TemplateError> {
        if script.text.len() > LONGEST_ARGUMENT {
            return Err(TemplateError::ScriptTooLong {
                bytes: script.text.len(),
            });
        }
        let argv = self.arguments(script, args);
        let values = &argv[argv.len() - script.cells.len()..];
        for (value, &is_number) in values.iter().zip(&script.numbers) {
            if value.contains(&0) {
                return Err(TemplateError::nul(value));
            }
            if is_number && !is_harmless_number(value) {
                return Err(TemplateError::NotANumber {
                    value: shown(value),
                });
            }
        }
        Ok(argv)
    }

    fn arguments(&self, script: &Compiled, args: &JobArgs<'_>) -> Vec<Vec<u8>> {
        let values = Values::of(args);
        let mut argv = Vec::with_capacity(4 + script.cells.len());
        argv.push(self.shell.clone());
        argv.push(b"-c".to_vec());
        argv.push(script.text.clone());
        argv.push(self.name().to_vec());
        argv.extend(script.cells.iter().map(|&cell| values.get(cell)));
        argv
    }

    /// What the script is called in the shell's own messages.
    fn name(&self) -> &[u8] {
        self.shell
            .rsplit(|&byte| byte == b'/')
            .next()
            .unwrap_or(&self.shell)
    }

    pub(in crate::template) fn display(&self, args: &JobArgs<'_>) -> Vec<u8> {
        let shape = WordShape::of(args.rows);
        paste::line(&self.items, &shape, args)
            .unwrap_or_else(|| quote::command(&self.arguments(&self.compile(shape, 0), args)))
    }

    /// The placeholders that are no `{}`.
    fn singles(&self) -> Vec<Placeholder> {
        fn collect(items: &[Item], found: &mut Vec<Placeholder>) {
            for item in items {
                match item {
                    Item::Value(value, _) if !value.is_inputs() => found.push(*value),
                    Item::Word(items) => collect(items, found),
                    _ => {}
                }
            }
        }
        let mut found = Vec::new();
        collect(&self.items, &mut found);
        found.sort_unstable_by_key(|value| format!("{value:?}"));
        found.dedup();
        found
    }

    pub(in crate::template) fn fixed_cost(&self) -> usize {
        const LONGEST_NUMBER: usize = 20;
        // As many columns as the numbers ask for, so that all of them have their reference.
        let columns = self
            .singles()
            .into_iter()
            .filter_map(|value| match value.source {
                placeholder::PlaceholderSource::Input(number) => {
                    usize::try_from(number.unsigned_abs()).ok()
                }
                _ => None,
            });
        let columns = columns.max().unwrap_or(0).min(64);
        // With more inputs it is shorter, where they need no name each.
        let shape = match self.spread() {
            Some(_) => WordShape(vec![1; MANY]),
            None => WordShape(vec![columns]),
        };
        let script = self.compile(shape, WIDE_NUMBERS);
        let words = [self.shell.len(), 2, script.text.len(), self.name().len()];
        words
            .iter()
            .map(|length| length + ARGUMENT_OVERHEAD)
            .sum::<usize>()
            + self.singles().len() * (LONGEST_NUMBER + ARGUMENT_OVERHEAD)
    }

    pub(in crate::template) fn row_cost(&self, row: &Row) -> usize {
        let growth = self.growth(row.len());
        // `{//}` of an empty path has one byte.
        let size = |value: &Vec<u8>| {
            let forms = self.rules.iter().map(|form| form.cost(value));
            forms.max().unwrap_or(0).max(value.len()).max(1)
        };
        let per_form = growth.values.div_ceil(row.len().max(1));
        let longest = row.iter().map(size).max().unwrap_or(0);
        growth.text
            + per_form * row.iter().map(size).sum::<usize>()
            + growth.values * ARGUMENT_OVERHEAD
            + self
                .singles()
                .iter()
                .filter(|value| value.is_input())
                .count()
                * longest
    }

    pub(in crate::template) fn max_rows(&self, columns: usize) -> usize {
        let one = self
            .compile(WordShape(vec![columns]), WIDE_NUMBERS)
            .text
            .len();
        match self.growth(columns).text {
            0 => usize::MAX,
            growth => 1 + LONGEST_ARGUMENT.saturating_sub(one) / growth,
        }
    }

    fn growth(&self, columns: usize) -> Growth {
        if self.spread().is_some() {
            return Growth {
                columns,
                text: 0,
                values: columns,
            };
        }
        let measure = || {
            let one = self.compile(WordShape(vec![columns]), WIDE_NUMBERS);
            let two = self.compile(WordShape(vec![columns; 2]), WIDE_NUMBERS);
            Growth {
                columns,
                text: two.text.len().saturating_sub(one.text.len()),
                values: two.cells.len().saturating_sub(one.cells.len()),
            }
        };
        let first = *self.growth.get_or_init(measure);
        if first.columns == columns {
            first
        } else {
            measure()
        }
    }
}

/// Whether this text may be of a script in which `$@` is not what the script was given everywhere:
/// it defines a function, or sets its arguments.
fn changes_arguments(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let mut words = text.split(|c: char| !is_word(c));
    let odd = [
        "set", "shift", "eval", "source", ".", "function", "getopts", "exec",
    ];
    text.contains("()") || text.contains("( )") || words.any(|word| odd.contains(&word))
}

/// Whether a shell that evaluates `value` finds only a number: a sign and digits, perhaps
/// hexadecimal or of another base (`16#ff`). A name would be looked up and its value evaluated, and
/// `x[…]` can hold commands.
fn is_harmless_number(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let digits = value
        .strip_prefix(b"-")
        .or_else(|| value.strip_prefix(b"+"))
        .unwrap_or(value);
    value.is_empty()
        || digits.first().is_some_and(u8::is_ascii_digit)
            && digits
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b".#@_".contains(byte))
}

/// Writes references and numbers the values in the order of their first use.
struct Writer {
    body: Vec<u8>,
    numbered: HashMap<Cell, usize>,
    cells: Vec<Cell>,
    numbers: Vec<bool>,
    numbers_from: usize,
}

impl Writer {
    fn reference(&mut self, cell: Cell, context: QuoteContext) {
        let place = match self.numbered.entry(cell) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.cells.push(cell);
                self.numbers.push(false);
                *new.insert(self.cells.len() - 1)
            }
        };
        self.numbers[place] |= context == QuoteContext::Number;
        let number = self.numbers_from + place + 1;
        self.body
            .extend_from_slice(format!("${{hands_{number}}}").as_bytes());
    }
}

impl Render for Writer {
    fn text(&mut self, text: &[u8]) {
        self.body.extend_from_slice(text);
    }

    fn values(&mut self, cells: &[Cell], context: QuoteContext, _: super::render::Next) {
        if cells.is_empty() {
            return;
        }
        let (open, close): (&[u8], &[u8]) = match context {
            QuoteContext::Bare => (b"\"", b"\""),
            QuoteContext::Single => (b"'\"", b"\"'"),
            QuoteContext::Dollar => (b"'\"", b"\"$'"),
            QuoteContext::Double | QuoteContext::Expanded | QuoteContext::Number => (b"", b""),
        };
        self.body.extend_from_slice(open);
        for (place, &cell) in cells.iter().enumerate() {
            if place > 0 {
                self.body.push(b' ');
            }
            self.reference(cell, context);
        }
        self.body.extend_from_slice(close);
    }
}
