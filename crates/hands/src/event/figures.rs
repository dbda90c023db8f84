//! [`WorkFigures`]: how long tasks wait and run, how fast they end, and who runs them.
//!
//! Counted from events by who asks, and not by who works: a pool that nobody watches pays nothing.
//! Times are kept in histograms of two digits ([HDR histograms](https://hdrhistogram.org)), so a
//! quantile is right to one part in a hundred however many tasks there were, in some 40 KiB.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{EventKind, Events, Listener, TaskEnd, TooManyListeners};

/// Times from a nanosecond to this are told apart; longer ones count as this.
const LONGEST: u64 = 3_600_000_000_000;
const DIGITS: u8 = 2;
/// The recent rate is that of at least so long.
const RECENT: Duration = Duration::from_secs(1);
pub(super) const ENDS: [(TaskEnd, &str); 8] = [
    (TaskEnd::Well, "well"),
    (TaskEnd::Panicked, "panicked"),
    (TaskEnd::Failed, "failed"),
    (TaskEnd::NotRun, "not_run"),
    (TaskEnd::Died, "died"),
    (TaskEnd::TimedOut, "timed_out"),
    (TaskEnd::Cancelled, "cancelled"),
    (TaskEnd::Retried, "retried"),
];

/// Figures of a pool, a batch or a run of downloads, from the moment at which they are made.
///
/// ```
/// use hands::event::WorkFigures;
/// use hands::pool::{Pool, ThreadPool};
///
/// let pool = ThreadPool::with_workers(2)?;
/// let mut figures = WorkFigures::of(&pool.events())?;
/// pool.submit(|n: u64| n * n, 12).join()?;
/// pool.close();
/// pool.join();
/// figures.update();
/// assert_eq!(figures.finished(), 1);
/// println!("{:?} at most for nine of ten", figures.run_time(0.9));
/// println!("{}", figures.prometheus("squares"));
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct WorkFigures {
    listener: Option<Listener>,
    since: Instant,
    waited: Times,
    ran: Times,
    ends: BTreeMap<&'static str, u64>,
    finished: u64,
    running: u64,
    waiting: u64,
    bytes: u64,
    cpu: Duration,
    /// The run time of those whose CPU time is known.
    measured: Duration,
    workers: BTreeMap<u32, WorkerFigures>,
    recent: (Instant, u64, f64),
}

/// A histogram and a sum.
struct Times {
    histogram: Option<Histogram<u64>>,
    sum: Duration,
    count: u64,
}

/// What one worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerFigures {
    /// Its number.
    pub worker: u32,
    /// Tasks that it has run.
    pub tasks: u64,
    /// How long it was at them.
    pub busy: Duration,
    /// For how long of that it was on a CPU, where that is known.
    pub cpu: Duration,
}

impl Times {
    fn new() -> Times {
        Times {
            // Its bounds are good; without room for it there are no quantiles.
            histogram: Histogram::new_with_bounds(1, LONGEST, DIGITS).ok(),
            sum: Duration::ZERO,
            count: 0,
        }
    }

    fn add(&mut self, time: Duration) {
        self.sum = self.sum.saturating_add(time);
        self.count += 1;
        if let Some(histogram) = &mut self.histogram {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(LONGEST);
            histogram.saturating_record(nanos.clamp(1, LONGEST));
        }
    }

    fn quantile(&self, share: f64) -> Option<Duration> {
        let histogram = self.histogram.as_ref().filter(|_| self.count > 0)?;
        let nanos = histogram.value_at_quantile(share.clamp(0.0, 1.0));
        Some(Duration::from_nanos(nanos))
    }
}

impl Default for WorkFigures {
    fn default() -> WorkFigures {
        let now = Instant::now();
        WorkFigures {
            listener: None,
            since: now,
            waited: Times::new(),
            ran: Times::new(),
            ends: ENDS.iter().map(|(_, name)| (*name, 0)).collect(),
            finished: 0,
            running: 0,
            waiting: 0,
            bytes: 0,
            cpu: Duration::ZERO,
            measured: Duration::ZERO,
            workers: BTreeMap::new(),
            recent: (now, 0, 0.0),
        }
    }
}

impl WorkFigures {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// When eight listen already.
    pub fn of(events: &Events) -> Result<WorkFigures, TooManyListeners> {
        let listener = Some(events.listen()?);
        Ok(WorkFigures {
            listener,
            ..WorkFigures::default()
        })
    }

    /// Takes in one event: for figures that listen to nothing themselves, which are made by
    /// [`default`](Self::default). [`update`](Self::update) keeps their recent rate.
    pub fn count(&mut self, event: &EventKind) {
        self.take(event);
    }

    /// Takes in what has happened. Often enough, and nothing is [lost](Self::lost): 65,536 events
    /// are kept for it.
    pub fn update(&mut self) {
        while let Some(event) = self.listener.as_mut().and_then(Iterator::next) {
            self.take(&event.kind);
        }
        self.look_at_rate();
    }

    fn look_at_rate(&mut self) {
        let (since, before, _) = self.recent;
        let elapsed = since.elapsed();
        if elapsed >= RECENT {
            let rate = (self.finished - before) as f64 / elapsed.as_secs_f64();
            self.recent = (Instant::now(), self.finished, rate);
        }
    }

    fn take(&mut self, kind: &EventKind) {
        match *kind {
            EventKind::Queued { .. } => self.waiting += 1,
            EventKind::Started { waited, .. } => {
                self.waiting = self.waiting.saturating_sub(1);
                self.running += 1;
                if let Some(waited) = waited {
                    self.waited.add(waited);
                }
            }
            EventKind::Finished {
                worker,
                how,
                wall,
                cpu,
                ..
            } => {
                self.finished += 1;
                let name = ENDS
                    .iter()
                    .find(|(end, _)| *end == how)
                    .map(|(_, name)| name);
                if let Some(count) = name.and_then(|name| self.ends.get_mut(name)) {
                    *count += 1;
                }
                let Some(worker) = worker else {
                    self.waiting = self.waiting.saturating_sub(1);
                    return;
                };
                self.running = self.running.saturating_sub(1);
                self.ran.add(wall);
                if let Some(cpu) = cpu {
                    self.cpu += cpu;
                    self.measured += wall;
                }
                let figures = self.workers.entry(worker).or_default();
                figures.worker = worker;
                figures.tasks += 1;
                figures.busy = figures.busy.saturating_add(wall);
                figures.cpu += cpu.unwrap_or_default();
            }
            EventKind::Moved { bytes, .. } => self.bytes = self.bytes.saturating_add(bytes),
            _ => {}
        }
    }

    /// Tasks that have their outcome.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// Of these, the ones that ended so.
    pub fn ended(&self, how: TaskEnd) -> u64 {
        let name = ENDS
            .iter()
            .find(|(end, _)| *end == how)
            .map(|(_, name)| name);
        name.and_then(|name| self.ends.get(name))
            .copied()
            .unwrap_or(0)
    }

    /// Tasks that wait, of those that were queued since.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Tasks that run, of those that were started since.
    pub fn running(&self) -> u64 {
        self.running
    }

    /// This share of the tasks waited no longer than that: 0.5 for the median. `None`: none has
    /// been started.
    pub fn wait_time(&self, share: f64) -> Option<Duration> {
        self.waited.quantile(share)
    }

    /// This share of the tasks ran no longer than that. `None`: none has run.
    pub fn run_time(&self, share: f64) -> Option<Duration> {
        self.ran.quantile(share)
    }

    /// Tasks a second, since the beginning.
    pub fn rate(&self) -> f64 {
        self.finished as f64 / self.since.elapsed().as_secs_f64().max(1e-9)
    }

    /// Tasks a second, lately: over the last second or more between two updates.
    pub fn recent_rate(&self) -> f64 {
        self.recent.2
    }

    /// Which share of their run time tasks were on a CPU. `None`: that is not known of any.
    pub fn cpu_share(&self) -> Option<f64> {
        let measured = self.measured.as_secs_f64();
        (measured > 0.0).then(|| self.cpu.as_secs_f64() / measured)
    }

    /// Bytes that tasks have moved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What each worker has done, by their numbers.
    pub fn workers(&self) -> impl Iterator<Item = WorkerFigures> + '_ {
        self.workers.values().copied()
    }

    /// Events that came faster than they were taken, and are not in the figures.
    pub fn lost(&mut self) -> u64 {
        self.listener.as_mut().map_or(0, Listener::lost)
    }

    /// As the [text format](https://prometheus.io/docs/instrumenting/exposition_formats/) of
    /// Prometheus, each figure with the label `pool`.
    pub fn prometheus(&mut self, pool: &str) -> String {
        let pool = label(pool);
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            let _ = write!(
                text,
                "# HELP hands_{name} {help}\n# TYPE hands_{name} {kind}\n"
            );
        };
        head(
            &mut text,
            "tasks_total",
            "counter",
            "Tasks that have their outcome.",
        );
        for (end, count) in &self.ends {
            let _ = writeln!(
                text,
                "hands_tasks_total{{pool=\"{pool}\",end=\"{end}\"}} {count}"
            );
        }
        for (name, help, value) in [
            ("tasks_waiting", "Tasks that wait.", self.waiting),
            ("tasks_running", "Tasks that run.", self.running),
        ] {
            head(&mut text, name, "gauge", help);
            let _ = writeln!(text, "hands_{name}{{pool=\"{pool}\"}} {value}");
        }
        for (name, help, times) in [
            ("wait_seconds", "How long tasks waited.", &self.waited),
            ("run_seconds", "How long tasks ran.", &self.ran),
        ] {
            head(&mut text, name, "summary", help);
            for share in [0.5, 0.9, 0.99] {
                let time = times
                    .quantile(share)
                    .map_or(f64::NAN, |time| time.as_secs_f64());
                let time = if time.is_nan() {
                    "NaN".to_owned()
                } else {
                    time.to_string()
                };
                let _ = writeln!(
                    text,
                    "hands_{name}{{pool=\"{pool}\",quantile=\"{share}\"}} {time}"
                );
            }
            let (sum, count) = (times.sum.as_secs_f64(), times.count);
            let _ = write!(
                text,
                "hands_{name}_sum{{pool=\"{pool}\"}} {sum}\nhands_{name}_count{{pool=\"{pool}\"}} {count}\n"
            );
        }
        for (name, help, value) in [
            (
                "cpu_seconds_total",
                "CPU time of tasks, where it is known.",
                self.cpu.as_secs_f64(),
            ),
            (
                "bytes_total",
                "Bytes that tasks have moved.",
                self.bytes as f64,
            ),
            (
                "events_lost_total",
                "Events that are not in these figures.",
                self.listener.as_mut().map_or(0, Listener::lost) as f64,
            ),
        ] {
            head(&mut text, name, "counter", help);
            let _ = writeln!(text, "hands_{name}{{pool=\"{pool}\"}} {value}");
        }
        text
    }
}

impl std::fmt::Debug for WorkFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkFigures")
            .field("finished", &self.finished)
            .field("running", &self.running)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

/// As the value of a label may be.
fn label(text: &str) -> String {
    let mut label = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => label.push_str("\\\\"),
            '"' => label.push_str("\\\""),
            '\n' => label.push_str("\\n"),
            letter => label.push(letter),
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use super::super::Name;
    use super::*;

    fn finished(worker: u32, how: TaskEnd, millis: u64) -> EventKind {
        EventKind::Finished {
            task: 1,
            name: Name::NONE,
            worker: Some(worker),
            how,
            wall: Duration::from_millis(millis),
            cpu: Some(Duration::from_millis(millis / 2)),
        }
    }

    #[test]
    fn quantiles_rates_and_shares_are_those_of_what_happened() {
        let events = Events::new();
        let mut figures = WorkFigures::of(&events).expect("a listener");
        assert_eq!((figures.run_time(0.5), figures.cpu_share()), (None, None));
        for millis in 1..=100 {
            let (task, name) = (millis, Name::NONE);
            events.tell(EventKind::Queued { task, name });
            events.tell(EventKind::Started {
                task,
                name,
                worker: 0,
                waited: Some(Duration::from_micros(millis)),
            });
            events.tell(finished(0, TaskEnd::Well, millis));
        }
        events.tell(finished(1, TaskEnd::Failed, 1));
        events.tell(EventKind::Moved {
            task: 1,
            bytes: 7,
            of: 0,
        });
        figures.update();
        let about = |time: Option<Duration>, millis: f64| {
            let seconds = time.expect("a time").as_secs_f64();
            assert!(
                (seconds * 1e3 / millis - 1.0).abs() < 0.02,
                "{seconds} s, not {millis} ms"
            );
        };
        about(figures.run_time(0.5), 50.0);
        about(figures.run_time(0.9), 90.0);
        about(figures.wait_time(0.99), 0.099);
        assert_eq!(
            (figures.finished(), figures.waiting(), figures.running()),
            (101, 0, 0)
        );
        assert_eq!((figures.ended(TaskEnd::Failed), figures.bytes()), (1, 7));
        let share = figures.cpu_share().expect("known");
        assert!((share - 0.5).abs() < 0.01, "{share}");
        let tasks: Vec<u64> = figures.workers().map(|worker| worker.tasks).collect();
        assert_eq!(tasks, [100, 1]);
        assert!(figures.rate() > 0.0 && figures.lost() == 0);
    }

    #[test]
    fn the_text_of_prometheus_is_well_formed() {
        let events = Events::new();
        let mut figures = WorkFigures::of(&events).expect("a listener");
        let none = figures.prometheus("a \"b\"\n\\");
        assert!(
            none.contains("{pool=\"a \\\"b\\\"\\n\\\\\",quantile=\"0.5\"} NaN"),
            "{none}"
        );
        events.tell(finished(0, TaskEnd::Well, 20));
        figures.update();
        let text = figures.prometheus("p");
        assert!(
            text.contains("hands_tasks_total{pool=\"p\",end=\"well\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("hands_run_seconds_sum{pool=\"p\"} 0.02\n"),
            "{text}"
        );
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            assert!(name.starts_with("hands_") && name.ends_with('}'), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
