//! How it went from the beginning until now, in at most 300 points.
//!
//! A point is made each second; when there are too many, each two become one, and later ones are
//! made half as often.

use serde::{Deserialize, Serialize};

/// Points at most.
const POINTS: usize = 300;

/// What is remembered of a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    /// Seconds since the beginning.
    pub(super) at: f64,
    pub(super) waiting: f64,
    pub(super) running: f64,
    /// Tasks that have their outcome by then.
    pub(super) finished: f64,
    /// Bytes that have been moved by then.
    pub(super) bytes: f64,
}

#[derive(Debug)]
pub(super) struct History {
    points: Vec<Point>,
    /// Seconds from one point to the next.
    step: f64,
}

impl Default for History {
    fn default() -> History {
        History {
            points: Vec::new(),
            step: 1.0,
        }
    }
}

/// How it went, in at most some 300 points: a list for each figure; rates are those since the point
/// before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryLines {
    /// Seconds since the beginning.
    pub at: Vec<f64>,
    /// Tasks that waited.
    pub waiting: Vec<f64>,
    /// Tasks that ran.
    pub running: Vec<f64>,
    /// Tasks a second.
    pub rate: Vec<f64>,
    /// Bytes a second.
    pub bytes: Vec<f64>,
}

impl History {
    pub(super) fn add(&mut self, point: Point) {
        let due = self
            .points
            .last()
            .is_none_or(|last| point.at >= last.at + self.step);
        if !due {
            return;
        }
        self.points.push(point);
        if self.points.len() > POINTS {
            let mut at = 0;
            // The first and the last stay.
            self.points.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.step *= 2.0;
        }
    }

    /// With `now` as the last point.
    pub(super) fn lines(&self, now: Point) -> HistoryLines {
        let mut lines = HistoryLines::default();
        let mut before: Option<Point> = None;
        for point in self.points.iter().chain(std::iter::once(&now)) {
            let past = before.unwrap_or_default();
            let time = point.at - past.at;
            // The last second is not over: its rate would jump about.
            if before.is_some() && time < 0.5 * self.step {
                continue;
            }
            // Nothing can be said of a moment.
            let rate = |now: f64, then: f64| match time >= 0.5 {
                true => ((now - then) / time).max(0.0),
                false => 0.0,
            };
            lines.at.push(round(point.at));
            lines.waiting.push(point.waiting);
            lines.running.push(point.running);
            lines.rate.push(round(rate(point.finished, past.finished)));
            lines.bytes.push(rate(point.bytes, past.bytes).round());
            before = Some(*point);
        }
        lines
    }
}

/// No more digits than anybody sees.
fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_300_points_and_no_task_is_missing_from_their_rates() {
        let mut history = History::default();
        let point = |second: u32| Point {
            at: f64::from(second),
            finished: 10.0 * f64::from(second),
            ..Point::default()
        };
        for second in 0..86_400 {
            history.add(point(second));
        }
        assert!(history.points.len() <= POINTS);
        let lines = history.lines(point(86_400));
        let mut all = 0.0;
        let mut before = 0.0;
        for (at, rate) in lines.at.iter().zip(&lines.rate) {
            all += (at - before) * rate;
            before = *at;
        }
        assert!((all / 864_000.0 - 1.0).abs() < 0.01, "{all}");
    }
}
