//! Ending a child before its time, and everything it has started.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use super::child::{Cause, EngineChild, Key};
use super::{Engine, EngineAlarm, FIRST_LOOK, GIVE_UP};
use crate::command::sys::{tree, wait};

impl Engine {
    /// TERM to the child's process group, and, once its grace has passed, KILL to all it started.
    pub fn terminate(&mut self, key: Key, cause: Cause) {
        let now = Instant::now();
        let Some(child) = self.child_mut(key) else {
            return;
        };
        child.cause.get_or_insert(cause);
        tree::signal(child.kin(), Signal::TERM);
        // A stopped process would not see it.
        tree::signal(child.kin(), Signal::CONT);
        let grace = child.grace;
        let at = now.checked_add(grace);
        child.kill_at = [child.kill_at, at].into_iter().flatten().min();
        self.set_alarm(now, grace, key, EngineAlarm::Kill);
    }

    /// [`terminate`](Self::terminate) for all children.
    pub fn terminate_all(&mut self, cause: Cause) {
        for key in self.keys() {
            self.terminate(key, cause);
        }
    }

    /// A terminated child has ended and its pipes are closed: is somebody left who has still to
    /// obey TERM? They are given the rest of the grace; a process that left the group had not been
    /// told.
    pub(super) fn has_kin_to_wait_for(&mut self, key: Key) -> bool {
        let Some(child) = self.child_mut(key) else {
            return false;
        };
        let Some(kill_at) = child.kill_at.filter(|_| !child.killed) else {
            return false;
        };
        let strays = tree::strays(&[child.kin()]);
        if strays.is_empty() {
            return false;
        }
        if child.look_again == FIRST_LOOK {
            for &stray in &strays {
                let _ = kill_process(stray, Signal::TERM);
            }
        }
        let look = Instant::now() + child.look_again;
        child.look_again *= 2;
        // Past that the alarm for KILL has the last word.
        if look < kill_at {
            self.alarms.push(Reverse((look, key, EngineAlarm::Look)));
        }
        true
    }

    /// Limits the child's whole run time to `after`.
    pub fn limit(&mut self, key: Key, after: Duration) {
        if let Some(child) = self.child(key) {
            self.set_alarm(child.started, after, key, EngineAlarm::TimeOut);
        }
    }

    /// KILL to all that the child started.
    pub fn kill(&mut self, key: Key) {
        self.kill_all(&[key]);
    }

    /// [`kill`](Self::kill) for many at the price of one look through `/proc`.
    pub fn kill_all(&mut self, keys: &[Key]) {
        let kins: Vec<_> = keys
            .iter()
            .filter_map(|&key| self.child(key))
            .map(EngineChild::kin)
            .collect();
        tree::kill(&kins);
        let give_up = Instant::now() + GIVE_UP;
        for &key in keys {
            let Some(child) = self.child_mut(key) else {
                continue;
            };
            child.killed = true;
            child.cause.get_or_insert(Cause::Asked);
            self.alarms
                .push(Reverse((give_up, key, EngineAlarm::GiveUp)));
        }
    }

    /// Sends a signal to the child's process group.
    pub fn signal(&self, key: Key, signal: Signal) {
        if let Some(child) = self.child(key) {
            tree::signal(child.kin(), signal);
        }
    }
}

/// No child outlives its engine: what is still running when the caller gives up, or panics, is
/// killed and reaped.
impl Drop for Engine {
    fn drop(&mut self) {
        let keys = self.keys();
        if keys.is_empty() {
            return;
        }
        self.kill_all(&keys);
        for (index, child) in self.children.iter().enumerate() {
            let Some(pidfd) = child.as_ref().and_then(|child| child.pidfd.as_ref()) else {
                continue;
            };
            if let Some(watchdog) = &self.watchdog {
                watchdog.release(index);
            }
            wait::reap(pidfd);
        }
    }
}
