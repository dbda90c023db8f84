//! The jobs that failed, remembered for the end of the run, when nobody has seen the messages
//! scroll by.

use std::path::PathBuf;

use hands_batch::{Finished, Outcome};

use crate::plan::Plan;
use crate::ui::paint::Paint;
use crate::ui::time::seconds;

/// Failures that are shown with their commands; of the rest, only the number.
const SHOWN: usize = 20;

/// Bytes of a command that are kept. A longer one would not be pasted into a shell by anyone.
const LONGEST: usize = 8 * 1024;

/// The first failures, and how many there were.
#[derive(Debug)]
pub(super) struct Failures {
    shown: Vec<FailedJob>,
    count: u64,
    paint: Paint,
    /// What a command needs to run as it did, beside its words.
    needs: Needs,
}

#[derive(Debug)]
struct FailedJob {
    number: u64,
    reason: String,
    command: Vec<u8>,
    /// How many bytes the command has beyond those that are kept.
    cut: usize,
}

#[derive(Debug, Default)]
struct Needs {
    directory: Option<PathBuf>,
    stdin: bool,
}

impl Failures {
    pub(super) fn new(plan: &Plan, paint: Paint) -> Failures {
        Failures {
            shown: Vec::new(),
            count: 0,
            paint,
            needs: Needs {
                directory: plan.limits.workdir.clone(),
                stdin: plan.pipe.is_some(),
            },
        }
    }

    /// Remembers a job that failed for good.
    pub(super) fn add(&mut self, job: &Finished<'_>) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            let kept = job.display.len().min(LONGEST);
            self.shown.push(FailedJob {
                number: job.place.number,
                reason: reason(job),
                command: job.display[..kept].to_vec(),
                cut: job.display.len() - kept,
            });
        }
    }

    /// A job that had failed is tried again.
    pub(super) fn forget(&mut self, number: u64) {
        self.count = self.count.saturating_sub(1);
        self.shown.retain(|job| job.number != number);
    }

    /// The report, or nothing if all went well. `log` is the file that has the rest.
    pub(super) fn report(&self, total: u64, log: Option<&str>) -> Vec<u8> {
        let mut text = Vec::new();
        if self.count == 0 {
            return text;
        }
        let s = if total == 1 { "" } else { "s" };
        let count = format!("{} of {total} job{s} failed", self.count);
        text.extend_from_slice(
            format!(
                "hands: {}; to run them again{}:\n",
                self.paint.wrong(&count),
                self.needs.told()
            )
            .as_bytes(),
        );
        for failure in &self.shown {
            let reason = format!("# job {} {}", failure.number, failure.reason);
            text.extend_from_slice(format!("  {}\n  ", self.paint.wrong(&reason)).as_bytes());
            let apart = ends_its_shell(&failure.command);
            if apart {
                text.extend_from_slice(b"( ");
            }
            text.extend_from_slice(&failure.command);
            if apart {
                // Behind a here-document only a new line ends it.
                let here_document = failure.command.contains(&b'\n');
                text.extend_from_slice(if here_document { b"\n)" } else { b" )" });
            }
            if failure.cut > 0 {
                // Pasted, this must not do something else than the job did.
                text.extend_from_slice(
                    format!(" … # and {} bytes more, not shown", failure.cut).as_bytes(),
                );
            }
            text.push(b'\n');
        }
        let more = self.count - self.shown.len() as u64;
        if more > 0 {
            let rest = match log {
                Some(log) => format!("  # and {more} more: `{log}` has them all\n"),
                None => format!("  # and {more} more (`--joblog FILE` would list them all)\n"),
            };
            text.extend_from_slice(rest.as_bytes());
        }
        if log.is_some() {
            text.extend_from_slice(
                b"  # or all of them: the same `hands run` with `--resume-failed`\n",
            );
        }
        text
    }
}

/// Whether the command might end, replace or move the shell that it is pasted into: then it is
/// shown in parentheses.
fn ends_its_shell(command: &[u8]) -> bool {
    command
        .split(|byte| !byte.is_ascii_alphanumeric())
        .any(|word| [&b"exit"[..], b"exec", b"cd", b"set", b"trap"].contains(&word))
}

impl Needs {
    fn told(&self) -> String {
        let directory = self
            .directory
            .as_ref()
            .map(|directory| format!(" in `{}`", directory.display()));
        let stdin = if self.stdin {
            ", each with its part of stdin"
        } else {
            ""
        };
        format!("{}{stdin}", directory.unwrap_or_default())
    }
}

/// `exited with 3`, `was killed by signal 9 (KILL)`, `timed out after 10.00s`, `did not start: …`.
pub(crate) fn reason(job: &Finished<'_>) -> String {
    let tries = match job.place.attempt {
        1 => String::new(),
        attempt => format!(" (try {attempt})"),
    };
    if let Some(error) = job.error {
        return format!("did not start: {error}");
    }
    if let Outcome::TimedOut { after, .. } = job.outcome {
        return format!("timed out after {}{tries}", seconds(after));
    }
    match job.signal() {
        0 => format!("exited with {}{tries}", job.exit()),
        signal => format!("was killed by signal {signal}{}{tries}", name(signal)),
    }
}

/// The usual name of a signal, in parentheses.
fn name(signal: i32) -> String {
    let name = match signal {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        6 => "ABRT",
        7 => "BUS",
        8 => "FPE",
        9 => "KILL",
        11 => "SEGV",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        24 => "XCPU",
        25 => "XFSZ",
        _ => return String::new(),
    };
    format!(" ({name})")
}
