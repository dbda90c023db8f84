//! What looks like something else than it is: told before the batch begins, with what was probably
//! meant.

use std::ffi::{OsStr, OsString};

use hands_batch::input;
use rustix::fs::FileType;

use super::resume;
use crate::plan::Plan;

/// Warnings about the command line, each a sentence.
pub(super) fn warnings(plan: &Plan) -> Vec<String> {
    let (command, _) = input::split_args(plan.words.clone());
    let mut warnings: Vec<String> = command.iter().filter_map(|word| separator(word)).collect();
    if plan.limits.shell.is_none() && !is_bash("/bin/sh") {
        let text = command.join(OsStr::new(" ")).to_string_lossy().into_owned();
        if let Some(syntax) = of_bash(&text).filter(|_| command.len() == 1) {
            warnings.push(format!(
                "`{syntax}` is syntax of bash, and commands with shell syntax run in sh\n  hint: `--shell bash`"
            ));
        }
        if let Some(name) = command.first().filter(|word| is_function(word)) {
            warnings.push(format!(
                "`{}` is a function of bash, which sh does not know\n  hint: `--shell bash`",
                name.display()
            ));
        }
    }
    warnings
}

/// `{= perl =}` of GNU parallel: a sentence that refuses it.
pub(super) fn perl(plan: &Plan) -> Option<String> {
    let (command, _) = input::split_args(plan.words.clone());
    let text = command.join(OsStr::new(" "));
    let text = text.to_string_lossy();
    let start = text.find("{=")?;
    let length = text[start..].find("=}")? + 2;
    Some(format!(
        "`{}` of GNU parallel is Perl, which does not exist here\n  hint: `--rpl` defines placeholders by substitutions; `-q` takes the text as it is",
        &text[start..start + length]
    ))
}

/// Whether nobody has given any inputs, and the command may have some by mistake: several words, no
/// placeholder among them, and nothing on stdin. An empty pipe or file is an answer, and not a
/// mistake.
pub(super) fn seems_to_have_inputs(plan: &Plan) -> bool {
    let stdin = rustix::fs::fstat(std::io::stdin());
    let kind = stdin.map(|stdin| FileType::from_raw_mode(stdin.st_mode));
    resume::reads_stdin(plan)
        && plan.pipe.is_none()
        && plan.words.len() > 1
        && plan
            .words
            .iter()
            .all(|word| !word.as_encoded_bytes().contains(&b'{'))
        && kind.is_ok_and(|kind| kind == FileType::CharacterDevice)
}

/// `:::a`, `::`: no separator, and so a word of the command.
fn separator(word: &OsStr) -> Option<String> {
    let text = word.to_str()?;
    let rest = text.trim_start_matches(':');
    let colons = text.len() - rest.len();
    match (colons, rest) {
        (2 | 5.., "") => Some(format!(
            "`{text}` begins no inputs and is a word of the command; `:::` begins inputs, `::::` files of them"
        )),
        (3.., rest) if !rest.is_empty() && rest != "+" => Some(format!(
            "`{text}` begins no inputs and is a word of the command\n  hint: with a space: `{} {rest}`",
            &text[..colons.min(4)]
        )),
        _ => None,
    }
}

/// What a plain POSIX shell takes for something else, or for an error.
fn of_bash(text: &str) -> Option<&'static str> {
    let plain = without_single_quotes(text);
    let has_range = plain.match_indices('{').any(|(at, _)| {
        let inside = plain[at + 1..].split('}').next().unwrap_or_default();
        let ends = inside.split_once("..");
        ends.is_some_and(|(first, last)| {
            let is_end = |text: &str| !text.is_empty() && text.chars().all(char::is_alphanumeric);
            is_end(first) && is_end(last)
        })
    });
    [
        ("[[", "[[ "),
        ("<(", "<("),
        (">(", ">("),
        ("<<<", "<<<"),
        ("function", "function "),
    ]
    .into_iter()
    .find(|(_, written)| plain.contains(written))
    .map(|(name, _)| name)
    .or(has_range.then_some("{1..3}"))
}

fn without_single_quotes(text: &str) -> String {
    text.split('\'').step_by(2).collect()
}

/// Whether the environment has this as a function that bash has exported.
pub(super) fn is_function(word: &OsStr) -> bool {
    let Some(name) = word
        .to_str()
        .and_then(|text| text.split_whitespace().next())
    else {
        return false;
    };
    std::env::var_os(format!("BASH_FUNC_{name}%%")).is_some()
}

fn is_bash(path: &str) -> bool {
    std::fs::canonicalize(path)
        .is_ok_and(|path| path.file_name().is_some_and(|name| name == "bash"))
}

/// A name in braces that no column has. Braces with other text in them are text.
pub(super) fn unknown_column(words: &[OsString], names: &[Vec<u8>]) -> Option<String> {
    const OF_AWK: [&str; 4] = ["print", "next", "exit", "getline"];
    let known: Vec<String> = names
        .iter()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    for word in words {
        let text = word.to_string_lossy().into_owned();
        for (at, _) in text.match_indices('{') {
            let Some((inside, _)) = text[at + 1..].split_once('}') else {
                continue;
            };
            let name = inside.trim_end_matches(['.', '/']);
            let is_name = name
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
                && name
                    .chars()
                    .next()
                    .is_some_and(|c| c.is_alphabetic() || c == '_');
            let is_escaped = text[..at].ends_with(['\\', '$']);
            let is_known = |known: &String| known == name || known == inside;
            if is_name && !is_escaped && !OF_AWK.contains(&name) && !known.iter().any(is_known) {
                return Some(format!(
                    "`{{{inside}}}` names no column\n  hint: they are {}; `\\{{{inside}}}` in a command of one word is the text",
                    known.join(", ")
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_separator_is_told() {
        for word in [":::a", "::::list", "::", ":::::"] {
            assert!(separator(OsStr::new(word)).is_some(), "{word}");
        }
        for word in [":", "a:::b", ":::+", "a", "::1", "::x"] {
            assert!(separator(OsStr::new(word)).is_none(), "{word}");
        }
    }

    #[test]
    fn what_is_of_bash_is_known() {
        for text in [
            "[[ -f {} ]]",
            "echo {1..3}",
            "diff <(a) b",
            "cat <<< {}",
            "function f { a; }",
            "echo {a..c}x",
        ] {
            assert!(of_bash(text).is_some(), "{text}");
        }
        for text in [
            "[ -f {} ]",
            "echo {}",
            "awk '{print $1..2}'",
            "cat << E",
            "echo '[[ '",
            "cp {} {.}",
        ] {
            assert!(of_bash(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_column_that_nobody_has_is_found() {
        let names = [b"name".to_vec(), b"a b".to_vec()];
        let found = |text: &str| unknown_column(&[text.into()], &names).is_some();
        assert!(found("rm {nme}") && found("echo {nam.}"));
        for text in [
            "rm {name}",
            "rm {name.}",
            "rm {a b}",
            "echo {} {1} {/}",
            "awk '{print $1}'",
            "echo ${HOME}",
            "\\{x}",
            "{a,b}",
        ] {
            assert!(!found(text), "{text}");
        }
    }
}
