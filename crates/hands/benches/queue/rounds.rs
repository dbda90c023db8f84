//! All contestants on one workload, taking turns: what disturbs the machine for a while disturbs
//! them alike.

use super::shape::Shape;
use super::shared::{at_turn, tell};
use super::workload::Workload;

/// A workload, and how it went.
pub(crate) struct Results {
    pub(crate) workload: Workload,
    /// Nanoseconds an item, of each contestant in each round.
    pub(crate) samples: Vec<Vec<f64>>,
}

/// Runs every contestant `runs` times, after a smaller run that finds memory and code unused.
pub(crate) fn measure(workload: Workload, runs: usize) -> Result<Results, String> {
    let shape = workload.shape;
    let warm_up = Shape {
        items: shape.items / 20,
        ..shape
    };
    let all = workload.contestants.len();
    let mut samples = vec![Vec::with_capacity(runs); all];
    let race = |at: usize, shape: Shape, which: &str| {
        let contestant = &workload.contestants[at];
        tell(&format!(
            "{}: {which}, {}",
            workload.name, contestant.library
        ));
        let seconds = (contestant.race)(shape)
            .map_err(|wrong| format!("{}: {}: {wrong}", workload.name, contestant.library))?;
        Ok::<f64, String>(seconds * 1e9 / shape.items as f64)
    };
    for at in 0..all {
        race(at, warm_up, "warming up")?;
    }
    for round in 0..runs {
        let which = format!("round {} of {runs}", round + 1);
        for turn in 0..all {
            let at = at_turn(turn, round, all);
            samples[at].push(race(at, shape, &which)?);
        }
    }
    tell("");
    Ok(Results { workload, samples })
}
