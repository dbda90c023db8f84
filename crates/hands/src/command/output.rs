//! How a command ended and what it wrote.

use std::process::ExitStatus;
use std::time::Duration;

use super::engine::ChildEnd;

/// A finished command: how it ended, what it wrote, what it used.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// What it wrote to its stdout, where that was captured.
    pub stdout: Vec<u8>,
    /// What it wrote to its stderr, where that was captured.
    pub stderr: Vec<u8>,
    /// From its start until it was reaped.
    pub wall: Duration,
    /// CPU time in its own code, with that of all descendants it waited for.
    pub cpu_user: Duration,
    /// CPU time in the kernel on its behalf, likewise.
    pub cpu_system: Duration,
    /// Peak resident memory in bytes of the largest process among it and those descendants.
    pub max_rss: u64,
    /// A process that could not be killed still held the output when it was given up, so the end
    /// may be missing. Only ever true of a command that was ended by force.
    pub cut_off: bool,
}

impl Output {
    /// An end whose status was lost has been refused before.
    pub(crate) fn new(ended: &ChildEnd, stdout: Vec<u8>, stderr: Vec<u8>) -> Output {
        Output {
            status: ended.status.unwrap_or_default(),
            stdout,
            stderr,
            wall: ended.wall,
            cpu_user: ended.usage.cpu_user,
            cpu_system: ended.usage.cpu_system,
            max_rss: ended.usage.max_rss,
            cut_off: ended.cut_off,
        }
    }

    /// Whether it exited with code 0.
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// Its stdout as text, with what is not UTF-8 replaced.
    pub fn stdout_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// Its stderr as text, with what is not UTF-8 replaced.
    pub fn stderr_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }
}
