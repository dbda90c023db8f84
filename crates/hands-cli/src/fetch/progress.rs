//! How it is shown on stderr what is on its way.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use hands_fetch::{FetchProgress, FileProgress, clean};

use crate::flags;
use crate::ui::bar::{Bar, can_draw, cut};
use crate::ui::time::time;

/// How many files have come to what.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FetchCounts {
    pub(super) ok: u64,
    pub(super) unchanged: u64,
    pub(super) skipped: u64,
    pub(super) failed: u64,
    /// All that there are to be, once that is known.
    pub(super) total: Option<u64>,
}

impl FetchCounts {
    pub(super) fn done(&self) -> u64 {
        self.ok + self.unchanged + self.skipped + self.failed
    }
}

/// A run that is over sooner draws nothing.
const QUIET: Duration = Duration::from_millis(500);
/// Between two plain lines.
const PLAIN: Duration = Duration::from_secs(30);
/// Between two drawings.
pub(super) const REDRAW: Duration = Duration::from_millis(125);
/// Files that are shown.
const SHOWN: usize = 8;
/// Columns of a name.
const LETTERS: usize = 60;

#[derive(Debug)]
enum How {
    None,
    Plain { next: Duration },
    Bar(Bar),
}

/// What is shown.
#[derive(Debug)]
pub(super) struct FetchDisplay {
    how: How,
    since: Instant,
    drawn: Instant,
    /// The rate of late, and what it is from.
    rate: f64,
    seen: (Instant, u64),
}

impl FetchDisplay {
    pub(super) fn new(asked: flags::ProgressStyle) -> FetchDisplay {
        let how = match asked {
            flags::ProgressStyle::None => How::None,
            flags::ProgressStyle::Bar | flags::ProgressStyle::Auto if can_draw() => {
                How::Bar(Bar::default())
            }
            _ => How::Plain { next: PLAIN },
        };
        let now = Instant::now();
        FetchDisplay {
            how,
            since: now,
            drawn: now,
            rate: 0.0,
            seen: (now, 0),
        }
    }

    /// Shows where things stand, if it is time to.
    pub(super) fn show(&mut self, counts: FetchCounts, progress: impl FnOnce() -> FetchProgress) {
        let now = Instant::now();
        if matches!(self.how, How::None) || now - self.drawn < REDRAW {
            return;
        }
        self.drawn = now;
        let (then, before) = self.seen;
        let progress = progress();
        let bytes = progress.bytes;
        let time = (now - then).as_secs_f64();
        let rate = (bytes - before) as f64 / time;
        self.seen = (now, bytes);
        // Of the last few seconds.
        let weight = (time / 3.0).min(1.0);
        self.rate = if before == 0 {
            rate
        } else {
            self.rate + weight * (rate - self.rate)
        };
        let elapsed = now - self.since;
        match &mut self.how {
            How::None => {}
            How::Plain { next } => {
                if elapsed >= *next {
                    *next = elapsed + PLAIN;
                    // Nobody may be left to read it.
                    let _ = writeln!(
                        io::stderr(),
                        "hands: {}",
                        line(counts, &progress, self.rate)
                    );
                }
            }
            How::Bar(bar) => {
                if elapsed >= QUIET {
                    bar.draw(&drawing(counts, &progress, self.rate));
                }
            }
        }
    }

    /// Calls `write` with the bar out of the way.
    pub(super) fn aside(&mut self, write: impl FnOnce()) {
        if let How::Bar(bar) = &mut self.how {
            bar.clear();
        }
        write();
    }

    pub(super) fn end(&mut self) {
        if let How::Bar(bar) = &mut self.how {
            bar.clear();
        }
        self.how = How::None;
    }
}

fn drawing(counts: FetchCounts, progress: &FetchProgress, rate: f64) -> String {
    let running = &progress.files;
    let mut text = String::new();
    if let Some(total) = counts.total.filter(|&total| total > 0) {
        // Files on their way count by what has come of them.
        let parts = running.iter().map(|file| file.share().unwrap_or(0.0));
        let done = (counts.done() as f64 + parts.sum::<f64>()) / total as f64;
        let filled = ((20.0 * done) as usize).min(20);
        let _ = write!(text, "[{}{}] ", "#".repeat(filled), "-".repeat(20 - filled));
    }
    text.push_str(&line(counts, progress, rate));
    for file in running.iter().take(SHOWN) {
        let share = file
            .share()
            .map_or("    ".to_owned(), |share| format!("{:3.0}%", 100.0 * share));
        let fresh = file.received.saturating_sub(file.resumed);
        let time = file.time.as_secs_f64().max(0.001);
        let _ = write!(
            text,
            "\n  {share} {:>9} {:>11}  {}",
            bytes(file.received as f64),
            format!("{}/s", bytes(fresh as f64 / time)),
            short(&file.name)
        );
    }
    if running.len() > SHOWN {
        let _ = write!(text, "\n       and {} more", running.len() - SHOWN);
    }
    text
}

/// `12 of 100 files, 1 failed, 34.5 MiB, 12.3 MiB/s, 8s left`.
fn line(counts: FetchCounts, progress: &FetchProgress, rate: f64) -> String {
    let mut text = match counts.total {
        Some(total) => format!("{} of {total} files", counts.done()),
        None => format!("{} files", counts.done()),
    };
    if counts.failed > 0 {
        let _ = write!(text, ", {} failed", counts.failed);
    }
    let _ = write!(
        text,
        ", {}, {}/s",
        bytes(progress.bytes as f64),
        bytes(rate)
    );
    if let Some(left) = left(counts, progress, rate) {
        let _ = write!(text, ", {} left", time(left));
    }
    text
}

/// How long it will take: what the running ones lack, and as much for each other file as one has
/// had so far.
fn left(counts: FetchCounts, progress: &FetchProgress, rate: f64) -> Option<Duration> {
    let total = counts.total?;
    let running = &progress.files;
    let lacking = |file: &FileProgress| file.expected.unwrap_or(0).saturating_sub(file.received);
    let lacking: u64 = running.iter().map(lacking).sum();
    let waiting = total.saturating_sub(counts.done() + running.len() as u64);
    if waiting > 0 && counts.ok == 0 {
        return None;
    }
    let each = progress.bytes as f64 / counts.ok.max(1) as f64;
    let bytes = lacking as f64 + waiting as f64 * each;
    (rate > 1.0 && bytes > 0.0)
        .then(|| Duration::try_from_secs_f64(bytes / rate).unwrap_or(Duration::MAX))
}

/// `512 B`, `1.5 MiB`.
pub(crate) fn bytes(bytes: f64) -> String {
    let mut bytes = bytes;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if bytes < 1000.0 || unit == "TiB" {
            return match unit {
                "B" => format!("{bytes:.0} B"),
                _ => format!("{bytes:.1} {unit}"),
            };
        }
        bytes /= 1024.0;
    }
    unreachable!("the last unit is for all")
}

/// The end of a URL, which is what tells it from others, with nothing in it that a terminal would
/// obey.
fn short(name: &str) -> String {
    let backwards: String = clean(name).chars().rev().collect();
    let end: String = cut(&backwards, LETTERS).chars().rev().collect();
    match end.chars().count() < backwards.chars().count() {
        true => format!("…{end}"),
        false => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        for (number, text) in [
            (0.0, "0 B"),
            (999.0, "999 B"),
            (1024.0, "1.0 KiB"),
            (1.5e9, "1.4 GiB"),
            (1e20, "90949470.2 TiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn what_is_running_is_shown() {
        let mut progress = FetchProgress {
            bytes: 500,
            files: vec![FileProgress {
                number: 1,
                name: "http://a/x\x1b[2J".to_owned(),
                time: Duration::from_secs(1),
                received: 500,
                resumed: 0,
                expected: Some(1000),
            }],
        };
        let counts = FetchCounts {
            ok: 1,
            total: Some(2),
            ..FetchCounts::default()
        };
        let text = drawing(counts, &progress, 100.0);
        assert!(
            text.starts_with("[###############-----] 1 of 2 files, 500 B, 100 B/s, 5s left\n"),
            "{text}"
        );
        assert!(text.contains(" 50%") && text.contains("x?[2J"), "{text}");
        progress.files.clear();
        assert_eq!(line(counts, &progress, 0.0), "1 of 2 files, 500 B, 0 B/s");
    }
}
