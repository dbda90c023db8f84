//! What the tests of inputs and outputs share: running `hands run` to its end, and names that break
//! careless programs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags};

use crate::stage::{Run, Stage};

/// File names that are perfectly legal.
pub(crate) const HOSTILE: &[&[u8]] = &[
    b"My brother's 12\" *** record  (costs $$$).jpg",
    b"two\nlines\n",
    b"\n",
    b"invalid \xff\xfe utf-8 \x80",
    b"-n",
    b"--help",
    b"$(touch pwned)",
    b"`touch pwned`",
    b"; touch pwned",
    b"x' ; touch pwned ; '",
    b"x\" && touch pwned \"",
    b"| touch pwned",
    b"a\ttab and trailing space ",
    b"\\",
    b"{}",
    b"~",
    b"*",
    b"!!",
    b"#no comment",
    b"A=b",
    "naïve — 日本".as_bytes(),
    b"\x01\x1b[31m\x7f",
];

/// Fails if one of [`HOSTILE`] was executed.
#[track_caller]
pub(crate) fn assert_nothing_ran(stage: &Stage) {
    assert!(!stage.path("pwned").exists(), "an input was executed");
}

/// What `hands run` with these words printed, once it has succeeded and said nothing else.
#[track_caller]
pub(crate) fn out(words: &[&str]) -> String {
    text(Stage::new().run(words))
}

/// The same with `stdin`.
#[track_caller]
pub(crate) fn out_of(words: &[&str], stdin: impl Into<Vec<u8>>) -> String {
    text(Stage::new().run(words).stdin(stdin))
}

/// What a run printed, once it has succeeded and said nothing else.
#[track_caller]
pub(crate) fn text(run: Run) -> String {
    String::from_utf8(bytes(run)).expect("text")
}

#[track_caller]
pub(crate) fn bytes(run: Run) -> Vec<u8> {
    let ended = run.end().with_code(0);
    assert_eq!(ended.stderr, "", "nothing to say");
    ended.stdout
}

/// What `hands run` with these words says when it refuses to begin.
#[track_caller]
pub(crate) fn refusal(words: &[&str]) -> String {
    refusal_of(Stage::new().run(words))
}

#[track_caller]
pub(crate) fn refusal_of(run: Run) -> String {
    let ended = run.end().with_code(255).calmly();
    assert!(ended.stdout.is_empty(), "nothing was run");
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    ended.stderr
}

/// Words of which some are no text.
pub(crate) fn words<'a>(
    text: &'a [&'a str],
    bytes: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<&'a OsStr> {
    let text = text.iter().map(OsStr::new);
    text.chain(bytes.into_iter().map(OsStr::from_bytes))
        .collect()
}

/// A named pipe whose writing end the test has.
pub(crate) struct Feed {
    writer: File,
    /// Lets the writing end be opened before anyone else reads.
    _reader: File,
}

impl Feed {
    pub(crate) fn new(path: &Path) -> Feed {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .expect("a named pipe");
        let open = |flags| -> File {
            let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let fd = rustix::fs::open(path, flags, Mode::empty());
            fd.expect("the pipe").into()
        };
        let reader = open(OFlags::RDONLY);
        Feed {
            writer: open(OFlags::WRONLY),
            _reader: reader,
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).expect("room");
    }
}
