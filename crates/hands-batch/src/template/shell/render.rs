//! Walks a script's items for a job with certain inputs, the same for the script itself and for its
//! display.

use super::item::{Item, QuoteContext};
use crate::template::path::Form;
use crate::template::placeholder::{Placeholder, PlaceholderSource, position};
use crate::template::{JobArgs, Row};

/// One value that a script refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Cell {
    /// A form of an input; inputs are counted from 0 over all rows.
    Input(usize, Form),
    Seq,
    Slot,
}

/// How many columns each row has. Jobs of the same shape share a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WordShape(pub(super) Vec<usize>);

impl WordShape {
    pub(super) fn of(rows: &[Row]) -> Self {
        Self(rows.iter().map(Vec::len).collect())
    }

    pub(super) fn fits(&self, rows: &[Row]) -> bool {
        self.0.iter().copied().eq(rows.iter().map(Vec::len))
    }
}

/// The inputs of a job, counted over all rows.
pub(super) struct Values<'a> {
    inputs: Vec<&'a [u8]>,
    seq: u64,
    slot: usize,
}

impl<'a> Values<'a> {
    pub(super) fn of(args: &JobArgs<'a>) -> Self {
        let inputs = args.rows.iter().flatten().map(Vec::as_slice).collect();
        Self {
            inputs,
            seq: args.seq,
            slot: args.slot,
        }
    }

    pub(super) fn get(&self, cell: Cell) -> Vec<u8> {
        match cell {
            Cell::Input(place, form) => form.of(self.inputs[place]).into_owned(),
            Cell::Seq => self.seq.to_string().into_bytes(),
            Cell::Slot => self.slot.to_string().into_bytes(),
        }
    }
}

/// What is made of the items.
pub(super) trait Render {
    fn text(&mut self, text: &[u8]);
    /// Some values, joined by a space. None of them where a number is past the last input or there
    /// is no input. `next` is the byte that will follow, when it is text.
    fn values(&mut self, cells: &[Cell], context: QuoteContext, next: Next);
}

/// What follows a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    End,
    Byte(u8),
    Value,
}

/// Renders `items` for a job of this shape.
pub(super) fn render(items: &[Item], shape: &WordShape, to: &mut impl Render) {
    let mut starts = Vec::with_capacity(shape.0.len() + 1);
    let mut total = 0;
    for columns in &shape.0 {
        starts.push(total);
        total += columns;
    }
    starts.push(total);
    Walk { starts }.items(items, None, Next::End, to);
}

struct Walk {
    /// The place of each row's first input, and the number of inputs.
    starts: Vec<usize>,
}

impl Walk {
    fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    fn total(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// `row`: the one that the word around is being repeated for.
    fn items(&self, items: &[Item], row: Option<usize>, after: Next, to: &mut impl Render) {
        for (place, item) in items.iter().enumerate() {
            let next = items.get(place + 1).map_or(after, first);
            match item {
                Item::Text(text) | Item::Marker(text) => to.text(text),
                Item::Value(placeholder, context) => {
                    to.values(&self.cells(*placeholder, row), *context, next)
                }
                Item::Word(word) => self.word(word, row, next, to),
            }
        }
    }

    fn word(&self, word: &[Item], row: Option<usize>, after: Next, to: &mut impl Render) {
        if let [Item::Value(placeholder, QuoteContext::Bare)] = word {
            let cells = self.cells(*placeholder, row);
            for (place, cell) in cells.iter().enumerate() {
                if place > 0 {
                    to.text(b" ");
                }
                let next = if place + 1 < cells.len() {
                    Next::Byte(b' ')
                } else {
                    after
                };
                to.values(&[*cell], QuoteContext::Bare, next);
            }
            return;
        }
        if row.is_some() || self.rows() == 0 {
            return self.items(word, row, after, to);
        }
        for row in 0..self.rows() {
            if row > 0 {
                to.text(b" ");
            }
            let next = if row + 1 < self.rows() {
                Next::Byte(b' ')
            } else {
                after
            };
            self.items(word, Some(row), next, to);
        }
    }

    fn cells(&self, placeholder: Placeholder, row: Option<usize>) -> Vec<Cell> {
        let places = match (placeholder.source, row) {
            (PlaceholderSource::Seq, _) => return vec![Cell::Seq],
            (PlaceholderSource::Slot, _) => return vec![Cell::Slot],
            (PlaceholderSource::Input(number), _) => match position(number, self.total()) {
                Some(place) => place..place + 1,
                None => 0..0,
            },
            (PlaceholderSource::Inputs, Some(row)) => self.starts[row]..self.starts[row + 1],
            (PlaceholderSource::Inputs, None) => 0..self.total(),
        };
        places
            .map(|place| Cell::Input(place, placeholder.form))
            .collect()
    }
}

fn first(item: &Item) -> Next {
    match item {
        Item::Text(text) | Item::Marker(text) => {
            text.first().map_or(Next::Value, |&byte| Next::Byte(byte))
        }
        Item::Value(..) | Item::Word(_) => Next::Value,
    }
}
