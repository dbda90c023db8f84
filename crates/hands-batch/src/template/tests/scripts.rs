//! The scripts that are written, as text.

use super::*;

fn script(line: &str) -> String {
    script_of(&[line], &rows(&[&[b"5"]]))
}

fn script_of(words: &[&str], inputs: &[Row]) -> String {
    assert!(template(words).needs_shell(), "{words:?}");
    let argv = argv(words, inputs);
    assert_eq!(
        (&argv[0][..], &argv[1][..], &argv[3][..]),
        ("/bin/sh", "-c", "sh")
    );
    argv[2].clone()
}

#[test]
fn a_reference_suits_its_quoting() {
    let one = "hands_1=$1; shift 1; ";
    let cases = [
        ("a {} | b", r#"a "${hands_1}" | b"#),
        (r#"a "x{}y" | b"#, r#"a "x${hands_1}y" | b"#),
        ("a 'x{}y' | b", r#"a 'x'"${hands_1}"'y' | b"#),
        ("a $'x{}y\\'' | b", r#"a $'x'"${hands_1}"$'y\'' | b"#),
        (
            r#"a "$(b {} "{}")" '{}'"#,
            r#"a "$(b "${hands_1}" "${hands_1}")" ''"${hands_1}"''"#,
        ),
        ("a `b {}`", r#"a $(b "${hands_1}")"#),
        (
            r#"a "`b \"{}\" \`c {}\``""#,
            r#"a "$(b "${hands_1}" $(c "${hands_1}"))""#,
        ),
        ("a $(( {} + 1 ))", "a $(( ${hands_1} + 1 ))"),
        (
            r#"a "${x:-{}}" ${x:-{}}"#,
            r#"a "${x:-${hands_1}}" ${x:-"${hands_1}"}"#,
        ),
        (r#"a "${x%{}}" ${#x}"#, r#"a "${x%"${hands_1}"}" ${#x}"#),
        ("a <<E\n{} '{}'\nE", "a <<E\n${hands_1} '${hands_1}'\nE"),
        (
            "a <<'E'\n{} $x `y` \\\nE",
            "a <<E\n${hands_1} \\$x \\`y\\` \\\\\nE",
        ),
        (
            "a <<-'E' | c {}\n\t$x\n\tE\nd {}",
            "a <<-'E' | c \"${hands_1}\"\n\t$x\n\tE\nd \"${hands_1}\"",
        ),
        (
            "case x in a) b {};; (c|d) e;; esac",
            r#"case x in a) b "${hands_1}";; (c|d) e;; esac"#,
        ),
        (
            "a $(case x in y) echo {};; esac) \"{}\"",
            "a $(case x in y) echo \"${hands_1}\";; esac) \"${hands_1}\"",
        ),
        (
            "a $(f() { case x in y) {};; esac; }; f) \"{}\"",
            "a $(f() { case x in y) \"${hands_1}\";; esac; }; f) \"${hands_1}\"",
        ),
        (
            "a {} # it's {}\nb '{}'",
            "a \"${hands_1}\" # it's {}\nb ''\"${hands_1}\"''",
        ),
        ("a ${#x} {} # $# {}", "a ${#x} \"${hands_1}\" # $# {}"),
        // What is in front of a placeholder must not change the reference.
        (
            r#"a ${} "${}" "\{}" '\{}' "$x{}" | b"#,
            r#"a \$"${hands_1}" "\$${hands_1}" "\\${hands_1}" '\'"${hands_1}"'' "$x${hands_1}" | b"#,
        ),
        (r"a $'\{}' {}", r#"a $'\\'"${hands_1}"$'' "${hands_1}""#),
        ("a \\{} {}; b", "a \\{\\} \"${hands_1}\"; b"),
        // The shell's own.
        ("a ${1} ${#} $1 $$ {}", r#"a ${1} ${#} $1 $$ "${hands_1}""#),
        ("((a)) && b {}", r#"((a)) && b "${hands_1}""#),
        (
            "((a); b {}) | $((c); d)",
            r#"((a); b "${hands_1}") | $((c); d)"#,
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(script(line), format!("{one}{expected}"), "{line}");
    }
}

#[test]
fn a_script_without_inputs_is_the_users_text() {
    let line = "echo \"$(date)\" `id` {#";
    let options = TemplateOptions {
        append: false,
        ..TemplateOptions::default()
    };
    let template = Template::parse(&[line], options).expect("a command");
    assert_eq!(
        template.argv(&args(&[])).expect("arguments")[2],
        line.as_bytes()
    );
}

#[test]
fn values_are_shared_by_those_that_mean_the_same() {
    let inputs = rows(&[&[b"d/a.b", b"2"]]);
    assert_eq!(
        script_of(&["a {1} {1} {-2} {2} {1.} {#} {%} {9} | b"], &inputs),
        "hands_1=$1 hands_2=$2 hands_3=$3 hands_4=$4 hands_5=$5; shift 5; \
         a \"${hands_1}\" \"${hands_1}\" \"${hands_1}\" \"${hands_2}\" \"${hands_3}\" \"${hands_4}\" \"${hands_5}\"  | b"
    );
    let argv = argv(&["a {1} {1.} {#} {%} | b"], &inputs);
    assert_eq!(argv[4..], ["d/a.b", "d/a", "7", "3"]);
}

#[test]
fn rows_and_columns_are_repeated_as_without_a_shell() {
    let inputs = rows(&[&[b"a", b"b"], &[b"c", b"d"]]);
    let four = "hands_1=$1 hands_2=$2 hands_3=$3 hands_4=$4; shift 4; ";
    assert_eq!(
        script_of(&["x {} | y"], &inputs),
        format!("{four}x \"${{hands_1}}\" \"${{hands_2}}\" \"${{hands_3}}\" \"${{hands_4}}\" | y")
    );
    assert_eq!(
        script_of(&["x -'{}'\"{}\" | y"], &inputs),
        format!(
            "{four}x -''\"${{hands_1}} ${{hands_2}}\"''\"${{hands_1}} ${{hands_2}}\" \
             -''\"${{hands_3}} ${{hands_4}}\"''\"${{hands_3}} ${{hands_4}}\" | y"
        )
    );
    let many: Vec<Row> = (0..12).map(|_| vec![b"v".to_vec()]).collect();
    assert!(script_of(&["x {} | y"], &many).contains("hands_9=$9 hands_10=${10} hands_11=${11}"));
    assert_eq!(argv(&["x 'p{}' | y"], &many).len(), 4 + 12);
}

#[test]
fn an_operator_among_several_words_makes_a_script_of_them() {
    let inputs = rows(&[&[b"a b"]]);
    let one = "hands_1=$1; shift 1; ";
    let cases: &[(&[&str], &str)] = &[
        (
            &["a", "{}", "|", "b c", "$x", ">", "{}.out"],
            r#"a "${hands_1}" | 'b c' '$x' > "${hands_1}".out"#,
        ),
        (
            &["cd", "{}", "&&", "ls", "2>&1", ">>", "o"],
            r#"cd "${hands_1}" && ls 2>&1 >> o"#,
        ),
        (
            &["if", "{}", "||", "A=b", "A=b", "it's"],
            r#"'if' "${hands_1}" || 'A=b' A=b 'it'\''s'"#,
        ),
        (&["a", "x{}y", "", "&>", "z"], r#"a x"${hands_1}"y '' &> z"#),
        (
            &["a", "2>", "f", "<", "{}", "3<&-"],
            r#"a 2> f < "${hands_1}" 3<&-"#,
        ),
        (
            &["find", "{}", "-exec", "b", ";", "|", "c", ";", "d"],
            r#"find "${hands_1}" -exec b ';' | c ; d"#,
        ),
        (&["a", "|", "b"], r#"a | b "${hands_1}""#),
    ];
    for (words, expected) in cases {
        assert_eq!(
            script_of(words, &inputs),
            format!("{one}{expected}"),
            "{words:?}"
        );
    }
    assert!(!template(&["find", "{}", "-exec", "chmod", "644", "{}", ";"]).needs_shell());
}

#[test]
fn words_are_one_script_when_a_shell_is_asked_for() {
    let options = TemplateOptions {
        always_shell: true,
        shell: Some(b"/opt/bin/zsh".to_vec()),
        ..TemplateOptions::default()
    };
    let template = Template::parse(&["echo", "$HOME", "'{}'"], options).expect("a command");
    let inputs = rows(&[&[b"x"]]);
    let argv = template.argv(&args(&inputs)).expect("arguments");
    let expected: [&[u8]; 5] = [
        b"/opt/bin/zsh",
        b"-c",
        b"hands_1=$1; shift 1; echo $HOME ''\"${hands_1}\"''",
        b"zsh",
        b"x",
    ];
    assert_eq!(argv, expected);
}

#[test]
fn the_input_is_not_added_where_it_would_be_something_else() {
    for line in [
        "a; b;",
        "a &",
        "a | ",
        "a # note",
        "cat <<E\nx\nE\n",
        "(cd x; ls)",
        "for i in 1; do a; done",
        "A=b",
        "if a; then b; fi",
        "case x in a) b;; esac",
        "{ a; }",
        "while",
        "((x))",
    ] {
        assert!(
            matches!(error(&[line]), TemplateError::NowhereToAppend { .. }),
            "{line}"
        );
    }
    assert!(matches!(
        error(&["a", "&&"]),
        TemplateError::NowhereToAppend { .. }
    ));
    for line in [
        "a; b",
        "a | b\n\n",
        "a $(b)",
        "a > x",
        "a \"$x\"",
        "cat <<E\nx\nE\nb",
        "a && cd",
        "time a",
    ] {
        let script = script(line);
        assert!(script.ends_with(" \"${hands_1}\""), "{script}");
    }
}

#[test]
fn what_is_never_closed_is_an_error_that_shows_where() {
    let cases = [
        ("a; b 'c", "'", 5),
        ("a | b \"c $d", "\"", 6),
        ("a $(b", "$(", 2),
        ("a \"$(b \"c)\"", "$(", 3),
        ("a ${b", "${", 2),
        ("a $((b", "$(", 2),
        ("a `b", "`", 2),
        ("a; $'b", "$'", 3),
        ("a; b\\", "\\", 4),
    ];
    for (line, expected, place) in cases {
        match error(&[line]) {
            TemplateError::Unbalanced { opened, at, .. } => {
                assert_eq!((opened, at), (expected, place), "{line}")
            }
            other => panic!("{line}: {other:?}"),
        }
    }
    assert_eq!(error(&[&"$(".repeat(100_000)]), TemplateError::TooDeep);
    assert_eq!(error(&[&"${x:-".repeat(100_000)]), TemplateError::TooDeep);
    assert!(matches!(
        error(&["cat <<{}\nx\n"]),
        TemplateError::HereDocumentMarker { .. }
    ));
    assert!(matches!(
        error(&["cat <<'E F'\n{}\nE F"]),
        TemplateError::HereDocumentMarker { .. }
    ));
}

#[test]
fn only_a_number_may_be_used_in_arithmetic() {
    for line in [
        "echo $(( {} ))",
        "x=abc; echo ${x:{}:1}",
        "((x = {}))",
        "echo ${x[{}]}",
        "x[{}]=1; a",
        "echo $[{}]",
    ] {
        let options = TemplateOptions {
            append: false,
            ..TemplateOptions::default()
        };
        let template = Template::parse(&[line], options).expect("a command");
        for number in [&b"12"[..], b"-3", b"+4", b"0x1F", b"16#ff", b"", b" 5 "] {
            assert!(
                template.argv(&args(&rows(&[&[number]]))).is_ok(),
                "{line} with {number:?}"
            );
        }
        for code in [
            &b"a[$(id)]"[..],
            b"PATH",
            b"1+a[`id`]",
            b"1,2",
            b"x=5",
            b"-",
            b"1 2",
        ] {
            let error = template.argv(&args(&rows(&[&[code]])));
            assert!(
                matches!(error, Err(TemplateError::NotANumber { .. })),
                "{line} with {code:?}"
            );
        }
    }
}

#[test]
fn what_is_shown_is_what_a_person_would_write() {
    let one = rows(&[&[b"my file.txt"]]);
    let plain = rows(&[&[b"dir/file.txt"]]);
    assert_eq!(display(&["gzip -k {}"], &one), "gzip -k 'my file.txt'");
    assert_eq!(
        display(&["gzip -kc {} > {.}.gz"], &plain),
        "gzip -kc dir/file.txt > dir/file.gz"
    );
    assert_eq!(
        display(&["gzip -kc {} > {.}.gz"], &one),
        "gzip -kc 'my file.txt' > 'my file'.gz"
    );
    assert_eq!(
        display(&["a \"x {}\" | b '{}' | c \"$x{}\""], &one),
        "a \"x my file.txt\" | b 'my file.txt' | c \"$x\"'my file.txt'\"\""
    );
    assert_eq!(
        display(&["a {} | b \"{}\""], &rows(&[&[b"x\n$y!"]])),
        r#"a $'x\n$y!' | b ""$'x\n$y!'"""#
    );
    assert_eq!(
        display(&["a $x{} {}() {}> {}=y"], &rows(&[&[b"2"]])),
        "a $x'2' '2'() '2'> '2'=y"
    );
    assert_eq!(
        display(&["if; {}; {} a"], &rows(&[&[b"if"]])),
        "if; 'if'; 'if' a"
    );
    assert_eq!(
        display(&["a $(( {} ))"], &rows(&[&[b"5"]])),
        r"/bin/sh -c 'hands_1=$1; shift 1; a $(( ${hands_1} ))' sh 5"
    );
    assert_eq!(
        display(&["a\n{}"], &one),
        r#"/bin/sh -c $'hands_1=$1; shift 1; a\n"${hands_1}"' sh 'my file.txt'"#
    );
}
