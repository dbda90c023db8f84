//! The figures: a Markdown table for people, JSON for programs.

use std::fmt;

use serde_json::json;

use super::contest::{Results, Target};
use super::shared::{locked, machine, median};

/// All that was measured.
pub(crate) struct Report {
    runs: usize,
    /// Those that are measured in their versions of `Cargo.lock`.
    libraries: Vec<&'static str>,
    machine: String,
    results: Vec<Results>,
}

/// One line of the table.
struct Line<'a> {
    library: &'static str,
    samples: &'a [f64],
    /// How many times as fast the first of its workload is: the median over rounds, as within one both had the same
    /// machine.
    ratio: Option<f64>,
    target: Option<Target>,
}

impl Line<'_> {
    fn met(&self) -> Option<bool> {
        match self.target? {
            Target::Times(times) => Some(self.ratio? >= times),
            Target::Most(most) => Some(median(self.samples.to_vec()) <= most),
        }
    }
}

impl Target {
    fn told(self, unit: &str) -> String {
        match self {
            Target::Times(times) => format!("≥ {} ×", (100.0 * times).round() / 100.0),
            Target::Most(most) => format!("≤ {most} {unit}"),
        }
    }
}

impl Report {
    pub(crate) fn new(runs: usize, libraries: &[&'static str]) -> Report {
        Report {
            runs,
            libraries: libraries.to_vec(),
            machine: machine(),
            results: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, results: Results) {
        self.results.push(results);
    }

    /// Whether no target was missed.
    pub(crate) fn all_met(&self) -> bool {
        self.verdicts().all(|met| met)
    }

    fn verdicts(&self) -> impl Iterator<Item = bool> {
        self.results
            .iter()
            .flat_map(lines)
            .filter_map(|line| line.met())
    }

    /// The same as the table, and the samples it comes from.
    pub(crate) fn json(&self) -> String {
        let line = |results: &Results| {
            let workload = &results.workload;
            lines(results)
                .map(|line| {
                    json!({
                        "workload": workload.name,
                        "library": line.library,
                        "unit": workload.unit,
                        "samples": line.samples,
                        "median": median(line.samples.to_vec()),
                        "ratio": line.ratio,
                        "target": line.target.map(|target| target.told(workload.unit)),
                        "met": line.met(),
                    })
                })
                .collect::<Vec<_>>()
        };
        let all = json!({
            "machine": self.machine,
            "runs": self.runs,
            "lines": self.results.iter().flat_map(line).collect::<Vec<_>>(),
        });
        format!("{all:#}\n")
    }
}

fn lines(results: &Results) -> impl Iterator<Item = Line<'_>> {
    let first = &results.samples[0];
    results
        .lines()
        .enumerate()
        .map(move |(at, (library, samples, target))| {
            let ratios = samples.iter().zip(first).map(|(peer, first)| peer / first);
            Line {
                library,
                samples,
                ratio: (at > 0).then(|| median(ratios.collect())),
                target,
            }
        })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}; median of {} rounds\n", self.machine, self.runs)?;
        writeln!(
            f,
            "| workload | library | median | range | the first is | target | verdict |"
        )?;
        writeln!(f, "|---|---|--:|--:|--:|--:|---|")?;
        for results in &self.results {
            let mut title = results.workload.title;
            for line in lines(results) {
                let least = line.samples.iter().copied().fold(f64::INFINITY, f64::min);
                let most = line.samples.iter().copied().fold(0.0, f64::max);
                write!(
                    f,
                    "| {title} | {} | {:.1} {} | {least:.1} – {most:.1} | ",
                    line.library,
                    median(line.samples.to_vec()),
                    results.workload.unit,
                )?;
                match line.ratio {
                    Some(ratio) => write!(f, "{ratio:.2} × | ")?,
                    None => f.write_str("| ")?,
                }
                match (line.target, line.met()) {
                    (Some(target), met) => {
                        let verdict = if met == Some(true) {
                            "met"
                        } else {
                            "**missed**"
                        };
                        let target = target.told(results.workload.unit);
                        writeln!(f, "{target} | {verdict} |")?;
                    }
                    (None, _) => writeln!(f, "| |")?,
                }
                title = "";
            }
        }
        let version = |name: &&str| format!("{name} {}", locked(name).unwrap_or("unknown"));
        let versions: Vec<String> = self.libraries.iter().map(version).collect();
        writeln!(f, "\nMeasured: {}.", versions.join("; "))?;
        let met = self.verdicts().filter(|&met| met).count();
        let missed = self.verdicts().count() - met;
        write!(f, "\ntargets: {met} met, {missed} missed")
    }
}
