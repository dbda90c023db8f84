//! Samples added up.

use super::sample::{Limits, Sample};

/// Sums of samples, in seconds; every figure drawn from them is a ratio of sums, never a mean of
/// ratios.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) elapsed: f64,
    pub(super) cpu: f64,
    pub(super) wait: f64,
    pub(super) delay: f64,
    pub(super) own_wait: f64,
    pub(super) done: f64,
    /// Time of idle cores.
    idle: f64,
    /// Of `elapsed`, the part in which the system did not tell which cores were idle.
    blind: f64,
}

/// Less of a share of CPU time than this is as good as none.
const NO_CPU: f64 = 1e-3;
/// From this number of tasks on, their number says more than CPU time.
const MANY: f64 = 30.0;

impl Sums {
    pub(super) fn of(sample: &Sample, limits: &Limits) -> Sums {
        let elapsed = sample.elapsed.as_secs_f64();
        let cpu = sample.cpu.as_secs_f64();
        let known = sample.machine_idle.filter(|share| !share.is_nan());
        Sums {
            elapsed,
            cpu,
            wait: sample.wait.as_secs_f64(),
            delay: sample.delay.as_secs_f64(),
            own_wait: sample.own_wait.as_secs_f64(),
            done: sample.done as f64,
            idle: match known {
                Some(share) => share.clamp(0.0, 1.0) * limits.cores * elapsed,
                None => (limits.cores * elapsed - cpu).max(0.0),
            },
            blind: if known.is_some() { 0.0 } else { elapsed },
        }
    }

    pub(super) fn add(&mut self, other: &Sums) {
        self.elapsed += other.elapsed;
        self.cpu += other.cpu;
        self.wait += other.wait;
        self.delay += other.delay;
        self.own_wait += other.own_wait;
        self.done += other.done;
        self.idle += other.idle;
        self.blind += other.blind;
    }

    /// Makes all that is in it weigh `factor` as much.
    pub(super) fn fade(&mut self, factor: f64) {
        let old = *self;
        *self = Sums {
            elapsed: old.elapsed * factor,
            cpu: old.cpu * factor,
            wait: old.wait * factor,
            delay: old.delay * factor,
            own_wait: old.own_wait * factor,
            done: old.done * factor,
            idle: old.idle * factor,
            blind: old.blind * factor,
        };
    }

    /// The mean time of a task, from start to end.
    pub(super) fn task(&self) -> Option<f64> {
        (self.done > 0.0).then(|| self.busy() / self.done)
    }

    /// The CPU's share of CPU and waiting time; `None` if next to nothing.
    pub(super) fn cpu_share(&self) -> Option<f64> {
        let share = self.cpu / (self.cpu + self.wait);
        (share > NO_CPU).then_some(share)
    }

    /// By what the work is known again: the CPU's share of the time that does not depend on other
    /// programs.
    pub(super) fn fingerprint(&self) -> Option<f64> {
        let all = self.cpu + self.wait + self.own_wait;
        (all > 0.0).then(|| (self.cpu / all).max(NO_CPU))
    }

    /// The share of its time in which a task is ready to run but has no CPU.
    pub(super) fn delay_share(&self) -> f64 {
        if self.delay > 0.0 {
            self.delay / self.busy()
        } else {
            0.0
        }
    }

    /// Time in tasks.
    fn busy(&self) -> f64 {
        self.cpu + self.wait + self.delay + self.own_wait
    }

    /// Cores that the pool may yet fill, on average.
    pub(super) fn room(&self, limits: &Limits) -> f64 {
        let room = (limits.share() - self.cpu / self.elapsed).min(self.idle / self.elapsed);
        if room > 0.0 { room } else { 0.0 }
    }

    /// Whether idle cores are a guess from our own use of them, which does not see neighbours.
    pub(super) fn is_blind(&self) -> bool {
        self.blind > 0.5 * self.elapsed
    }

    /// By which part the throughput is above that of `before`, where that can be said.
    pub(super) fn gain_over(&self, before: &Sums) -> Option<f64> {
        let ratio = if self.done >= MANY && before.done >= MANY
            || self.cpu_share().is_none()
            || before.cpu_share().is_none()
        {
            (self.done / self.elapsed) / (before.done / before.elapsed)
        } else {
            (self.cpu / self.elapsed) / (before.cpu / before.elapsed)
        };
        ratio.is_finite().then_some(ratio - 1.0)
    }

    /// By which part two measurements of the same throughput differ by chance, if tasks spread by a
    /// third of their length.
    pub(super) fn chance(&self, other: &Sums) -> f64 {
        (0.1 / self.done.max(1.0) + 0.1 / other.done.max(1.0)).sqrt()
    }
}
