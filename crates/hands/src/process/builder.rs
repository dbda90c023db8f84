//! How a process is to be started.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::getpgrp;

use super::error::SpawnError;
use super::handle::Process;
use super::order::SpawnOrder;
use super::rights::Rights;
use super::running::RunningProcess;
use super::{entry_of, exit, spawner};
use crate::wire::codec::{self, Failure};
use crate::wire::message as wire;

use crate::task::{Data, Task};

/// How a process comes to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartMethod {
    /// As a copy of one that has been started once and has done nothing since but run what was to
    /// be [loaded before](super::preload). Takes a quarter of a millisecond, whatever memory the
    /// program itself uses.
    #[default]
    Fork,
    /// By starting the program anew. Takes some milliseconds; shares nothing with others that was
    /// written to.
    Exec,
}

/// How a process is to be started.
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use hands::process::ProcessBuilder;
///
/// # let _hands = hands::init();
/// let process = ProcessBuilder::new().name("reader").env("LANG", "C").spawn(
///     |key: String| std::env::var(key).ok(),
///     "LANG".to_owned(),
/// )?;
/// assert_eq!(process.name(), Some("reader"));
/// assert_eq!(process.join()?.as_deref(), Some("C"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "no process is started before `spawn`"]
pub struct ProcessBuilder {
    name: Option<Arc<str>>,
    is_daemon: bool,
    method: StartMethod,
    in_our_group: bool,
    directory: Option<PathBuf>,
    stdio: [Option<OwnedFd>; 3],
    start_timeout: Option<Duration>,
    rights: Option<Rights>,
    order: SpawnOrder,
}

impl ProcessBuilder {
    /// No name, no daemon; stdin is `/dev/null`, stdout and stderr are the program's; a process
    /// group of its own.
    pub fn new() -> ProcessBuilder {
        ProcessBuilder::default()
    }

    /// Its name: [`current_name`](super::current_name) in it, and the first 15 bytes in the lists
    /// of the system's tools.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> ProcessBuilder {
        self.name = Some(name.into());
        self
    }

    /// A daemon is ended when the program ends, not waited for.
    pub fn daemon(mut self, daemon: bool) -> ProcessBuilder {
        self.is_daemon = daemon;
        self
    }

    /// How it comes to be.
    pub fn start_method(mut self, method: StartMethod) -> ProcessBuilder {
        self.method = method;
        self
    }

    /// Sets a variable in its environment, which is otherwise the one that the program had when it
    /// started its first process.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> ProcessBuilder {
        let bytes = |text: &OsStr| text.as_bytes().to_vec();
        let entry = (bytes(name.as_ref()), Some(bytes(value.as_ref())));
        self.order.environment.push(entry);
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> ProcessBuilder {
        let name = name.as_ref().as_bytes().to_vec();
        self.order.environment.push((name, None));
        self
    }

    /// The directory it runs in; the program's own unless set.
    pub fn cwd(mut self, directory: impl AsRef<Path>) -> ProcessBuilder {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// What it reads as stdin instead of `/dev/null`: a file, or an end of a pipe.
    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> ProcessBuilder {
        self.stdio[0] = Some(stdin.into());
        self
    }

    /// Where its stdout goes instead of the program's.
    pub fn stdout(mut self, stdout: impl Into<OwnedFd>) -> ProcessBuilder {
        self.stdio[1] = Some(stdout.into());
        self
    }

    /// Where its stderr goes instead of the program's.
    pub fn stderr(mut self, stderr: impl Into<OwnedFd>) -> ProcessBuilder {
        self.stdio[2] = Some(stderr.into());
        self
    }

    /// Bytes of address space (`RLIMIT_AS`), its own program and libraries included.
    pub fn memory_limit(mut self, bytes: u64) -> ProcessBuilder {
        self.order.memory_limit = Some(bytes);
        self
    }

    /// CPU time (`RLIMIT_CPU`), in whole seconds, rounded up; then the kernel kills it.
    pub fn cpu_limit(mut self, time: Duration) -> ProcessBuilder {
        let seconds = time
            .as_secs()
            .saturating_add(u64::from(time.subsec_nanos() > 0));
        self.order.cpu_limit = Some(seconds);
        self
    }

    /// Added to its nice value.
    pub fn nice(mut self, increment: i32) -> ProcessBuilder {
        self.order.nice = increment;
        self
    }

    /// So long may starting it take, the system's part of it: until its function is about to be
    /// called. If it is the first process, what was to be [loaded before](super::preload) is loaded
    /// meanwhile. A minute unless set; then [`spawn`](Self::spawn) is
    /// [`TimedOut`](SpawnError::TimedOut), and the function is not called.
    pub fn start_timeout(mut self, timeout: Duration) -> ProcessBuilder {
        self.start_timeout = Some(timeout);
        self
    }

    /// It has these, for which another thread has prepared.
    pub(crate) fn rights(mut self, rights: Option<Rights>) -> ProcessBuilder {
        self.rights = rights;
        self
    }

    /// Whether it leads a process group of its own, as it does unless told otherwise: then Ctrl-C
    /// does not reach it, and [`kill`](Process::kill) takes along what it has started. Else it
    /// stays in the program's.
    pub fn process_group(mut self, own: bool) -> ProcessBuilder {
        self.in_our_group = !own;
        self
    }

    /// Starts it: `run` is called there with this argument.
    ///
    /// # Errors
    ///
    /// [`SpawnError`].
    pub fn spawn<F, A, R>(self, run: F, argument: A) -> Result<Process<R>, SpawnError>
    where
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        let code = entry_of::<F, A, R>(run).ok_or(SpawnError::NotInExecutable)?;
        check_environment(&self.order.environment)?;
        let argument = codec::encode_value(&argument).map_err(|failure| match failure {
            Failure::Encode(what) | Failure::Decode(what) => SpawnError::Encode { what },
        })?;
        let system = SpawnError::system("make what the process needs");
        let (answers, its) = wire::pair().map_err(&system)?;
        let mut descriptors = vec![its];
        for (given, own) in self.stdio.into_iter().zip(0..) {
            let fd = given.map_or_else(|| default_stdio(own), Ok);
            descriptors.push(fd.map_err(&system)?);
        }
        let directory = self.directory.as_deref().unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match open(directory, flags, Mode::empty()) {
            Ok(directory) => descriptors.push(directory),
            // One that has been removed can be stayed in, but not be entered.
            Err(_) if self.directory.is_none() => {}
            Err(error) => {
                return Err(SpawnError::system("enter the process's directory")(
                    error.into(),
                ));
            }
        }
        let has_directory = descriptors.len() == 5;
        descriptors.extend(argument.descriptors);
        let group = self.in_our_group.then(|| getpgrp().as_raw_nonzero().get());
        let order = SpawnOrder {
            afresh: self.method == StartMethod::Exec,
            name: self.name.as_deref().map(str::to_owned),
            group,
            has_directory,
            code: Some(code),
            argument: argument.bytes,
            ..self.order
        };
        let within = self.start_timeout.unwrap_or(spawner::START);
        let pid = spawner::make(order, descriptors, within, self.rights)?;
        let leads_group = group.is_none();
        let shared = Arc::new(RunningProcess::new(
            pid,
            self.name,
            self.is_daemon,
            leads_group,
            answers,
        ));
        exit::note(Arc::clone(&shared));
        Ok(Process::new(shared))
    }
}

fn check_environment(changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), SpawnError> {
    for (name, value) in changes {
        let is_name = !name.is_empty() && !name.contains(&b'=') && !name.contains(&0);
        if !is_name || value.as_ref().is_some_and(|value| value.contains(&0)) {
            let told = format!(
                "`{}` cannot be a variable: a name is not empty and has no `=`, and neither it nor the value has a NUL",
                name.escape_ascii()
            );
            let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, told);
            return Err(SpawnError::system("set the process's environment")(error));
        }
    }
    Ok(())
}

/// `/dev/null`, or the program's own; `/dev/null` also where the program has closed its own.
fn default_stdio(own: u32) -> std::io::Result<OwnedFd> {
    let copy = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().ok();
    let copied = match own {
        1 => copy(std::io::stdout().as_fd()),
        2 => copy(std::io::stderr().as_fd()),
        _ => None,
    };
    match copied {
        Some(fd) => Ok(fd),
        None => {
            let null = File::options().read(true).write(true).open("/dev/null")?;
            Ok(null.into())
        }
    }
}
