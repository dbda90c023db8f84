//! Commands that a shell runs: how an input gets there without ever being part of the script.
//!
//! ```text
//!  'sort {} | uniq -c > "$HOME/{/}"'
//!      │ reader: finds each placeholder and the quoting it stands in
//!      ▼
//!  items: Text, Value(placeholder, context), Word(items)
//!      │ script: numbers the values and writes references
//!      ▼
//!  hands_1=$1 hands_2=$2; shift 2; sort "${hands_1}" | uniq -c > "$HOME/${hands_2}"
//! ```
//!
//! The script is run as `sh -c SCRIPT sh VALUE…`. Values are copied out of the positional
//! parameters at once, so that functions and `set --` in the user's text do not disturb them and
//! `$1` is empty as it would be. The copying is on the first line of the user's text to keep the
//! line numbers in the shell's messages. The same script serves every job with as many inputs; only
//! then is it written anew.
//!
//! A reference suits its context:
//!
//! | where | context | reference |
//! |---|---|---|
//! | outside quotes | `Bare` | `"${hands_1}"` |
//! | `"…"` | `Double` | `${hands_1}` |
//! | `'…'` | `Single` | `'"${hands_1}"'` |
//! | `$'…'` | `Dollar` | `'"${hands_1}"$'` |
//! | here-document, `"${x:-…}"` | `Expanded` | `${hands_1}` |
//! | `$((…))`, `((…))`, `${x:…}`, `x[…]` | `Number` | `${hands_1}`, and the value must be a number |
//!
//! `$(…)` begins afresh. Backquotes that hold a placeholder are rewritten to `$(…)`, which means
//! the same and has no second level of backslashes. A here-document with a quoted marker and a
//! placeholder becomes one with a plain marker and its text escaped. `$` before a placeholder is a
//! dollar sign, but `${1}`, `${#}` and `${name}` are the shell's own. Comments are left alone.

mod brackets;
mod commands;
mod heredoc;
mod item;
mod operators;
mod paste;
mod reader;
mod render;
mod script;

pub(super) use item::Source;
pub(super) use operators::{from_words, has_operator};
pub(super) use reader::read;
pub(super) use script::Script;
