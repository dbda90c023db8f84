//! Several words, some of which are operators of the shell: those become operators, the others are
//! quoted exactly.

use super::item::{QuoteContext, ScriptItems, Source};
use crate::template::parts::{TemplatePart, parts};
use crate::template::placeholder::InputNames;
use crate::template::quote;

#[derive(Clone, Copy, PartialEq, Eq)]
enum OperatorKind {
    /// A command begins after it.
    Separator,
    Redirection,
    Argument,
}

/// Whether any of the words is an operator.
pub(in crate::template) fn has_operator(words: &[&[u8]]) -> bool {
    kinds(words)
        .iter()
        .any(|kind| *kind != OperatorKind::Argument)
}

fn kinds(words: &[&[u8]]) -> Vec<OperatorKind> {
    // The `;` that closes an `-exec` of `find` is an argument to it.
    let mut in_find = false;
    let mut in_exec = false;
    let kind = |word: &&[u8]| {
        let kind = match *word {
            b";" if in_exec => {
                in_exec = false;
                return OperatorKind::Argument;
            }
            b"-exec" | b"-execdir" | b"-ok" | b"-okdir" if in_find => {
                in_exec = true;
                return OperatorKind::Argument;
            }
            b"|" | b"||" | b"|&" | b"&" | b"&&" | b";" => OperatorKind::Separator,
            word if is_redirection(word) => OperatorKind::Redirection,
            _ => OperatorKind::Argument,
        };
        let in_command = kind != OperatorKind::Separator;
        in_find = in_command && (in_find || *word == b"find" || word.ends_with(b"/find"));
        in_exec &= in_command;
        kind
    };
    words.iter().map(kind).collect()
}

/// `>`, `2>>`, `2>&1`, `&>`, `<<<` and so on, without the file.
fn is_redirection(word: &[u8]) -> bool {
    if matches!(word, b"&>" | b"&>>" | b"<<<") {
        return true;
    }
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let operator = &word[digits(word)..];
    match operator {
        b"<" | b">" | b">>" | b"<>" | b">|" => true,
        [b'<' | b'>', b'&', target @ ..] => target == b"-" || digits(target) == target.len(),
        _ => false,
    }
}

/// The script that these words are.
pub(in crate::template) fn from_words(words: &[&[u8]], names: &InputNames) -> Source {
    let mut items = ScriptItems::default();
    let mut at_command = true;
    let mut is_target = false;
    for (place, (word, kind)) in words.iter().zip(kinds(words)).enumerate() {
        if place > 0 {
            items.text(b" ");
        }
        if kind == OperatorKind::Argument {
            items.word(argument(&parts(word, names), at_command));
        } else {
            items.text(word);
        }
        // The file of a redirection is not yet the command.
        at_command = kind == OperatorKind::Separator
            || at_command && (kind == OperatorKind::Redirection || is_target);
        is_target = kind == OperatorKind::Redirection;
    }
    let ending = at_command.then_some("an operator, where a new command would begin");
    Source { items, ending }
}

fn argument(parts: &[TemplatePart], at_command: bool) -> ScriptItems {
    let mut word = ScriptItems::default();
    if parts.is_empty() {
        word.text(b"''");
    }
    for part in parts {
        match part {
            TemplatePart::Value(placeholder) => word.value(*placeholder, QuoteContext::Bare),
            TemplatePart::Literal(text) => {
                let plain = if at_command {
                    quote::is_plain_command(text)
                } else {
                    quote::is_plain(text)
                };
                if plain {
                    word.text(text);
                } else {
                    let mut quoted = Vec::new();
                    quote::single(&mut quoted, text);
                    word.text(&quoted);
                }
            }
        }
    }
    word
}
