//! `--results`: each job's output kept in files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::kit::text;
use crate::stage::Stage;

/// All files below a folder, with what is in them.
fn files(folder: &Path) -> BTreeSet<(String, String)> {
    let mut files = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).expect("below");
            let name = name.display().to_string();
            files.insert((name, fs::read_to_string(&path).expect("text")));
        }
    }
    files
}

fn kept(stage: &Stage) -> BTreeSet<(String, String)> {
    files(&stage.path("kept"))
}

fn expected(files: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    let owned = |&(name, text): &(&str, &str)| (name.to_owned(), text.to_owned());
    files.iter().map(owned).collect()
}

#[test]
fn the_layout_is_that_of_gnu_parallel_and_output_is_shown_as_well() {
    let stage = Stage::new();
    let job = "echo out {1}{2}; echo err {1}{2} >&2";
    let ended = stage
        .run(["-k", "--results=kept", job, ":::", "1", "2", ":::", "a"])
        .end()
        .with_code(0);
    assert_eq!(ended.out(), "out 1a\nout 2a\n");
    assert_eq!(ended.stderr, "err 1a\nerr 2a\n");
    assert_eq!(
        kept(&stage),
        expected(&[
            ("1/1/2/a/seq", "1\n"),
            ("1/1/2/a/stderr", "err 1a\n"),
            ("1/1/2/a/stdout", "out 1a\n"),
            ("1/2/2/a/seq", "2\n"),
            ("1/2/2/a/stderr", "err 2a\n"),
            ("1/2/2/a/stdout", "out 2a\n"),
        ])
    );
}

#[test]
fn columns_with_names_name_the_folders() {
    let stage = Stage::new();
    let run = stage
        .run(["--csv", "--results=kept", "echo {word}"])
        .stdin("word,n\nhello,1\n");
    assert_eq!(text(run), "hello\n");
    assert_eq!(
        kept(&stage),
        expected(&[
            ("word/hello/n/1/seq", "1\n"),
            ("word/hello/n/1/stderr", ""),
            ("word/hello/n/1/stdout", "hello\n"),
        ])
    );
}

#[test]
fn a_job_without_inputs_has_its_number_for_a_folder() {
    let stage = Stage::new();
    let run = stage
        .run(["-k", "--pipe", "-N1", "--results=kept", "cat"])
        .stdin("a\nb\n");
    assert_eq!(text(run), "a\nb\n");
    let names: Vec<_> = kept(&stage)
        .into_iter()
        .filter(|(name, _)| name.ends_with("stdout"))
        .collect();
    assert_eq!(
        names,
        [
            ("1/stdout".into(), "a\n".into()),
            ("2/stdout".into(), "b\n".into())
        ]
    );
}

#[test]
fn no_input_leads_out_of_the_folder() {
    let stage = Stage::new();
    let inputs = ["..", ".", "", "/", "../../x", "a/b", "/etc/passwd"];
    let words = [&["--results=kept", "true", ":::"][..], &inputs].concat();
    assert_eq!(text(stage.run(words)), "");
    let folders: Vec<_> = kept(&stage)
        .into_iter()
        .filter_map(|(name, _)| name.strip_suffix("/seq").map(str::to_owned))
        .collect();
    assert_eq!(folders.len(), inputs.len(), "{folders:?}");
    assert!(
        folders.iter().all(|name| name.matches('/').count() == 1),
        "{folders:?}"
    );
    let around: Vec<_> = fs::read_dir(stage.folder()).expect("the folder").collect();
    assert_eq!(
        around.len(),
        2,
        "`kept`, and the stdout of this test: {around:?}"
    );
}

#[test]
fn a_second_run_writes_its_results_over_the_first() {
    let stage = Stage::new();
    for word in ["long text", "x"] {
        let run = stage
            .run(["--results=kept", "echo \"$WORD\"; true", ":::", "a"])
            .env("WORD", word);
        assert_eq!(text(run), format!("{word}\n"));
    }
    assert_eq!(stage.text("kept/1/a/stdout"), "x\n");
}

#[test]
fn what_does_not_fit_in_memory_is_kept_whole() {
    let stage = Stage::new();
    let run = stage.run([
        "--results=kept",
        "head -c 5000000 /dev/zero; true",
        ":::",
        "a",
    ]);
    assert_eq!(run.end().with_code(0).stdout.len(), 5_000_000);
    assert_eq!(stage.bytes("kept/1/a/stdout").len(), 5_000_000);
}

#[test]
fn tags_are_for_the_eye_not_for_the_files() {
    let stage = Stage::new();
    let run = stage.run(["--tag", "--results=kept", "echo x{}", ":::", "a"]);
    assert_eq!(text(run), "a\txa\n");
    assert_eq!(stage.text("kept/1/a/stdout"), "xa\n");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let stage = Stage::new();
    stage.write("kept", "a file");
    let ended = stage
        .run(["--results=kept", "echo", ":::", "a"])
        .end()
        .with_code(255)
        .calmly();
    assert!(ended.stderr.contains("`kept"), "{}", ended.stderr);
}
