//! The figures: a Markdown table for people, JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::channel::CAPACITY;
use super::rounds::Results;
use super::shared::{machine, median};
use super::versions;
use super::workload::Compared;

/// All that was measured.
pub(crate) struct Report {
    runs: usize,
    machine: String,
    versions: Vec<(&'static str, String)>,
    results: Vec<Results>,
}

/// One line of the table.
struct Line<'a> {
    results: &'a Results,
    library: &'static str,
    /// Nanoseconds an item, of each round.
    samples: &'a [f64],
    compared: Option<Comparison>,
}

/// A contestant and the first of its workload.
enum Comparison {
    /// How many times as fast the first was, and should be at least.
    Ratio(f64, Option<f64>),
    /// How many nanoseconds an item it took longer, and should at most.
    Extra(f64, f64),
}

impl Comparison {
    /// The median over rounds, as within one both had the same machine.
    fn new(compared: Compared, samples: &[f64], first: &[f64]) -> Option<Self> {
        let over = |figure: fn((&f64, &f64)) -> f64| {
            median(samples.iter().zip(first).map(figure).collect())
        };
        match compared {
            Compared::Not => None,
            Compared::Ratio(least) => Some(Self::Ratio(over(|(peer, first)| peer / first), least)),
            Compared::Extra(most) => {
                Some(Self::Extra(over(|(with, without)| with - without), most))
            }
        }
    }

    fn met(&self) -> Option<bool> {
        match *self {
            Self::Ratio(ratio, least) => least.map(|least| ratio >= least),
            Self::Extra(extra, most) => Some(extra <= most),
        }
    }

    fn target(&self) -> Option<String> {
        match *self {
            Self::Ratio(_, least) => least.map(|least| format!("≥ {least:.1} ×")),
            Self::Extra(_, most) => Some(format!("≤ +{most:.0} ns")),
        }
    }
}

impl Report {
    pub(crate) fn new(runs: usize) -> Self {
        Self {
            runs,
            machine: machine(),
            versions: versions::all(),
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
        self.lines().filter_map(|line| line.compared?.met())
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.results.iter().flat_map(|results| {
            let contestants = results.workload.contestants.iter().zip(&results.samples);
            contestants.map(move |(contestant, samples)| Line {
                results,
                library: contestant.library,
                samples,
                compared: Comparison::new(contestant.compared, samples, &results.samples[0]),
            })
        })
    }

    /// The same as the table, and the samples it comes from.
    pub(crate) fn json(&self) -> String {
        let versions: Vec<Value> = self
            .versions
            .iter()
            .map(|(library, version)| json!({ "library": library, "version": version }))
            .collect();
        let all = json!({
            "machine": self.machine,
            "runs": self.runs,
            "capacity": CAPACITY,
            "libraries": versions,
            "lines": self.lines().map(|line| line.json()).collect::<Vec<_>>(),
        });
        format!("{all:#}\n")
    }
}

impl Line<'_> {
    fn json(&self) -> Value {
        let shape = self.results.workload.shape;
        let (ratio, extra) = match self.compared {
            Some(Comparison::Ratio(ratio, _)) => (Some(ratio), None),
            Some(Comparison::Extra(extra, _)) => (None, Some(extra)),
            None => (None, None),
        };
        json!({
            "workload": self.results.workload.name,
            "producers": shape.producers,
            "consumers": shape.consumers,
            "items": shape.items,
            "library": self.library,
            "unit": "nanoseconds an item",
            "samples": self.samples,
            "median": median(self.samples.to_vec()),
            "ratio": ratio,
            "extra": extra,
            "target": self.compared.as_ref().and_then(Comparison::target),
            "met": self.compared.as_ref().and_then(Comparison::met),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}; queues with room for {CAPACITY}; median of {} rounds\n",
            self.machine, self.runs
        )?;
        let heads = [
            "workload",
            "library",
            "median ns/item",
            "range",
            "million items/s",
            "hands is",
            "target",
            "verdict",
        ];
        writeln!(f, "| {} |", heads.join(" | "))?;
        writeln!(f, "|---|---|--:|--:|--:|--:|--:|---|")?;
        let mut last = "";
        for line in self.lines() {
            let workload = &line.results.workload;
            let title = if workload.name == last {
                ""
            } else {
                &workload.title
            };
            last = workload.name;
            writeln!(f, "| {title} | {line} |")?;
        }
        let versions: Vec<String> = self
            .versions
            .iter()
            .map(|(library, version)| format!("{library} {version}"))
            .collect();
        writeln!(f, "\nMeasured: {}.", versions.join("; "))?;
        let met = self.verdicts().filter(|&met| met).count();
        let missed = self.verdicts().count() - met;
        write!(f, "\ntargets: {met} met, {missed} missed")
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let middle = median(self.samples.to_vec());
        let least = self.samples.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.samples.iter().copied().fold(0.0, f64::max);
        write!(
            f,
            "{} | {middle:.1} | {least:.1} – {most:.1} | {:.2} | ",
            self.library,
            1e3 / middle
        )?;
        match &self.compared {
            None => f.write_str("| |"),
            Some(comparison) => {
                match comparison {
                    Comparison::Ratio(ratio, _) if *ratio < 10.0 => write!(f, "{ratio:.2} × | ")?,
                    Comparison::Ratio(ratio, _) => write!(f, "{ratio:.1} × | ")?,
                    Comparison::Extra(extra, _) => write!(f, "{extra:+.1} ns | ")?,
                }
                match (comparison.target(), comparison.met()) {
                    (Some(target), Some(true)) => write!(f, "{target} | met"),
                    (Some(target), _) => write!(f, "{target} | **missed**"),
                    (None, _) => f.write_str("|"),
                }
            }
        }
    }
}
