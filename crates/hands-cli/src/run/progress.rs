//! How far the batch is, on stderr: a bar that is redrawn on a terminal, else a plain line now and
//! then.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use hands::text::is_deceptive;
use hands_batch::BatchProgress;
use rustix::fs::FileType;

use crate::flags;
use crate::plan::parts::OutputMode;
use crate::ui::bar::{Bar, can_draw, cut};
use crate::ui::time::time;

/// A batch that is over sooner draws nothing.
const QUIET: Duration = Duration::from_millis(500);

/// Between two plain lines.
const PLAIN: Duration = Duration::from_secs(30);

/// Between two looks at the batch, when a bar is shown.
const REDRAW: Duration = Duration::from_millis(125);

/// Columns of a command that are shown.
const SHOWN: usize = 60;

/// What is shown while the batch runs.
#[derive(Debug)]
pub(super) enum Display {
    None,
    Plain {
        next: Duration,
        /// Anyone who asked for plain lines gets one at the end, also of a batch that is over
        /// before the first is due.
        last: bool,
    },
    Bar(Bar),
}

/// Whether nothing but this program writes to the terminal: jobs do with `--ungroup`, and so may
/// anyone who reads stdout from a pipe.
fn is_alone(mode: OutputMode) -> bool {
    let stdout = rustix::fs::fstat(io::stdout());
    let kind = stdout.map(|stdout| FileType::from_raw_mode(stdout.st_mode));
    let is_read = kind.is_ok_and(|kind| matches!(kind, FileType::Fifo | FileType::Socket));
    mode != OutputMode::Direct && !is_read
}

impl Display {
    /// Decides by the flag and by what stderr is. A bar can only be drawn on a terminal that can
    /// move its cursor; without a terminal nothing is said that nobody has asked for.
    pub(super) fn new(progress: flags::ProgressStyle, mode: OutputMode) -> Display {
        match progress {
            flags::ProgressStyle::None => Display::None,
            flags::ProgressStyle::Auto if !io::stderr().is_terminal() || !is_alone(mode) => {
                Display::None
            }
            flags::ProgressStyle::Bar | flags::ProgressStyle::Auto if can_draw() => {
                Display::Bar(Bar::default())
            }
            asked => Display::Plain {
                next: PLAIN,
                last: asked == flags::ProgressStyle::Plain,
            },
        }
    }

    /// How often the batch should report.
    pub(super) fn tick(&self) -> Option<Duration> {
        match self {
            Display::None => None,
            Display::Plain { .. } => Some(PLAIN),
            Display::Bar(_) => Some(REDRAW),
        }
    }

    /// Shows where the batch stands.
    pub(super) fn show(&mut self, progress: &BatchProgress<'_>) {
        match self {
            Display::None => {}
            Display::Plain { next, last } => {
                if is_due(next, *last, progress) {
                    // Nobody may be left to read it.
                    let _ = writeln!(io::stderr(), "hands: {}", counts(progress));
                }
            }
            Display::Bar(bar) => {
                if progress.done {
                    bar.clear();
                } else if progress.elapsed >= QUIET && !progress.mid_line {
                    bar.draw(&drawing(progress));
                }
            }
        }
    }

    /// Calls `write` with the bar out of the way.
    pub(super) fn aside(&mut self, write: &mut dyn FnMut()) {
        if let Display::Bar(bar) = self {
            bar.clear();
        }
        write();
    }
}

/// Whether a plain line is to be written, and notes when the next one is.
fn is_due(next: &mut Duration, last: bool, progress: &BatchProgress<'_>) -> bool {
    if progress.done {
        return last;
    }
    let due = progress.elapsed >= *next;
    if due {
        *next = progress.elapsed + PLAIN;
    }
    due
}

fn drawing(progress: &BatchProgress<'_>) -> String {
    let mut text = String::new();
    if let Some(total) = progress.total.filter(|&total| total > 0) {
        let done = progress.succeeded + progress.failed;
        let filled = usize::try_from(done * 20 / total).unwrap_or(0).min(20);
        let _ = write!(text, "[{}{}] ", "#".repeat(filled), "-".repeat(20 - filled));
    }
    text.push_str(&counts(progress));
    for job in progress.running {
        let _ = write!(
            text,
            "\n  {:>8}  job {}: {}",
            time(job.elapsed),
            job.number,
            short(job.display)
        );
    }
    let more = progress.running_count - progress.running.len();
    if more > 0 {
        let _ = write!(text, "\n            and {more} more running");
    }
    text
}

/// `120 of 500 done, 3 failed, 8 running, 41.2 a second, 9s left`.
fn counts(progress: &BatchProgress<'_>) -> String {
    let done = progress.succeeded + progress.failed;
    let mut text = match progress.total {
        Some(total) => format!("{done} of {total} done"),
        None => format!("{done} done"),
    };
    if progress.failed > 0 {
        let _ = write!(text, ", {} failed", progress.failed);
    }
    if !progress.done {
        let _ = write!(text, ", {} running", progress.running_count);
    }
    if progress.retrying > 0 {
        let _ = write!(text, ", {} to be tried again", progress.retrying);
    }
    let seconds = progress.elapsed.as_secs_f64();
    if done > 0 && seconds > 0.0 {
        let rate = done as f64 / seconds;
        let _ = if rate >= 1.0 {
            write!(text, ", {rate:.1} a second")
        } else {
            write!(text, ", {:.1} a minute", rate * 60.0)
        };
        let left = progress.total.and_then(|total| total.checked_sub(done));
        if let Some(left) = left.filter(|&left| left > 0) {
            let left = Duration::try_from_secs_f64(left as f64 / rate).unwrap_or(Duration::MAX);
            let _ = write!(text, ", {} left", time(left));
        }
    }
    text
}

/// One line of a command, with nothing in it that a terminal would obey.
pub(super) fn short(command: &[u8]) -> String {
    let text = String::from_utf8_lossy(command);
    let clean: String = text
        .chars()
        .take(2 * SHOWN)
        .map(|c| if is_deceptive(c) { '?' } else { c })
        .collect();
    match cut(&clean, SHOWN) {
        short if short.len() == clean.len() => clean,
        short => format!("{short}…"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        assert_eq!(time(Duration::from_secs(7)), "7s");
        assert_eq!(time(Duration::from_secs(187)), "3m07s");
        assert_eq!(time(Duration::from_secs(7500)), "2h05m");
    }

    fn at(elapsed: u64, done: bool) -> BatchProgress<'static> {
        BatchProgress {
            total: Some(10),
            started: 6,
            succeeded: 4,
            failed: 1,
            retrying: 0,
            running: &[],
            running_count: 1,
            at_once: 2,
            sizing: None,
            elapsed: Duration::from_secs(elapsed),
            mid_line: false,
            done,
        }
    }

    #[test]
    fn plain_lines_come_now_and_then() {
        let mut next = PLAIN;
        let mut due = |elapsed| is_due(&mut next, false, &at(elapsed, false));
        assert_eq!(
            [0, 29, 30, 31, 59, 200, 201, 230].map(&mut due),
            [false, false, true, false, false, true, false, true]
        );
    }

    #[test]
    fn a_last_plain_line_comes_only_when_plain_lines_were_asked_for() {
        let mut next = PLAIN;
        assert!(is_due(&mut next, true, &at(1, true)));
        assert!(!is_due(&mut next, false, &at(100, true)));
    }

    #[test]
    fn counts_tell_what_matters() {
        assert_eq!(
            counts(&at(10, false)),
            "5 of 10 done, 1 failed, 1 running, 30.0 a minute, 10s left"
        );
    }

    #[test]
    fn a_command_cannot_steer_the_terminal() {
        assert_eq!(short(b"printf \x1b[2J\n"), "printf ?[2J?");
        assert_eq!(short(&[b'x'; 100]).chars().count(), SHOWN + 1);
    }
}
