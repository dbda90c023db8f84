//! Where inputs come from, and how they become jobs.

use crate::stage::Stage;

/// What `hands run -k` with these words writes.
#[track_caller]
fn kept(stage: &Stage, words: &[&str], stdin: &str) -> String {
    let run = stage.run(["-k"].iter().chain(words)).stdin(stdin);
    run.end().with_code(0).out().to_owned()
}

#[test]
fn several_lists_are_combined_each_with_each() {
    let stage = Stage::new();
    let words = ["echo {1}{2}", ":::", "1", "2", ":::", "a", "b"];
    assert_eq!(kept(&stage, &words, ""), "1a\n1b\n2a\n2b\n");
    let words = ["echo", ":::", "1", "2", ":::", "a", "b", ":::", "x"];
    assert_eq!(kept(&stage, &words, ""), "1 a x\n1 b x\n2 a x\n2 b x\n");
    assert_eq!(
        kept(&stage, &["echo", ":::", "1", ":::"], ""),
        "",
        "nothing times something"
    );
}

#[test]
fn linked_lists_go_side_by_side_to_the_end_of_the_shortest() {
    let stage = Stage::new();
    let words = ["echo", "{1}-{2}", ":::", "1", "2", "3", ":::+", "a", "b"];
    assert_eq!(kept(&stage, &words, ""), "1-a\n2-b\n");
    let words = ["echo", ":::", "1", "2", ":::+", "a", "b", ":::", "x", "y"];
    assert_eq!(kept(&stage, &words, ""), "1 a x\n1 a y\n2 b x\n2 b y\n");
}

#[test]
fn files_are_read_in_the_order_they_are_named() {
    let stage = Stage::new();
    stage.write("one", "1\n2\n");
    stage.write("two", "a\nb");
    assert_eq!(
        kept(&stage, &["echo", "::::", "one", "two"], ""),
        "1 a\n1 b\n2 a\n2 b\n"
    );
    assert_eq!(
        kept(&stage, &["echo", "::::", "one", "::::+", "two"], ""),
        "1 a\n2 b\n"
    );
    assert_eq!(kept(&stage, &["-a", "one", "echo"], ""), "1\n2\n");
    assert_eq!(
        kept(&stage, &["-a", "one", "-a", "two", "echo"], ""),
        "1 a\n1 b\n2 a\n2 b\n"
    );
    assert_eq!(kept(&stage, &["echo", "::::", "-"], "x\ny\n"), "x\ny\n");
    assert_eq!(
        kept(&stage, &["echo", ":::", "x", "::::", "one"], ""),
        "x 1\nx 2\n"
    );
}

#[test]
fn a_file_that_is_missing_is_named_and_nothing_runs() {
    let stage = Stage::new();
    let ended = stage.run(["touch ran; echo", "::::", "missing"]).end();
    ended
        .with_code(255)
        .says("`missing`")
        .says("No such file")
        .calmly();
    assert!(!stage.path("ran").exists());
}

#[test]
fn no_file_behind_four_colons_is_an_error() {
    let stage = Stage::new();
    stage
        .run(["echo", "::::"])
        .stdin("x\n")
        .end()
        .with_code(255)
        .says("`::::`")
        .calmly();
}

#[test]
fn lines_come_from_stdin() {
    let stage = Stage::new();
    assert_eq!(
        kept(&stage, &["echo", "got"], "a b\n\n  c\nlast"),
        "got a b\ngot \ngot   c\ngot last\n"
    );
    assert_eq!(
        kept(&stage, &["-0", "printf", "[%s]"], "a\nb\0c\0"),
        "[a\nb][c]"
    );
    assert_eq!(
        kept(&stage, &["echo"], "crlf\r\n"),
        "crlf\r\n",
        "nothing is taken off that was not asked for"
    );
}

#[test]
fn no_inputs_run_nothing_and_are_no_error() {
    let stage = Stage::new();
    for words in [
        &["echo"][..],
        &["echo", "x", "{}"],
        &["-0", "echo"],
        &["-X", "echo"],
        &["echo", ":::"],
        &["--pipe", "cat"],
    ] {
        let ended = stage.run(words).end().with_code(0);
        assert_eq!((ended.out(), &*ended.stderr), ("", ""), "{words:?}");
    }
}

#[test]
fn without_a_command_the_inputs_are_commands() {
    let stage = Stage::new();
    assert_eq!(
        kept(&stage, &[], "echo a; echo b\nexit 0\necho c | tr c d\n"),
        "a\nb\nd\n"
    );
    assert_eq!(kept(&stage, &[":::", "echo x", "echo y"], ""), "x\ny\n");
}

#[test]
fn columns_are_split_at_a_pattern() {
    let stage = Stage::new();
    assert_eq!(
        kept(
            &stage,
            &["--colsep", "\t", "echo", "{2}", "{1}"],
            "a\tb\nc\td\n"
        ),
        "b a\nd c\n"
    );
    assert_eq!(
        kept(&stage, &["--colsep", " +", "echo {2}-{1}"], "a   b\n"),
        "b-a\n"
    );
    assert_eq!(
        kept(&stage, &["--colsep", ",", "echo", "{1}{3}"], "a,b\n"),
        "a\n",
        "a column that is missing is empty"
    );
    stage
        .run(["--colsep", "(", "echo"])
        .stdin("x\n")
        .end()
        .with_code(255)
        .says("regular expression")
        .calmly();
}

#[test]
fn csv_columns_have_the_names_of_their_header() {
    let stage = Stage::new();
    let table = "name,text\n1,\"x \"\"q\"\", y\"\n2,\"two\nlines\"\n";
    assert_eq!(
        kept(
            &stage,
            &["--csv", "printf", "%s=%s;", "{name}", "{text}"],
            table
        ),
        "1=x \"q\", y;2=two\nlines;"
    );
    assert_eq!(
        kept(
            &stage,
            &["--csv", "--no-header", "echo {2}{1}"],
            "a,b\nc,d\n"
        ),
        "ba\ndc\n"
    );
    let ended = stage.run(["--csv", "echo {nome}"]).stdin(table).end();
    assert!(
        ended.code == 255 || ended.out().contains("{nome}"),
        "{ended:?}"
    );
}

#[test]
fn n_inputs_a_job_and_as_many_as_fit() {
    let stage = Stage::new();
    assert_eq!(
        kept(&stage, &["-n", "2", "echo"], "1\n2\n3\n4\n5\n"),
        "1 2\n3 4\n5\n"
    );
    assert_eq!(
        kept(&stage, &["-n", "2", "echo {2}-{1}"], "1\n2\n3\n4\n"),
        "2-1\n4-3\n"
    );
    let lines: String = (1..=50_000).map(|n| format!("{n}\n")).collect();
    let counts = kept(&stage, &["-X", "sh -c 'echo $#' sh"], &lines);
    let counts: Vec<u32> = counts
        .lines()
        .map(|line| line.parse().expect("a count"))
        .collect();
    assert_eq!(counts.iter().sum::<u32>(), 50_000, "each once");
    assert!(
        counts.len() >= 2 && counts.len() < 20,
        "as many as fit, and work for every slot: {counts:?}"
    );
}

#[test]
fn inputs_are_pulled_as_they_come() {
    let stage = Stage::new();
    let mut bell = stage.bell();
    let mut playing = stage
        .run(["-j1", &format!("{} true", crate::stage::RING)])
        .start_open();
    for (place, input) in ["first", "second"].into_iter().enumerate() {
        playing.type_in(&format!("{input}\n"));
        assert_eq!(
            bell.rings(place + 1)[place],
            input,
            "it runs while stdin is still open"
        );
    }
    playing.hang_up();
    playing.end().with_code(0);
}
