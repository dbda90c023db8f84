//! A user's command and one job's inputs, turned into the exact arguments to execute.
//!
//! ```text
//!  words ──parse──▶ Template ──argv(job)──▶ ["gzip", "-k", "my file"]            no shell needed
//!                       │                   ["/bin/sh", "-c", SCRIPT, "sh", "my file"]  one needed
//!                       └─────display(job)─▶ gzip -k 'my file'                   to paste into a shell
//! ```
//!
//! # Placeholders
//!
//! | written | becomes |
//! |---|---|
//! | `{}` | the input |
//! | `{.}` `{/}` `{//}` `{/.}` | without extension; the file name; the folder; the file name without extension |
//! | `{2}` `{2.}` `{2/}` … | the second input of the job; `{-1}` is the last |
//! | `{name}` `{name.}` … | the column of that name, when names are given |
//! | `{#}` `{%}` | the job's number; its slot, from 1 |
//!
//! Everything else in braces is text: `{a,b}`, `{print $1}`, `{0}`. The path forms give what GNU
//! parallel gives. A number past the last input is empty, and a word made of nothing else is left
//! out, as GNU parallel does.
//!
//! `{}` alone as a word becomes one word per column of every row. Inside a larger word the columns
//! of a row are joined by a space and the whole word is repeated for every row: `--in={}` with two
//! rows is two arguments. When no placeholder is given at all, `{}` is added as the last word.
//!
//! # Is there a shell?
//!
//! *One word* (`'gzip -k {}'`) is a command line. Without shell syntax beyond quotes and
//! backslashes it is split by the shell's word rules and executed as it is; otherwise it is a
//! script for the shell. `\{}` is the text `{}`.
//!
//! *Several words* are kept exactly; nothing in them is special but a word that is an operator by
//! itself (`|`, `&&`, `>`, `2>&1`, …), which makes the line a script in which every other word is
//! quoted. The `;` that ends the `-exec` of `find` is not taken for an operator.
//!
//! # Inputs cannot become code
//!
//! No input is ever part of a script. Inputs are positional arguments that the script's first line
//! copies into variables, and a placeholder becomes a reference to its variable, quoted to suit its
//! place. What would be left is arithmetic, where shells evaluate the *value* of a variable (bash
//! runs `a[$(reboot)]`): an input used there must be a number. What a command does with its
//! arguments is its own affair: `eval {}`, `sh -c {}` and, in bash, `[[ {} -eq 1 ]]` or `unset {}`
//! evaluate them.
//!
//! A reader that misjudged some exotic syntax could quote a reference wrongly; it could not make an
//! input run.

mod direct;
mod error;
mod line;
mod parts;
mod path;
mod placeholder;
mod plan;
mod quote;
mod rules;
mod shell;
mod text;

#[cfg(test)]
mod tests;

pub use error::TemplateError;
pub use plan::{Template, TemplateOptions};
pub use rules::{Rule, RuleError};
pub use text::TemplateText;

/// One input record: its columns.
pub type Row = Vec<Vec<u8>>;

/// What one job brings to its template.
#[derive(Clone, Copy, Debug)]
pub struct JobArgs<'a> {
    /// The job's inputs. More than one row repeats the words that hold `{}`.
    pub rows: &'a [Row],
    /// The job's number, from 1: `{#}`.
    pub seq: u64,
    /// The slot it runs in, from 1: `{%}`.
    pub slot: usize,
}
