//! The controller: rest, trial, verdict. The protocol is in the module above.

use std::time::Duration;

use super::decision::{Decision, Why};
use super::sample::{Limits, Sample};
use super::sums::Sums;
use super::thresholds::{
    BLOCKED, BLOCKED_CPU, CROWDED, DELAY_BLIND, DELAY_KNOWN, EVERY_COUNTS, FAIR, FAIR_STEP, FAR,
    FEWEST, FLAT, HALF_LIFE, HALF_LIFE_MOST, IDLE, IDLE_CLEAR, LIGHT, LIGHT_PART, NO_LOSS,
    OTHER_WORK, OTHER_WORK_FEW, PATIENCE, PAUSE, PAUSE_MOST, PERIOD, PERIOD_AT_REST, PERIOD_LONG,
    TASKS_AT_REST, TASKS_FEW, TASKS_PLENTY, UNCLEAR, UNEVEN,
};
use super::trial::{Known, Trial, long_enough};

/// Decides how many workers a pool should have.
///
/// ```
/// use std::time::Duration;
/// use hands::sizing::{Controller, Limits, Sample};
///
/// let mut controller = Controller::new(Limits::new(2.0, 64));
/// assert_eq!(controller.size(), 2);
/// let ms = Duration::from_millis;
/// // Two workers in tasks that compute for 5 ms and wait for 5 ms: half of the two cores is idle.
/// let mut sample = Sample { elapsed: ms(50), cpu: ms(50), wait: ms(50), done: 10, queued: 9, ..Sample::default() };
/// for _ in 0..40 {
///     let workers = controller.size() as u32;
///     let cpu = ms(25) * workers;
///     sample = Sample { cpu, wait: cpu, done: u64::from(5 * workers), machine_idle: Some(1.0 - 0.25 * f64::from(workers)), ..sample };
///     controller.observe(&sample);
/// }
/// assert_eq!(controller.size(), 4);
/// ```
#[derive(Clone, Debug)]
pub struct Controller {
    limits: Limits,
    size: usize,
    /// The pool's time: the sum of all windows.
    now: f64,
    /// The recent mix of CPU and waiting, old samples fading.
    mix: Sums,
    /// Since the last change of size, until its tasks in progress are through.
    settling: Option<Sums>,
    /// What is being measured.
    period: Sums,
    /// What the present size did, up to about a second.
    rest: Sums,
    /// Time without queued tasks, in one piece.
    dry: f64,
    /// Time in which all workers were blocked, in one piece.
    blocked: f64,
    trial: Option<Trial>,
    known: Known,
    decision: Decision,
}

impl Controller {
    /// Starts with a worker for each core.
    pub fn new(limits: Limits) -> Controller {
        let limits = limits.sane();
        let size = limits.clamp(limits.cores.round());
        Controller {
            limits,
            size,
            now: 0.0,
            mix: Sums::default(),
            settling: Some(Sums::default()),
            period: Sums::default(),
            rest: Sums::default(),
            dry: 0.0,
            blocked: 0.0,
            trial: None,
            known: Known::default(),
            decision: Decision {
                size,
                before: size,
                target: size as f64,
                x: None,
                wait: None,
                why: Why::Start {
                    cores: limits.cores,
                },
            },
        }
    }

    /// How many workers there should be.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The last decision.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Takes in what the pool did since the last sample.
    pub fn observe(&mut self, sample: &Sample) -> &Decision {
        if !sample.elapsed.is_zero() {
            let window = Sums::of(sample, &self.limits);
            self.now += window.elapsed;
            self.blend(&window);
            let blocked = self.unblock(&window, sample);
            if let Some(why) = blocked.or_else(|| self.step(&window, sample.queued > 0)) {
                self.decision.why = why;
            }
            self.describe();
        }
        &self.decision
    }

    /// Where all tasks wait, and none ends, throughput says nothing; one more worker may do what
    /// they wait for.
    fn unblock(&mut self, window: &Sums, sample: &Sample) -> Option<Why> {
        let is_blocked = sample.is_live
            && sample.queued > 0
            && sample.done == 0
            && window.cpu <= BLOCKED_CPU * window.elapsed
            && window.delay_share() <= DELAY_KNOWN;
        self.blocked = if is_blocked {
            self.blocked + window.elapsed
        } else {
            0.0
        };
        // Long tasks may well be silent for as long as they take.
        let known = self.mix.done >= 0.5;
        let task = if known {
            self.mix.task().unwrap_or(0.0)
        } else {
            0.0
        };
        if self.blocked < BLOCKED.max(2.0 * task) || self.size >= self.limits.max {
            return None;
        }
        self.blocked = 0.0;
        self.trial = None;
        self.resize(self.size + 1);
        Some(Why::AllBlocked { size: self.size })
    }

    fn step(&mut self, window: &Sums, queued: bool) -> Option<Why> {
        if let Some(settling) = &mut self.settling {
            settling.add(window);
            let through = settling.done >= self.size as f64;
            if !through && settling.elapsed < PATIENCE {
                return None;
            }
            self.settling = None;
            return None;
        }
        if !queued {
            return self.starve(window.elapsed);
        }
        self.dry = 0.0;
        self.period.add(window);
        if !self.is_judgeable() {
            return None;
        }
        let period = std::mem::take(&mut self.period);
        match self.trial.take() {
            Some(trial) if self.size > trial.from => Some(self.judge_more(&trial, &period)),
            Some(trial) => Some(self.judge_fewer(&trial, &period)),
            None => Some(self.consider(&period)),
        }
    }

    /// Without tasks in the queue throughput says nothing about the workers.
    fn starve(&mut self, elapsed: f64) -> Option<Why> {
        self.period = Sums::default();
        self.dry += elapsed;
        match self.trial {
            Some(_) if self.dry < PATIENCE => None,
            Some(trial) => {
                self.trial = None;
                let tried = self.size;
                self.resize(trial.from);
                Some(Why::Unjudged {
                    size: self.size,
                    tried,
                })
            }
            None => Some(Why::NothingQueued),
        }
    }

    fn is_judgeable(&self) -> bool {
        let Sums { elapsed, done, .. } = self.period;
        if elapsed >= 2.0 * PATIENCE {
            return true;
        }
        let Some(trial) = &self.trial else {
            return elapsed >= PERIOD
                && done >= (FEWEST / 2.0).max(self.size as f64)
                && (done >= TASKS_AT_REST || elapsed >= PERIOD_AT_REST);
        };
        elapsed >= PERIOD
            && done >= FEWEST.max(self.size as f64)
            && trial.is_judged_by(self.size, &self.period)
    }

    /// At rest: whether to change anything.
    fn consider(&mut self, period: &Sums) -> Why {
        self.recognise(period);
        self.rest.add(period);
        let rest = self.rest;
        if self.rest.elapsed > 1.0 {
            self.rest.fade(0.5);
        }
        let target = self.target();
        if let Some(why) = self.shrink(&rest, target) {
            return why;
        }
        let room = period.room(&self.limits);
        let idle = room / self.limits.share();
        let least = if period.is_blind() { IDLE_CLEAR } else { IDLE };
        if idle <= least {
            return self.try_more(&rest, target, Why::NoIdleCore);
        }
        let delay = period.delay_share();
        let bearable = if period.is_blind() {
            DELAY_BLIND
        } else {
            DELAY_KNOWN
        };
        if delay > bearable {
            return self.try_more(&rest, target, Why::Delayed { share: delay });
        }
        if let Some(fewer) = self.fewer() {
            // The first measurement was short; what it is compared with should not hang on chance.
            if let Some(enough) = &mut self.known.enough {
                if rest.elapsed < PERIOD_LONG && rest.done < TASKS_PLENTY {
                    return self.decision.why;
                }
                enough.add(&rest);
            }
            return self.try_fewer(fewer, rest);
        }
        let even = self.limits.clamp(workers(target));
        let wanted = if self.size < even {
            even
        } else if idle > IDLE_CLEAR {
            let uneven = self.limits.clamp(workers(UNEVEN * target));
            uneven.min(self.size + (self.size / 3).max(1))
        } else {
            self.size
        };
        if wanted <= self.size {
            return if self.size == self.limits.max && target >= self.size as f64 {
                Why::AtLimit { max: self.size }
            } else {
                self.at_target(target)
            };
        }
        if let Some((size, tried, gain)) = self.known.no_gain
            && self.now < self.known.retry_at
        {
            return Why::NoGain { size, tried, gain };
        }
        // Never beyond twice of what is known to be of use, nor twice the present size.
        let reach = (2.0 * self.known.of_use).min(2.0 * self.size as f64) as usize;
        let more = wanted.min(reach.max(self.size + 1));
        let growth = more as f64 / self.size as f64 - 1.0;
        let used = rest.cpu / rest.elapsed;
        // With CPU time in it, throughput rises no more than there is room.
        let promise = if used > 0.0 {
            growth.min(room / used)
        } else {
            growth
        };
        if rest.elapsed < 0.5 * long_enough(promise) && rest.done < TASKS_PLENTY {
            return self.at_target(target);
        }
        self.trial = Some(Trial {
            from: self.size,
            before: rest,
            promise,
        });
        let below = more <= even;
        self.resize(more);
        if below {
            self.at_target(target)
        } else {
            Why::Uneven {
                size: more,
                target,
                idle,
            }
        }
    }

    /// No core is idle, because of others: only a trial tells whether more of our tasks do more.
    /// `why`: what to say if there is none.
    fn try_more(&mut self, rest: &Sums, target: f64, why: Why) -> Why {
        let share = self.mix.cpu_share().unwrap_or(0.0);
        let most = match share > 0.0 {
            true => LIGHT_PART * target,
            false => target,
        };
        let most = self.limits.clamp(workers(most));
        if share > LIGHT || most <= self.size {
            return why;
        }
        if let Some((size, tried, gain)) = self.known.no_gain
            && self.now < self.known.retry_at
        {
            return Why::NoGain { size, tried, gain };
        }
        let from = self.size;
        let more = most.min(2 * from);
        let promise = more as f64 / from as f64 - 1.0;
        if rest.elapsed < 0.5 * long_enough(promise) && rest.done < TASKS_PLENTY {
            return why;
        }
        self.trial = Some(Trial {
            from,
            before: *rest,
            promise,
        });
        self.resize(more);
        Why::TryMore {
            size: more,
            before: from,
        }
    }

    /// Forgets what was known about other work than this.
    fn recognise(&mut self, period: &Sums) {
        let Some(now) = period.fingerprint() else {
            return;
        };
        let Some(then) = self.known.fingerprint else {
            self.known.fingerprint = Some(now);
            return;
        };
        let few = period.done < TASKS_FEW;
        let other = if few { OTHER_WORK_FEW } else { OTHER_WORK };
        if (now / then).max(then / now) > other {
            self.known = Known {
                fingerprint: Some(now),
                ..Known::default()
            };
            self.mix = *period;
            self.rest = Sums::default();
        }
    }

    fn shrink(&mut self, rest: &Sums, target: f64) -> Option<Why> {
        let delay = rest.delay_share();
        let no_room = rest.room(&self.limits) < 0.02 * self.limits.share();
        let crowded = delay > CROWDED && no_room && rest.elapsed > 0.5;
        let most = workers(target * if crowded { UNEVEN } else { FAR });
        let fewer = self.limits.clamp(workers(target));
        if self.size as f64 <= most || fewer >= self.size {
            return None;
        }
        let before = self.size;
        self.resize(fewer);
        Some(Why::TooMany {
            size: fewer,
            before,
            target,
            delay,
        })
    }

    /// A smaller size worth a trial: cores are idle, so something else may be the limit.
    fn fewer(&self) -> Option<usize> {
        let Known {
            too_few, of_use, ..
        } = self.known;
        let fewer = if self.known.enough.is_some() {
            if self.size - too_few.min(self.size) <= (self.size / 5).max(1) {
                return None;
            }
            (self.size + too_few)
                .div_ceil(2)
                .max(workers(of_use) as usize)
        } else if of_use == 0.0 {
            // Before the first growth: a small step tells whether workers are of use at all.
            (3 * self.size) / 4
        } else {
            return None;
        };
        let fewer = fewer.max(self.limits.min);
        (fewer < self.size).then_some(fewer)
    }

    fn try_fewer(&mut self, fewer: usize, before: Sums) -> Why {
        let from = self.size;
        self.trial = Some(Trial {
            from,
            before,
            promise: 1.0 - fewer as f64 / from as f64,
        });
        self.resize(fewer);
        Why::TryFewer {
            size: fewer,
            before: from,
        }
    }

    fn judge_more(&mut self, trial: &Trial, period: &Sums) -> Why {
        let tried = self.size;
        // Where nothing can be said, nothing speaks against the target.
        let gain = period.gain_over(&trial.before).unwrap_or(trial.promise);
        // Beyond the target a small step is for uneven tasks, and gains little at best.
        let fair = if trial.promise < FLAT {
            FAIR_STEP
        } else {
            FAIR
        };
        if gain >= fair * trial.promise {
            self.known = Known {
                too_few: trial.from,
                clearly_too_few: trial.from,
                of_use: (trial.from as f64 * (1.0 + gain)).min(tried as f64),
                ..Known::default()
            };
            self.rest = Sums::default();
            return self.consider(period);
        }
        self.pause(trial.from, tried, gain);
        self.known.too_few = self.known.clearly_too_few;
        // What there was to gain, so many could have gained.
        let of_use = trial.from as f64 * (1.0 + gain);
        let size = if gain > NO_LOSS {
            (of_use.ceil() as usize).min(tried)
        } else {
            trial.from
        };
        if gain > NO_LOSS && trial.promise >= FLAT {
            self.known.enough = Some(*period);
            self.known.of_use = of_use;
        } else if trial.promise >= FLAT {
            self.known.enough.get_or_insert(trial.before);
        }
        self.resize(size);
        Why::NoGain {
            size: trial.from,
            tried,
            gain,
        }
    }

    fn judge_fewer(&mut self, trial: &Trial, period: &Sums) -> Why {
        let tried = self.size;
        let full = self.known.enough.unwrap_or(trial.before);
        let loss = -period.gain_over(&full).unwrap_or(-trial.promise);
        if loss <= NO_LOSS + period.chance(&full).min(NO_LOSS) {
            self.known.enough = Some(full);
            self.known.of_use = self.known.of_use.min(tried as f64);
            self.known.fingerprint = None;
            // What was doubtful above is looked at again soon.
            self.known.pause = 0.0;
            self.pause(tried, trial.from, loss);
            self.rest = *period;
            return match self.fewer() {
                Some(fewer) => self.try_fewer(fewer, full),
                None => Why::AsMuch {
                    size: tried,
                    before: trial.from,
                },
            };
        }
        let of_use = (tried as f64 / (1.0 - loss).max(0.01)).min(trial.from as f64);
        if loss >= EVERY_COUNTS * trial.promise {
            self.known = Known {
                too_few: tried,
                clearly_too_few: tried,
                of_use,
                ..Known::default()
            };
        } else if loss >= UNCLEAR * trial.promise {
            self.known.too_few = tried;
            self.known.clearly_too_few = tried;
            self.known.of_use = of_use;
        } else {
            // Hardly any loss, or chance. Half as many will tell, if nothing has; and this is tried
            // again after a pause.
            if self.known.enough.is_some() || trial.from.div_ceil(2) >= tried {
                self.known.too_few = tried;
            }
            self.known.enough.get_or_insert(full);
            self.pause(tried, trial.from, loss);
        }
        self.resize(trial.from);
        Why::FewerDidLess {
            size: trial.from,
            tried,
            loss,
        }
    }

    fn pause(&mut self, size: usize, tried: usize, gain: f64) {
        let known = &mut self.known;
        known.pause = (2.0 * known.pause).clamp(PAUSE, PAUSE_MOST);
        known.retry_at = self.now + known.pause;
        known.no_gain = Some((size, tried, gain));
    }

    fn resize(&mut self, size: usize) {
        let size = size.clamp(self.limits.min, self.limits.max);
        self.decision.before = self.size;
        self.size = size;
        self.settling = Some(Sums::default());
        self.period = Sums::default();
        self.rest = Sums::default();
        self.dry = 0.0;
        self.known.fingerprint = None;
    }

    fn blend(&mut self, window: &Sums) {
        let task = self.mix.task().unwrap_or(0.0);
        let half_life = (2.0 * task).clamp(HALF_LIFE, HALF_LIFE_MOST);
        self.mix.fade((-window.elapsed / half_life).exp2());
        self.mix.add(window);
    }

    fn target(&self) -> f64 {
        let max = self.limits.max as f64;
        match self.mix.cpu_share() {
            Some(share) => (self.limits.share() / share).min(max),
            None => max,
        }
    }

    fn at_target(&self, target: f64) -> Why {
        Why::Target {
            size: self.size,
            cores: self.limits.share(),
            cpu_share: self.mix.cpu_share(),
            task: self.times(),
            target,
        }
    }

    /// CPU and waiting time of a task.
    fn times(&self) -> Option<(Duration, Duration)> {
        let Sums {
            cpu, wait, done, ..
        } = self.mix;
        // A trace of a task long ago would make these figures huge.
        if done < 0.5 {
            return None;
        }
        let x = Duration::try_from_secs_f64(cpu / done).ok()?;
        let wait = Duration::try_from_secs_f64(wait / done).ok()?;
        Some((x, wait))
    }

    fn describe(&mut self) {
        let times = self.times();
        self.decision.size = self.size;
        self.decision.target = self.target();
        self.decision.x = times.map(|(x, _)| x);
        self.decision.wait = times.map(|(_, wait)| wait);
    }
}

/// Whole workers for a target: a little too few is nearer than one too many.
fn workers(target: f64) -> f64 {
    (0.97 * target).ceil()
}
