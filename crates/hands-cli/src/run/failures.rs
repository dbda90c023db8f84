//! The jobs that failed, remembered for the end of the run, when nobody has seen the messages scroll by.

use hands::command::batch::{Finished, Outcome};

use super::seconds;

/// Failures that are shown with their commands; of the rest, only the number.
const SHOWN: usize = 20;

/// Bytes of a command that are kept. A longer one would not be pasted into a shell by anyone.
const LONGEST: usize = 8 * 1024;

/// The first failures, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Failures {
    shown: Vec<(u64, String, Vec<u8>)>,
    count: u64,
}

impl Failures {
    /// Remembers a job that failed for good.
    pub(super) fn add(&mut self, job: &Finished<'_>) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            let command = &job.display[..job.display.len().min(LONGEST)];
            self.shown
                .push((job.place.number, reason(job), command.to_vec()));
        }
    }

    /// The report, or nothing if all went well. `log` says that a file has the rest.
    pub(super) fn report(&self, total: u64, log: Option<&str>) -> Vec<u8> {
        let mut text = Vec::new();
        if self.count == 0 {
            return text;
        }
        let s = if total == 1 { "" } else { "s" };
        text.extend_from_slice(
            format!(
                "hands: {} of {total} job{s} failed; to run them again:\n",
                self.count
            )
            .as_bytes(),
        );
        for (number, reason, command) in &self.shown {
            text.extend_from_slice(format!("  # job {number} {reason}\n  ").as_bytes());
            text.extend_from_slice(command);
            text.push(b'\n');
        }
        let more = self.count - self.shown.len() as u64;
        if more > 0 {
            let rest = match log {
                Some(log) => format!("  # and {more} more: {log} has them all\n"),
                None => format!("  # and {more} more (`--joblog FILE` would list them all)\n"),
            };
            text.extend_from_slice(rest.as_bytes());
        }
        text
    }
}

/// `exited with 3`, `was killed by signal 9 (KILL)`, `timed out after 10.00s`, `could not be started: …`.
pub(super) fn reason(job: &Finished<'_>) -> String {
    let tries = match job.place.attempt {
        1 => String::new(),
        attempt => format!(" (try {attempt})"),
    };
    if let Some(error) = job.error {
        return error.to_string();
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
