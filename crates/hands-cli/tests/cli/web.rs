//! `--web`: a run that is watched and steered in a real browser.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use crate::browser::Browser;
use crate::stderr_of;

/// The program, with a page.
pub(crate) struct Watched {
    child: Child,
    pub(crate) link: String,
    rest: Option<JoinHandle<String>>,
}

impl Watched {
    pub(crate) fn start(words: &[&str], folder: &std::path::Path) -> Watched {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hands"))
            .args(words)
            .current_dir(folder)
            .env("XDG_RUNTIME_DIR", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("its stderr"));
        let mut told = String::new();
        let link = loop {
            let from = told.len();
            let read = stderr.read_line(&mut told).expect("text");
            assert!(read > 0, "no link in {told}");
            if let Some(link) = told[from..].strip_prefix("hands: watch it at ") {
                break link.trim().to_owned();
            }
        };
        let rest = std::thread::spawn(move || {
            stderr.read_to_string(&mut told).expect("text");
            told
        });
        Watched {
            child,
            link,
            rest: Some(rest),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end: how it ended, and what it has said.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("its end");
        let rest = self.rest.take().expect("once");
        (status, rest.join().expect("text"))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_run_is_watched_and_steered() {
    let folder = tempfile::tempdir().expect("a folder");
    // Two fail as long as `good` is not there; one sleeps until it is ended.
    let script = "case {} in a|b) echo no-{}-yet >&2; test -e good;; long) sleep 1000;; *) while ! test -e go; do sleep 0.02; done;; esac";
    let run = Watched::start(
        &[
            "run", "--web", "-j2", "--joblog", "log", script, ":::", "a", "b", "long", "c", "d",
        ],
        folder.path(),
    );
    let browser = Browser::open(&run.link);
    browser.until_text("#summary", "2 of 5 done, 2 failed");
    browser.click("#tab-failed");
    browser.until("return document.querySelectorAll('#rows li').length === 2");
    browser.until_text("#rows li .state", "exited with 1");
    browser.click("#rows li .name");
    browser.until_text("#detail-tail", "-yet");
    browser.click("#detail button");
    // Paused, what waits stays where it is.
    browser.click("#pause");
    browser.until_text("#phase", "paused");
    browser.click("#tab-running");
    browser.until("return [...document.querySelectorAll('#rows .name')].some((name) => name.textContent.includes('long'))");
    browser.js("[...document.querySelectorAll('#rows li')].find((row) => row.textContent.includes('long')).querySelector('button').click(); return 1");
    browser.click("#tab-finished");
    browser.until_text("#rows li .state", "ended, as it was asked for");
    std::fs::write(folder.path().join("good"), "").expect("a file");
    std::fs::write(folder.path().join("go"), "").expect("a file");
    browser.until_text("#retry", "Retry failed");
    browser.click("#retry");
    browser.until_text("#tab-failed", "0");
    browser.picture("run-paused");
    browser.click("#pause");
    browser.until_text("#phase", "done");
    browser.until_text("#summary", "0 failed");
    browser.until_text("#news", "The program has ended");
    browser.picture("run-done");
    let (status, said) = run.end();
    // The one that was ended is not done.
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("job 3 was ended, as it was asked for"),
        "{said}"
    );
    assert!(!said.contains("jobs failed"), "{said}");
    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    let ends: Vec<(&str, &str)> = log
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .map(|words| (words[0], words[6]))
        .collect();
    let mut sorted = ends.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            ("1", "0"),
            ("1", "1"),
            ("2", "0"),
            ("2", "1"),
            ("4", "0"),
            ("5", "0")
        ]
    );
    // The folder of the links has none that is over.
    let links = std::fs::read_dir(folder.path().join("hands")).expect("a folder");
    assert_eq!(links.count(), 0);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn stop_now_ends_what_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = Watched::start(
        &[
            "run", "--web", "-j2", "sleep {}", ":::", "1000", "1001", "1002",
        ],
        folder.path(),
    );
    let browser = Browser::open(&run.link);
    browser.until("return document.querySelectorAll('#rows li').length === 2");
    browser.write("body", "s");
    browser.until("return document.querySelector('#stopping').open");
    browser.click("#stopping button[value=now]");
    browser.until_text("#news", "The program has ended");
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(130), "{said}");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn an_address_that_is_none_or_taken_is_an_error_before_anything_runs() {
    for (web, why) in [
        ("--web=somewhere", "is neither a port nor an address"),
        ("--web=70000", "is neither a port nor an address"),
        ("--web=192.0.2.1:1", "--web=192.0.2.1:1"),
    ] {
        let told = stderr_of(&["run", web, "echo", ":::", "no"], 255);
        assert!(told.contains(why), "{told}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let web = format!("--web={}", taken.local_addr().expect("it").port());
    let told = stderr_of(&["run", &web, "echo", ":::", "no"], 255);
    assert!(told.contains("somebody else has that port"), "{told}");
}
