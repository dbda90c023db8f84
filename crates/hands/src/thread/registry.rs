//! What the program's end waits for: threads, and the tasks of pools.

use std::sync::{Arc, Weak};

use parking_lot::{Condvar, Mutex};

use super::info;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();
static POOLS: Mutex<Vec<Noted>> = Mutex::new(Vec::new());

/// A pool, and whether the program's end waits for it.
struct Noted {
    pool: Weak<dyn Unfinished>,
    is_awaited: bool,
}

/// On the list until it is dropped.
#[derive(Debug)]
pub(super) struct RegistryEntry(());

impl RegistryEntry {
    pub(super) fn new() -> RegistryEntry {
        *RUNNING.lock() += 1;
        RegistryEntry(())
    }
}

impl Drop for RegistryEntry {
    fn drop(&mut self) {
        *RUNNING.lock() -= 1;
        ENDED.notify_all();
    }
}

/// A pool, which may lie in a `static` and so never be dropped.
pub(crate) trait Unfinished: Send + Sync {
    /// Whether a task has no outcome yet.
    fn is_unfinished(&self) -> bool;
    /// Waits until all have one.
    fn finish(&self);
    /// The pool's number, for those whose tasks tell of it.
    fn number(&self) -> u64 {
        0
    }
    /// One of its tasks has been cancelled before it began.
    fn note_cancelled(&self) {}
}

/// The program's end waits for this pool's tasks, unless the caller is a daemon.
pub(crate) fn note_pool(pool: Weak<dyn Unfinished>) {
    let is_awaited = !info::current().is_daemon();
    let mut pools = POOLS.lock();
    if pools.len().is_power_of_two() {
        pools.retain(|noted| noted.pool.strong_count() > 0);
    }
    pools.push(Noted { pool, is_awaited });
}

/// Tells the pool of that number that one of its tasks has been cancelled before it began.
pub(crate) fn note_cancelled(number: u64) {
    let pools = POOLS.lock();
    let alive = pools.iter().filter_map(|noted| noted.pool.upgrade());
    // All of them are kept until the lock is free: the last owner of one may be here.
    let alive: Vec<_> = alive.collect();
    drop(pools);
    if let Some(pool) = alive.iter().find(|pool| pool.number() == number) {
        pool.note_cancelled();
    }
}

fn unfinished_pool() -> Option<Arc<dyn Unfinished>> {
    let awaited = |noted: &Noted| noted.is_awaited.then(|| noted.pool.upgrade()).flatten();
    let pools: Vec<_> = POOLS.lock().iter().filter_map(awaited).collect();
    pools.into_iter().find(|pool| pool.is_unfinished())
}

/// Waits until nobody is on the list but the caller, and no pool has an unfinished task.
pub(crate) fn join_all() {
    let own = usize::from(info::is_registered());
    loop {
        {
            let mut running = RUNNING.lock();
            while *running > own {
                ENDED.wait(&mut running);
            }
        }
        match unfinished_pool() {
            Some(pool) => pool.finish(),
            None if *RUNNING.lock() <= own => return,
            None => {}
        }
    }
}
