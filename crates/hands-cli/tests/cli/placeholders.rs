//! Which words of a command are placeholders, and where an input goes that has none.

use crate::kit::{out, out_of, refusal};

#[test]
fn jobs_have_numbers_and_slots() {
    assert_eq!(
        out(&["-k", "-j1", "echo {#} {%} {}", ":::", "a", "b"]),
        "1 1 a\n2 1 b\n"
    );
}

#[test]
fn inputs_are_named_by_place_and_by_part() {
    assert_eq!(
        out(&[
            "echo {2} {1/} {2.} {1//} {1/.} {-1}",
            ":::",
            "x/a.b",
            ":::",
            "c.d"
        ]),
        "c.d a.b c x a c.d\n"
    );
    assert_eq!(
        out_of(
            &["--csv", "echo {file/.} {file//} {n}"],
            "file,n\nx/a.b,7\n"
        ),
        "a x 7\n"
    );
}

#[test]
fn an_input_with_no_place_goes_to_the_end() {
    assert_eq!(out(&["echo", "x", ":::", "a b"]), "x a b\n");
    assert_eq!(out(&["echo x", ":::", "a b"]), "x a b\n");
    assert_eq!(out(&["true && echo x", ":::", "a b"]), "x a b\n");
    assert_eq!(out(&["echo {#}", ":::", "a"]), "1\n");
    let told = refusal(&["(echo)", ":::", "a"]);
    assert!(told.contains("`{}`"), "{told}");
}

#[test]
fn other_braces_are_left_as_they_are() {
    assert_eq!(
        out_of(
            &[
                "awk '{print $2}' {}; echo {a,b} {0} {x}",
                ":::",
                "/dev/null"
            ],
            ""
        ),
        "{a,b} {0} {x}\n"
    );
    assert_eq!(out(&[r"echo \{} {}", ":::", "a"]), "{} a\n");
}

#[test]
fn several_words_are_kept_as_they_are() {
    assert_eq!(
        out(&["printf", "<%s>", "a  b", "$HOME", "{}", ":::", "c  d"]),
        "<a  b><$HOME><c  d>"
    );
    assert_eq!(out(&["echo", "{}", "|", "tr", "a", "b", ":::", "a"]), "b\n");
}

#[test]
fn a_place_that_has_no_input_is_left_out() {
    assert_eq!(
        out(&[
            "-k", "-n2", "printf", "<%s>", "{1}", "{2}", ":::", "a", "b", "c"
        ])
        .as_str(),
        "<a><b><c>"
    );
}
