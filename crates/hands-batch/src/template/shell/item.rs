//! What the reader makes of a script.

use crate::template::TemplateError;
use crate::template::placeholder::Placeholder;

/// The quoting a placeholder stands in (the table is in the [module](super)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuoteContext {
    Bare,
    Single,
    Dollar,
    Double,
    Expanded,
    Number,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Goes to the shell as it is.
    Text(Vec<u8>),
    /// The end marker of a here-document where it is announced; its quotes may have to go when the
    /// body is read.
    Marker(Vec<u8>),
    Value(Placeholder, QuoteContext),
    /// A word that holds `{}`, which is repeated for every row.
    Word(Vec<Item>),
}

/// Items being collected.
#[derive(Clone, Debug, Default)]
pub(super) struct ScriptItems(pub(super) Vec<Item>);

impl ScriptItems {
    pub(super) fn text(&mut self, text: &[u8]) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Item::Text(last)) => last.extend_from_slice(text),
            _ => self.0.push(Item::Text(text.to_vec())),
        }
    }

    pub(super) fn value(&mut self, placeholder: Placeholder, context: QuoteContext) {
        self.0.push(Item::Value(placeholder, context));
    }

    pub(super) fn append(&mut self, items: Self) {
        for item in items.0 {
            match item {
                Item::Text(text) => self.text(&text),
                item => self.0.push(item),
            }
        }
    }

    /// Appends the items of one word.
    pub(super) fn word(&mut self, word: Self) {
        let repeats = word
            .0
            .iter()
            .any(|item| matches!(item, Item::Value(value, _) if value.is_inputs()));
        if repeats {
            self.0.push(Item::Word(word.0))
        } else {
            self.append(word)
        }
    }
}

/// A script that has been read.
#[derive(Debug)]
pub(in crate::template) struct Source {
    pub(super) items: ScriptItems,
    /// What it ends with, when a word added at its end would not be an argument.
    pub(super) ending: Option<&'static str>,
}

impl Source {
    pub(in crate::template) fn placeholders(&self) -> impl Iterator<Item = Placeholder> {
        let mut found = Vec::new();
        collect(&self.items.0, &mut found);
        found.into_iter()
    }

    /// Adds `{}` as the last word.
    pub(in crate::template) fn append_inputs(&mut self) -> Result<(), TemplateError> {
        if let Some(ending) = self.ending {
            return Err(TemplateError::NowhereToAppend { ending });
        }
        self.items.text(b" ");
        self.items.0.push(Item::Word(vec![Item::Value(
            Placeholder::INPUTS,
            QuoteContext::Bare,
        )]));
        Ok(())
    }
}

fn collect(items: &[Item], found: &mut Vec<Placeholder>) {
    for item in items {
        match item {
            Item::Value(placeholder, _) => found.push(*placeholder),
            Item::Word(items) => collect(items, found),
            Item::Text(_) | Item::Marker(_) => {}
        }
    }
}
