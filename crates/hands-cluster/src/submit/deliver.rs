//! Outcomes, told on threads of their own: reading them and the callbacks are the user's code.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::HeaderMap;
use hands::event::TaskEnd;
use hands::remote::{self, Remote};
use hands::task::TaskError;

use super::entry::{Delivery, PendingTask};
use super::submitter::Submitter;
use crate::message::{WALL, WORKER, number};
use crate::{ClusterError, large};

/// An outcome that is there and could not be read so often is not read any more.
const UNREAD: u32 = 10;

pub(super) fn start(
    me: Weak<Submitter>,
    deliveries: Receiver<Delivery>,
) -> Result<(), ClusterError> {
    let thread = std::thread::Builder::new().name("hands-deliver".to_owned());
    let delivers = move || {
        while let Ok(delivery) = deliveries.recv() {
            let Some(submitter) = me.upgrade() else {
                return;
            };
            submitter.tell(delivery);
        }
    };
    let started = thread.spawn(delivers);
    started.map(drop).map_err(|error| ClusterError::System {
        why: format!("cannot start the thread that tells of outcomes: {error}"),
    })
}

impl Submitter {
    /// An outcome has come, perhaps not for the first time.
    pub(super) async fn came(&self, id: &str, headers: Option<HeaderMap>, payload: bytes::Bytes) {
        let entries = self.table.lock().entries.get(id).cloned();
        let Some(entries) = entries else {
            return;
        };
        let bytes = large::get(&self.streams.large, headers.as_ref(), &payload).await;
        if bytes.is_err() {
            // The server may only be away: it is looked for again.
            let again =
                |entry: &Arc<PendingTask>| entry.unread.fetch_add(1, Ordering::SeqCst) + 1 < UNREAD;
            if entries.iter().all(again) {
                return;
            }
        }
        let text = |name| {
            let value = headers.as_ref().and_then(|headers| headers.get(name));
            value.map_or("", |value| value.as_str()).to_owned()
        };
        let wall = Duration::from_nanos(number(&text(WALL)).unwrap_or(0));
        let outcome = match bytes {
            Ok(bytes) => Ok((bytes, text(WORKER), wall)),
            Err(what) => Err(TaskError::Decode { what }),
        };
        let mut is_told = false;
        for entry in entries {
            if self.forget(&entry) {
                is_told |= !entry.is_foreign;
                let outcome = outcome.clone();
                let _ = self.deliveries.send(Delivery { entry, outcome });
            }
        }
        if !is_told {
            return;
        }
        // What was stored for it has been used.
        if let Some(name) = large::named(headers.as_ref()) {
            large::remove(&self.link, &self.names, &self.streams.large, name).await;
        }
    }

    /// Tells who waits for it. A result that nobody wants is dropped here, and may panic.
    fn tell(self: Arc<Self>, delivery: Delivery) {
        let left = caught(|| {
            let remote = Arc::clone(&delivery.entry.remote);
            (!self.tell_outcome(delivery)).then_some(remote)
        });
        let Some(remote) = left.flatten() else {
            return self.one_is_done();
        };
        // Callbacks may block, and nobody else's outcome waits for that.
        let thread = std::thread::Builder::new().name("hands-callback".to_owned());
        let own = (Arc::clone(&self), Arc::clone(&remote));
        match thread.spawn(move || own.0.call_back(own.1)) {
            Ok(_) => drop(caught(move || drop(remote))),
            Err(_) => self.call_back(remote),
        }
    }

    fn call_back(&self, remote: Arc<dyn Remote>) {
        caught(move || remote.call_back());
        self.one_is_done();
    }

    /// False: it has callbacks, which are to be run.
    fn tell_outcome(&self, Delivery { entry, outcome }: Delivery) -> bool {
        let tally = self.events.tally();
        match outcome {
            Err(why) => {
                let how = match why {
                    TaskError::TimedOut { .. } => TaskEnd::TimedOut,
                    _ => TaskEnd::NotRun,
                };
                tally.add(how, 1);
                tally.add_finished(1);
                self.events.not_run(entry.number, entry.name);
                entry.remote.refuse_quietly(why)
            }
            Ok((bytes, worker, wall)) => {
                let error = remote::error_of(&bytes).filter(|_| entry.count == 1);
                let died = matches!(error, Some(TaskError::Died(_) | TaskError::Poisoned { .. }));
                let timed_out = matches!(error, Some(TaskError::TimedOut { .. }));
                // What says less than it should has its say, and the rest is missing.
                let is_whole = entry.remote.outcomes(&bytes, 0, entry.count);
                if !is_whole && entry.remote.is_open() {
                    let what = "the outcome: a part of it is missing".to_owned();
                    for number in 0..entry.count {
                        let what = what.clone();
                        entry.remote.fail(number, TaskError::Decode { what });
                    }
                }
                entry.remote.finish(&|panicked| {
                    tally.add_finished(1);
                    tally.add(TaskEnd::Panicked, panicked);
                    tally.add(TaskEnd::Died, u64::from(died));
                    tally.add(TaskEnd::TimedOut, u64::from(timed_out));
                    let how = match () {
                        () if panicked > 0 => TaskEnd::Panicked,
                        () if died => TaskEnd::Died,
                        () if timed_out => TaskEnd::TimedOut,
                        () => TaskEnd::Well,
                    };
                    self.tell_events(&entry, &worker, how, wall);
                })
            }
        }
    }

    fn tell_events(&self, entry: &PendingTask, worker: &str, how: TaskEnd, wall: Duration) {
        if !self.events.is_watched() {
            return;
        }
        let mut tracks = self.tracks.lock();
        let next = u32::try_from(tracks.len()).unwrap_or(u32::MAX);
        let track = tracks
            .entry(worker.to_owned())
            .or_insert((next, Duration::ZERO));
        // By our clock, and after what that worker did before.
        track.1 = self
            .events
            .ran(entry.number, entry.name, track.0, how, wall, track.1);
    }
}

/// What the user's code returns, unless it panics: that the hook has reported. What was thrown is
/// the user's, too, and may panic once more.
fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(run));
    let payload = match result {
        Ok(value) => return Some(value),
        Err(payload) => payload,
    };
    drop(catch_unwind(AssertUnwindSafe(|| drop(payload))).map_err(ManuallyDrop::new));
    None
}
