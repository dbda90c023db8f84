//! What the tests share: deadlines, scenes, tagged processes. Those of other crates have it, too.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command as Tool, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// So long may a test take before it counts as hanging. No promise about speed: only a way to fail.
pub(crate) const HANGS: Duration = Duration::from_secs(180);

/// So long may a killed process take to be gone.
const LINGERS: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// Runs `body` and fails, rather than hang, when it does not end.
pub(crate) fn in_time<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = channel();
    let thread = std::thread::spawn(move || {
        let _ = done.send(body());
    });
    match wait.recv_timeout(HANGS + soak().unwrap_or_default()) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("hangs"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => panic!("ended without a value"),
        },
    }
}

/// For how long `HANDS_SOAK` asks tests to repeat what is different each time: so many seconds.
fn soak() -> Option<Duration> {
    let seconds = std::env::var("HANDS_SOAK").ok()?;
    Some(Duration::from_secs(
        seconds.parse().expect("HANDS_SOAK is a number of seconds"),
    ))
}

/// So many rounds, or as many as there is time for in a soak.
pub(crate) fn rounds(few: u64) -> impl Iterator<Item = u64> {
    let end = soak().map(|time| Instant::now() + time);
    (0..).take_while(move |&round| end.map_or(round < few, |end| Instant::now() < end))
}

/// A folder of the test's own.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A FIFO in `folder`: opening one end waits for the other, which makes processes wait for each
/// other without a clock.
pub(crate) fn fifo(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    run_tool("mkfifo", [&path]);
    path
}

/// An executable file. Made by another process: were it open for writing here, a child that another
/// test is just starting would hold a copy, and running it would fail with "text file busy".
pub(crate) fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    run_tool(
        "sh",
        [
            OsStr::new("-c"),
            OsStr::new(r#"printf %s "$1" > "$2" && chmod 755 "$2""#),
            OsStr::new("sh"),
            OsStr::new(text),
            path.as_os_str(),
        ],
    );
    path
}

fn run_tool<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) {
    let status = Tool::new(program).args(args).status().expect(program);
    assert!(status.success(), "{program}: {status}");
}

// --- processes
// ---------------------------------------------------------------------------------------------------

/// The variable by which a test finds its processes again.
pub(crate) const TAG: &str = "HANDS_TEST_TAG";

/// A value for [`TAG`] that no other test, on no other run, has. What still carries it at the end
/// is killed.
#[derive(Clone, Debug)]
pub(crate) struct Tag(Arc<TagName>);

#[derive(Debug)]
struct TagName(String);

impl Tag {
    pub(crate) fn new() -> Tag {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("later");
        let pid = std::process::id();
        Tag(Arc::new(TagName(format!(
            "{pid}-{count}-{}",
            now.as_nanos()
        ))))
    }

    pub(crate) fn value(&self) -> &str {
        &self.0.0
    }

    /// Living processes that carry it.
    pub(crate) fn alive(&self) -> BTreeSet<i32> {
        self.0.alive()
    }

    /// Fails unless all processes that carry it end by themselves, or by what was done to them
    /// before.
    #[track_caller]
    pub(crate) fn assert_gone(&self) {
        // One of those seen may have started another just before it ended.
        for _ in 0..20 {
            let alive = self.alive();
            if alive.is_empty() {
                return;
            }
            for pid in alive {
                let Some(process) = open(pid) else { continue };
                assert!(
                    ends(&process),
                    "process {pid} ({}) is left",
                    command_line(pid)
                );
            }
        }
        assert_eq!(self.alive(), BTreeSet::new(), "processes are left");
    }
}

impl TagName {
    fn alive(&self) -> BTreeSet<i32> {
        let entry = format!("{TAG}={}", self.0);
        processes()
            .into_iter()
            .filter(|&pid| {
                let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environ
                    .split(|&byte| byte == 0)
                    .any(|known| known == entry.as_bytes())
            })
            .filter(|&pid| !is_zombie(pid))
            .collect()
    }
}

impl Drop for TagName {
    fn drop(&mut self) {
        for pid in self.alive() {
            if pid != std::process::id().cast_signed()
                && let Some(process) = open(pid)
            {
                let _ = pidfd_send_signal(process, Signal::KILL);
            }
        }
    }
}

pub(crate) fn processes() -> Vec<i32> {
    std::fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// The fields of `/proc/PID/stat` behind the name: state, parent, group, session, …
pub(crate) fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind) = stat.rsplit_once(") ")?;
    Some(behind.split_whitespace().map(str::to_owned).collect())
}

pub(crate) fn is_zombie(pid: i32) -> bool {
    stat(pid).is_none_or(|fields| matches!(fields[0].as_str(), "Z" | "X"))
}

/// Our children, zombies included.
pub(crate) fn children() -> Vec<i32> {
    let own = std::process::id().to_string();
    processes()
        .into_iter()
        .filter(|&pid| stat(pid).is_some_and(|fields| fields[1] == own))
        .collect()
}

pub(crate) fn command_line(pid: i32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

/// A pidfd; `None` if the process has gone.
pub(crate) fn open(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// Waits for the process to end (a zombie has); false if it does not.
pub(crate) fn ends(process: &OwnedFd) -> bool {
    let mut wait = [PollFd::new(process, PollFlags::IN)];
    loop {
        match poll(&mut wait, Some(&LINGERS)) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.expect("poll") > 0,
        }
    }
}

/// Open descriptors of this process.
pub(crate) fn descriptors() -> BTreeSet<i32> {
    let listing = std::fs::read_dir("/proc/self/fd").expect("/proc/self/fd");
    let mut all: BTreeSet<i32> = listing
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // The listing itself was one of them.
    all.retain(|fd| Path::new(&format!("/proc/self/fd/{fd}")).exists());
    all
}

/// A number from `/proc/self/status`, such as `VmHWM` in kilobytes.
pub(crate) fn own_status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .expect(name);
    let number = line.split_whitespace().nth(1).expect("a number");
    number.parse().expect("a number")
}

// --- scenes
// ------------------------------------------------------------------------------------------------------

/// Names the scene to play.
pub(crate) const SCENE: &str = "HANDS_TEST_SCENE";

/// Plays the scene that is named, if one is, and ends the process.
pub(crate) fn play(scenes: &[Scenes]) {
    let Some(name) = std::env::var_os(SCENE) else {
        return;
    };
    let name = name.to_str().expect("scenes have plain names");
    let mut all = scenes.iter().copied().flatten();
    let (_, play) = all
        .find(|(known, _)| *known == name)
        .expect("a scene of that name");
    play();
    // At once: the harness has nothing to add, and another process may be looking at our
    // descriptors.
    std::process::exit(0);
}

/// What a module can play, by name.
pub(crate) type Scenes = &'static [(&'static str, fn())];

/// This binary, started again to play one part alone. It reports on its stderr; a panic there fails
/// the test here.
pub(crate) struct Scene {
    name: &'static str,
    through: Vec<OsString>,
    vars: Vec<(&'static str, OsString)>,
    stdin: Vec<u8>,
    binary: PathBuf,
}

pub(crate) struct Played {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) report: String,
}

impl Scene {
    pub(crate) fn new(name: &'static str) -> Scene {
        Scene {
            name,
            through: Vec::new(),
            vars: Vec::new(),
            stdin: Vec::new(),
            binary: std::env::current_exe().expect("our own path"),
        }
    }

    /// Starts it by way of another program: `prlimit --nofile=40`, say.
    pub(crate) fn through<A: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = A>) -> Scene {
        self.through
            .extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    pub(crate) fn var(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Scene {
        self.vars.push((name, value.as_ref().to_owned()));
        self
    }

    pub(crate) fn stdin(mut self, bytes: &[u8]) -> Scene {
        self.stdin = bytes.to_vec();
        self
    }

    /// A copy of this binary, for those who may not enter the folder it is in.
    pub(crate) fn binary(mut self, path: &Path) -> Scene {
        self.binary = path.to_owned();
        self
    }

    pub(crate) fn start(&self) -> std::process::Child {
        let limit = HANGS.as_secs().to_string();
        let mut words = ["timeout", "--foreground", "-k", "1", &limit]
            .map(OsString::from)
            .to_vec();
        words.extend(self.through.iter().cloned());
        words.push(self.binary.clone().into());
        words.extend(["--exact", "scene", "--nocapture", "--test-threads=1"].map(OsString::from));
        Tool::new(&words[0])
            .args(&words[1..])
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .env(SCENE, self.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the scene")
    }

    /// Plays it to its end.
    pub(crate) fn play(self) -> Played {
        let mut child = self.start();
        let mut stdin = child.stdin.take().expect("piped");
        let bytes = self.stdin;
        let feeder = std::thread::spawn(move || {
            let _ = stdin.write_all(&bytes);
        });
        let output = child.wait_with_output().expect("wait for the scene");
        feeder.join().expect("feed the scene");
        Played {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            report: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Plays it and fails if it fails.
    #[track_caller]
    pub(crate) fn succeed(self) -> Played {
        let name = self.name;
        let played = self.play();
        assert!(
            played.status.success(),
            "scene {name}: {}\n{}\n{}",
            played.status,
            played.stdout,
            played.report
        );
        played
    }
}

/// Says something to the test that plays this scene.
pub(crate) fn report(line: impl std::fmt::Display) {
    writeln!(io::stderr(), "{line}").expect("stderr");
}

/// What a scene was given by [`Scene::var`].
pub(crate) fn var(name: &str) -> String {
    std::env::var(name).expect(name)
}

/// Reads to the end.
pub(crate) fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).expect("read");
    all
}
