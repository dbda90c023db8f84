//! How inputs are named, taken apart and given to jobs, and what is refused because it can only be
//! a slip.

use crate::kit::{out, out_of, refusal, refusal_of, text};
use crate::stage::Stage;

#[test]
fn arg_files_come_before_the_sources_among_the_words() {
    let stage = Stage::new();
    stage.write("numbers", "1\n2\n");
    stage.write("letters", "a\n");
    assert_eq!(text(stage.run(["-k", "-a", "numbers", "echo"])), "1\n2\n");
    let both = ["-k", "-a", "numbers", "--arg-file=letters", "echo"];
    assert_eq!(text(stage.run(both)), "1 a\n2 a\n");
    let mixed = ["-k", "-a", "numbers", "echo", ":::", "x", "y"];
    assert_eq!(text(stage.run(mixed)), "1 x\n1 y\n2 x\n2 y\n");
}

#[test]
fn without_sources_the_lines_of_stdin_are_the_inputs() {
    assert_eq!(out_of(&["-k", "echo"], "a\nb c\nlast"), "a\nb c\nlast\n");
    assert_eq!(out_of(&["-k", "echo", "::::", "-"], "a\n"), "a\n");
    assert_eq!(out_of(&["-k", "-a", "-", "echo"], "a\n"), "a\n");
    assert_eq!(
        out_of(&["-k", "echo", ":::", "x", "y", "::::", "-"], "1\n2\n"),
        "x 1\nx 2\ny 1\ny 2\n"
    );
}

#[test]
fn inputs_can_end_in_nul_or_in_any_text() {
    let printf = &["-k", "printf", "<%s>"];
    let with = |flags: &[&str], stdin: &[u8]| out_of(&[flags, printf].concat(), stdin);
    assert_eq!(with(&["-0"], b"a\nb\0\0c"), "<a\nb><><c>");
    assert_eq!(with(&["-d", ","], b"a,b\n"), "<a><b\n>");
    assert_eq!(with(&["-d", r"\t"], b"a\tb"), "<a><b>");
    assert_eq!(with(&["-d", "::"], b"a::b:c"), "<a><b:c>");
}

#[test]
fn empty_inputs_run_unless_they_are_to_be_skipped() {
    assert_eq!(out_of(&["-k", "printf", "<%s>"], "a\n\nb\n"), "<a><><b>");
    assert_eq!(
        out_of(&["-k", "-r", "printf", "<%s>"], "a\n\nb\n\n"),
        "<a><b>"
    );
}

#[test]
fn nothing_to_do_is_done_at_once() {
    for words in [
        &["echo"][..],
        &["-0", "echo"],
        &["-X", "echo"],
        &["-n3", "echo"],
        &["--csv", "echo"],
        &["--pipe", "echo"],
        &["echo", ":::"],
        &["echo", "::::", "/dev/null"],
        &["echo", ":::", "a", "::::", "/dev/null"],
        &["-a", "/dev/null", "echo"],
        &["--json", "--progress=none", "--dry-run", "echo"],
        &[],
    ] {
        assert_eq!(out(words), "", "{words:?}");
    }
}

#[test]
fn names_of_columns_may_come_through_pipes_too() {
    let stage = Stage::new();
    // The later source comes first: what is waited for must be the one that is late.
    let script = "mkfifo first second
        { exec 3>first; printf 'y\\na\\n' >second; printf 'x\\n1\\n' >&3; } &
        exec \"$HANDS\" run --csv -k -a first -a second 'echo {x}{y}'";
    assert_eq!(text(stage.shell(script)), "1a\n");
}

#[test]
fn columns_are_cut_at_a_regular_expression() {
    let cut = |by: &str, stdin: &str| out_of(&["-k", "--colsep", by, "echo {1}-{2}-{3}"], stdin);
    assert_eq!(cut(",", "a,b,c\nd,e\n"), "a-b-c\nd-e-\n");
    assert_eq!(cut(r"\t", "a b\tc\n"), "a b-c-\n");
    assert_eq!(cut(r"\s+", "a   b c\n"), "a-b-c\n");
    assert_eq!(cut(r"\|", "a|b|c\n"), "a-b-c\n");
    assert_eq!(
        out(&["-k", "-C:", "echo {2} {1}", ":::", "a:b", "c:d"]),
        "b a\nd c\n"
    );
}

#[test]
fn csv_names_its_columns_in_its_first_record() {
    let people = "name,\"birth place\",year\n\"Ada, Countess\",London,1815\nAlan,\"Maida \"\"Vale\"\"\",1912\n";
    assert_eq!(
        out_of(
            &["-k", "--csv", "echo {year}: {name} of {birth place}"],
            people
        ),
        "1815: Ada, Countess of London\n1912: Alan of Maida \"Vale\"\n"
    );
    assert_eq!(
        out_of(&["-k", "--csv", "echo {2}, {-1}"], people),
        "London, 1815\nMaida \"Vale\", 1912\n"
    );
    assert_eq!(
        out_of(
            &["-k", "--csv", "--no-header", "echo {2}"],
            "a,b\r\nc,\"d\n\"\r\n"
        ),
        "b\nd\n\n"
    );
    assert_eq!(
        out_of(&["-k", "--csv", "--colsep=;", "echo {b}"], "a;b\n1;2,3\n"),
        "2,3\n"
    );
}

#[test]
fn rows_of_any_length_are_taken() {
    let csv = "a,b\n1\n1,2,3\n\n";
    assert_eq!(
        out_of(&["-k", "--csv", "echo {a}/{b}/{3}"], csv),
        "1//\n1/2/3\n"
    );
}

#[test]
fn a_header_names_the_columns_of_each_source() {
    assert_eq!(
        out(&[
            "-k",
            "--header",
            ":",
            "echo {x}{y}",
            ":::",
            "x",
            "1",
            "2",
            ":::",
            "y",
            "a"
        ]),
        "1a\n2a\n"
    );
    assert_eq!(
        out_of(&["--header=:", "-C,", "echo {to}{from}"], "from,to\n1,2\n"),
        "21\n"
    );
}

#[test]
fn a_job_may_get_several_inputs() {
    let abc = &[":::", "a", "b", "c"][..];
    let with = |words: &[&str]| out(&[&["-k"], words, abc].concat());
    assert_eq!(with(&["-n2", "echo"]), "a b\nc\n");
    assert_eq!(with(&["-N2", "echo {2}-{1}"]), "b-a\n-c\n");
    assert_eq!(with(&["-n0", "echo x{}"]), "x\nx\nx\n");
    assert_eq!(with(&["-n", "5", "echo"]), "a b c\n");
}

#[test]
fn a_full_command_line_holds_as_many_inputs_as_fit() {
    assert_eq!(
        out(&["-j1", "-X", "echo", "x{}", ":::", "a", "b", "c"]),
        "xa xb xc\n"
    );
    assert_eq!(
        out(&["-k", "-j2", "-X", "echo", ":::", "a", "b", "c", "d"]),
        "a b\nc d\n",
        "what is little is shared"
    );
    assert_eq!(
        out(&["-k", "-j1", "-X", "-n2", "echo", ":::", "a", "b", "c"]),
        "a b\nc\n"
    );
    let numbers: String = (1..=50_000).map(|number| format!("{number}\n")).collect();
    let printed = out_of(&["-k", "-j2", "-X", "echo"], numbers.clone());
    assert_eq!(printed.replace(' ', "\n"), numbers, "all of them, in order");
    let lines: Vec<_> = printed.lines().map(str::len).collect();
    assert!(lines.len() < 10, "{lines:?}");
    assert!(lines.iter().all(|&length| length < 128 * 1024), "{lines:?}");
}

#[test]
fn a_full_command_line_drops_no_input() {
    for command in ["echo {1}", "echo {2}-{1} | cat", "echo {name.}"] {
        let stage = Stage::new();
        let run = stage
            .run(["-X", "--csv", command])
            .stdin("name,b\n1,2\n3,4\n");
        let told = refusal_of(run);
        assert!(told.contains("`-X`"), "{told}");
        assert!(told.contains("\n  hint: `{}` stands for all"), "{told}");
    }
    assert_eq!(
        out(&["-j1", "-X", "-n2", "echo {2}-{1}", ":::", "a", "b"]),
        "b-a\n"
    );
    assert_eq!(
        out(&["-j1", "-X", "echo {1}: {}", ":::", "a", "b"]),
        "a: a b\n"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let told = refusal(&["echo", "::::", "no such file"]);
    assert!(told.contains("`no such file`"), "{told}");
    assert!(told.contains("hint: "), "{told}");
    let told = refusal(&["-a", "/", "echo"]);
    assert!(told.contains("`/`"), "{told}");
    let stage = Stage::new();
    let told = refusal_of(stage.run(["echo"]).stdin(b"a\0b\n"));
    assert!(
        told.contains("input 1 of `stdin` holds a NUL byte"),
        "{told}"
    );
    assert!(told.contains("`-0`"), "{told}");
}

#[test]
fn sources_that_can_only_be_a_slip_are_refused() {
    for words in [
        &["echo", "::::"][..],
        &["echo", ":::", "a", "::::+"],
        &["echo", "::::", ":::", "a"],
        &["-a", "x", "echo", "::::"],
    ] {
        let told = refusal(words);
        assert!(told.contains("names no file"), "{words:?}: {told}");
        assert!(told.contains("\n  hint: "), "{told}");
    }
    for words in [
        &["echo", "::::", "-", "-"][..],
        &["-a", "-", "echo", "::::+", "-"],
    ] {
        let told = refusal(words);
        assert!(
            told.contains("stdin (`-`) is named as a source twice"),
            "{told}"
        );
    }
    // A dash among values is a value.
    assert_eq!(out(&["-k", "echo", ":::", "-", "-"]), "-\n-\n");
    let told = refusal(&["--colsep", "|", "echo", ":::", "a|b"]);
    assert!(told.contains("`|` matches the empty text"), "{told}");
    assert!(told.contains(r"`\|`"), "{told}");
    let told = refusal(&["--colsep", "(", "echo", ":::", "a(b"]);
    assert!(told.contains("`(` is not a regular expression"), "{told}");
    assert!(told.contains(r"\("), "{told}");
}

#[test]
fn flags_that_contradict_each_other_are_refused_with_a_hint() {
    for (words, parts) in [
        (&["-0", "-d,"][..], ["`--null`", "`--delimiter`"]),
        (&["--csv", "-0"], ["`--csv`", "`--null`"]),
        (&["-n2", "-N3"], ["`--max-args`", "`-N`"]),
        (&["-X", "-n0"], ["`-X`", "`-n 0`"]),
        (&["--pipe", "-X"], ["`--pipe`", "`-X`"]),
        (&["--block=1M"], ["`--block`", "`--pipe`"]),
        (&["-u", "-k"], ["`--ungroup`", "`--keep-order`"]),
        (&["--json", "--tag"], ["`--json`", "`--tag`"]),
        (&["--header=x"], ["`--header x`", "`--header :`"]),
    ] {
        let told = refusal(&[words, &["echo", ":::", "a"]].concat());
        for part in parts.into_iter().chain(["\n  hint: "]) {
            assert!(told.contains(part), "{words:?}: {told}");
        }
    }
    let told = refusal(&["--no-header", "echo"]);
    assert!(told.contains("--csv"), "{told}");
}
