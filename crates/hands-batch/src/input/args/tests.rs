use std::path::PathBuf;

use super::*;

/// What the words were taken for: the command, and each source as `: a b`, `:+ a b`, `:: file` or
/// `::+ file`.
fn split(words: &[&str]) -> (Vec<String>, Vec<String>) {
    let (command, sources) = split_args(words.iter().map(Into::into).collect());
    let shown = |source: SourceSpec| {
        let link = if source.linked { "+" } else { "" };
        match source.kind {
            InputKind::Values(values) => {
                let values = String::from_utf8(values.join(&b' ')).expect("text");
                format!(":{link} {values}")
            }
            InputKind::File(path) => format!("::{link} {}", path.display()),
            InputKind::Stdin => format!("::{link} stdin"),
        }
    };
    let command = command
        .into_iter()
        .map(|word| word.into_string().expect("text"));
    (command.collect(), sources.into_iter().map(shown).collect())
}

#[test]
fn words_before_the_first_source_are_the_command() {
    assert_eq!(split(&["a", "-b", "--", "c"]).0, ["a", "-b", "--", "c"]);
    assert_eq!(split(&["a", "-b", ":::", "c"]).0, ["a", "-b"]);
    assert_eq!(split(&[":::", "a"]).0, [""; 0]);
    assert_eq!(split(&[]), (vec![], vec![]));
}

#[test]
fn each_kind_of_source_is_known_by_its_word() {
    let (_, sources) = split(&[
        "x", ":::", "a", "b", ":::+", "c", "d", "::::", "f", "g", "::::+", "h", "-", ":::", "i",
    ]);
    assert_eq!(
        sources,
        [
            ": a b",
            ":+ c d",
            ":: f",
            ":: g",
            "::+ h",
            "::+ stdin",
            ": i"
        ]
    );
}

#[test]
fn a_source_of_words_may_be_empty_and_one_of_files_needs_a_file() {
    assert_eq!(split(&["x", ":::"]).1, [": "]);
    assert_eq!(split(&["x", ":::", ":::", "a"]).1, [": ", ": a"]);
    assert_eq!(split(&["x", "::::"]).1, [""; 0]);
}

#[test]
fn words_that_only_look_like_a_source_are_values() {
    let (command, sources) = split(&["::", ":::::", ":::+x", ":::", "::", ":::::", "::::x", "+"]);
    assert_eq!(command, ["::", ":::::", ":::+x"]);
    assert_eq!(sources, [": :: ::::: ::::x +"]);
}

#[test]
fn a_file_named_by_any_bytes_is_that_file() {
    use std::os::unix::ffi::OsStringExt;
    let name = OsString::from_vec(b"caf\xe9\n".to_vec());
    let (_, sources) = split_args(vec!["x".into(), "::::".into(), name.clone()]);
    assert_eq!(sources[0].kind, InputKind::File(PathBuf::from(name)));
}
