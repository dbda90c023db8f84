//! What can go wrong with a command, in one precise sentence each.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::sys::spawn::{Failed, SpawnStage};

/// Why a command could not be run, or not to its end.
///
/// A command that runs and exits with a code other than 0 is *not* an error here: look at
/// [`Output::status`](super::Output::status).
#[non_exhaustive]
pub enum CommandError {
    /// The program was not started.
    Spawn {
        /// As the caller named it.
        program: Box<[u8]>,
        /// Why.
        reason: SpawnReason,
    },
    /// It ran longer than its `timeout` and was ended, with everything it had started.
    TimedOut {
        /// As the caller named it.
        program: Box<[u8]>,
        /// The limit that was passed.
        after: Duration,
        /// What it had written by then, and what it had used.
        output: Box<super::Output>,
    },
    /// It wrote more than `capture_limit` and was ended, with everything it had started.
    TooMuchOutput {
        /// As the caller named it.
        program: Box<[u8]>,
        /// Bytes allowed for one stream.
        limit: usize,
        /// What it had written by then, and what it had used.
        output: Box<super::Output>,
    },
    /// It has ended, and not well; where that is an error, as for [`check`](super::Command::check).
    Failed {
        /// As the caller named it.
        program: Box<[u8]>,
        /// How it ended, and what it had written.
        output: Box<super::Output>,
    },
    /// It has ended, but the host program took its exit status: it ignores `SIGCHLD` (see
    /// [`keep_exit_codes`](super::keep_exit_codes)), or waits for children that are not its own.
    StatusLost {
        /// As the caller named it.
        program: Box<[u8]>,
    },
    /// A writer that was to receive the output, or a reader that was to give the input, failed.
    Stream {
        /// As the caller named it.
        program: Box<[u8]>,
        /// Which: `stdin`, `stdout` or `stderr`.
        stream: &'static str,
        /// The writer's or reader's own error.
        error: io::Error,
    },
    /// The system refused something else that running commands needs.
    System {
        /// What was being done.
        doing: &'static str,
        /// The system's reason.
        error: io::Error,
    },
}

/// Why a program was not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnReason {
    /// No folder of `PATH` has it, or the path does not exist.
    NotFound,
    /// It is a directory.
    IsDirectory,
    /// It exists but may not be executed.
    PermissionDenied,
    /// Its first line (`#!`) names an interpreter that does not exist.
    InterpreterNotFound,
    /// It is not a program for this machine.
    NotExecutable,
    /// The name is empty.
    EmptyName,
    /// A NUL byte in the name, an argument or a variable: no program can be given one.
    NulByte,
    /// The name of an environment variable is empty or has a `=` in it.
    Variable(OsString),
    /// Arguments and environment are larger than the system allows.
    TooLong {
        /// Bytes of arguments.
        size: usize,
    },
    /// The working directory cannot be entered.
    Directory(io::Error),
    /// A resource limit cannot be set.
    Limit(io::Error),
    /// The system is short of processes, memory or descriptors.
    Shortage(io::Error),
    /// Anything else.
    Other(io::Error),
}

impl CommandError {
    #[doc(hidden)]
    pub fn spawn(program: &[u8], reason: SpawnReason) -> CommandError {
        CommandError::Spawn {
            program: program.into(),
            reason,
        }
    }

    #[doc(hidden)]
    pub fn system(doing: &'static str) -> impl Fn(io::Error) -> CommandError {
        move |error| CommandError::System { doing, error }
    }

    #[doc(hidden)]
    pub fn from_failed(failed: Failed, program: &[u8], path: &Path, size: usize) -> CommandError {
        let reason = match (failed.stage, failed.error.raw_os_error()) {
            (SpawnStage::Directory, _) => SpawnReason::Directory(failed.error),
            (SpawnStage::Limit, _) => SpawnReason::Limit(failed.error),
            (SpawnStage::Clone, _) => SpawnReason::Shortage(failed.error),
            (SpawnStage::Namespace, _) => SpawnReason::Other(io::Error::other(
                "it would be the first process of a new PID namespace, and its end that of all others there; \
                 start this program inside the namespace (`unshare --fork --pid`)",
            )),
            (SpawnStage::Exec, Some(libc::ENOENT)) if failed.missing_interpreter(path) => {
                SpawnReason::InterpreterNotFound
            }
            (SpawnStage::Exec, Some(libc::ENOENT | libc::ENOTDIR)) => SpawnReason::NotFound,
            (SpawnStage::Exec, Some(libc::EACCES)) if path.is_dir() => SpawnReason::IsDirectory,
            (SpawnStage::Exec, Some(libc::EACCES | libc::EPERM | libc::EISDIR)) => {
                SpawnReason::PermissionDenied
            }
            (SpawnStage::Exec, Some(libc::ENOEXEC | libc::ELIBBAD)) => SpawnReason::NotExecutable,
            (SpawnStage::Exec, Some(libc::E2BIG)) => SpawnReason::TooLong { size },
            (SpawnStage::Exec, Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE)) => {
                SpawnReason::Shortage(failed.error)
            }
            _ => SpawnReason::Other(failed.error),
        };
        CommandError::spawn(program, reason)
    }

    /// Whether the same call may succeed once other processes have ended.
    pub fn is_shortage(&self) -> bool {
        matches!(
            self,
            CommandError::Spawn {
                reason: SpawnReason::Shortage(_),
                ..
            }
        )
    }

    /// The code a shell gives for the same failure: 127 for a program that is not there, 126 for
    /// one that cannot be executed; `None` for everything else.
    pub fn shell_code(&self) -> Option<i32> {
        match self {
            CommandError::Spawn {
                reason: SpawnReason::NotFound | SpawnReason::EmptyName,
                ..
            } => Some(127),
            CommandError::Spawn { .. } => Some(126),
            _ => None,
        }
    }
}

/// A program's name as text, with what is not UTF-8 replaced.
fn name(program: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(program)
}

/// The end of what a command has said, no longer than a message should be.
fn last_lines(text: &str) -> &str {
    let text = text.trim_end();
    let from = text.len().saturating_sub(400);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at));
    let end = &text[from.unwrap_or(0)..];
    let lines = end.rmatch_indices('\n').nth(4);
    lines.map_or(end, |(at, _)| &end[at + 1..])
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::Spawn { program, reason } => {
                write!(f, "cannot run `{}`: {reason}", name(program))
            }
            CommandError::TimedOut { program, after, .. } => {
                write!(
                    f,
                    "`{}` ran longer than its time-out of {after:?} and was ended",
                    name(program)
                )
            }
            CommandError::TooMuchOutput { program, limit, .. } => write!(
                f,
                "`{}` wrote more than {limit} bytes and was ended; raise `capture_limit` or send its output to a writer",
                name(program)
            ),
            CommandError::Failed { program, output } => {
                write!(f, "`{}` failed ({})", name(program), output.status)?;
                match last_lines(&output.stderr_text()) {
                    "" => Ok(()),
                    said => write!(f, ": {said}"),
                }
            }
            CommandError::StatusLost { program } => write!(
                f,
                "`{}` has ended, but its exit status was taken by other code in this program, or dropped because SIGCHLD is ignored; call `keep_exit_codes` first",
                name(program)
            ),
            CommandError::Stream {
                program,
                stream,
                error,
            } => {
                write!(
                    f,
                    "cannot pass on the {stream} of `{}`: {error}",
                    name(program)
                )
            }
            CommandError::System { doing, error } => write!(f, "cannot {doing}: {error}"),
        }
    }
}

impl fmt::Display for SpawnReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnReason::NotFound => {
                f.write_str("not found; check the spelling, or give its full path")
            }
            SpawnReason::IsDirectory => f.write_str("it is a directory, not a program"),
            SpawnReason::PermissionDenied => {
                f.write_str("permission denied; is it marked executable (`chmod +x`)?")
            }
            SpawnReason::InterpreterNotFound => {
                f.write_str("the interpreter named in its first line was not found")
            }
            SpawnReason::NotExecutable => f.write_str("it is not a program for this machine"),
            SpawnReason::EmptyName => f.write_str("the program's name is empty"),
            SpawnReason::NulByte => {
                f.write_str("a NUL byte, which no name, argument or variable can hold")
            }
            SpawnReason::Variable(name) => {
                write!(
                    f,
                    "{name:?} cannot be the name of an environment variable: it is empty, or has a `=` in it"
                )
            }
            SpawnReason::TooLong { size } => {
                write!(
                    f,
                    "its arguments ({size} bytes) are longer than the system allows; pass them in a file or in parts"
                )
            }
            SpawnReason::Directory(error) => {
                write!(f, "its working directory cannot be entered: {error}")
            }
            SpawnReason::Limit(error) => write!(f, "its resource limits cannot be set: {error}"),
            SpawnReason::Shortage(error) => {
                write!(
                    f,
                    "the system is short of processes, memory or descriptors: {error}; run fewer at once"
                )
            }
            SpawnReason::Other(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CommandError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CommandError::Stream { error, .. } | CommandError::System { error, .. } => Some(error),
            CommandError::Spawn {
                reason:
                    SpawnReason::Directory(error)
                    | SpawnReason::Limit(error)
                    | SpawnReason::Shortage(error)
                    | SpawnReason::Other(error),
                ..
            } => Some(error),
            _ => None,
        }
    }
}

debug_is_sentence!(CommandError);
