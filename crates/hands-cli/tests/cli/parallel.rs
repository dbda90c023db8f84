//! What GNU parallel does with a command line, and what `hands run` does with it: the same output,
//! the same exit code.
//!
//! Where the two differ the manual says so, under "Differences from GNU parallel".

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use crate::stage::{HANDS, Stage};

/// A shell command a line, in which `$P` is the one or the other.
const CASES: &str = include_str!("parallel_cases.txt");

fn told(program: &str, line: &str, home: &Path) -> String {
    let stage = Stage::new();
    let mut command = Command::new("bash");
    command
        .args(["-c", line])
        .current_dir(stage.folder())
        .env("P", program)
        .env("PARALLEL_HOME", home)
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("LC_ALL", "C.UTF-8")
        .stdin(std::process::Stdio::null());
    let output = command.output().expect("bash");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    format!("{text}exit code {:?}", output.status.code())
}

#[test]
fn command_lines_of_gnu_parallel_do_the_same() {
    let home = Stage::new();
    let cases: Vec<&str> = CASES.lines().filter(|line| !line.is_empty()).collect();
    assert!(cases.len() >= 100, "{} cases", cases.len());
    let left = Mutex::new(cases.into_iter());
    let differ = Mutex::new(String::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(line) = left.lock().expect("no panic").next() else {
                        break;
                    };
                    let ours = told(&format!("{HANDS} run"), line, home.folder());
                    let theirs = told("parallel --will-cite", line, home.folder());
                    if ours != theirs {
                        let told =
                            format!("{line}\n--- ours\n{ours}\n--- GNU parallel's\n{theirs}\n\n");
                        differ.lock().expect("no panic").push_str(&told);
                    }
                }
            });
        }
    });
    let differ = differ.into_inner().expect("no panic");
    assert!(differ.is_empty(), "{differ}");
}
