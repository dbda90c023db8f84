//! `hands top`, on a terminal of a test's own.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::web::Watched;
use crate::{hands, stderr_of};

const LONG: Duration = Duration::from_secs(30);

/// A terminal, and a program on it.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    screen: Arc<(Mutex<Screen>, Condvar)>,
}

struct Screen {
    parser: vt100::Parser,
    /// Nobody looks at it any more.
    is_left: bool,
}

impl Terminal {
    fn start(words: &[&str], folder: &Path, colour: bool) -> Terminal {
        let size = PtySize {
            rows: 24,
            cols: 80,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).expect("a terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_hands"));
        command.args(words);
        command.cwd(folder);
        command.env("XDG_RUNTIME_DIR", folder);
        command.env("TERM", "xterm-256color");
        command.env("NO_COLOR", if colour { "" } else { "1" });
        let child = pair.slave.spawn_command(command).expect("it starts");
        drop(pair.slave);
        let mut from = pair.master.try_clone_reader().expect("a reader");
        let keys = pair.master.take_writer().expect("a writer");
        let screen = Screen {
            parser: vt100::Parser::new(24, 80, 0),
            is_left: false,
        };
        let screen = Arc::new((Mutex::new(screen), Condvar::new()));
        let drawn = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                let read = from.read(&mut bytes).unwrap_or(0);
                let mut screen = drawn.0.lock().expect("nobody panicked");
                screen.parser.process(&bytes[..read]);
                drawn.1.notify_all();
                if read == 0 || screen.is_left {
                    return;
                }
            }
        });
        Terminal {
            child,
            master: pair.master,
            keys,
            screen,
        }
    }

    /// Waits until the screen is so.
    fn until(&self, what: &str, is_so: impl Fn(&vt100::Screen) -> bool) {
        let screen = self.screen.0.lock().expect("nobody panicked");
        let wait = |screen: &mut Screen| !is_so(screen.parser.screen());
        let (screen, waited) = self
            .screen
            .1
            .wait_timeout_while(screen, LONG, wait)
            .expect("nobody panicked");
        let text = screen.parser.screen().contents();
        assert!(!waited.timed_out(), "no {what} on\n{text}");
    }

    fn until_text(&self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("keys");
        self.keys.flush().expect("keys");
    }

    fn end(mut self) -> u32 {
        let status = self.child.wait().expect("its end");
        self.until("end", |screen| {
            !screen.alternate_screen() && !screen.hide_cursor()
        });
        status.exit_code()
    }
}

/// Two that fail, two that wait for `go`, and others that wait for them.
fn run(folder: &Path) -> Watched {
    let script = "case {} in a|b) echo no-{} >&2; exit 3;; *) while ! test -e go; do sleep 0.02; done;; esac";
    let words = [
        "run", "--web", "-j2", script, ":::", "a", "b", "c", "d", "e", "f",
    ];
    Watched::start(&words, folder)
}

#[test]
fn it_shows_and_steers_a_run_at_80_by_24() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run(folder.path());
    let mut top = Terminal::start(&["top"], folder.path(), true);
    top.until_text("[running]");
    top.until_text("2 of 6 ended, 2 failed");
    top.until_text("2 of 2 at work");
    top.until_text("Running 2");
    top.until("a chosen row", |screen| {
        screen
            .contents()
            .lines()
            .any(|line| line.starts_with(">3 "))
    });
    top.until("colour", |screen| {
        (0..24).any(|row| {
            (0..80).any(|column| {
                screen
                    .cell(row, column)
                    .is_some_and(|cell| cell.fgcolor() != vt100::Color::Default)
            })
        })
    });
    // By name, and by number again.
    top.press("s");
    top.until_text("by time");
    top.press("ss");
    top.until_text("by number");
    top.press("p");
    top.until_text("[paused]");
    top.until_text("no further job starts until it is resumed");
    top.press("3");
    top.until_text("exited with 3");
    top.press("\r");
    top.until_text("Details");
    top.until("its stderr", |screen| {
        let text = screen.contents();
        text.contains("no-a") || text.contains("no-b")
    });
    top.press("x?");
    top.until_text("cancel the chosen task");
    top.press("x1");
    top.until("the keys are gone", |screen| {
        !screen.contents().contains("cancel the chosen task")
    });
    top.until("a chosen row", |screen| {
        screen
            .contents()
            .lines()
            .any(|line| line.starts_with(">3 "))
    });
    top.press("c");
    top.until_text("it is being ended");
    top.until_text("Running 1");
    // Another size.
    let size = PtySize {
        rows: 12,
        cols: 40,
        pixel_width: 0,
        pixel_height: 0,
    };
    top.screen
        .0
        .lock()
        .expect("nobody panicked")
        .parser
        .screen_mut()
        .set_size(12, 40);
    top.master.resize(size).expect("a size");
    top.until("the lists in 12 lines", |screen| {
        let text = screen.contents();
        text.contains("[paused]") && text.contains("Failed 2") && text.lines().count() <= 12
    });
    top.press("p");
    std::fs::write(folder.path().join("go"), "").expect("a file");
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(2), "{said}");
    top.until("the end", |screen| {
        let text = screen.contents();
        text.contains("[done]") || text.contains("no news")
    });
    top.press("q");
    assert_eq!(top.end(), 0);
}

#[test]
fn without_colour_all_is_there_and_nothing_is_coloured() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run(folder.path());
    let mut top = Terminal::start(&["top", &run.link], folder.path(), false);
    top.until_text("2 of 6 ended, 2 failed");
    top.press("3");
    top.until_text("exited with 3");
    top.until("no colour", |screen| {
        (0..24).all(|row| {
            (0..80).all(|column| {
                screen.cell(row, column).is_none_or(|cell| {
                    cell.fgcolor() == vt100::Color::Default
                        && cell.bgcolor() == vt100::Color::Default
                })
            })
        })
    });
    top.press("S");
    top.until_text("end them now");
    top.press("n");
    top.until_text("[done]");
    let (status, said) = run.end();
    assert_eq!(status.code(), Some(130), "{said}");
    top.press("\u{3}");
    assert_eq!(top.end(), 0);
}

#[test]
fn a_terminal_that_is_killed_leaves_nothing_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run(folder.path());
    let pid = run.pid().to_string();
    let top = Terminal::start(&["top", &pid], folder.path(), true);
    top.until_text("[running]");
    let own = rustix::process::Pid::from_raw(top.child.process_id().expect("it runs") as i32);
    rustix::process::kill_process(own.expect("a number"), rustix::process::Signal::TERM)
        .expect("it runs");
    assert_eq!(top.end(), 0);
    drop(run);
}

#[test]
fn a_terminal_that_is_gone_ends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run(folder.path());
    let top = Terminal::start(&["top", &run.link], folder.path(), true);
    top.until_text("[running]");
    let Terminal {
        mut child,
        master,
        keys,
        screen,
    } = top;
    // Without the signal that a session's leader gets: that of one behind `nohup`, or of another's.
    // The clock that it draws wakes the one who reads.
    screen.0.lock().expect("nobody panicked").is_left = true;
    drop((master, keys));
    child.wait().expect("its end");
}

#[test]
fn where_stdout_is_no_terminal_the_state_is_printed_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run(folder.path());
    let text = loop {
        let output = hands(&["top", &run.link])
            .assert()
            .code(0)
            .get_output()
            .clone();
        let text = String::from_utf8(output.stdout).expect("text");
        if text.contains("ended     2 of 6") {
            break text;
        }
    };
    for line in ["state     running", "failed    2", "running   2 of 2"] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn who_cannot_be_watched_is_an_error_that_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run(folder.path());
    let (base, token) = run.link.split_once("?token=").expect("a token");
    let wrong = format!("{base}?token={}", "0".repeat(token.len()));
    for (link, why) in [
        ("nonsense", "neither a link nor the number of a process"),
        ("1", "process 1 has no page"),
        (base, "has no token"),
        (&wrong, "401"),
        ("http://127.0.0.1:1/?token=x", "nobody answers"),
        ("file:///etc/passwd?token=x", "nobody answers"),
    ] {
        let told = stderr_of(&["top", link], 255);
        assert!(told.contains(why), "{link}: {told}");
    }
    let alone = tempfile::tempdir().expect("a folder");
    let output = hands(&["top"])
        .env("XDG_RUNTIME_DIR", alone.path())
        .assert()
        .code(255)
        .get_output()
        .clone();
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(told.contains("no run of yours has a page"), "{told}");
}
