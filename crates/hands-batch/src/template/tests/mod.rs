//! What a template promises, tried on real shells.

mod costs;
mod direct;
mod real_shells;
mod scripts;

use super::{JobArgs, Row, Template, TemplateError, TemplateOptions};

/// The names that break careless programs.
pub(super) const NASTY: &[&[u8]] = &[
    b"My brother's 12\" *** record  (costs $$$).jpg",
    b"two\nlines\n",
    b"\n\n",
    b"invalid \xff\xfe utf-8 \x80\x81\x88",
    b"-n",
    b"--",
    b"",
    b" ",
    b"~",
    b"!!",
    b"a=b",
    b"if",
    b"2",
    b"{}",
    b"$(touch /nonexistent/x)`id`${HOME}",
    b"'; echo \"; echo $(echo) `echo` \\",
    b"\x01\x02\x7f\x1b[0m\t\r\x0b",
    "naïve — \u{9b}".as_bytes(),
    b"END",
    b"\nEND\n",
    b"}])",
    b"\\",
    b"[a-z]*?",
    b"#",
];

pub(super) fn rows(rows: &[&[&[u8]]]) -> Vec<Row> {
    rows.iter()
        .map(|row| row.iter().map(|column| column.to_vec()).collect())
        .collect()
}

pub(super) fn args(rows: &[Row]) -> JobArgs<'_> {
    JobArgs {
        rows,
        seq: 7,
        slot: 3,
    }
}

pub(super) fn template(words: &[&str]) -> Template {
    Template::parse(words, TemplateOptions::default())
        .unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

pub(super) fn error(words: &[&str]) -> TemplateError {
    Template::parse(words, TemplateOptions::default()).expect_err("an error")
}

/// The arguments, for comparing with text.
pub(super) fn argv(words: &[&str], inputs: &[Row]) -> Vec<String> {
    let argv = template(words).argv(&args(inputs)).expect("arguments");
    argv.iter()
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

pub(super) fn display(words: &[&str], inputs: &[Row]) -> String {
    String::from_utf8_lossy(&template(words).display(&args(inputs))).into_owned()
}
