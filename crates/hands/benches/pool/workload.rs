//! What is measured, with whom, and what it should come to.

use super::contestants as by;
use super::shared::{at_turn, tell};

/// One part of the benchmark.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// The words for a heading.
    pub(crate) title: &'static str,
    /// How many tasks, steps or elements.
    size: u64,
    /// What to multiply the nanoseconds of one with for the table's unit.
    pub(crate) scale: f64,
    pub(crate) unit: &'static str,
    /// The first one is what the others are compared with.
    contestants: Vec<Contestant>,
}

/// One library in one workload. It returns nanoseconds a task.
struct Contestant {
    library: &'static str,
    race: fn(u64) -> Result<f64, String>,
    target: Option<Target>,
}

/// What is promised.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The first of the workload is so many times as fast, at least.
    Times(f64),
    /// It takes no more than this, in the table's unit.
    Most(f64),
}

/// A workload, and how it went.
pub(crate) struct Results {
    pub(crate) workload: Workload,
    /// In the table's unit, of each contestant in each round.
    pub(crate) samples: Vec<Vec<f64>>,
}

fn contestant(library: &'static str, race: fn(u64) -> Result<f64, String>) -> Contestant {
    Contestant {
        library,
        race,
        target: None,
    }
}

impl Contestant {
    fn at_least(self, times: f64) -> Contestant {
        Contestant {
            target: Some(Target::Times(times)),
            ..self
        }
    }

    fn at_most(self, figure: f64) -> Contestant {
        Contestant {
            target: Some(Target::Most(figure)),
            ..self
        }
    }
}

impl Workload {
    /// All of them, large enough to tell something unless `quick`.
    pub(crate) fn all(quick: bool) -> Vec<Workload> {
        let size = |full: u64| if quick { full / 1000 } else { full };
        let million = size(1_000_000);
        let ns = (1.0, "ns a task");
        let peers = |times: f64| {
            vec![
                contestant("rayon, `scope`", by::rayon_scope).at_least(times),
                contestant("threadpool", by::threadpool).at_least(times),
                contestant("tokio", by::tokio).at_least(times),
                contestant("async-executor", by::async_executor),
            ]
        };
        let first =
            |own: Vec<Contestant>, times: f64| own.into_iter().chain(peers(times)).collect();
        let make = |name, title, size, (scale, unit), contestants| Workload {
            name,
            title,
            size,
            scale,
            unit,
            contestants,
        };
        vec![
            make(
                "one-by-one",
                "1,000,000 empty tasks, one by one from outside, all waited for",
                million,
                ns,
                first(
                    vec![
                        contestant("hands, `execute`", by::hands_execute),
                        contestant("hands, `scope`", by::hands_scope),
                        contestant("hands, `submit`", by::hands_submit),
                    ],
                    1.2,
                ),
            ),
            make(
                "together",
                "the same, together",
                million,
                ns,
                first(
                    vec![
                        contestant("hands, `submit_many`", by::hands_many),
                        contestant("hands, `map` in chunks", by::hands_map),
                    ],
                    5.0,
                ),
            ),
            make(
                "back-to-back",
                "submit, wait for the result, again: median",
                size(50_000),
                (1e-3, "µs"),
                vec![
                    contestant("hands", by::hands_ping),
                    contestant("rayon", by::rayon_ping).at_least(1.0),
                    contestant("threadpool", by::threadpool_ping).at_least(1.0),
                    contestant("tokio", by::tokio_ping).at_least(1.0),
                ],
            ),
            make(
                "idle",
                "the same, all asleep in between: median",
                size(1_000).max(10),
                (1e-3, "µs"),
                vec![
                    contestant("hands", by::hands_idle),
                    contestant("rayon", by::rayon_idle).at_least(1.0),
                    contestant("threadpool", by::threadpool_idle).at_least(1.0),
                    contestant("tokio", by::tokio_idle).at_least(1.0),
                ],
            ),
            make(
                "rest",
                "CPU time of a pool that has nothing to do for 5 s",
                size(5_000),
                (size(5_000) as f64 * 1e-6, "ms"),
                vec![
                    contestant("hands", by::hands_rest).at_most(5.0),
                    contestant("hands, `auto`", by::hands_auto_rest).at_most(5.0),
                ],
            ),
            make(
                "sum",
                "sum of 1 to 100,000,000",
                size(100_000_000),
                (size(100_000_000) as f64 * 1e-6, "ms"),
                vec![
                    contestant("hands, `reduce`", by::hands_sum),
                    contestant("rayon, `par_iter`", by::rayon_sum).at_least(0.95),
                ],
            ),
            make(
                "fork",
                "fork and join: Fibonacci",
                size(1_000_000),
                (1.0, "ns a fork"),
                vec![
                    contestant("hands, `join`", by::hands_fork),
                    contestant("rayon, `join`", by::rayon_fork),
                ],
            ),
        ]
    }

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
