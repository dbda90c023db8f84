//! Finding coroutines that block: each driver says what it polls, and a thread that looks twice and
//! finds it at the same poll knows.
//!
//! A poll costs two stores. Nobody looks while nothing is polled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::sync::timer::Alarm;
use crate::thread::panic::caught;

/// A coroutine that did not await for long: it blocked, or computed, and held up a thread of its
/// runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocked {
    /// What kind of task it is: the type of its function, or of its future.
    pub task: &'static str,
    /// For how long it had been at it when it was found, at least.
    pub for_at_least: Duration,
}

/// Told of each that is found.
pub(super) type OnBlocked = Arc<dyn Fn(&Blocked) + Send + Sync>;

/// Where one driver says what it polls.
#[derive(Debug)]
pub(super) struct Driver {
    /// Odd while it polls.
    turn: AtomicU64,
    class: Mutex<&'static str>,
    watch: Arc<StallWatch>,
}

/// What is to be done when some block.
pub(super) type Rescue = Box<dyn Fn(&Arc<StallWatch>, usize) + Send + Sync>;

/// Looks at all drivers now and then.
pub(super) struct StallWatch {
    threshold: Duration,
    is_set: AtomicBool,
    seen: Mutex<SeenDrivers>,
    counts: Mutex<(u64, Option<Blocked>)>,
    on_blocked: Option<OnBlocked>,
    /// Somebody else may do what those that block cannot; told how many do.
    rescue: Rescue,
}

#[derive(Default)]
struct SeenDrivers {
    drivers: Vec<Arc<Driver>>,
    /// At which poll each was, since when, and whether that was told.
    polls: Vec<(u64, Instant, bool)>,
    alarm: Option<Alarm>,
}

impl Driver {
    /// Polls something.
    pub(super) fn occupied<T>(
        self: &Arc<Self>,
        class: &'static str,
        poll: impl FnOnce() -> T,
    ) -> T {
        *self.class.lock() = class;
        let turn = self.turn.load(Ordering::Relaxed);
        self.turn.store(turn + 1, Ordering::SeqCst);
        // One that stops looking says so and then looks at all turns; this looks after its own
        // turn.
        if !self.watch.is_set.load(Ordering::SeqCst) {
            self.watch.begin();
        }
        let _vacate = Vacate(self, turn + 2);
        poll()
    }

    /// Nobody will poll here any more.
    pub(super) fn leave(self: &Arc<Self>) {
        let mut seen = self.watch.seen.lock();
        if let Some(at) = seen
            .drivers
            .iter()
            .position(|driver| Arc::ptr_eq(driver, self))
        {
            let driver = seen.drivers.swap_remove(at);
            seen.polls.swap_remove(at);
            drop(seen);
            drop(driver);
        }
    }
}

/// The poll is over, also when unwinding.
struct Vacate<'a>(&'a Driver, u64);

impl Drop for Vacate<'_> {
    fn drop(&mut self) {
        self.0.turn.store(self.1, Ordering::Release);
    }
}

impl StallWatch {
    pub(super) fn new(
        threshold: Duration,
        on_blocked: Option<OnBlocked>,
        rescue: Rescue,
    ) -> Arc<StallWatch> {
        Arc::new(StallWatch {
            threshold,
            is_set: AtomicBool::new(false),
            seen: Mutex::default(),
            counts: Mutex::default(),
            on_blocked,
            rescue,
        })
    }

    /// A place for another driver.
    pub(super) fn driver(self: &Arc<Self>) -> Arc<Driver> {
        let driver = Arc::new(Driver {
            turn: AtomicU64::new(0),
            class: Mutex::new(""),
            watch: Arc::clone(self),
        });
        let mut seen = self.seen.lock();
        seen.drivers.push(Arc::clone(&driver));
        seen.polls.push((0, Instant::now(), false));
        driver
    }

    /// No more: what is left is that the drivers and this hold each other.
    pub(super) fn end(&self) {
        let seen = std::mem::take(&mut *self.seen.lock());
        drop(seen);
    }

    /// How many were found, and the last of them.
    pub(super) fn counts(&self) -> (u64, Option<Blocked>) {
        self.counts.lock().clone()
    }

    #[cold]
    fn begin(self: &Arc<Self>) {
        if !self.is_set.swap(true, Ordering::SeqCst) {
            self.set();
        }
    }

    fn set(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        // Set under the lock: of two that set one, the later must not be taken for the earlier,
        // which is dropped.
        let mut seen = self.seen.lock();
        let at = Instant::now() + self.threshold / 4;
        // Prepared when the pool was made, so it does not fail.
        let before = std::mem::replace(&mut seen.alarm, Alarm::set(at, waker).ok());
        drop(seen);
        drop(before);
    }

    /// Whether any of them polls, and how many seem to be blocked; tells of those that have been at
    /// it for long.
    fn look(&self) -> (bool, usize) {
        let mut found = Vec::new();
        let mut is_any = false;
        let mut blocked = 0;
        {
            let now = Instant::now();
            let mut seen = self.seen.lock();
            let SeenDrivers { drivers, polls, .. } = &mut *seen;
            for (driver, seen) in drivers.iter().zip(polls) {
                let turn = driver.turn.load(Ordering::SeqCst);
                is_any |= turn % 2 == 1;
                if turn % 2 == 0 || turn != seen.0 {
                    *seen = (turn, now, false);
                    continue;
                }
                let since = now.saturating_duration_since(seen.1);
                // The others are to go on before it is reported.
                blocked += usize::from(since >= self.threshold / 2);
                if since < self.threshold || seen.2 {
                    continue;
                }
                let task = *driver.class.lock();
                // It may have ended meanwhile, and the class be that of another.
                if driver.turn.load(Ordering::SeqCst) == turn {
                    seen.2 = true;
                    found.push(Blocked {
                        task,
                        for_at_least: since,
                    });
                }
            }
        }
        for blocked in found {
            self.tell(blocked);
        }
        (is_any, blocked)
    }

    fn tell(&self, blocked: Blocked) {
        #[cfg(feature = "tracing")]
        tracing::warn!(
            task = blocked.task,
            for_at_least = ?blocked.for_at_least,
            "a coroutine does not await, and holds up a thread"
        );
        {
            let mut counts = self.counts.lock();
            counts.0 += 1;
            counts.1 = Some(blocked.clone());
        }
        let Some(on_blocked) = self.on_blocked.clone() else {
            return;
        };
        // A thread of its own: it is the user's, and may take its time, and the next look is made
        // here.
        let told = std::thread::Builder::new().name("hands-blocked".to_owned());
        let _ = told.spawn(move || {
            // The hook tells of its panic.
            drop(caught(|| on_blocked(&blocked)));
        });
    }
}

impl Wake for StallWatch {
    fn wake(self: Arc<Self>) {
        let (is_any, blocked) = self.look();
        (self.rescue)(&self, blocked);
        if is_any {
            return self.set();
        }
        self.is_set.store(false, Ordering::SeqCst);
        if self.look().0 {
            self.begin();
        }
    }
}

impl std::fmt::Debug for StallWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}
