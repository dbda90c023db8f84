//! The thread that sets the size of a pool that sizes itself.
//!
//! It sleeps while the pool has nothing to do; the first worker that has, wakes it. Otherwise it
//! looks at all gauges every [`TICK`], tells the [`Controller`], and does what that says.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::crew::Crew;
use super::gauge::{Classes, Gauge, Spent};
use crate::machine::IdleCores;
use crate::sizing::{Controller, Decision, Limits, Sample};

const TICK: Duration = Duration::from_millis(25);

/// What the workers of a pool that sizes itself and its sizer share.
pub(super) struct Meter {
    gauges: Mutex<Vec<(Arc<Gauge>, Spent)>>,
    pub(super) classes: Classes,
    controller: Mutex<Controller>,
    /// The sizer sleeps until a worker has something to do.
    asleep: AtomicBool,
    ended: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Meter {
        Meter {
            gauges: Mutex::default(),
            classes: Classes::default(),
            controller: Mutex::new(Controller::new(limits)),
            asleep: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            thread: Mutex::default(),
        }
    }

    pub(super) fn decision(&self) -> Decision {
        *self.controller.lock().decision()
    }

    /// For a worker that begins.
    pub(super) fn add(&self) -> Arc<Gauge> {
        let gauge = Arc::new(Gauge::new());
        let spent = gauge.spent().unwrap_or_default();
        self.gauges.lock().push((Arc::clone(&gauge), spent));
        gauge
    }

    /// For a worker that ends.
    pub(super) fn remove(&self, gauge: &Arc<Gauge>) {
        self.gauges
            .lock()
            .retain(|(other, _)| !Arc::ptr_eq(other, gauge));
    }

    /// For a worker that has something to do again.
    pub(super) fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst) {
            self.unpark();
        }
    }

    fn unpark(&self) {
        if let Some(thread) = &*self.thread.lock() {
            thread.thread().unpark();
        }
    }

    pub(super) fn start(crew: &Arc<Crew>, meter: &Arc<Meter>) -> io::Result<()> {
        let of = Arc::downgrade(crew);
        let own = Arc::clone(meter);
        let builder = std::thread::Builder::new().name("hands-sizer".to_owned());
        let thread = builder.spawn(move || own.run(&of))?;
        *meter.thread.lock() = Some(thread);
        Ok(())
    }

    /// Ends the sizer, and waits for that.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.unpark();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }

    fn run(&self, crew: &Weak<Crew>) {
        let mut idle = IdleCores::new();
        let mut last = Instant::now();
        let mut done = 0;
        while !self.ended.load(Ordering::SeqCst) {
            std::thread::park_timeout(TICK);
            let Some(crew) = crew.upgrade() else {
                return;
            };
            let elapsed = last.elapsed();
            if elapsed < TICK {
                continue;
            }
            last = Instant::now();
            let mut sample = self.look(elapsed, idle.share(elapsed));
            let finished = crew.finished();
            sample.done = finished.saturating_sub(std::mem::replace(&mut done, finished));
            sample.queued = crew.jobs.len();
            let size = self.controller.lock().observe(&sample).size;
            if size != crew.wanted() {
                // A system that refuses a thread leaves the pool as large as it is.
                let _ = crew.resize(size);
            }
            if sample.queued == 0 && self.all_idle() {
                drop(crew);
                self.sleep();
                last = Instant::now();
                let _ = idle.share(TICK);
                let _ = self.look(TICK, None);
            }
        }
    }

    /// What all workers did since the last look; asks each to measure its next task.
    fn look(&self, elapsed: Duration, machine_idle: Option<f64>) -> Sample {
        let mut sum = Spent::default();
        let mut wait = 0_u64;
        for (gauge, before) in &mut *self.gauges.lock() {
            gauge.asked.store(true, Ordering::Relaxed);
            let Some(now) = gauge.spent() else {
                continue;
            };
            let before = std::mem::replace(before, now);
            let since = |now: u64, before: u64| now.saturating_sub(before);
            let cpu = since(now.cpu, before.cpu);
            let delay = since(now.delay, before.delay);
            let own_wait = since(now.own_wait, before.own_wait);
            let busy = since(now.wall, before.wall).saturating_sub(since(now.idle, before.idle));
            sum.cpu += cpu;
            sum.delay += delay;
            sum.own_wait += own_wait;
            wait += busy
                .saturating_sub(cpu)
                .saturating_sub(delay)
                .saturating_sub(own_wait);
        }
        Sample {
            elapsed,
            cpu: Duration::from_nanos(sum.cpu),
            wait: Duration::from_nanos(wait),
            delay: Duration::from_nanos(sum.delay),
            own_wait: Duration::from_nanos(sum.own_wait),
            machine_idle,
            is_live: true,
            ..Sample::default()
        }
    }

    fn all_idle(&self) -> bool {
        self.gauges
            .lock()
            .iter()
            .all(|(gauge, _)| gauge.idle.is_on())
    }

    /// Until a worker has something to do. A thread that begins after `asleep` is set wakes us; a
    /// thread that did so before is seen.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        while self.all_idle() && !self.ended.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}
