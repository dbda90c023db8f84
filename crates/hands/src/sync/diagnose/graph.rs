//! The graph: who holds, who waits, and which orders have been seen.

use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};
use std::thread::ThreadId;
use std::time::Instant;

use parking_lot::Mutex;

use super::number::{LockId, LockMode, LockNumber};
use super::publish;
use super::report::{Report, ReportKind, ReportSide};

/// Orders of two locks that are remembered.
pub const ORDERS: usize = 10_000;

/// A lock that is held: see [`holders`].
#[derive(Clone, Debug)]
pub struct Held {
    /// The lock.
    pub lock: LockId,
    /// In which way.
    pub mode: LockMode,
    /// Who locked it. A guard that was sent to another thread is still counted to the one that
    /// locked.
    pub thread: Arc<str>,
    /// Its number.
    pub thread_id: ThreadId,
    /// Since when.
    pub since: Instant,
    /// Where it was locked.
    pub stack: Arc<Backtrace>,
}

struct Waiting {
    lock: LockId,
    mode: LockMode,
    /// It has the lock for upgrading already.
    upgrades: bool,
    thread: Arc<str>,
    stack: Arc<Backtrace>,
}

struct OrderSeen {
    thread: Arc<str>,
    held_at: Arc<Backtrace>,
    mode: LockMode,
    wanted_at: Arc<Backtrace>,
}

#[derive(Default)]
struct Graph {
    held: Vec<Held>,
    waiting: HashMap<ThreadId, Waiting>,
    /// Locks that were released by a thread which had not locked them: who has their guards is not
    /// known.
    travelled: HashSet<LockId>,
    orders: HashMap<LockId, HashMap<LockId, OrderSeen>>,
    number_of_orders: usize,
    /// Rings that have been told of, by their locks in order.
    told: HashSet<Vec<LockId>>,
}

static GRAPH: LazyLock<Mutex<Graph>> = LazyLock::new(Mutex::default);

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Runs `note` unless this thread is noting something already, or is ending.
fn quietly<R>(note: impl FnOnce() -> R) -> Option<R> {
    struct Done;
    impl Drop for Done {
        fn drop(&mut self) {
            let _ = BUSY.try_with(|busy| busy.set(false));
        }
    }
    let was_busy = BUSY.try_with(|busy| busy.replace(true)).unwrap_or(true);
    if was_busy {
        return None;
    }
    let _done = Done;
    Some(note())
}

/// All locks that are held now, by all threads.
pub fn holders() -> Vec<Held> {
    quietly(|| GRAPH.lock().held.clone()).unwrap_or_default()
}

/// The caller has the lock.
pub(in crate::sync) fn acquired(number: &LockNumber, mode: LockMode) {
    quietly(|| {
        let thread = std::thread::current();
        let held = Held {
            lock: number.get(),
            mode,
            thread: thread.name().unwrap_or("unnamed").into(),
            thread_id: thread.id(),
            since: Instant::now(),
            stack: Arc::new(Backtrace::force_capture()),
        };
        GRAPH.lock().held.push(held);
    });
}

/// The caller is about to give the lock back, no matter who locked it.
pub(in crate::sync) fn released(number: &LockNumber, mode: LockMode) {
    quietly(|| {
        let (lock, own) = (number.get(), std::thread::current().id());
        let mut graph = GRAPH.lock();
        let held = |held: &Held| held.lock == lock && held.mode == mode;
        let place = graph
            .held
            .iter()
            .rposition(|hold| held(hold) && hold.thread_id == own)
            .or_else(|| graph.held.iter().rposition(held));
        // Missing if it was locked unnoticed.
        let gone = place.map(|place| graph.held.swap_remove(place));
        if gone.as_ref().is_some_and(|held| held.thread_id != own) {
            graph.travelled.insert(lock);
        }
        drop(graph);
        drop(gone);
    });
}

/// The lock is now held in another way.
pub(in crate::sync) fn changed(number: &LockNumber, from: LockMode, to: LockMode) {
    released(number, from);
    acquired(number, to);
}

/// The caller is about to lock, and will wait as long as it takes, which `wait` does.
///
/// Does not return if the wait would never end: it tells of it, and aborts the program. A panic
/// would be kinder, but `MutexGuard::unlocked` locks again behind the back of a guard that counts
/// as locked, and a panic there would leave that guard without its lock.
pub(in crate::sync) fn awaiting(
    number: &LockNumber,
    mode: LockMode,
    upgrades: bool,
    wait: impl FnOnce(),
) {
    let deadlock = quietly(|| {
        let thread = std::thread::current();
        let waiting = Waiting {
            lock: number.get(),
            mode,
            upgrades,
            thread: thread.name().unwrap_or("unnamed").into(),
            stack: Arc::new(Backtrace::force_capture()),
        };
        let ring = {
            let mut graph = GRAPH.lock();
            graph.waiting.insert(thread.id(), waiting);
            graph.ring_of(thread.id())
        };
        ring.map(|report| {
            let report = Arc::new(report);
            publish(&report);
            report
        })
    });
    if let Some(report) = deadlock.flatten() {
        // By way of the panic hook: whatever shows panics shows this.
        let _ = std::panic::catch_unwind(|| panic!("{report}"));
        std::process::abort();
    }
    wait();
    quietly(|| {
        let gone = GRAPH.lock().waiting.remove(&std::thread::current().id());
        drop(gone);
    });
}

/// The caller locks while it may hold other locks: that is an order.
pub(in crate::sync) fn ordered(number: &LockNumber, mode: LockMode) {
    quietly(|| {
        let own = std::thread::current().id();
        let lock = number.get();
        let reports = {
            let mut graph = GRAPH.lock();
            let new: Vec<Held> = graph
                .held
                .iter()
                .filter(|held| held.thread_id == own && held.lock != lock)
                .filter(|held| !graph.knows(held.lock, lock))
                .cloned()
                .collect();
            if new.is_empty() {
                return;
            }
            let wanted_at = Arc::new(Backtrace::force_capture());
            let rings = new.into_iter().filter_map(|held| {
                let seen = OrderSeen {
                    thread: held.thread,
                    held_at: held.stack,
                    mode,
                    wanted_at: Arc::clone(&wanted_at),
                };
                graph.learn(held.lock, lock, seen)
            });
            rings.collect::<Vec<_>>()
        };
        for report in reports {
            publish(&Arc::new(report));
        }
    });
}

impl Graph {
    /// The threads that `thread` waits for, each with the lock it is waited for at. `None` for a
    /// writer that only waits too.
    fn blockers(&self, thread: ThreadId) -> Vec<(ThreadId, Option<&Held>)> {
        let Some(waiting) = self.waiting.get(&thread) else {
            return Vec::new();
        };
        if self.travelled.contains(&waiting.lock) {
            return Vec::new();
        }
        let holders = self.held.iter().filter(|held| {
            let own_upgrade =
                waiting.upgrades && held.thread_id == thread && held.mode == LockMode::Upgradable;
            held.lock == waiting.lock && waiting.mode.excludes(held.mode) && !own_upgrade
        });
        let mut blockers: Vec<_> = holders.map(|held| (held.thread_id, Some(held))).collect();
        if waiting.mode == LockMode::Shared {
            // A reader lets writers go first that came before.
            let writers = self.waiting.iter().filter(|(id, other)| {
                **id != thread && other.lock == waiting.lock && other.mode == LockMode::Exclusive
            });
            blockers.extend(writers.map(|(id, _)| (*id, None)));
        }
        blockers
    }

    /// The ring of waiting threads that goes through `start`, if there is one.
    fn ring_of(&self, start: ThreadId) -> Option<Report> {
        // Depth first; `path` leads from `start` to the thread at hand.
        let mut seen = HashSet::from([start]);
        let mut path = vec![(start, self.blockers(start).into_iter())];
        while let Some((_, blockers)) = path.last_mut() {
            match blockers.next() {
                Some((blocker, _)) if blocker == start => {
                    let ring: Vec<_> = path.iter().map(|(thread, _)| *thread).collect();
                    return Some(self.deadlock(&ring));
                }
                Some((blocker, _)) if seen.insert(blocker) => {
                    path.push((blocker, self.blockers(blocker).into_iter()));
                }
                Some(_) => {}
                None => {
                    path.pop();
                }
            }
        }
        None
    }

    fn deadlock(&self, ring: &[ThreadId]) -> Report {
        let before = ring.iter().cycle().skip(ring.len() - 1);
        let sides = ring.iter().zip(before).filter_map(|(thread, before)| {
            let waiting = self.waiting.get(thread)?;
            // What the one before in the ring waits for, and this one holds (or only awaits, ahead
            // of it).
            let wanted_of = self.waiting.get(before)?.lock;
            let held = |held: &&Held| held.thread_id == *thread && held.lock == wanted_of;
            let held_at = self.held.iter().find(held).map(|held| &held.stack);
            Some(ReportSide {
                thread: Arc::clone(&waiting.thread),
                held: wanted_of,
                held_at: Arc::clone(held_at.unwrap_or(&waiting.stack)),
                wanted: waiting.lock,
                mode: waiting.mode,
                wanted_at: Arc::clone(&waiting.stack),
            })
        });
        Report {
            kind: ReportKind::Deadlock,
            sides: sides.collect(),
        }
    }

    fn knows(&self, first: LockId, then: LockId) -> bool {
        self.orders
            .get(&first)
            .is_some_and(|after| after.contains_key(&then))
    }

    /// Notes an order; returns the ring it closes, unless that has been told of.
    fn learn(&mut self, first: LockId, then: LockId, seen: OrderSeen) -> Option<Report> {
        if self.number_of_orders >= ORDERS {
            self.orders.clear();
            self.told.clear();
            self.number_of_orders = 0;
        }
        let after = self.orders.entry(first).or_default();
        if after.insert(then, seen).is_none() {
            self.number_of_orders += 1;
        }
        let mut ring = self.way(then, first)?;
        ring.insert(0, first);
        let mut name = ring.clone();
        name.sort_unstable();
        if !self.told.insert(name) {
            return None;
        }
        let next = ring.iter().cycle().skip(1);
        let sides = ring.iter().zip(next).filter_map(|(&held, &wanted)| {
            let seen = self.orders.get(&held)?.get(&wanted)?;
            Some(ReportSide {
                thread: Arc::clone(&seen.thread),
                held,
                held_at: Arc::clone(&seen.held_at),
                wanted,
                mode: seen.mode,
                wanted_at: Arc::clone(&seen.wanted_at),
            })
        });
        Some(Report {
            kind: ReportKind::Inversion,
            sides: sides.collect(),
        })
    }

    /// The shortest way by orders seen, from one lock to just before another.
    fn way(&self, from: LockId, to: LockId) -> Option<Vec<LockId>> {
        let mut came_from = HashMap::new();
        let mut next = std::collections::VecDeque::from([from]);
        while let Some(lock) = next.pop_front() {
            for &after in self.orders.get(&lock).into_iter().flat_map(HashMap::keys) {
                if after == to {
                    let way =
                        std::iter::successors(Some(lock), |lock| came_from.get(lock).copied());
                    let mut way: Vec<LockId> = way.collect();
                    way.reverse();
                    return Some(way);
                }
                if after != from && !came_from.contains_key(&after) {
                    came_from.insert(after, lock);
                    next.push_back(after);
                }
            }
        }
        None
    }
}
