//! [`MetricsExport`]: the figures of a pool as metrics of OpenTelemetry.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use parking_lot::Mutex;

use super::figures::{ENDS, WorkFigures};
use super::{Events, TaskEnd};

/// So often events are taken: a fast pool tells no more meanwhile than is kept.
const OFTEN: Duration = Duration::from_millis(50);
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// Keeps the metrics of a pool, a batch or a run of downloads up to date, until it is dropped.
///
/// | metric | unit | attributes | |
/// |---|---|---|---|
/// | `hands.tasks.finished` | `{task}` | `outcome` | tasks that have ended, by how |
/// | `hands.tasks.running` | `{task}` | | tasks that run |
/// | `hands.tasks.waiting` | `{task}` | | tasks that wait |
/// | `hands.tasks.run_time` | `s` | `quantile` | half, nine of ten, 99 of 100 ran no longer |
/// | `hands.tasks.wait_time` | `s` | `quantile` | they waited no longer |
/// | `hands.tasks.cpu_share` | `1` | | the share of their run time in which tasks were on a CPU |
/// | `hands.bytes` | `By` | | bytes that tasks have moved |
///
/// Each has the attribute `pool`. Conventions:
/// [general guidelines](https://opentelemetry.io/docs/specs/semconv/general/metrics/).
///
/// ```
/// use hands::event::MetricsExport;
/// use hands::pool::{Pool, ThreadPool};
///
/// let pool = ThreadPool::with_workers(2)?;
/// // The one that the program has set up; without one, this goes nowhere.
/// let meter = opentelemetry::global::meter("my program");
/// let _export = MetricsExport::start(&pool.events(), &meter, "squares")?;
/// pool.submit(|n: u64| n * n, 12).join()?;
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub struct MetricsExport {
    figures: Arc<Mutex<WorkFigures>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

type Seen = Weak<Mutex<WorkFigures>>;

impl MetricsExport {
    /// Registers the metrics with this meter, under this name of a pool, and counts from now on.
    ///
    /// # Errors
    ///
    /// When eight listen already, or there is no thread for it.
    pub fn start(events: &Events, meter: &Meter, pool: &str) -> io::Result<MetricsExport> {
        let figures = WorkFigures::of(events).map_err(io::Error::other)?;
        let figures = Arc::new(Mutex::new(figures));
        let (stop, stopped) = channel::<()>();
        let kept = Arc::clone(&figures);
        let thread = std::thread::Builder::new().name("hands-metrics".to_owned());
        let thread = thread.spawn(move || {
            while stopped.recv_timeout(OFTEN) == Err(RecvTimeoutError::Timeout) {
                kept.lock().update();
            }
        })?;
        register(&Arc::downgrade(&figures), meter, pool);
        Ok(MetricsExport {
            figures,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The figures themselves.
    pub fn with<R>(&self, look: impl FnOnce(&mut WorkFigures) -> R) -> R {
        let mut figures = self.figures.lock();
        figures.update();
        look(&mut figures)
    }
}

impl Drop for MetricsExport {
    /// Its metrics are not observed any more; a meter cannot forget them.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for MetricsExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsExport").finish_non_exhaustive()
    }
}

/// Calls `look` with the figures, as they are now, if they are there.
fn seen(figures: &Seen, look: impl FnOnce(&mut WorkFigures)) {
    if let Some(figures) = figures.upgrade() {
        let mut figures = figures.lock();
        figures.update();
        look(&mut figures);
    }
}

fn register(figures: &Seen, meter: &Meter, pool: &str) {
    let pool = KeyValue::new("pool", pool.to_owned());
    let (own, of) = (figures.clone(), pool.clone());
    meter
        .u64_observable_counter("hands.tasks.finished")
        .with_unit("{task}")
        .with_description("Tasks that have ended, by how")
        .with_callback(move |to| {
            seen(&own, |figures| {
                for (how, outcome) in ENDS {
                    let outcome = KeyValue::new("outcome", outcome);
                    to.observe(figures.ended(how), &[of.clone(), outcome]);
                }
            });
        })
        .build();
    let count = |name: &'static str, what: &'static str, of: fn(&WorkFigures) -> u64| {
        let (own, pool) = (figures.clone(), pool.clone());
        meter
            .u64_observable_gauge(name)
            .with_unit("{task}")
            .with_description(what)
            .with_callback(move |to| {
                seen(&own, |figures| {
                    to.observe(of(figures), std::slice::from_ref(&pool))
                });
            })
            .build();
    };
    count(
        "hands.tasks.running",
        "Tasks that run",
        WorkFigures::running,
    );
    count(
        "hands.tasks.waiting",
        "Tasks that wait",
        WorkFigures::waiting,
    );
    let times =
        |name: &'static str, what: &'static str, of: fn(&WorkFigures, f64) -> Option<Duration>| {
            let (own, pool) = (figures.clone(), pool.clone());
            meter
                .f64_observable_gauge(name)
                .with_unit("s")
                .with_description(what)
                .with_callback(move |to| {
                    seen(&own, |figures| {
                        quantiles(to, &pool, |share| of(figures, share))
                    })
                })
                .build();
        };
    let what = "This part of the tasks ran no longer than that";
    times("hands.tasks.run_time", what, WorkFigures::run_time);
    let what = "This part of the tasks waited no longer than that";
    times("hands.tasks.wait_time", what, WorkFigures::wait_time);
    let (own, of) = (figures.clone(), pool.clone());
    meter
        .f64_observable_gauge("hands.tasks.cpu_share")
        .with_unit("1")
        .with_description(
            "The share of their run time in which tasks were on a CPU, where that is known",
        )
        .with_callback(move |to| {
            seen(&own, |figures| {
                if let Some(share) = figures.cpu_share() {
                    to.observe(share, std::slice::from_ref(&of));
                }
            });
        })
        .build();
    let own = figures.clone();
    meter
        .u64_observable_counter("hands.bytes")
        .with_unit("By")
        .with_description("Bytes that tasks have moved")
        .with_callback(move |to| {
            seen(&own, |figures| {
                to.observe(figures.bytes(), std::slice::from_ref(&pool))
            })
        })
        .build();
}

fn quantiles(to: &dyn AsyncInstrument<f64>, pool: &KeyValue, of: impl Fn(f64) -> Option<Duration>) {
    for share in QUANTILES {
        if let Some(time) = of(share) {
            let quantile = KeyValue::new("quantile", share);
            to.observe(time.as_secs_f64(), &[pool.clone(), quantile]);
        }
    }
}

/// Which ends count as such is the same everywhere.
const _: () = assert!(ENDS.len() == TaskEnd::ALL.len());
