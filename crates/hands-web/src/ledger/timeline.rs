//! Who was busy when: the last minute, in columns of half a second.
//!
//! A lane stands for one worker, or, where there are more than 64, for several that follow each
//! other; so its size does not depend on how many there are.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Lanes at most.
pub(super) const LANES: usize = 64;
/// Columns of a lane.
pub(super) const COLUMNS: usize = 120;
/// What a column stands for.
pub(super) const STEP: Duration = Duration::from_millis(500);
/// Workers that are told apart; further ones count in the last lane.
const WORKERS: usize = 65_536;

#[derive(Debug)]
pub(super) struct Timeline {
    since: Instant,
    /// Each worker's place, in the order in which they were first seen.
    places: HashMap<u32, usize>,
    /// A lane stands for so many workers.
    each: usize,
    lanes: Vec<Lane>,
}

/// The last columns: the column `n` since the beginning is at `n % COLUMNS`.
#[derive(Clone, Debug)]
struct Lane {
    columns: [Column; COLUMNS],
    names: (u32, u32),
}

#[derive(Clone, Copy, Debug, Default)]
struct Column {
    /// Which column since the beginning it is.
    number: u64,
    busy: f32,
    failed: bool,
}

impl Lane {
    fn new(worker: u32) -> Lane {
        Lane {
            columns: [Column::default(); COLUMNS],
            names: (worker, worker),
        }
    }

    fn at(&mut self, number: u64) -> &mut Column {
        let column = &mut self.columns[usize::try_from(number).unwrap_or(0) % COLUMNS];
        if column.number != number {
            *column = Column {
                number,
                ..Column::default()
            };
        }
        column
    }

    /// Takes in what another lane has.
    fn join(&mut self, other: &Lane) {
        for (own, other) in self.columns.iter_mut().zip(&other.columns) {
            if other.number > own.number {
                *own = *other;
            } else if other.number == own.number {
                own.busy += other.busy;
                own.failed |= other.failed;
            }
        }
        self.names.1 = other.names.1;
    }
}

impl Timeline {
    pub(super) fn new(since: Instant) -> Timeline {
        Timeline {
            since,
            places: HashMap::new(),
            each: 1,
            lanes: Vec::new(),
        }
    }

    /// There is this worker.
    pub(super) fn worker(&mut self, worker: u32) -> usize {
        if let Some(place) = self.places.get(&worker) {
            return (place / self.each).min(self.lanes.len() - 1);
        }
        let place = self.places.len();
        if place >= WORKERS {
            return self.lanes.len() - 1;
        }
        self.places.insert(worker, place);
        while place / self.each >= LANES {
            self.halve();
        }
        let lane = place / self.each;
        match self.lanes.get_mut(lane) {
            Some(lane) => lane.names.1 = worker,
            None => self.lanes.push(Lane::new(worker)),
        }
        lane
    }

    /// Each lane stands for twice as many workers from now on.
    fn halve(&mut self) {
        self.each *= 2;
        let mut lanes = Vec::with_capacity(LANES);
        for pair in self.lanes.chunks(2) {
            let mut lane = pair[0].clone();
            if let Some(other) = pair.get(1) {
                lane.join(other);
            }
            lanes.push(lane);
        }
        self.lanes = lanes;
    }

    fn column(&self, at: Instant) -> (u64, f64) {
        let columns = at.saturating_duration_since(self.since).as_secs_f64() / STEP.as_secs_f64();
        (columns as u64, columns.fract())
    }

    /// A worker has been busy until then, for that long.
    pub(super) fn ran(&mut self, worker: u32, until: Instant, wall: Duration, is_failure: bool) {
        let lane = self.worker(worker);
        let (last, _) = self.column(until);
        self.spread(lane, until, wall, |column, busy| column.busy += busy);
        if is_failure {
            self.lanes[lane].at(last).failed = true;
        }
    }

    /// Spreads a time over its columns, of those that are still shown.
    fn spread(
        &mut self,
        lane: usize,
        until: Instant,
        wall: Duration,
        mut add: impl FnMut(&mut Column, f32),
    ) {
        let (last, part) = self.column(until);
        let mut left = wall.as_secs_f64() / STEP.as_secs_f64();
        let mut room = part;
        let mut number = last;
        while left > 0.0 && last - number < COLUMNS as u64 {
            let busy = left.min(room);
            add(self.lanes[lane].at(number), busy as f32);
            left -= busy;
            room = 1.0;
            match number.checked_sub(1) {
                Some(before) => number = before,
                None => return,
            }
        }
    }

    /// The lanes as text, a letter a column, oldest first: `0` (idle) to `9` (busy all the time),
    /// `x` where something failed. `running` are those that are busy now, and since when.
    pub(super) fn text(
        &self,
        now: Instant,
        running: impl Iterator<Item = (u32, Instant)>,
    ) -> Vec<(String, String)> {
        let mut view = Timeline {
            since: self.since,
            places: HashMap::new(),
            each: self.each,
            lanes: self.lanes.clone(),
        };
        for (worker, since) in running {
            let place = self.places.get(&worker);
            let lane = place.map(|place| (place / self.each).min(view.lanes.len() - 1));
            if let Some(lane) = lane {
                let wall = now.saturating_duration_since(since);
                view.spread(lane, now, wall, |column, busy| column.busy += busy);
            }
        }
        let (last, part) = self.column(now);
        let first = (last + 1).saturating_sub(COLUMNS as u64);
        let known = self.places.len();
        let lanes = view.lanes.iter_mut().enumerate();
        lanes
            .map(|(at, lane)| {
                let workers = self.each.min(known - (at * self.each).min(known)).max(1) as f32;
                let mut cells = String::with_capacity(COLUMNS);
                for number in first..=last {
                    let column = *lane.at(number);
                    let whole = if number == last { part.max(0.1) } else { 1.0 } as f32;
                    let share = (column.busy / whole / workers).min(1.0);
                    cells.push(match column.failed {
                        true => 'x',
                        // What is a little busy does not look idle.
                        false => char::from(b'0' + (share * 9.0).ceil() as u8),
                    });
                }
                (name(lane.names), cells)
            })
            .collect()
    }
}

/// Places among coroutines in flight are numbered from here.
const COROUTINES: u32 = 1 << 31;

/// What a worker is called.
pub(super) fn worker_name(worker: u32) -> String {
    match worker.checked_sub(COROUTINES) {
        Some(place) => format!("coroutine {place}"),
        None => worker.to_string(),
    }
}

fn name((first, last): (u32, u32)) -> String {
    match first == last {
        true => worker_name(first),
        false => format!("{} – {}", worker_name(first), worker_name(last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(timeline: &Timeline, now: Instant) -> Vec<String> {
        let lanes = timeline.text(now, std::iter::empty());
        lanes.into_iter().map(|(_, cells)| cells).collect()
    }

    #[test]
    fn a_time_is_spread_over_its_columns() {
        let since = Instant::now();
        let mut timeline = Timeline::new(since);
        timeline.ran(7, since + 3 * STEP, STEP + STEP / 2, false);
        let cells = all(&timeline, since + 4 * STEP);
        // Column 3 is the moment of its end; 2 is full, 1 half.
        assert_eq!(cells, ["05900"]);
    }

    #[test]
    fn ten_thousand_workers_share_64_lanes_and_none_is_lost() {
        let since = Instant::now();
        let mut timeline = Timeline::new(since);
        for worker in 0..10_000 {
            timeline.ran(worker, since + STEP, STEP, false);
        }
        let now = since + STEP;
        let lanes = timeline.text(now, std::iter::empty());
        assert!(lanes.len() <= LANES, "{}", lanes.len());
        assert!(lanes.iter().all(|(_, cells)| cells.starts_with('9')));
        assert_eq!(lanes[0].0, "0 – 255");
        assert!(lanes.last().expect("a lane").0.ends_with("9999"));
    }

    #[test]
    fn only_the_last_minute_is_kept() {
        let since = Instant::now();
        let mut timeline = Timeline::new(since);
        timeline.ran(1, since + STEP, STEP, true);
        let cells = all(&timeline, since + 300 * STEP);
        assert_eq!(cells, ["0".repeat(COLUMNS)]);
    }

    #[test]
    fn those_that_run_are_busy_until_now() {
        let since = Instant::now();
        let mut timeline = Timeline::new(since);
        timeline.worker(1);
        let now = since + 4 * STEP + STEP / 2;
        let lanes = timeline.text(now, std::iter::once((1, since + 2 * STEP)));
        assert_eq!(lanes[0].1, "00999");
    }
}
