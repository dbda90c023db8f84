//! [`Command`]: what to run, and under which conditions.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::environ::Changes;
use super::error::{CommandError, SpawnReason};
use super::resolve::Resolver;
use super::sys::host::descriptor_limit_of_children;
use super::sys::spawn::{ResourceLimit, Setting};

/// How long a command has between TERM and KILL unless it is told otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(2);

/// A program to run, its arguments, and the conditions it runs under.
///
/// Starting one costs what `posix_spawn` costs, whatever conditions are set. The command leads its
/// own process group; a time-out, a limit or an error ends everything it has started, grandchildren
/// in other sessions included, in bounded time, and the direct child dies with the calling thread.
///
/// One variable is added to its environment: `HANDS_JOB`, by which its processes are found again.
///
/// ```
/// use hands::command::Command;
/// use std::time::Duration;
///
/// let sorted = Command::new("sort").stdin("b\na\n").timeout(Duration::from_secs(60)).output()?;
/// assert_eq!(sorted.stdout, b"a\nb\n");
/// assert!(sorted.max_rss > 0);
/// # Ok::<(), hands::command::CommandError>(())
/// ```
///
/// # Platforms
///
/// Linux 5.4 or later.
#[doc(alias("subprocess", "Popen"))]
#[derive(Clone, Debug)]
#[must_use = "a command does nothing until it is run"]
pub struct Command {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) stdin: Stdin,
    pub(super) merge: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) capture_limit: usize,
    pub(super) conditions: Conditions,
}

/// The part of a [`Command`] that the jobs of a batch share.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// What differs from this program's environment.
    pub environment: Changes,
    /// Where it starts; `None`: where this program is.
    pub directory: Option<PathBuf>,
    /// Bytes of address space.
    pub memory_limit: Option<u64>,
    /// CPU time.
    pub cpu_limit: Option<Duration>,
    /// Added to its niceness.
    pub nice: i32,
}

/// What a command reads from its stdin.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    #[default]
    Null,
    /// The calling program's own stdin.
    Inherit,
    /// These bytes.
    Bytes(Vec<u8>),
    /// An open file, pipe or socket.
    File(Arc<OwnedFd>),
}

impl Stdin {
    pub(super) fn raw(&self) -> Option<RawFd> {
        match self {
            Stdin::Inherit => Some(0),
            Stdin::File(file) => Some(file.as_raw_fd()),
            Stdin::Null | Stdin::Bytes(_) => None,
        }
    }
}

impl From<Vec<u8>> for Stdin {
    fn from(bytes: Vec<u8>) -> Stdin {
        Stdin::Bytes(bytes)
    }
}

impl From<&[u8]> for Stdin {
    fn from(bytes: &[u8]) -> Stdin {
        Stdin::Bytes(bytes.to_vec())
    }
}

impl From<&str> for Stdin {
    fn from(text: &str) -> Stdin {
        Stdin::Bytes(text.into())
    }
}

impl From<String> for Stdin {
    fn from(text: String) -> Stdin {
        Stdin::Bytes(text.into())
    }
}

impl From<std::fs::File> for Stdin {
    fn from(file: std::fs::File) -> Stdin {
        Stdin::File(Arc::new(file.into()))
    }
}

impl From<OwnedFd> for Stdin {
    fn from(file: OwnedFd) -> Stdin {
        Stdin::File(Arc::new(file))
    }
}

impl Command {
    /// A command without arguments. A name without a slash is looked up in `PATH`, as changed by
    /// [`env`](Self::env).
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            stdin: Stdin::Null,
            merge: false,
            timeout: None,
            grace: DEFAULT_GRACE,
            capture_limit: usize::MAX,
            conditions: Conditions::default(),
        }
    }

    /// A line for `/bin/sh`. Never build one from data: pass data as arguments, which the line sees
    /// as `$1`, `$2`, ….
    ///
    /// ```
    /// # use hands::command::Command;
    /// let out = Command::shell(r#"printf %s "$1" | tr a-z A-Z"#).arg("it's $5").output()?;
    /// assert_eq!(out.stdout, b"IT'S $5");
    /// # Ok::<(), hands::command::CommandError>(())
    /// ```
    pub fn shell(line: impl AsRef<OsStr>) -> Command {
        Command::new("/bin/sh").arg("-c").arg(line).arg("sh")
    }

    /// Adds one argument, passed exactly as it is.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Command {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments, each passed exactly as it is.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Command {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// What it reads from its stdin: nothing (the default), text, bytes, a file, or the program's
    /// own stdin.
    pub fn stdin(mut self, stdin: impl Into<Stdin>) -> Command {
        self.stdin = stdin.into();
        self
    }

    /// Sends its stderr where its stdout goes, in the order written.
    pub fn merge_stderr(mut self) -> Command {
        self.merge = true;
        self
    }

    /// Sets a variable of its environment. A name that is empty or has a `=` in it is an error when
    /// it is started ([`SpawnReason::Variable`]).
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Command {
        let pair = (name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self.conditions.environment.set.push(pair);
        self
    }

    /// Removes a variable from its environment.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Command {
        self.conditions
            .environment
            .set
            .push((name.as_ref().to_owned(), None));
        self
    }

    /// Starts from an empty environment, forgetting earlier changes.
    pub fn env_clear(mut self) -> Command {
        self.conditions.environment = Changes {
            clear: true,
            set: Vec::new(),
        };
        self
    }

    /// The directory it starts in. A program named by a relative path with a slash is looked up
    /// from there.
    pub fn cwd(mut self, directory: impl AsRef<Path>) -> Command {
        self.conditions.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Ends it when it has run this long: TERM to its process group, after [`grace`](Self::grace)
    /// KILL to everything it started.
    pub fn timeout(mut self, timeout: Duration) -> Command {
        self.timeout = Some(timeout);
        self
    }

    /// Time between TERM and KILL, 2 seconds unless set.
    pub fn grace(mut self, grace: Duration) -> Command {
        self.grace = grace;
        self
    }

    /// Bytes of address space that each of its processes may have (`RLIMIT_AS`): beyond it,
    /// allocating fails. Programs that reserve far more than they use (Go, Java, sanitizers) need a
    /// generous limit.
    pub fn memory_limit(mut self, bytes: u64) -> Command {
        self.conditions.memory_limit = Some(bytes);
        self
    }

    /// CPU time that each of its processes may use (`RLIMIT_CPU`), in whole seconds, rounded up:
    /// SIGXCPU at the limit, SIGKILL one second later.
    pub fn cpu_limit(mut self, time: Duration) -> Command {
        self.conditions.cpu_limit = Some(time);
        self
    }

    /// Added to the caller's nice value: 19 for work that should only use idle CPUs. Asking for
    /// more priority than one may have is ignored.
    pub fn nice(mut self, increment: i32) -> Command {
        self.conditions.nice = increment;
        self
    }

    /// The most that [`output`](Self::output) keeps of each stream; a command that writes more is
    /// ended with [`CommandError::TooMuchOutput`]. Unlimited unless set: set it when running what
    /// you do not trust, or use [`stream`](Self::stream).
    pub fn capture_limit(mut self, bytes: usize) -> Command {
        self.capture_limit = bytes;
        self
    }

    pub(super) fn name(&self) -> &[u8] {
        self.program.as_bytes()
    }
}

impl Conditions {
    /// The conditions as the spawning code wants them. `program` is for the error's text.
    pub fn setting(&self, program: &[u8]) -> Result<Setting, CommandError> {
        let directory = match &self.directory {
            None => None,
            Some(directory) => Some(
                CString::new(directory.as_os_str().as_bytes())
                    .map_err(|_| CommandError::spawn(program, SpawnReason::NulByte))?,
            ),
        };
        let mut limits = Vec::new();
        if let Some(bytes) = self.memory_limit {
            limits.push(ResourceLimit {
                resource: libc::RLIMIT_AS,
                soft: bytes,
                hard: bytes,
            });
        }
        if let Some(time) = self.cpu_limit {
            let seconds = time
                .as_secs()
                .saturating_add(u64::from(time.subsec_nanos() > 0));
            limits.push(ResourceLimit {
                resource: libc::RLIMIT_CPU,
                soft: seconds,
                hard: seconds.saturating_add(1),
            });
        }
        limits.extend(descriptor_limit_of_children());
        Ok(Setting {
            directory,
            limits,
            nice: self.nice,
            die_with_thread: true,
            close_others: false,
        })
    }
}

/// The file that a command of this name would run: looked up in this program's `PATH` unless the
/// name has a slash.
///
/// # Errors
///
/// When there is none, or none that may be executed.
///
/// ```
/// let sh = hands::command::find_program("sh")?;
/// assert!(sh.is_absolute());
/// # Ok::<(), hands::command::CommandError>(())
/// ```
pub fn find_program(name: impl AsRef<OsStr>) -> Result<PathBuf, CommandError> {
    let path = std::env::var_os("PATH");
    let mut resolver = Resolver::new(path.as_deref(), None);
    let file = resolver.resolve(name.as_ref().as_bytes())?;
    Ok(PathBuf::from(OsStr::from_bytes(file.as_bytes())))
}
