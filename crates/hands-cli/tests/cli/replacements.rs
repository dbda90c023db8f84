//! Placeholders, and inputs that are anything but tame.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::stage::Stage;

#[test]
fn each_placeholder_is_replaced() {
    let stage = Stage::new();
    for (placeholder, expected) in [
        ("{}", "d.x/a b.tar.gz"),
        ("{.}", "d.x/a b.tar"),
        ("{/}", "a b.tar.gz"),
        ("{//}", "d.x"),
        ("{/.}", "a b.tar"),
        ("{#}", "1"),
        ("{%}", "1"),
        ("{1}", "d.x/a b.tar.gz"),
        ("{1/}", "a b.tar.gz"),
        ("{1.}", "d.x/a b.tar"),
        ("{1//}", "d.x"),
        ("{1/.}", "a b.tar"),
    ] {
        for command in [
            vec!["printf".to_owned(), "%s".into(), placeholder.into()],
            vec![format!("printf %s {placeholder} | cat")],
        ] {
            let words = command
                .iter()
                .map(String::as_str)
                .chain([":::", "d.x/a b.tar.gz"]);
            assert_eq!(
                stage.run(words).end().with_code(0).out(),
                expected,
                "{command:?}"
            );
        }
    }
}

#[test]
fn without_a_placeholder_the_input_comes_last() {
    let stage = Stage::new();
    let ended = stage.run(["-k", "echo x", ":::", "1", "2 3"]).end();
    assert_eq!(ended.with_code(0).out(), "x 1\nx 2 3\n");
    let ended = stage
        .run(["-k", "echo x | cat -", ":::", "/dev/null"])
        .end();
    assert_eq!(ended.with_code(0).out(), "x\n");
}

#[test]
fn a_place_that_no_input_has_is_empty_or_refused_but_never_run_as_text() {
    let stage = Stage::new();
    let ended = stage.run(["echo [{3}]", ":::", "a"]).end().calmly();
    assert!(ended.code == 255 || ended.out() == "[]\n", "{ended:?}");
}

/// Names that break scripts.
fn hostile() -> Vec<OsString> {
    vec![
        r#"My brother's 12" *** record  (costs $$$).jpg"#.into(),
        "two\nlines".into(),
        OsString::from_vec(b"not \xff\xfe utf-8 \xc3".to_vec()),
        "-rf".into(),
        "--help".into(),
        "$(touch hacked)`touch hacked`;touch hacked;|touch hacked".into(),
        "'; touch hacked; '".into(),
        "\"; touch hacked; \"".into(),
        "\\".into(),
        "{} {.} {1} {#}".into(),
        " leading and trailing ".into(),
        "~".into(),
        "#no comment".into(),
        "a=b".into(),
        "*".into(),
        "!!".into(),
        OsString::from_vec((1..=255).collect()),
    ]
}

/// Commands that write their input and a NUL, each in its own way.
const WRITERS: [&[&str]; 6] = [
    &["printf", r"%s\0", "{}"],
    &[r"printf '%s\0' {}"],
    &[r"printf '%s\0' {} | cat"],
    &[r#"printf '%s\0' "{}" | cat"#],
    &[r#"x={}; printf '%s\0' "$x""#],
    &["cat <<END | head -c -1; printf '\\0'\n{}\nEND\n"],
];

#[test]
fn any_byte_arrives_exactly_with_and_without_a_shell() {
    let stage = Stage::new();
    let names = hostile();
    let mut expected = Vec::new();
    for name in &names {
        expected.extend_from_slice(name.as_bytes());
        expected.push(0);
    }
    stage.write("names", &expected);
    for writer in WRITERS {
        let words: Vec<&OsStr> = writer.iter().map(OsStr::new).collect();
        let lists: [Vec<&OsStr>; 4] = [
            [
                &["-k".as_ref()],
                &words[..],
                &[":::".as_ref()],
                &names.iter().map(AsRef::as_ref).collect::<Vec<_>>()[..],
            ]
            .concat(),
            [&["-k".as_ref(), "-0".as_ref()], &words[..]].concat(),
            [
                &[
                    "-k".as_ref(),
                    "-0".as_ref(),
                    "-a".as_ref(),
                    "names".as_ref(),
                ],
                &words[..],
            ]
            .concat(),
            [
                &["-k".as_ref(), "-0".as_ref()],
                &words[..],
                &["::::".as_ref(), "names".as_ref()],
            ]
            .concat(),
        ];
        for (place, list) in lists.iter().enumerate() {
            let mut run = stage.run(list);
            if place == 1 {
                run = run.stdin(expected.clone());
            }
            let ended = run.end().with_code(0);
            assert!(
                ended.stdout == expected,
                "{writer:?} {place}: {:?}",
                String::from_utf8_lossy(&ended.stdout)
            );
        }
        assert!(!stage.path("hacked").exists(), "{writer:?}");
    }
}

#[test]
fn any_byte_arrives_exactly_through_csv() {
    let stage = Stage::new();
    let mut table = b"name\n".to_vec();
    let mut expected = Vec::new();
    for name in hostile() {
        table.push(b'"');
        for &byte in name.as_bytes() {
            table.extend(std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
        }
        table.extend(b"\"\n");
        expected.extend_from_slice(name.as_bytes());
        expected.push(0);
    }
    for command in [r"printf '%s\0' {name}", r"printf '%s\0' {name} | cat"] {
        let ended = stage
            .run(["-k", "--csv", command])
            .stdin(table.clone())
            .end()
            .with_code(0);
        assert!(ended.stdout == expected, "{command}");
    }
    assert!(!stage.path("hacked").exists());
}

#[test]
fn a_dry_run_prints_what_a_shell_would_do_the_same_with() {
    let stage = Stage::new();
    let names: Vec<OsString> = hostile();
    let mut expected = Vec::new();
    for name in &names {
        expected.extend_from_slice(name.as_bytes());
        expected.push(0);
    }
    for command in [&["printf", r"%s\0"][..], &[r"printf '%s\0' {} | cat"]] {
        let words = ["-k", "--dry-run"]
            .iter()
            .chain(command)
            .chain(&[":::"])
            .map(OsStr::new);
        let script = stage
            .run(words.chain(names.iter().map(AsRef::as_ref)))
            .end()
            .with_code(0)
            .stdout;
        assert!(!stage.path("hacked").exists());
        stage.write("script", script);
        // Bytes that are not UTF-8 are shown by `$'…'`, which POSIX has since 2024, and bash for
        // long.
        let ended = stage.shell("bash script").end().with_code(0);
        assert!(ended.stdout == expected, "{command:?}");
    }
}
