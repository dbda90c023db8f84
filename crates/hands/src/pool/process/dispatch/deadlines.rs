//! Moments after which tasks are no longer wanted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::task::remote::Remote;

/// Moments after which tasks are no longer wanted.
#[derive(Default)]
pub(in crate::pool::process) struct Deadlines {
    all: BTreeMap<(Instant, u64), (Duration, Arc<dyn Remote>)>,
    noted: u64,
    look_at: usize,
}

impl Deadlines {
    pub(in crate::pool::process) fn note(
        &mut self,
        deadline: Instant,
        after: Duration,
        task: &Arc<dyn Remote>,
    ) {
        if self.all.len() >= self.look_at {
            self.all.retain(|_, (_, task)| task.is_open());
            self.look_at = 64.max(2 * self.all.len());
        }
        self.noted += 1;
        let entry = (after, Arc::clone(task));
        self.all.insert((deadline, self.noted), entry);
    }

    pub(in crate::pool::process) fn next(&self) -> Option<Instant> {
        self.all.keys().next().map(|(at, _)| *at)
    }

    pub(in crate::pool::process) fn passed(
        &mut self,
        now: Instant,
    ) -> impl Iterator<Item = (Duration, Arc<dyn Remote>)> + use<> {
        let later = self.all.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.all, later).into_values()
    }
}
