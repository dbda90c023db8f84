//! Where a test of the running program takes place: a folder of its own, `hands` in it, and pipes
//! by which the test and the jobs tell each other how far they are.
//!
//! Nothing here sleeps. A test waits for a line, an exit or an end of file; [`PATIENCE`] only turns
//! a hang into a failure.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;

/// No event takes this long on any machine that works.
const PATIENCE: Timespec = Timespec {
    tv_sec: 180,
    tv_nsec: 0,
};

/// The program under test.
pub(crate) const HANDS: &str = env!("CARGO_BIN_EXE_hands");

/// Waits until `fd` can be read, or its other end is gone.
#[track_caller]
pub(crate) fn await_ready(fd: impl AsFd, what: &str) {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&PATIENCE)) {
            Ok(0) => panic!("waited in vain for {what}"),
            Ok(_) => return,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

/// A folder that the jobs run in.
pub(crate) struct Stage {
    folder: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        Stage {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).expect("a file");
    }

    /// An executable shell script.
    pub(crate) fn script(&self, name: &str, text: &str) {
        self.write(name, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).expect("text")
    }

    /// The file's lines, sorted: jobs that run at once write in any order. A missing file has none.
    pub(crate) fn sorted(&self, name: &str) -> Vec<String> {
        match fs::read_to_string(self.path(name)) {
            Ok(text) => sorted(&text),
            Err(_) => Vec::new(),
        }
    }

    /// `hands run` with these words, in this folder.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Run {
        let mut run = self.hands(["run"]);
        run.command.args(words);
        run
    }

    /// `hands` with these words, in this folder.
    pub(crate) fn hands<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Run {
        let mut command = Command::new("env");
        // Whoever starts the tests may ignore these (`nohup`, a shell script's background job), and
        // `hands` keeps that.
        command
            .arg("--default-signal=INT,HUP,TERM,TSTP,PIPE")
            .arg(HANDS)
            .args(words)
            .current_dir(self.folder());
        Run::new(command, self.path("stdout"))
    }

    /// A shell script around `hands`, which it finds as `$HANDS`.
    pub(crate) fn shell(&self, script: &str) -> Run {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.folder());
        Run::new(command, self.path("stdout"))
    }

    /// `script`, run on a terminal of its own; what is written to its stdin is typed.
    pub(crate) fn terminal(&self, script: &str) -> Command {
        // A shell's job in the background, as which the tests may run, ignores Ctrl-C.
        let mut command = Command::new("env");
        command
            .args(["--default-signal=INT,QUIT", "script"])
            .args(["-qec", script, "/dev/null"])
            .current_dir(self.folder())
            .env("HANDS", HANDS)
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .env_remove("NO_COLOR");
        command
    }
}

pub(crate) fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A command that is about to run.
pub(crate) struct Run {
    command: Command,
    stdin: Vec<u8>,
    stdout: PathBuf,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// As a shell would tell it.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "{}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("text")
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Ended {
        assert!(
            self.stderr.contains(text),
            "`{text}` is not in:\n{}",
            self.stderr
        );
        self
    }

    /// It said nothing about a panic.
    #[track_caller]
    pub(crate) fn calmly(self) -> Ended {
        for word in ["panicked", "RUST_BACKTRACE", "internal error"] {
            assert!(!self.stderr.contains(word), "{}", self.stderr);
        }
        self
    }
}

impl Run {
    fn new(mut command: Command, stdout: PathBuf) -> Run {
        command
            .env("HANDS", HANDS)
            .env("LC_ALL", "C.UTF-8")
            // Nobody's settings.
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            // Nothing that the test runner does to its own group reaches it.
            .process_group(0);
        Run {
            command,
            stdin: Vec::new(),
            stdout,
        }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// What it reads.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Run {
        self.stdin = bytes.into();
        self
    }

    /// Where it writes, instead of a file that [`Ended::stdout`] is read from.
    pub(crate) fn stdout_to(self, stdout: impl Into<Stdio>) -> Ended {
        self.play(stdout.into(), Stdio::null()).end()
    }

    /// What it writes into a pipe.
    pub(crate) fn stdout_to_pipe(self) -> String {
        let (mut read, write) = std::io::pipe().expect("a pipe");
        self.play(write.into(), Stdio::null()).end();
        let mut text = String::new();
        read.read_to_string(&mut text).expect("text");
        text
    }

    /// Runs it to its end.
    pub(crate) fn end(self) -> Ended {
        self.start().end()
    }

    /// Starts it.
    pub(crate) fn start(self) -> Playing {
        let stdout = File::create(&self.stdout).expect("a file");
        self.play(stdout.into(), Stdio::null())
    }

    /// Starts it with a stdin that stays open.
    pub(crate) fn start_open(self) -> Playing {
        let stdout = File::create(&self.stdout).expect("a file");
        self.play(stdout.into(), Stdio::piped())
    }

    fn play(mut self, stdout: Stdio, stdin: Stdio) -> Playing {
        if self.stdin.is_empty() {
            self.command.stdin(stdin);
        } else {
            // A file, so that nobody has to keep writing.
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(&self.stdin).expect("input");
            std::io::Seek::rewind(&mut file).expect("input");
            self.command.stdin(file);
        }
        let mut child = self
            .command
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command.get_program()));
        let stderr = child.stderr.take().expect("stderr");
        Playing {
            child,
            stderr: Some(stderr),
            told: Vec::new(),
            seen: 0,
            stdout: self.stdout,
        }
    }
}

/// A command that runs. Dropping it kills it.
pub(crate) struct Playing {
    child: Child,
    stderr: Option<ChildStderr>,
    told: Vec<u8>,
    /// Bytes of `told` that have been waited for.
    seen: usize,
    stdout: PathBuf,
}

impl Playing {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    /// More for its stdin, which stays open.
    pub(crate) fn type_in(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("an open stdin");
        stdin.write_all(text.as_bytes()).expect("it reads");
    }

    /// The end of what is typed.
    pub(crate) fn hang_up(&mut self) {
        self.child.stdin = None;
    }

    /// Waits until it says `text` on stderr, behind what was waited for before.
    #[track_caller]
    pub(crate) fn told(&mut self, text: &str) {
        loop {
            let rest = &self.told[self.seen..];
            let found = rest
                .windows(text.len())
                .position(|window| window == text.as_bytes());
            if let Some(at) = found {
                self.seen += at + text.len();
                return;
            }
            let more = self.read_stderr(text);
            assert!(
                more,
                "it never said `{text}`:\n{}",
                String::from_utf8_lossy(&self.told)
            );
        }
    }

    #[track_caller]
    fn read_stderr(&mut self, what: &str) -> bool {
        let Some(stderr) = &mut self.stderr else {
            return false;
        };
        await_ready(&*stderr, what);
        let mut buffer = [0; 4096];
        let got = stderr.read(&mut buffer).expect("stderr");
        self.told.extend_from_slice(&buffer[..got]);
        got > 0
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        while self.read_stderr("the end of stderr") {}
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty()).expect("it is not reaped");
        await_ready(&pidfd, "its exit");
        let status = self.child.wait().expect("its status");
        let code = status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal));
        Ended {
            code: code.expect("an end"),
            stdout: fs::read(&self.stdout).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&self.told).into_owned(),
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        // Whose end was seen is not signalled: `Child` knows that it was reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A named pipe that jobs write to. A job that opens it with `exec 9>bell` holds it, and so does
/// all that it starts.
pub(crate) struct Bell {
    reader: File,
    /// Keeps the pipe from ending while no job has it.
    own: Option<File>,
    heard: Vec<u8>,
}

/// Puts the shell in the bell's reach, and rings.
pub(crate) const RING: &str = "exec 9>bell; echo {} >&9; ";

fn make_fifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0)
        .expect("a named pipe");
}

fn open(path: &Path, flags: OFlags) -> File {
    let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .expect("the pipe")
        .into()
}

impl Stage {
    /// The named pipe `bell`.
    pub(crate) fn bell(&self) -> Bell {
        let path = self.path("bell");
        make_fifo(&path);
        let reader = open(&path, OFlags::RDONLY);
        let own = Some(open(&path, OFlags::WRONLY));
        Bell {
            reader,
            own,
            heard: Vec::new(),
        }
    }

    /// The named pipe `gate`. A job waits there with `read _ < gate`.
    pub(crate) fn gate(&self) -> Gate {
        let path = self.path("gate");
        make_fifo(&path);
        Gate {
            pipe: open(&path, OFlags::RDWR),
        }
    }
}

impl Bell {
    /// Waits until it has been rung `count` times in all, and gives the words, sorted.
    #[track_caller]
    pub(crate) fn rings(&mut self, count: usize) -> Vec<String> {
        while self.heard.iter().filter(|&&byte| byte == b'\n').count() < count {
            self.read();
        }
        sorted(&String::from_utf8_lossy(&self.heard))
    }

    /// Waits until nobody holds it any more: all processes that had it are gone.
    #[track_caller]
    pub(crate) fn silence(mut self) {
        self.own = None;
        while self.read() {}
    }

    #[track_caller]
    fn read(&mut self) -> bool {
        await_ready(&self.reader, "the bell");
        let mut buffer = [0; 4096];
        match self.reader.read(&mut buffer) {
            Ok(got) => {
                self.heard.extend_from_slice(&buffer[..got]);
                got > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => true,
            Err(error) => panic!("the bell: {error}"),
        }
    }
}

/// What jobs wait at.
pub(crate) struct Gate {
    pipe: File,
}

impl Gate {
    /// Lets so many pass, now or when they come.
    pub(crate) fn open(&mut self, count: usize) {
        self.pipe
            .write_all("\n".repeat(count).as_bytes())
            .expect("the gate");
    }
}

/// A row of a job log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) start: f64,
    pub(crate) runtime: f64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) exit: i32,
    pub(crate) signal: i32,
    pub(crate) command: String,
}

pub(crate) const HEADER: &str =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

impl Stage {
    /// The rows of a job log, every one of which must be whole.
    #[track_caller]
    pub(crate) fn rows(&self, name: &str) -> Vec<Row> {
        rows(&self.text(name))
    }
}

#[track_caller]
pub(crate) fn rows(log: &str) -> Vec<Row> {
    let rows = log.strip_prefix(HEADER).expect("the header");
    assert!(rows.is_empty() || rows.ends_with('\n'), "a torn row: {log}");
    rows.lines().map(row).collect()
}

#[track_caller]
fn row(line: &str) -> Row {
    let columns: Vec<&str> = line.split('\t').collect();
    let [
        seq,
        host,
        start,
        runtime,
        sent,
        received,
        exit,
        signal,
        command,
    ] = columns[..]
    else {
        panic!("not nine columns: {line:?}");
    };
    assert_eq!(host, ":");
    let decimals = |number: &str| number.split_once('.').map(|(_, decimals)| decimals.len());
    assert_eq!(decimals(start), Some(3), "{line:?}");
    assert_eq!(decimals(runtime), Some(3), "{line:?}");
    assert!(runtime.len() >= 10, "{line:?}");
    let whole = |number: &str| number.parse().expect("a number");
    Row {
        seq: whole(seq),
        start: start.parse().expect("a time"),
        runtime: runtime.trim_start().parse().expect("a time"),
        sent: whole(sent),
        received: whole(received),
        exit: exit.parse().expect("a code"),
        signal: signal.parse().expect("a signal"),
        command: command.to_owned(),
    }
}
