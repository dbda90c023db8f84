//! Ending a batch early: because somebody says so, a rule does, or it cannot go on.

use rustix::process::Signal;

use super::{INPUT, Scheduler, WAKE};
use crate::control::Stop;
use crate::error::BatchError;
use crate::observer::Notice;
use crate::policy::HaltWhen;
use crate::work::Work;
use hands::command::engine::{Cause, EngineEvent, Flow};
use hands::event::TaskEnd;

impl<W: Work> Scheduler<'_, W> {
    /// Passes on what the control says, a step at a time.
    pub(super) fn obey(&mut self) {
        if self.control.take_suspend() {
            self.suspend();
        }
        let told = self.control.stopped();
        if told <= self.stop {
            return;
        }
        self.stop_at(told);
        match told {
            Stop::No | Stop::Drain => {}
            Stop::Terminate => {
                self.engine.terminate_all(Cause::Asked);
                self.end_elsewhere();
            }
            Stop::Kill => {
                self.end_elsewhere();
                let keys = self.engine.keys();
                self.engine.kill_all(&keys);
                // Their pipes are read to the end, into nothing.
                for key in keys {
                    self.engine.resume(key);
                }
            }
        }
    }

    /// Starts nothing more; what waits to be tried (again) is given up.
    pub(super) fn stop_at(&mut self, stop: Stop) {
        self.stop = self.stop.max(stop);
        for pending in self.waiting.give_up() {
            self.given_up = true;
            if pending.attempt > 1 {
                self.tally.add(TaskEnd::Cancelled, 1);
                if let Some(collator) = &mut self.collator {
                    collator.complete(pending.number);
                }
            }
        }
    }

    /// The batch cannot go on: ends in order, as far as `stop` says, and then returns the first
    /// such error.
    pub(super) fn fail(&mut self, error: BatchError, stop: Stop) {
        self.failure.get_or_insert(error);
        if stop >= Stop::Terminate {
            self.engine.terminate_all(Cause::Asked);
            self.end_elsewhere();
        }
        self.stop_at(stop);
        self.control.stop(stop);
    }

    /// The halt rule has spoken.
    pub(super) fn halt(&mut self, when: HaltWhen) {
        let now = when == HaltWhen::Now;
        self.observer.notice(&Notice::Halted { now });
        if now {
            self.engine.terminate_all(Cause::Asked);
            self.end_elsewhere();
        }
        let stop = if now { Stop::Terminate } else { Stop::Drain };
        self.stop_at(stop);
        self.control.stop(stop);
    }

    /// Ends all jobs in bounded time after an error, so that none outlives the batch.
    pub(super) fn abandon(&mut self) {
        self.abandon_elsewhere();
        for key in self.engine.keys() {
            // What it was held back with goes nowhere now.
            self.engine.resume(key);
        }
        self.engine.terminate_all(Cause::Asked);
        let mut events = Vec::new();
        while self.engine.running() > 0 {
            if self
                .engine
                .turn(None, &mut |_, _, _| Flow::Continue, &mut events)
                .is_err()
            {
                // Dropping the engine kills and reaps the rest.
                return;
            }
            for event in events.drain(..) {
                match event {
                    EngineEvent::Ready(WAKE) => {
                        self.control.clear();
                        self.observer.woken(&self.control);
                        if self.control.stopped() == Stop::Kill {
                            return;
                        }
                    }
                    EngineEvent::Ready(INPUT) => self.unwatch_input(),
                    EngineEvent::Ready(_) => {
                        let _ = self.watch_sinks([true; 2]);
                    }
                    EngineEvent::Stopped(..) => {}
                    EngineEvent::Finished(key, ended) => {
                        self.running.remove(&key);
                        self.take_terminal_back(key, &ended);
                    }
                }
            }
        }
    }

    pub(super) fn suspend(&mut self) {
        let keys = self.engine.keys();
        for &key in &keys {
            self.engine.signal(key, Signal::STOP);
        }
        // Returns when somebody continues us.
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
        for &key in &keys {
            self.engine.signal(key, Signal::CONT);
        }
    }
}
