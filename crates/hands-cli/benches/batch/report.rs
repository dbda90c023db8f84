//! The figures: a Markdown table for people, JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::measure::Sample;
use super::program::Program;
use super::rounds::{Outcome, Results};
use super::shared::{machine, median};
use super::workload::Workload;

/// All that was measured.
pub(crate) struct Report {
    runs: usize,
    machine: String,
    versions: Vec<(&'static str, String)>,
    skipped: Vec<&'static str>,
    results: Vec<Results>,
}

/// One line of the table.
pub(crate) struct Line<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) program: &'static str,
    /// Or how it failed.
    pub(crate) figure: Result<Figure, &'a str>,
    /// How many times as fast hands was (how many times as little memory it took).
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Option<Target>,
}

/// The rounds of one program, in seconds or in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    median: f64,
    least: f64,
    most: f64,
    /// Median of the processor seconds.
    cpu: f64,
}

pub(crate) struct Target {
    text: String,
    /// Unknown when one of the two failed.
    met: Option<bool>,
    /// The floor's own ratio, where not even that would do: the target is beyond this machine.
    floor: Option<f64>,
}

impl Report {
    pub(crate) fn new(runs: usize, skipped: Vec<&'static str>, programs: &[Program]) -> Self {
        let versions = programs
            .iter()
            .map(|program| (program.name, program.version.clone()))
            .collect();
        Self {
            runs,
            machine: machine(),
            versions,
            skipped,
            results: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, results: Results) {
        self.results.push(results);
    }

    /// Whether no target was missed or left unknown.
    pub(crate) fn all_met(&self) -> bool {
        self.lines()
            .all(|line| line.target.is_none_or(|target| target.met == Some(true)))
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.results.iter().flat_map(Results::lines)
    }

    /// The same as the table, and the samples it comes from.
    pub(crate) fn json(&self) -> String {
        let lines: Vec<Value> = self
            .results
            .iter()
            .flat_map(|results| results.lines().zip(&results.outcomes))
            .map(json_line)
            .collect();
        let versions: Vec<Value> = self
            .versions
            .iter()
            .map(|(program, version)| json!({ "program": program, "version": version }))
            .collect();
        let all = json!({
            "machine": self.machine,
            "runs": self.runs,
            "programs": versions,
            "skipped": self.skipped,
            "lines": lines,
        });
        format!("{all:#}\n")
    }
}

impl Results {
    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let [hands, floor] = ["hands", "floor"].map(|name| self.samples(name));
        self.outcomes
            .iter()
            .map(move |outcome| self.line(outcome, hands, floor))
    }

    fn samples(&self, program: &str) -> Option<&[Sample]> {
        let outcome = self
            .outcomes
            .iter()
            .find(|outcome| outcome.program == program)?;
        outcome.samples.as_deref().ok()
    }

    fn line<'a>(
        &'a self,
        outcome: &'a Outcome,
        hands: Option<&[Sample]>,
        floor: Option<&[Sample]>,
    ) -> Line<'a> {
        let workload = &self.workload;
        let samples = outcome.samples.as_deref().map_err(String::as_str);
        let is_hands = outcome.program == "hands";
        let ratio = match (samples, hands) {
            (Ok(samples), Some(hands)) if !is_hands => Some(workload.ratio(samples, hands)),
            _ => None,
        };
        let figure = samples.map(|samples| workload.figure(samples));
        let target = if is_hands {
            workload.target_bytes().map(|most| Target {
                text: format!("≤ {}", workload.amount(most)),
                met: figure.ok().map(|figure| figure.median <= most),
                floor: None,
            })
        } else {
            let floor = samples
                .ok()
                .zip(floor)
                .map(|(peer, floor)| workload.ratio(peer, floor));
            workload.target_ratio(outcome.program).map(|least| Target {
                text: format!("≥ {least:.1} ×"),
                met: ratio.map(|ratio| ratio >= least),
                floor: floor.filter(|&floor| floor < least),
            })
        };
        Line {
            workload,
            program: outcome.program,
            figure,
            ratio,
            target,
        }
    }
}

impl Workload {
    fn reading(&self, sample: &Sample) -> f64 {
        if self.measures_memory() {
            sample.bytes
        } else {
            sample.seconds
        }
    }

    fn figure(&self, samples: &[Sample]) -> Figure {
        let readings: Vec<f64> = samples.iter().map(|sample| self.reading(sample)).collect();
        Figure {
            median: median(readings.clone()),
            least: readings.iter().copied().fold(f64::INFINITY, f64::min),
            most: readings.iter().copied().fold(0.0, f64::max),
            cpu: median(samples.iter().map(|sample| sample.cpu).collect()),
        }
    }

    /// How many times as good `subject` was. The median of the rounds' ratios: within a round both
    /// had the same machine.
    fn ratio(&self, peer: &[Sample], subject: &[Sample]) -> f64 {
        median(
            peer.iter()
                .zip(subject)
                .map(|(peer, subject)| self.reading(peer) / self.reading(subject))
                .collect(),
        )
    }

    fn amount(&self, reading: f64) -> String {
        if self.measures_memory() {
            format!("{:.1} MiB", reading / (1024.0 * 1024.0))
        } else if reading < 0.1 {
            format!("{:.2} ms", reading * 1e3)
        } else {
            format!("{reading:.3} s")
        }
    }

    fn jobs_a_second(&self, seconds: f64) -> String {
        if self.measures_memory() || self.jobs() == 1 {
            return String::new();
        }
        format!("{:.0}", self.jobs() as f64 / seconds)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}; median of {} rounds\n", self.machine, self.runs)?;
        let heads = [
            "workload", "program", "median", "range", "jobs/s", "CPU", "hands is", "target",
            "verdict",
        ];
        writeln!(f, "| {} |", heads.join(" | "))?;
        writeln!(f, "|---|---|--:|--:|--:|--:|--:|--:|---|")?;
        let mut last = "";
        for line in self.lines() {
            let title = if line.workload.name == last {
                String::new()
            } else {
                line.workload.title()
            };
            last = line.workload.name;
            writeln!(f, "| {title} | {line} |")?;
        }
        let versions: Vec<&str> = self
            .versions
            .iter()
            .map(|(_, version)| version.as_str())
            .collect();
        let known: Vec<&str> = versions
            .into_iter()
            .filter(|version| !version.is_empty())
            .collect();
        writeln!(f, "\nMeasured: {}.", known.join("; "))?;
        if !self.skipped.is_empty() {
            writeln!(f, "Not installed, so skipped: {}.", self.skipped.join(", "))?;
        }
        let verdicts: Vec<Option<bool>> = self
            .lines()
            .filter_map(|line| Some(line.target?.met))
            .collect();
        let count = |verdict| verdicts.iter().filter(|&&met| met == verdict).count();
        let [met, missed, unknown] = [Some(true), Some(false), None].map(count);
        write!(
            f,
            "\ntargets: {met} met, {missed} missed, {unknown} unknown"
        )
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workload, program, ..
        } = self;
        match &self.figure {
            Ok(figure) => {
                let Figure {
                    median,
                    least,
                    most,
                    cpu,
                } = *figure;
                let [middle, low, high] =
                    [median, least, most].map(|reading| workload.amount(reading));
                let cpu = if workload.measures_memory() {
                    String::new()
                } else {
                    processor_time(cpu)
                };
                write!(
                    f,
                    "{program} | {middle} | {low} – {high} | {} | {cpu} | ",
                    workload.jobs_a_second(median)
                )?;
            }
            Err(how) => write!(f, "{program} | failed ({how}) | | | | ")?,
        }
        match self.ratio {
            Some(ratio) if ratio < 10.0 => write!(f, "{ratio:.2} × | ")?,
            Some(ratio) => write!(f, "{ratio:.1} × | ")?,
            None => f.write_str("| ")?,
        }
        match &self.target {
            Some(Target { text, met, floor }) => {
                let verdict = met.map_or("unknown", |met| if met { "met" } else { "**missed**" });
                write!(f, "{text} | {verdict}")?;
                floor.map_or(Ok(()), |floor| write!(f, " (the floor: {floor:.2} ×)"))
            }
            None => f.write_str("|"),
        }
    }
}

fn processor_time(seconds: f64) -> String {
    if seconds < 0.1 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

fn json_line((line, outcome): (Line<'_>, &Outcome)) -> Value {
    let samples = outcome.samples.as_deref().unwrap_or_default();
    json!({
        "workload": line.workload.name,
        "lines": line.workload.lines,
        "program": line.program,
        "unit": if line.workload.measures_memory() { "bytes" } else { "seconds" },
        "samples": samples.iter().map(|sample| line.workload.reading(sample)).collect::<Vec<_>>(),
        "cpu_seconds": samples.iter().map(|sample| sample.cpu).collect::<Vec<_>>(),
        "median": line.figure.ok().map(|figure| figure.median),
        "failed": line.figure.err(),
        "ratio": line.ratio,
        "target": line.target.as_ref().map(|target| &target.text),
        "met": line.target.as_ref().and_then(|target| target.met),
    })
}
