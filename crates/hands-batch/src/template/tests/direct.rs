//! Commands that need no shell, and words that are kept.

use super::*;
use crate::template::TemplateText;
use proptest::prelude::*;

#[test]
fn replacements_are_those_of_gnu_parallel() {
    let one = rows(&[&[b"a/b.tar.gz"]]);
    let two = rows(&[&[b"a/b.c", b"d/e.f"]]);
    let cases: &[(&[&str], &[Row], &[&str])] = &[
        (&["echo", "{}"], &one, &["echo", "a/b.tar.gz"]),
        (
            &["echo {} {.} {/} {//} {/.}"],
            &one,
            &["echo", "a/b.tar.gz", "a/b.tar", "b.tar.gz", "a", "b.tar"],
        ),
        (
            &["echo {#} {%} {1} {1.} {1/} {1//} {1/.}"],
            &one,
            &[
                "echo",
                "7",
                "3",
                "a/b.tar.gz",
                "a/b.tar",
                "b.tar.gz",
                "a",
                "b.tar",
            ],
        ),
        (
            &["echo {1} {2} {-1} {-2}"],
            &two,
            &["echo", "a/b.c", "d/e.f", "d/e.f", "a/b.c"],
        ),
        // `{9}` is nothing at all, and empty within a word.
        (
            &["echo {9} x{9}y \"{9}\" {8}{9} {-3}"],
            &two,
            &["echo", "xy", ""],
        ),
        (
            &["echo", "{1a}", "{+1}", "{#.}", "{0}", "{a,b}"],
            &one,
            &["echo", "{1a}", "{+1}", "{#.}", "{0}", "{a,b}", "a/b.tar.gz"],
        ),
        // None given: added.
        (&["echo"], &two, &["echo", "a/b.c", "d/e.f"]),
        (&["echo hi"], &one, &["echo", "hi", "a/b.tar.gz"]),
        // `{#}` counts as one.
        (&["echo {#}"], &one, &["echo", "7"]),
        (&["echo {1}{2}"], &two, &["echo", "a/b.cd/e.f"]),
    ];
    for (words, inputs, expected) in cases {
        assert_eq!(argv(words, inputs), *expected, "{words:?}");
        assert!(!template(words).needs_shell(), "{words:?}");
    }
}

#[test]
fn a_word_is_repeated_for_every_row_and_columns_are_joined() {
    let inputs = rows(&[&[b"a.x", b"1"], &[b"b.y", b"2"]]);
    assert_eq!(
        argv(&["c", "{}", "{.}"], &inputs),
        ["c", "a.x", "1", "b.y", "2", "a", "1", "b", "2"]
    );
    assert_eq!(
        argv(&["c", "-{}-", "{1}"], &inputs),
        ["c", "-a.x 1-", "-b.y 2-", "a.x"]
    );
    assert_eq!(argv(&["c {3}{.}"], &inputs), ["c", "b.ya 1", "b.yb 2"]);
    assert_eq!(argv(&["c \"{}\""], &inputs), ["c", "a.x 1", "b.y 2"]);
    assert_eq!(argv(&["c", "{}", "p{}"], &[]), ["c", "p"]);
}

#[test]
fn several_words_are_kept_exactly() {
    let inputs = rows(&[&[b"in"]]);
    let words = [
        "c", "a b", "$HOME", "*", "'q'", "\\", "", "a|b", "~", "# x", "`id`", ">out", "x>", "(",
        "{}",
    ];
    let mut expected = words;
    expected[words.len() - 1] = "in";
    assert_eq!(argv(&words, &inputs), expected);
    assert_eq!(argv(&["cd", "{}"], &inputs), ["cd", "in"]);
    assert_eq!(argv(&["A=b", "{}"], &inputs), ["A=b", "in"]);
}

#[test]
fn the_input_is_not_added_when_it_comes_through_a_pipe() {
    let options = || TemplateOptions {
        append: false,
        ..TemplateOptions::default()
    };
    let template = Template::parse(&["wc -l"], options()).expect("a command");
    assert_eq!(
        template.argv(&args(&[])).expect("arguments"),
        [&b"wc"[..], b"-l"]
    );
    assert!(!template.has_input_placeholder());
    let script = Template::parse(&["wc -l | cat"], options()).expect("a command");
    assert_eq!(
        script.argv(&args(&[])).expect("arguments"),
        [&b"/bin/sh"[..], b"-c", b"wc -l | cat", b"sh"]
    );
}

#[test]
fn a_command_that_names_its_inputs_is_known() {
    for (command, expected) in [
        ("a {1}", true),
        ("a {2.} | b", true),
        ("a {1} {}", false),
        ("a {/} | b {1}", false),
        ("a", false),
        ("a {#}", false),
    ] {
        assert_eq!(
            template(&[command]).names_its_inputs(),
            expected,
            "{command}"
        );
    }
}

#[test]
fn names_stand_for_columns() {
    let names = vec![b"file".to_vec(), b"the year".to_vec()];
    let inputs = rows(&[&[b"d/a.b", b"1999"]]);
    let options = TemplateOptions {
        names: names.clone(),
        ..TemplateOptions::default()
    };
    let template =
        Template::parse(&["c {file.} {file/} '{the year}' {other}"], options).expect("a command");
    let expected = [&b"c"[..], b"d/a", b"a.b", b"1999", b"{other}"];
    assert_eq!(template.argv(&args(&inputs)).expect("arguments"), expected);
    assert!(template.has_input_placeholder());
    let known = TemplateOptions {
        names,
        ..TemplateOptions::default()
    };
    let text = TemplateText::parse(b"{#}/{the year}/{file/.}{9} {}", &known);
    assert_eq!(text.expand(&args(&inputs)), b"7/1999/a d/a.b 1999");
}

#[test]
fn nul_is_refused_with_a_hint() {
    let inputs = rows(&[&[b"a\0b"]]);
    for words in [&["echo", "{}"][..], &["echo {} | cat"], &["echo", "{1}"]] {
        let error = template(words).argv(&args(&inputs)).expect_err("NUL");
        assert_eq!(
            error.to_string(),
            "a NUL byte cannot be in an argument: `a\\0b`; with NUL-separated input use `-0`"
        );
    }
    // It does no harm where it is not used.
    assert_eq!(argv(&["echo {#}"], &inputs), ["echo", "7"]);
    assert!(matches!(error(&["a\0", "b"]), TemplateError::Nul { .. }));
}

#[test]
fn nothing_to_run_is_an_error() {
    assert_eq!(error(&[]), TemplateError::Empty);
    assert_eq!(error(&["  \n"]), TemplateError::Empty);
    let template = template(&["{2}"]);
    assert_eq!(
        template.argv(&args(&rows(&[&[b"a"]]))),
        Err(TemplateError::Empty)
    );
}

#[test]
fn an_open_quote_is_shown() {
    let text = error(&["echo 'it {}"]).to_string();
    assert_eq!(
        text,
        "`'` at byte 5 of the command is never closed: `'it {}`; close it, or put `\\` before it"
    );
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(1..=u8::MAX, 0..12)
}

proptest! {
    #[test]
    fn any_bytes_arrive_exactly(input in bytes(), fixed in bytes()) {
        use std::os::unix::ffi::OsStringExt;
        prop_assume!(!fixed.contains(&b'{'));
        let words: Vec<_> = [b"c".to_vec(), fixed.clone(), b"{}".to_vec(), [&fixed[..], b"{}"].concat()]
            .into_iter()
            .map(std::ffi::OsString::from_vec)
            .collect();
        let template = Template::parse(&words, TemplateOptions::default()).expect("words are never refused");
        if !template.needs_shell() {
            let inputs = [vec![input.clone()]];
            let expected = vec![b"c".to_vec(), fixed.clone(), input.clone(), [fixed, input].concat()];
            prop_assert_eq!(template.argv(&args(&inputs)).expect("no NUL"), expected);
        }
    }

    #[test]
    fn any_command_line_is_read_or_refused_without_a_panic(line in bytes(), input in bytes()) {
        use std::os::unix::ffi::OsStrExt;
        for always_shell in [false, true] {
            let options = TemplateOptions { always_shell, ..TemplateOptions::default() };
            if let Ok(template) = Template::parse(&[std::ffi::OsStr::from_bytes(&line)], options) {
                let inputs = [vec![input.clone()], vec![]];
                let _ = template.argv(&args(&inputs));
                let _ = template.display(&args(&inputs));
            }
        }
    }

    #[test]
    fn any_syntax_is_read_or_refused_without_a_panic(line in r#"([ -~\n]|\$\(|\$\(\(|\$\{|<<E|\\|'|"|`|\{\}|case x in |;;|esac){0,20}"#) {
        if let Ok(template) = Template::parse(&[&line], TemplateOptions { always_shell: true, ..TemplateOptions::default() }) {
            let inputs = rows(&[&[b"1"], &[b"a b", b"c"]]);
            let _ = template.argv(&args(&inputs));
            let _ = template.display(&args(&inputs));
        }
    }
}
