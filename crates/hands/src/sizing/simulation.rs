//! A machine in miniature: cores that slice their time, workers, a disk, a lock, neighbours. Same
//! seed, same run.
//!
//! ```text
//!             .--> run queue --> a core, up to a slice --.
//!   task -----+--> the disk's line --> one of k places --+--> next phase, next task
//!             +--> the lock's line --> run queue ... ----|
//!             `--> wait -------------------------------- '
//! ```
//!
//! Between two events nobody changes state, so time in states is the number of workers in each,
//! times the distance.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::{Controller, Limits, Sample};

/// Nanoseconds.
type Time = u64;
pub(super) const MS: Time = 1_000_000;
pub(super) const SECOND: Time = 1_000 * MS;
const WINDOW: Time = 25 * MS;
const SLICE: Time = 3 * MS;

/// A part of a task, with its mean time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Cpu(Time),
    Wait(Time),
    /// In one of the disk's places.
    Disk(Time),
    /// On a CPU, holding our lock.
    Locked(Time),
}

/// How the times of phases spread around their mean.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spread {
    Even,
    /// Up to half more or less.
    Half,
    /// As with radioactive decay: the least even that is common.
    Exponential,
}

#[derive(Clone, Debug)]
pub(super) struct SimulatedWork {
    pub(super) phases: Vec<Phase>,
    pub(super) spread: Spread,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum SimulatedState {
    Idle,
    Ready,
    Running,
    Waiting,
    Locked,
}

#[derive(Clone, Copy, Debug)]
struct SimulatedWorker {
    phase: usize,
    /// Of a phase on a CPU.
    left: Time,
    state: SimulatedState,
}

#[derive(Clone, Copy, Debug, Default)]
struct SimulatedMeter {
    start: Time,
    cpu: Time,
    wait: Time,
    delay: Time,
    own_wait: Time,
    idle: Time,
    done: u64,
}

pub(super) struct Machine {
    pub(super) work: SimulatedWork,
    /// Tasks a second; `None`: always enough.
    pub(super) supply: Option<u64>,
    /// Whether the pool is told about idle cores.
    pub(super) tells_idle: bool,
    cores: usize,
    free_cores: usize,
    now: Time,
    random: u64,
    size: usize,
    workers: Vec<SimulatedWorker>,
    spare: Vec<usize>,
    neighbours: usize,
    run_queue: VecDeque<usize>,
    disk_free: usize,
    disk_line: VecDeque<(usize, Time)>,
    lock_held: bool,
    lock_line: VecDeque<usize>,
    events: BinaryHeap<Reverse<(Time, u64, usize, Time)>>,
    sequence: u64,
    count: [u64; 5],
    meter: SimulatedMeter,
    queued: u64,
    arrived: u64,
    /// CPU time used by tasks: work done, without the jumps of whole tasks.
    pub(super) work_done: Time,
}

/// Workers from this number on are neighbours: threads of other programs, always ready.
const NEIGHBOUR: usize = usize::MAX / 2;

impl Machine {
    pub(super) fn new(cores: usize, disk: usize, work: SimulatedWork) -> Machine {
        Machine {
            work,
            supply: None,
            tells_idle: true,
            cores,
            free_cores: cores,
            now: 0,
            random: 0x9E37_79B9_7F4A_7C15,
            size: 0,
            workers: Vec::new(),
            spare: Vec::new(),
            neighbours: 0,
            run_queue: VecDeque::new(),
            disk_free: disk,
            disk_line: VecDeque::new(),
            lock_held: false,
            lock_line: VecDeque::new(),
            events: BinaryHeap::new(),
            sequence: 0,
            count: [0; 5],
            meter: SimulatedMeter::default(),
            queued: 0,
            arrived: 0,
            work_done: 0,
        }
    }

    pub(super) fn add_neighbours(&mut self, count: usize) {
        for _ in 0..count {
            self.run_queue.push_back(NEIGHBOUR + self.neighbours);
            self.neighbours += 1;
        }
        self.dispatch();
    }

    /// Starts workers at once; those that are too many leave after their task.
    pub(super) fn resize(&mut self, size: usize) {
        self.size = size;
        self.start_spare();
    }

    fn active(&self) -> usize {
        self.workers.len() - self.spare.len()
    }

    fn start_spare(&mut self) {
        while self.active() < self.size && self.take_task() {
            let worker = self.spare.pop().unwrap_or_else(|| {
                self.workers.push(SimulatedWorker {
                    phase: 0,
                    left: 0,
                    state: SimulatedState::Idle,
                });
                self.count[SimulatedState::Idle as usize] += 1;
                self.workers.len() - 1
            });
            self.workers[worker].phase = 0;
            self.enter(worker);
        }
        self.dispatch();
    }

    fn take_task(&mut self) -> bool {
        if self.supply.is_none() {
            return true;
        }
        let any = self.queued > 0;
        self.queued -= u64::from(any);
        any
    }

    /// Runs for a sample's length.
    pub(super) fn sample(&mut self) -> Sample {
        let end = self.now + WINDOW;
        if let Some(rate) = self.supply {
            // Tasks come in with the window; between two samples that makes no difference to the
            // controller.
            let arrived = end * rate / SECOND;
            self.queued += arrived - self.arrived;
            self.arrived = arrived;
            self.start_spare();
        }
        while let Some(&Reverse((time, _, worker, ran))) = self.events.peek() {
            if time > end {
                break;
            }
            self.events.pop();
            self.pass(time);
            self.happen(worker, ran);
            self.dispatch();
        }
        self.pass(end);
        let meter = std::mem::take(&mut self.meter);
        self.meter.start = self.now;
        self.work_done += meter.cpu;
        let elapsed = self.now - meter.start;
        Sample {
            is_live: true,
            elapsed: Duration::from_nanos(elapsed),
            cpu: Duration::from_nanos(meter.cpu),
            wait: Duration::from_nanos(meter.wait),
            delay: Duration::from_nanos(meter.delay),
            own_wait: Duration::from_nanos(meter.own_wait),
            done: meter.done,
            queued: if self.supply.is_none() {
                1_000
            } else {
                self.queued as usize
            },
            machine_idle: self
                .tells_idle
                .then(|| meter.idle as f64 / (elapsed * self.cores as u64) as f64),
        }
    }

    fn pass(&mut self, to: Time) {
        let time = to - self.now;
        self.now = to;
        let of = |state: SimulatedState| self.count[state as usize] * time;
        self.meter.cpu += of(SimulatedState::Running);
        self.meter.wait += of(SimulatedState::Waiting);
        self.meter.delay += of(SimulatedState::Ready);
        self.meter.own_wait += of(SimulatedState::Locked);
        self.meter.idle += self.free_cores as u64 * time;
    }

    fn at(&mut self, time: Time, worker: usize, ran: Time) {
        self.sequence += 1;
        self.events
            .push(Reverse((time, self.sequence, worker, ran)));
    }

    fn set(&mut self, worker: usize, state: SimulatedState) {
        let old = std::mem::replace(&mut self.workers[worker].state, state);
        self.count[old as usize] -= 1;
        self.count[state as usize] += 1;
    }

    fn happen(&mut self, worker: usize, ran: Time) {
        if worker >= NEIGHBOUR {
            self.free_cores += 1;
            self.run_queue.push_back(worker);
            return;
        }
        let phase = self.work.phases.get(self.workers[worker].phase).copied();
        if self.workers[worker].state == SimulatedState::Running {
            self.free_cores += 1;
            self.workers[worker].left -= ran;
            if self.workers[worker].left > 0 {
                self.set(worker, SimulatedState::Ready);
                self.run_queue.push_back(worker);
                return;
            }
            if let Some(Phase::Locked(_)) = phase {
                self.lock_held = false;
                if let Some(next) = self.lock_line.pop_front() {
                    self.lock_held = true;
                    self.make_ready(next);
                }
            }
        } else if let Some(Phase::Disk(_)) = phase {
            self.disk_free += 1;
            if let Some((next, time)) = self.disk_line.pop_front() {
                self.disk_free -= 1;
                self.at(self.now + time, next, 0);
            }
        }
        self.workers[worker].phase += 1;
        if self.workers[worker].phase >= self.work.phases.len() {
            self.meter.done += 1;
            self.workers[worker].phase = 0;
            if self.active() > self.size || !self.take_task() {
                self.set(worker, SimulatedState::Idle);
                self.spare.push(worker);
                return;
            }
        }
        self.enter(worker);
    }

    fn make_ready(&mut self, worker: usize) {
        self.set(worker, SimulatedState::Ready);
        self.run_queue.push_back(worker);
    }

    fn enter(&mut self, worker: usize) {
        match self.work.phases[self.workers[worker].phase] {
            Phase::Cpu(mean) => {
                self.workers[worker].left = self.draw(mean);
                self.make_ready(worker);
            }
            Phase::Wait(mean) => {
                let time = self.draw(mean);
                self.set(worker, SimulatedState::Waiting);
                self.at(self.now + time, worker, 0);
            }
            Phase::Disk(mean) => {
                let time = self.draw(mean);
                self.set(worker, SimulatedState::Waiting);
                if self.disk_free > 0 {
                    self.disk_free -= 1;
                    self.at(self.now + time, worker, 0);
                } else {
                    self.disk_line.push_back((worker, time));
                }
            }
            Phase::Locked(mean) => {
                self.workers[worker].left = self.draw(mean);
                if self.lock_held {
                    self.set(worker, SimulatedState::Locked);
                    self.lock_line.push_back(worker);
                } else {
                    self.lock_held = true;
                    self.make_ready(worker);
                }
            }
        }
    }

    fn dispatch(&mut self) {
        while self.free_cores > 0
            && let Some(worker) = self.run_queue.pop_front()
        {
            self.free_cores -= 1;
            let ran = if worker >= NEIGHBOUR {
                SLICE
            } else {
                self.set(worker, SimulatedState::Running);
                self.workers[worker].left.min(SLICE)
            };
            self.at(self.now + ran, worker, ran);
        }
    }

    /// A time around `mean`, at least a nanosecond.
    fn draw(&mut self, mean: Time) -> Time {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let unit = (self.random >> 11) as f64 / (1u64 << 53) as f64;
        let factor = match self.work.spread {
            Spread::Even => 1.0,
            Spread::Half => 0.5 + unit,
            Spread::Exponential => -(1.0 - unit).ln(),
        };
        ((mean as f64 * factor) as Time).max(1)
    }
}

/// A machine with a controlled pool on it, and the size after each sample.
pub(super) struct SimulatedRun {
    pub(super) machine: Machine,
    pub(super) controller: Controller,
    pub(super) sizes: Vec<usize>,
    /// Work done by each sample.
    pub(super) done: Vec<Time>,
}

impl SimulatedRun {
    pub(super) fn new(machine: Machine, max: usize) -> SimulatedRun {
        let controller = Controller::new(Limits::new(machine.cores as f64, max));
        let mut run = SimulatedRun {
            machine,
            controller,
            sizes: Vec::new(),
            done: Vec::new(),
        };
        run.machine.resize(run.controller.size());
        run
    }

    pub(super) fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds * SECOND / WINDOW {
            let sample = self.machine.sample();
            let size = self.controller.observe(&sample).size;
            if std::env::var_os("SIZING_TRACE").is_some() && Some(&size) != self.sizes.last() {
                println!(
                    "{:8.3} s  {}",
                    self.machine.now as f64 / SECOND as f64,
                    self.controller.decision()
                );
            }
            self.machine.resize(size);
            self.sizes.push(size);
            self.done.push(self.machine.work_done);
        }
    }

    /// Work a second, from one second to another.
    pub(super) fn rate(&self, from: u64, to: u64) -> f64 {
        let at = |second: u64| match (second * SECOND / WINDOW) as usize {
            0 => 0,
            samples => self.done[samples - 1],
        };
        (at(to) - at(from)) as f64 / (to - from) as f64
    }

    pub(super) fn largest(&self) -> usize {
        self.sizes.iter().copied().max().unwrap_or_default()
    }

    /// Changes of size from one second to another.
    pub(super) fn changes(&self, from: u64, to: u64) -> usize {
        let sample = |second: u64| (second * SECOND / WINDOW) as usize;
        self.sizes[sample(from)..sample(to)]
            .windows(2)
            .filter(|pair| pair[0] != pair[1])
            .count()
    }
}

/// Work a second of a pool of a fixed size.
pub(super) fn fixed(mut machine: Machine, size: usize, seconds: u64) -> f64 {
    machine.resize(size);
    let warm_up = seconds.div_ceil(4);
    for _ in 0..warm_up * SECOND / WINDOW {
        machine.sample();
    }
    let before = machine.work_done;
    for _ in 0..seconds * SECOND / WINDOW {
        machine.sample();
    }
    (machine.work_done - before) as f64 / seconds as f64
}
