//! Scripts run by every shell that is installed: inputs arrive as they are, and what is shown does
//! the same.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use super::*;
use proptest::prelude::*;

const SHELLS: &[&str] = &["/bin/sh", "dash", "bash", "zsh", "ksh"];

/// Prints each argument in brackets; a program, so that scripts and direct commands call the same.
const PRINT: &str = "printf '[%s]'";

fn run(argv: &[Vec<u8>]) -> Vec<u8> {
    let words: Vec<&OsStr> = argv.iter().map(|word| OsStr::from_bytes(word)).collect();
    let output = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{words:?}: {error}"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    output.stdout
}

fn is_installed(shell: &str) -> bool {
    Command::new(shell)
        .args(["-c", ":"])
        .status()
        .is_ok_and(|status| status.success())
}

/// Those of them that are installed, which the test says.
fn shells() -> impl Iterator<Item = &'static str> {
    let (here, missing) = SHELLS
        .iter()
        .partition::<Vec<&str>, _>(|shell| is_installed(shell));
    println!("tried with {here:?}; not installed: {missing:?}");
    SHELLS.iter().copied().filter(|shell| is_installed(shell))
}

fn with_shell(line: &str, shell: &str) -> Template {
    let options = TemplateOptions {
        shell: Some(shell.into()),
        ..TemplateOptions::default()
    };
    Template::parse(&[line], options).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// A line, and its output with `@` for the input. A dot follows an input in a substitution, which
/// loses newlines at its end.
const CONTEXTS: &[(&str, &str)] = &[
    ("printf '[%s]' {} | cat", "[@]"),
    ("printf '[%s]' a{}b | cat", "[a@b]"),
    (r#"printf '[%s]' "a{}b" "$HOME_" | cat"#, "[a@b][]"),
    ("printf '[%s]' 'a{}b' | cat", "[a@b]"),
    (r#"printf '[%s]' "$(printf %s {}.)" | cat"#, "[@.]"),
    (r#"printf '[%s]' "$(printf %s "{}.")" | cat"#, "[@.]"),
    (r#"printf '[%s]' "$(printf %s '{}.')" | cat"#, "[@.]"),
    (r#"printf '[%s]' "`printf %s "{}."`" | cat"#, "[@.]"),
    (r#"printf '[%s]' "`printf %s \"{}.\"`" | cat"#, "[@.]"),
    (r#"printf '[%s]' "`printf %s '{}.'; :`" | cat"#, "[@.]"),
    (
        r#"printf '[%s]' "`printf %s \`printf x\`'{}.' # {}`" | cat"#,
        "[x@.]",
    ),
    ("cat <<END\n[{}]\nEND", "[@]\n"),
    ("cat <<-END\n\t[{}]\n\tEND", "[@]\n"),
    ("cat <<'END'\n[{}] $x `y` \\ \"\nEND", "[@] $x `y` \\ \"\n"),
    ("printf '[%s]' \"$(cat <<END\n{}.\nEND\n)\"", "[@.]"),
    (
        r#"printf '[%s]' "${nothing:-{}}" "${nothing-a{}b}" | cat"#,
        "[@][a@b]",
    ),
    ("x={}; printf '[%s]' \"$x\"", "[@]"),
    (
        "f() { printf '[%s]' {} \"$#\"; }; set -- 1 2 3; f 4",
        "[@][1]",
    ),
    ("(printf '[%s]' {}); { printf '[%s]' '{}'; }", "[@][@]"),
    ("if true; then printf '[%s]' {}; fi", "[@]"),
    ("case {} in {}) printf '[%s]' {};; esac", "[@]"),
    (r#"printf '[%s]' "\{}" "\$${}" \{} | cat"#, "[\\@][$$@][{}]"),
    (
        "printf '[%s]' $1 \"${1-unset}\" {} # {} it's\n",
        "[unset][@]",
    ),
    ("for x in {}; do printf '[%s]' \"$x\"; done", "[@]"),
    ("cd / && printf '[%s]'", "[@]"),
];

fn expected(pattern: &str, input: &[u8]) -> Vec<u8> {
    pattern
        .bytes()
        .flat_map(|byte| {
            if byte == b'@' {
                input.to_vec()
            } else {
                vec![byte]
            }
        })
        .collect()
}

fn check(line: &str, pattern: &str, shell: &str, input: &[u8]) {
    let template = with_shell(line, shell);
    assert!(template.needs_shell(), "{line}");
    let inputs = rows(&[&[input]]);
    let argv = template.argv(&args(&inputs)).expect("arguments");
    let shown = || {
        format!(
            "{shell}: {line} with {}",
            String::from_utf8_lossy(input).escape_debug()
        )
    };
    assert_eq!(
        printable(&run(&argv)),
        printable(&expected(pattern, input)),
        "{}",
        shown()
    );
}

fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[test]
fn nasty_names_arrive_exactly_in_every_context() {
    for shell in shells() {
        for (line, pattern) in CONTEXTS {
            for input in NASTY {
                check(line, pattern, shell, input);
            }
        }
    }
}

#[test]
fn nasty_names_are_shown_so_that_pasting_does_the_same() {
    let direct = [PRINT, "printf '[%s]' {} x{}y '{}' {.} {/} {//} {1} {2} {#}"];
    for line in CONTEXTS.iter().map(|(line, _)| *line).chain(direct) {
        let template = template(&[line]);
        for input in NASTY {
            let inputs = rows(&[&[input]]);
            let real = run(&template.argv(&args(&inputs)).expect("arguments"));
            let shown = template.display(&args(&inputs));
            let pasted = run(&[b"bash".to_vec(), b"-c".to_vec(), shown.clone()]);
            assert_eq!(
                printable(&pasted),
                printable(&real),
                "{}",
                printable(&shown)
            );
            assert!(!shown.contains(&b'\n'), "{}", printable(&shown));
        }
    }
}

#[test]
fn numbers_work_in_arithmetic() {
    for shell in shells() {
        for (line, pattern) in [
            ("printf '[%s]' $(( {} + 1 ))", "[42]"),
            ("printf '[%s]' \"$((({})*2))\" | cat", "[82]"),
            ("x=5; printf '[%s]' $((x{}))  | cat", "[0]"),
        ] {
            check(line, pattern, shell, b"41");
        }
    }
    check(
        "((x = {})); printf '[%s]' $x \"${x:{}:2}\" ${x[{}]} | cat",
        "[41][]",
        "bash",
        b"41",
    );
    check(
        "printf '[%s]' $'a\\'{}\\n' | cat",
        "[a'$(id)\n]",
        "bash",
        b"$(id)",
    );
}

#[test]
fn large_inputs_and_many_rows_arrive() {
    let large = [&b"it's\n"[..]].repeat(20 * 1024).concat();
    for shell in shells() {
        check("printf '[%s]' {} | cat", "[@]", shell, &large);
        check("cat <<END\n{}\nEND", "@\n", shell, &large);
        let many: Vec<Row> = (0..300)
            .map(|number| vec![format!("{number} x").into_bytes()])
            .collect();
        let argv = with_shell("printf '[%s]' p{} | cat", shell)
            .argv(&args(&many))
            .expect("arguments");
        let expected: String = (0..300).map(|number| format!("[p{number} x]")).collect();
        assert_eq!(String::from_utf8_lossy(&run(&argv)), expected);
    }
}

#[test]
fn scripts_and_plain_commands_agree_on_rows() {
    let inputs = rows(&[&[b"a b", b"c.d"], &[b"e", b""]]);
    for words in [
        "{}",
        "{.} x",
        "p{}q",
        "\"{}\"",
        "'{}'{1}",
        "{1}{2} {9} \"{9}\"",
        "{-1}{-2}",
        "{/}{#} {%}",
    ] {
        let line = format!("{PRINT} {words}");
        let direct = template(&[&line]);
        assert!(!direct.needs_shell());
        let script = template(&[&format!("{line} | cat")]);
        let of = |template: &Template| {
            printable(&run(&template.argv(&args(&inputs)).expect("arguments")))
        };
        assert_eq!(of(&direct), of(&script), "{words}");
        for template in [&direct, &script] {
            let pasted = run(&[
                b"bash".to_vec(),
                b"-c".to_vec(),
                template.display(&args(&inputs)),
            ]);
            assert_eq!(of(template), printable(&pasted), "{words}");
        }
    }
}

#[test]
fn operators_among_words_work() {
    let inputs = rows(&[&[b"a  $x"]]);
    let words = [
        "printf", "[%s]", "{}", "$HOME", "it's {}", "|", "tr", "a", "b", "&&", "printf", "%s", "*",
    ];
    assert_eq!(
        run(&template(&words).argv(&args(&inputs)).expect("arguments")),
        b"[b  $x][$HOME][it's b  $x]*"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_bytes_arrive_exactly(
        input in proptest::collection::vec(1..=u8::MAX, 0..24),
        which in 0..CONTEXTS.len(),
        with_bash in any::<bool>(),
    ) {
        let (line, pattern) = CONTEXTS[which];
        check(line, pattern, if with_bash { "bash" } else { "/bin/sh" }, &input);
    }

    #[test]
    fn any_bytes_are_shown_so_that_pasting_does_the_same(
        input in proptest::collection::vec(1..=u8::MAX, 0..24),
        which in 0..=CONTEXTS.len(),
    ) {
        let line = CONTEXTS.get(which).map_or("printf '[%s]' {} x{}", |(line, _)| line);
        let template = template(&[line]);
        let inputs = [vec![input]];
        let real = run(&template.argv(&args(&inputs)).expect("arguments"));
        let pasted = run(&[b"bash".to_vec(), b"-c".to_vec(), template.display(&args(&inputs))]);
        prop_assert_eq!(printable(&pasted), printable(&real));
    }

    #[test]
    fn any_bytes_arrive_exactly_however_deep(
        input in proptest::collection::vec(1..=u8::MAX, 0..12),
        (word, pattern) in nested(),
        with_bash in any::<bool>(),
    ) {
        let line = format!("printf '<%s>' {word}; :");
        check_nested(&line, &format!("<{pattern}>"), if with_bash { "bash" } else { "/bin/sh" }, &input);
    }
}

/// A word with placeholders in any nesting, and what it prints.
fn nested() -> impl Strategy<Value = (String, String)> {
    let leaf = prop_oneof![
        Just(("{}".to_owned(), "@".to_owned())),
        Just(("\"x {}'\"".to_owned(), "x @'".to_owned())),
        Just(("'{}$y'".to_owned(), "@$y".to_owned())),
        Just(("\\ \"{}\"'\"{}'{}".to_owned(), " @\"@@".to_owned())),
        Just(("\"${nothing:-{}}\"".to_owned(), "@".to_owned())),
        Just(("'('\\)#{}".to_owned(), "()#@".to_owned())),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        let substitutions = prop_oneof![
            Just("\"$(printf %s W; printf .)\""),
            Just("\"$(case x in (y) ;; x|z) printf %s W.;; esac)\""),
            Just("\"$(f() { case $1 in *) printf %s \"$1.\"; esac; }; f W)\""),
            Just("\"$(cat <<END # it's {}\n$(printf %s W.)\nEND\n)\""),
            Just("\"$( (printf %s W.) )\""),
            Just("\"${nothing:-$(printf %s W.)}\""),
            Just("\"`printf %s \"$(( 1 - 1 ))\" >/dev/null`$(printf %s W.)\""),
        ];
        prop_oneof![
            (inner.clone(), substitutions).prop_map(|((word, pattern), around)| {
                // Shells disagree on a here-document within one of the same marker.
                let marker = format!("END{}", word.len());
                (
                    around.replace("END", &marker).replace('W', &word),
                    format!("{pattern}."),
                )
            }),
            (inner.clone(), inner).prop_map(|(left, right)| (left.0 + &right.0, left.1 + &right.1)),
        ]
    })
}

/// As it runs, and as it is shown.
fn check_nested(line: &str, pattern: &str, shell: &str, input: &[u8]) {
    check(line, pattern, shell, input);
    let inputs = rows(&[&[input]]);
    let shown = with_shell(line, shell).display(&args(&inputs));
    let pasted = run(&[b"bash".to_vec(), b"-c".to_vec(), shown.clone()]);
    assert_eq!(
        printable(&pasted),
        printable(&expected(pattern, input)),
        "{}",
        printable(&shown)
    );
}
