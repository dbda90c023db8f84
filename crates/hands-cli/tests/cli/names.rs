//! Names with any byte in them arrive as they are, whichever way they come, and none is ever
//! executed.

use crate::kit::{HOSTILE, assert_nothing_ran, bytes, words};
use crate::stage::Stage;

/// Commands that print each of their inputs and a NUL: executed directly, in both forms, and by a
/// shell.
const PRINT: &[&[&str]] = &[
    &["printf", "%s\\0", "{}"],
    &[r"printf %s\\0 {}"],
    &[r"printf '%s\0' {} | cat"],
    &[r#"x={}; printf '%s\0' "$x""#],
    &[r#"for x in {}; do printf "%s\0" "$x"; done"#],
    &[r#"printf "%s\0" "$(printf %s. {})" | sed -z 's/\.$//'"#],
    &["printf", "%s\\0", "{}", "|", "cat"],
    &["cat <<END | head -c -1; printf '\\0'\n{}\nEND"],
];

fn with_ends(inputs: &[&[u8]]) -> Vec<u8> {
    inputs
        .iter()
        .flat_map(|input| [input, &b"\0"[..]].concat())
        .collect()
}

#[track_caller]
fn assert_same(got: &[u8], inputs: &[&[u8]], how: &str) {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let got: Vec<_> = got.split(|&byte| byte == 0).map(shown).collect();
    let wanted = with_ends(inputs);
    let wanted: Vec<_> = wanted.split(|&byte| byte == 0).map(shown).collect();
    assert_eq!(got, wanted, "{how}");
}

#[test]
fn words_arrive_exactly() {
    for print in PRINT {
        let stage = Stage::new();
        let line = [&["-k"], *print, &[":::"]].concat();
        let line = words(&line, HOSTILE.iter().copied());
        assert_same(&bytes(stage.run(line)), HOSTILE, &print.join(" "));
        assert_nothing_ran(&stage);
    }
}

#[test]
fn lines_of_a_file_arrive_exactly() {
    let lines: Vec<&[u8]> = HOSTILE
        .iter()
        .copied()
        .filter(|name| !name.contains(&b'\n'))
        .collect();
    for print in PRINT {
        let stage = Stage::new();
        stage.write("names", [lines.join(&b'\n'), b"\n".to_vec()].concat());
        let line = [&["-k", "-a", "names"], *print].concat();
        assert_same(&bytes(stage.run(line)), &lines, &print.join(" "));
        assert_nothing_ran(&stage);
    }
}

#[test]
fn all_on_one_command_line_arrive_exactly() {
    for print in &PRINT[..5] {
        let stage = Stage::new();
        let line = [&["-j1", "-X"], *print, &[":::"]].concat();
        if print[0].starts_with("x=") {
            continue;
        }
        let line = words(&line, HOSTILE.iter().copied());
        assert_same(&bytes(stage.run(line)), HOSTILE, &print.join(" "));
        assert_nothing_ran(&stage);
    }
}

#[test]
fn files_of_such_names_can_be_worked_on() {
    let stage = Stage::new();
    let find = "find . -maxdepth 1 -name '*.txt' -print0 | sort -z";
    stage
        .shell(
            r#"printf 1 > "My brother's 12\" *** record  (costs \$\$\$).txt"; printf 2 > './-n.txt'
            printf 3 > "two
lines.txt"; printf 4 > "$(printf 'bad\377.txt')""#,
        )
        .end()
        .with_code(0);
    stage
        .shell(&format!("{find} | \"$HANDS\" run -0 cp {{}} {{.}}.bak"))
        .end()
        .with_code(0);
    let listed = stage
        .shell(r#"for f in *.bak; do cat "./$f"; done | fold -w1 | sort | tr -d '\n'"#)
        .end();
    assert_eq!(listed.out(), "1234");
}

#[test]
fn tags_and_results_take_any_name_too() {
    let stage = Stage::new();
    let line = words(
        &["-k", "--tag", "--results", "kept", "true", "x", ":::"],
        HOSTILE.iter().copied(),
    );
    assert_eq!(bytes(stage.run(line)), b"");
    let kept = std::fs::read_dir(stage.path("kept/1"))
        .expect("folders")
        .count();
    assert_eq!(kept, HOSTILE.len());
    assert_nothing_ran(&stage);
}
