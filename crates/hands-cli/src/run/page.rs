//! `--report FILE.html`: a batch on one page that needs nothing else: when which slot was busy, how
//! long jobs took, which took longest, which failed and what they said.
//!
//! There is no script in it, and nothing is fetched. Command lines and what jobs wrote are text,
//! whatever they look like.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hands::text::is_deceptive;
use hands_batch::{Finished, Outcome};

use super::failures::reason;

/// Jobs that are drawn; of more, each second one is left out, and so on.
const DRAWN: usize = 8192;
/// Jobs that are listed as the slowest.
const SLOWEST: usize = 20;
/// Jobs that are listed as failed.
const FAILED: usize = 200;
/// Letters of a command line.
const LETTERS: usize = 300;
/// Bars of the histogram: the first is for less than a millisecond, each further one for twice as
/// long.
const BARS: usize = 24;

/// Made while the batch runs, written at its end.
#[derive(Debug)]
pub(super) struct ReportPage {
    path: PathBuf,
    since: Instant,
    drawn: Vec<DrawnJob>,
    every: u64,
    count: u64,
    bars: [u64; BARS],
    slowest: Vec<ListedJob>,
    failed: Vec<ListedJob>,
    failures: u64,
    cpu: Duration,
    wall: Duration,
    slots: usize,
}

#[derive(Clone, Debug)]
struct DrawnJob {
    slot: usize,
    end: Duration,
    wall: Duration,
    is_well: bool,
    number: u64,
}

#[derive(Clone, Debug)]
struct ListedJob {
    number: u64,
    wall: Duration,
    command: String,
    reason: String,
    said: String,
    host: String,
}

impl ReportPage {
    pub(super) fn new(path: &Path) -> ReportPage {
        ReportPage {
            path: path.to_owned(),
            since: Instant::now(),
            drawn: Vec::new(),
            every: 1,
            count: 0,
            bars: [0; BARS],
            slowest: Vec::new(),
            failed: Vec::new(),
            failures: 0,
            cpu: Duration::ZERO,
            wall: Duration::ZERO,
            slots: 0,
        }
    }

    pub(super) fn add(&mut self, job: &Finished<'_>) {
        self.count += 1;
        self.cpu += job.cpu_user + job.cpu_system;
        self.wall += job.wall;
        self.slots = self.slots.max(job.place.slot);
        let is_well = job.outcome == Outcome::Success;
        let millis = job.wall.as_millis();
        let bar = (u128::BITS - millis.leading_zeros()) as usize;
        self.bars[bar.min(BARS - 1)] += 1;
        if self.count.is_multiple_of(self.every) {
            self.drawn.push(DrawnJob {
                slot: job.place.slot,
                end: self.since.elapsed(),
                wall: job.wall,
                is_well,
                number: job.place.number,
            });
            if self.drawn.len() > DRAWN {
                let mut at = 0;
                self.drawn.retain(|_| {
                    at += 1;
                    at % 2 == 0
                });
                self.every *= 2;
            }
        }
        if job.outcome.is_final_failure() {
            self.failures += 1;
            if self.failed.len() < FAILED {
                self.failed.push(ListedJob::of(job));
            }
        }
        let least = self.slowest.last().map_or(Duration::ZERO, |job| job.wall);
        if self.slowest.len() < SLOWEST || job.wall > least {
            self.slowest.push(ListedJob::of(job));
            self.slowest.sort_by_key(|job| std::cmp::Reverse(job.wall));
            self.slowest.truncate(SLOWEST);
        }
    }

    /// A job that had failed is tried again.
    pub(super) fn forget_failure(&mut self, number: u64) {
        self.failures = self.failures.saturating_sub(1);
        self.failed.retain(|job| job.number != number);
    }

    /// Writes it: all of it, or nothing under its name.
    pub(super) fn write(&self) -> Result<(), String> {
        let wrong = |error: std::io::Error| format!("`--report {}`: {error}", self.path.display());
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut part = tempfile::NamedTempFile::new_in(folder).map_err(wrong)?;
        part.write_all(self.text().as_bytes()).map_err(wrong)?;
        let kept = part.persist(&self.path);
        kept.map(drop).map_err(|error| wrong(error.error))
    }

    fn text(&self) -> String {
        let elapsed = self.since.elapsed();
        let seconds = elapsed.as_secs_f64().max(0.001);
        let mut text = String::from(HEAD);
        let busy = self.wall.as_secs_f64();
        let cpu = self.cpu.as_secs_f64();
        let _ = write!(
            text,
            "<h1>{} jobs, {} failed</h1>\n<p>{} on {} slots, {:.1} jobs a second. Together they ran for {}, of which {} on a CPU ({:.0} %).</p>\n",
            self.count,
            self.failures,
            shown(elapsed),
            self.slots,
            self.count as f64 / seconds,
            shown(self.wall),
            shown(self.cpu),
            100.0 * cpu / busy.max(0.001),
        );
        self.timeline(elapsed, &mut text);
        self.histogram(&mut text);
        if !self.failed.is_empty() {
            let _ = writeln!(text, "<h2>Failed</h2>");
            table(&self.failed, &mut text);
            let more = self.failures - self.failed.len() as u64;
            if more > 0 {
                let _ = writeln!(text, "<p>and {more} more</p>");
            }
        }
        text.push_str("<h2>Slowest</h2>\n");
        table(&self.slowest, &mut text);
        text.push_str("</main></body></html>\n");
        text
    }

    fn timeline(&self, elapsed: Duration, text: &mut String) {
        const WIDTH: f64 = 1000.0;
        const ROW: f64 = 14.0;
        let rows = self.slots.clamp(1, 64);
        let total = elapsed.as_secs_f64().max(0.001);
        let height = ROW * rows as f64;
        let _ = write!(
            text,
            "<h2>When which slot was busy</h2>\n<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"A row for each slot, {} in all, over {}; the tables below have the slowest and the failed jobs\">\n",
            height + 16.0,
            self.slots,
            shown(elapsed),
        );
        for job in &self.drawn {
            let begin = job.end.saturating_sub(job.wall).as_secs_f64();
            let x = WIDTH * begin / total;
            let width = (WIDTH * job.wall.as_secs_f64() / total).max(0.5);
            let y = ROW * ((job.slot.max(1) - 1) % rows) as f64;
            let class = if job.is_well { "well" } else { "failed" };
            let _ = writeln!(
                text,
                "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{:.1}\"><title>job {}: {}</title></rect>",
                ROW - 2.0,
                job.number,
                shown(job.wall),
            );
        }
        let _ = writeln!(
            text,
            "<text x=\"0\" y=\"{0:.1}\">0</text><text x=\"{WIDTH}\" y=\"{0:.1}\" text-anchor=\"end\">{1}</text></svg>",
            height + 12.0,
            shown(elapsed)
        );
        if self.every > 1 {
            let _ = writeln!(text, "<p>One job in {} is drawn.</p>", self.every);
        }
    }

    fn histogram(&self, text: &mut String) {
        let used = |bars: &[u64; BARS]| {
            let first = bars.iter().position(|&jobs| jobs > 0)?;
            let last = bars.iter().rposition(|&jobs| jobs > 0)?;
            Some((first, last))
        };
        let Some((first, last)) = used(&self.bars) else {
            return;
        };
        let most = self.bars.iter().max().copied().unwrap_or(1).max(1);
        text.push_str("<h2>How long jobs took</h2>\n<table class=\"bars\">\n");
        for bar in first..=last {
            let jobs = self.bars[bar];
            let below = Duration::from_millis(1 << bar);
            let _ = writeln!(
                text,
                "<tr><th scope=\"row\">below {}</th><td><meter min=\"0\" max=\"{most}\" value=\"{jobs}\"></meter></td><td>{jobs}</td></tr>",
                shown(below),
            );
        }
        text.push_str("</table>\n");
    }
}

impl ListedJob {
    fn of(job: &Finished<'_>) -> ListedJob {
        ListedJob {
            number: job.place.number,
            wall: job.wall,
            command: first_letters(job.display),
            reason: match job.outcome {
                Outcome::Success => String::new(),
                _ => reason(job),
            },
            said: String::from_utf8_lossy(job.stderr_tail).into_owned(),
            host: job.host.unwrap_or_default().to_owned(),
        }
    }
}

fn first_letters(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

fn table(jobs: &[ListedJob], text: &mut String) {
    text.push_str("<table>\n<tr><th scope=\"col\">Job</th><th scope=\"col\">Took</th><th scope=\"col\">Command</th></tr>\n");
    for job in jobs {
        let _ = write!(
            text,
            "<tr><td>{}</td><td>{}</td><td><code>{}</code>",
            job.number,
            shown(job.wall),
            escaped(&job.command)
        );
        for (what, more) in [("on ", &job.host), ("", &job.reason)] {
            if !more.is_empty() {
                let _ = write!(text, "<br>{what}{}", escaped(more));
            }
        }
        if !job.said.is_empty() {
            let _ = write!(text, "<pre>{}</pre>", escaped(&job.said));
        }
        text.push_str("</td></tr>\n");
    }
    text.push_str("</table>\n");
}

/// As text in a page, whatever it is; what no page may have is shown as a sign for it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            // What turns the direction of text could show another command than is meant.
            letter if is_deceptive(letter) => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..0.001 => format!("{:.0} µs", seconds * 1e6),
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..60.0 => format!("{seconds:.1} s"),
        ..3600.0 => format!(
            "{:.0} min {:.0} s",
            (seconds / 60.0).floor(),
            seconds % 60.0
        ),
        _ => format!(
            "{:.0} h {:.0} min",
            (seconds / 3600.0).floor(),
            (seconds % 3600.0) / 60.0
        ),
    }
}

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\"><head><meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<title>A batch by hands</title>
<style>
:root { color-scheme: light dark; --text: #1b1f24; --back: #ffffff; --line: #d0d7de; --well: #2f6f9f; --failed: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --back: #0d1117; --line: #30363d; --well: #6cb0e0; --failed: #ff8a80; } }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--text); font-size: 11px; }
rect.well { fill: var(--well); } rect.failed { fill: var(--failed); }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .3rem .5rem; border-bottom: 1px solid var(--line); }
td:nth-child(1), td:nth-child(2) { white-space: nowrap; } code, pre { overflow-wrap: anywhere; white-space: pre-wrap; }
pre { margin: .3rem 0 0; padding: .4rem; border-left: 3px solid var(--failed); } meter { width: 100%; min-width: 6rem; } table.bars { max-width: 36rem; }
</style></head><body><main>
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_jobs_write_is_text() {
        let hostile = "<script>alert(1)</script> \"'& \u{1b}[31m \u{202e}";
        let text = escaped(hostile);
        assert!(!text.contains('<') && !text.contains('"') && !text.contains('\u{1b}'));
        assert!(!text.contains('\u{202e}'));
        assert!(text.starts_with("&lt;script&gt;alert(1)"));
    }

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        for (millis, text) in [
            (12, "12 ms"),
            (1_500, "1.5 s"),
            (61_000, "1 min 1 s"),
            (7_260_000, "2 h 1 min"),
        ] {
            assert_eq!(shown(Duration::from_millis(millis)), text);
        }
    }
}
