//! `--web`: a run that is watched and steered in a real browser.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::browser::Browser;
use crate::fetch::server::{Server, noise};
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

    /// It does not begin: what it says.
    fn refused(words: &[&str], folder: &std::path::Path) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_hands"))
            .args(words)
            .current_dir(folder)
            .env("XDG_RUNTIME_DIR", folder)
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(255));
        String::from_utf8(output.stderr).expect("text")
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
    browser.until_text("#summary", "2 of 5 ended, 2 failed");
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
    browser.click_in("#rows li", "long", "Cancel");
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
    assert_eq!(browser.complaints_at_the_end(), [""; 0]);
}

#[test]
fn a_page_goes_on_when_the_program_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "test {} = 1 || while ! test -e go; do sleep 0.02; done";
    let run = Watched::start(
        &["run", "--web", "-j1", script, ":::", "1", "2"],
        folder.path(),
    );
    let browser = Browser::open(&run.link);
    browser.until_text("#summary", "1 of 2 ended");
    let pid = rustix::process::Pid::from_raw(run.pid() as i32).expect("a number");
    let tell = |signal| rustix::process::kill_process(pid, signal).expect("it runs");
    tell(rustix::process::Signal::STOP);
    browser.until_text("#phase", "no news for");
    tell(rustix::process::Signal::CONT);
    browser.until_text("#phase", "running");
    std::fs::write(folder.path().join("go"), "").expect("a file");
    browser.until_text("#summary", "2 of 2 ended");
    browser.until_text("#news", "The program has ended");
    let (status, said) = run.end();
    assert!(status.success(), "{said}");
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
    assert_eq!(browser.complaints_at_the_end(), [""; 0]);
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

/// A server whose `/slow/…` sends half of each file, and the rest when it is let; `/later` is there
/// when it is let, too.
struct SlowServer {
    server: Server,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn is_open(&self) -> bool {
        *self.is_open.lock().expect("nobody panicked")
    }

    fn open(&self) {
        *self.is_open.lock().expect("nobody panicked") = true;
        self.opened.notify_all();
    }

    /// Waits until it is open, or for a moment: whoever is asked must notice that nobody listens.
    fn wait(&self) -> bool {
        let is_open = self.is_open.lock().expect("nobody panicked");
        let moment = Duration::from_millis(50);
        let (is_open, _) = self
            .opened
            .wait_timeout(is_open, moment)
            .expect("nobody panicked");
        *is_open
    }
}

const SIZE: usize = 400_000;

impl SlowServer {
    fn new() -> SlowServer {
        let gate = Arc::new(Gate::default());
        let held = Arc::clone(&gate);
        let server = Server::new(move |asked, out| {
            let body = noise(SIZE, 7);
            match asked.path.as_str() {
                "/later" if !held.is_open() => out.answer("404 Not Found", &[], b"not yet"),
                path if path.starts_with("/slow/") && !held.is_open() => {
                    let from = asked.range().map_or(0, |(from, _)| from as usize);
                    let range = format!("bytes {from}-{}/{SIZE}", SIZE - 1);
                    let (status, headers) = match from {
                        0 => (
                            "200 OK",
                            vec![("ETag", "\"a\""), ("Accept-Ranges", "bytes")],
                        ),
                        _ => (
                            "206 Partial Content",
                            vec![("ETag", "\"a\""), ("Content-Range", range.as_str())],
                        ),
                    };
                    out.begin(status, &headers, Some((SIZE - from) as u64));
                    let half = (SIZE / 2).max(from);
                    out.body(&body[from..half]);
                    while !held.wait() {
                        // Nothing, which shows whether somebody is there.
                        if !out.raw(b"") {
                            return;
                        }
                    }
                    out.body(&body[half..]);
                }
                _ => out.file(asked, &body, "\"a\""),
            }
        });
        SlowServer { server, gate }
    }
}

#[test]
fn links_are_pasted_and_files_come_while_the_page_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = SlowServer::new();
    let url = |path: &str| slow.server.url(path);
    let run = Watched::start(
        &["fetch", "--web", "--dir", "got", "--no-config"],
        folder.path(),
    );
    let browser = Browser::open(&run.link);
    browser.until_text("#phase", "idle");
    assert_eq!(browser.text("h1"), "Downloads");
    browser.picture("downloads-empty");
    // Nothing is no link.
    browser.click("#download");
    browser.until_text("#news", "There is no link");
    let links = format!(
        "{}\n# a comment\n\n{}\n{}\n{}\nno link at all\n",
        url("/quick.bin"),
        url("/slow/a.bin"),
        url("/slow/b.bin"),
        url("/later")
    );
    browser.write("#links", &links);
    browser.click("#download");
    browser.until_text("#news", "5 links taken up");
    browser.until("return document.querySelector('#links').value === '' && !document.querySelector('#download').disabled");
    // Half of each is there, and the bars say so.
    browser.until("return [...document.querySelectorAll('#rows progress')].filter((bar) => bar.value === 0.5).length === 2");
    browser.click("#about");
    assert_eq!(
        browser.js("return document.querySelector('#about-text').open"),
        true
    );
    browser.picture("downloads-about");
    browser.click("#about-text button");
    browser.until_text("#tab-finished", "1");
    browser.until_text("#tab-failed", "2");
    browser.click("#tab-finished");
    browser.until_text("#rows li .state", "saved as got/quick.bin");
    assert_eq!(
        std::fs::read(folder.path().join("got/quick.bin")).expect("a file"),
        noise(SIZE, 7)
    );
    browser.click("#tab-failed");
    browser.until("return document.querySelector('#rows').textContent.includes('404')");
    browser.picture("downloads-failed");
    // One is given up, and then removed: nothing of it is left.
    browser.click("#tab-running");
    browser.until("return document.querySelectorAll('#rows li').length === 2");
    let found = |name: &str| folder.path().join("got").join(name).exists();
    assert!(found("b.bin.part"));
    browser.click_in("#rows li", "b.bin", "Cancel");
    browser.until_text("#news", "it is given up; what has come is kept");
    browser.until("return document.querySelectorAll('#rows li').length === 1");
    assert!(found("b.bin.part"));
    browser.click("#tab-failed");
    browser.click_in("#rows li", "b.bin", "Remove");
    browser.until_text("#news", "it is removed from the list");
    browser.until("return document.querySelectorAll('#rows li').length === 2");
    assert!(!found("b.bin.part") && !found("b.bin.part.state") && !found("b.bin"));
    // The rest comes when the server goes on.
    slow.gate.open();
    browser.until_text("#tab-finished", "2");
    browser.click("#retry");
    browser.until_text("#tab-finished", "3");
    browser.until_text("#tab-failed", "1");
    assert_eq!(
        std::fs::read(folder.path().join("got/a.bin")).expect("a file"),
        noise(SIZE, 7)
    );
    browser.picture("downloads-done");
    // The same again is known.
    browser.write("#links", &links);
    browser.click("#download");
    browser.until_text("#news", "1 link taken up; 4 in the list already");
    browser.until_text("#tab-finished", "4");
    browser.click("#stop");
    browser.until("return document.querySelector('#stopping').open");
    browser.click("#stopping button[value=now]");
    browser.until_text("#news", "The program has ended");
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(130), "{said}");
}

#[test]
fn a_page_of_downloads_goes_on_after_the_program_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = SlowServer::new();
    let url = |path: &str| slow.server.url(path);
    let words = [
        "fetch",
        "--web",
        "--dir",
        "got",
        "--no-config",
        "--segments",
        "1",
    ];
    let run = Watched::start(&words, folder.path());
    let browser = Browser::open(&run.link);
    browser.until_text("#phase", "idle");
    browser.write(
        "#links",
        &format!(
            "{}\n{}\n{}",
            url("/quick.bin"),
            url("/slow/a.bin"),
            url("/other.bin")
        ),
    );
    browser.click("#download");
    browser.until_text("#tab-finished", "2");
    browser.until("return document.querySelector('#rows progress')?.value === 0.5");
    let second = Watched::refused(&words, folder.path());
    assert!(
        second.contains("another `hands fetch --web` has the folder `got`"),
        "{second}"
    );
    drop(run);
    browser.until_text("#phase", "no news");
    let run = Watched::start(&words, folder.path());
    browser.go(&run.link);
    browser.until_text("#phase", "running");
    browser.until_text("#tab-finished", "2");
    slow.gate.open();
    browser.until_text("#tab-finished", "3");
    browser.until_text("#phase", "idle");
    browser.click("#tab-finished");
    browser.until("return document.querySelectorAll('#rows li').length === 3");
    assert_eq!(
        std::fs::read(folder.path().join("got/a.bin")).expect("a file"),
        noise(SIZE, 7)
    );
    // What had come was not asked for again.
    let asked = slow.server.asked();
    let ranges: Vec<_> = asked
        .iter()
        .filter(|asked| asked.path == "/slow/a.bin")
        .map(|asked| asked.range())
        .collect();
    assert!(
        ranges
            .iter()
            .any(|range| range.is_some_and(|(from, _)| from > 0)),
        "{ranges:?}"
    );
    assert_eq!(
        asked
            .iter()
            .filter(|asked| asked.path == "/quick.bin")
            .count(),
        1
    );
}

#[test]
fn a_run_of_downloads_is_paused_given_up_and_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = SlowServer::new();
    let (a, b) = (
        slow.server.url("/slow/a.bin"),
        slow.server.url("/slow/b.bin"),
    );
    let run = Watched::start(
        &["fetch", "--web", "--dir", "got", "--no-config", &a, &b],
        folder.path(),
    );
    let browser = Browser::open(&run.link);
    browser.until("return [...document.querySelectorAll('#rows progress')].filter((bar) => bar.value === 0.5).length === 2");
    assert_eq!(
        browser.js("return document.querySelector('#add').hidden"),
        true
    );
    browser.click_in("#rows li", "a.bin", "Cancel");
    browser.until_text("#tab-failed", "1");
    browser.click("#pause");
    browser.until_text("#phase", "paused");
    slow.gate.open();
    browser.click("#retry");
    browser.until_text("#tab-failed", "0");
    browser.click("#pause");
    browser.until_text("#phase", "done");
    browser.until_text("#summary", "2 of 2 ended, 0 failed");
    let (status, said) = run.end();
    assert!(status.success(), "{said}");
    assert!(said.contains("2 ok;"), "{said}");
    for name in ["a.bin", "b.bin"] {
        let file = std::fs::read(folder.path().join("got").join(name)).expect("a file");
        assert_eq!(file, noise(SIZE, 7), "{name}");
    }
}

#[test]
fn a_link_that_is_removed_while_it_waits_does_not_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = SlowServer::new();
    let words = [
        "fetch",
        "--web",
        "--dir",
        "got",
        "--no-config",
        "--jobs",
        "1",
    ];
    let run = Watched::start(&words, folder.path());
    let browser = Browser::open(&run.link);
    browser.until_text("#phase", "idle");
    let links: Vec<String> = (1..=6)
        .map(|number| slow.server.url(&format!("/slow/{number}.bin")))
        .collect();
    browser.write("#links", &links.join("\n"));
    browser.click("#download");
    browser.until_text("#news", "6 links taken up");
    browser.click("#tab-waiting");
    browser.click_in("#rows li", "/6.bin", "Remove");
    browser.until_text("#news", "it is removed from the list");
    slow.gate.open();
    browser.until_text("#tab-finished", "5");
    browser.until_text("#phase", "idle");
    browser.until_text("#summary", "5 of 5 ended, 0 failed");
    assert_eq!(browser.text("#tab-failed span"), "0");
    assert!(!folder.path().join("got/6.bin").exists());
}

#[test]
fn downloads_that_may_end_do_and_no_further_one_begins() {
    let folder = tempfile::tempdir().expect("a folder");
    let slow = SlowServer::new();
    let links: Vec<String> = (1..=6)
        .map(|number| slow.server.url(&format!("/slow/{number}.bin")))
        .collect();
    let mut words = vec![
        "fetch",
        "--web",
        "--dir",
        "got",
        "--no-config",
        "--jobs",
        "1",
    ];
    words.extend(links.iter().map(String::as_str));
    let run = Watched::start(&words, folder.path());
    let browser = Browser::open(&run.link);
    browser.until("return document.querySelector('#rows progress')?.value === 0.5");
    browser.click("#stop");
    browser.until("return document.querySelector('#stopping').open");
    browser.click("#stopping button[value=wait]");
    browser.until_text("#news", "those on their way come to their end");
    slow.gate.open();
    browser.until_text("#news", "The program has ended");
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(130), "{said}");
    let got = |number: u32| folder.path().join(format!("got/{number}.bin")).exists();
    assert!(got(1) && !got(6), "{said}");
}
