//! `a | b | c` without a shell.

use std::os::unix::process::ExitStatusExt;

use super::error::CommandError;
use super::{Command, Output, run};

/// Commands that run at the same time, each one's stdout connected to the next one's stdin.
///
/// ```
/// use hands::command::Command;
///
/// let out = Command::new("printf").arg("b\na\nb\n").pipe(Command::new("sort")).pipe(Command::new("uniq")).output()?;
/// assert_eq!(out.stdout(), b"a\nb\n");
/// assert!(out.success());
/// # Ok::<(), hands::command::CommandError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a pipeline does nothing until it is run"]
pub struct Pipeline {
    commands: Vec<Command>,
}

impl Command {
    /// Its stdout becomes the stdin of `next`, as with `|` in a shell.
    pub fn pipe(self, next: Command) -> Pipeline {
        Pipeline::new(self, next)
    }
}

impl Pipeline {
    pub(super) fn new(first: Command, second: Command) -> Pipeline {
        Pipeline {
            commands: vec![first, second],
        }
    }

    /// Adds a command at the end.
    pub fn pipe(mut self, next: Command) -> Pipeline {
        self.commands.push(next);
        self
    }

    /// Runs all to their ends.
    ///
    /// # Errors
    ///
    /// When one cannot be started (those already started are ended), or runs past its own time-out,
    /// or writes more than its capture limit.
    pub fn output(&self) -> Result<PipelineOutput, CommandError> {
        run::capture(&self.commands).map(|stages| PipelineOutput { stages })
    }
}

/// How each command of a [`Pipeline`] ended.
#[derive(Clone, Debug)]
pub struct PipelineOutput {
    /// In the order of the pipeline. Each has its own stderr; only the last has a stdout.
    pub stages: Vec<Output>,
}

impl PipelineOutput {
    /// What the last command wrote to its stdout.
    pub fn stdout(&self) -> &[u8] {
        self.stages.last().map_or(&[], |last| &last.stdout)
    }

    /// Whether all succeeded. One that died of SIGPIPE because a later one had read enough counts
    /// as a success.
    pub fn success(&self) -> bool {
        let Some((last, earlier)) = self.stages.split_last() else {
            return true;
        };
        last.success()
            && earlier
                .iter()
                .all(|stage| stage.success() || stage.status.signal() == Some(libc::SIGPIPE))
    }
}
