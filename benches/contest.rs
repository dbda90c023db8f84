//! Contestants in turn, round for round: what is measured, with whom, and what it should come to.

use super::shared::{at_turn, tell};

/// One part of the benchmark.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// The words for a heading.
    pub(crate) title: &'static str,
    /// How many tasks, steps or elements.
    pub(crate) size: u64,
    /// What to multiply the nanoseconds of one with for the table's unit.
    pub(crate) scale: f64,
    pub(crate) unit: &'static str,
    /// The first one is what the others are compared with.
    pub(crate) contestants: Vec<Contestant>,
}

/// What a library does with so many: it returns nanoseconds for one.
type Race = Box<dyn Fn(u64) -> Result<f64, String>>;

/// One library in one workload. It returns nanoseconds a task.
pub(crate) struct Contestant {
    library: &'static str,
    race: Race,
    target: Option<Target>,
}

/// What is promised.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The first of the workload is so many times as fast, at least.
    Times(f64),
    /// It takes no more than this, in the table's unit.
    #[allow(dead_code, reason = "not every benchmark has one")]
    Most(f64),
}

/// A workload, and how it went.
pub(crate) struct Results {
    pub(crate) workload: Workload,
    /// In the table's unit, of each contestant in each round.
    pub(crate) samples: Vec<Vec<f64>>,
}

pub(crate) fn contestant(
    library: &'static str,
    race: impl Fn(u64) -> Result<f64, String> + 'static,
) -> Contestant {
    Contestant {
        library,
        race: Box::new(race),
        target: None,
    }
}

impl Contestant {
    pub(crate) fn at_least(self, times: f64) -> Contestant {
        Contestant {
            target: Some(Target::Times(times)),
            ..self
        }
    }

    #[allow(
        dead_code,
        reason = "not every benchmark has a figure of its own to keep to"
    )]
    pub(crate) fn at_most(self, figure: f64) -> Contestant {
        Contestant {
            target: Some(Target::Most(figure)),
            ..self
        }
    }
}

impl Workload {
    /// Runs every contestant `runs` times, after a smaller run that finds memory and code unused.
    pub(crate) fn measure(self, runs: usize) -> Result<Results, String> {
        let all = self.contestants.len();
        let mut samples = vec![Vec::with_capacity(runs); all];
        let race = |at: usize, size: u64, which: &str| {
            let contestant = &self.contestants[at];
            tell(&format!("{}: {which}, {}", self.name, contestant.library));
            let nanoseconds = (contestant.race)(size)
                .map_err(|wrong| format!("{}: {}: {wrong}", self.name, contestant.library))?;
            Ok::<f64, String>(nanoseconds * self.scale)
        };
        for at in 0..all {
            race(at, (self.size / 20).max(1), "warming up")?;
        }
        for round in 0..runs {
            let which = format!("round {} of {runs}", round + 1);
            for turn in 0..all {
                let at = at_turn(turn, round, all);
                samples[at].push(race(at, self.size, &which)?);
            }
        }
        tell("");
        Ok(Results {
            workload: self,
            samples,
        })
    }
}

impl Results {
    /// Library, samples and target of each contestant.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&'static str, &[f64], Option<Target>)> {
        let contestants = self.workload.contestants.iter().zip(&self.samples);
        contestants
            .map(|(contestant, samples)| (contestant.library, &samples[..], contestant.target))
    }
}
