//! How many threads run that the program's end waits for.

use parking_lot::{Condvar, Mutex};

use super::info;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// On the list until it is dropped.
#[derive(Debug)]
pub(super) struct Entry(());

impl Entry {
    pub(super) fn new() -> Entry {
        *RUNNING.lock() += 1;
        Entry(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        *RUNNING.lock() -= 1;
        ENDED.notify_all();
    }
}

/// Waits until nobody is on the list but the caller.
pub(crate) fn join_all() {
    let own = usize::from(info::is_registered());
    let mut running = RUNNING.lock();
    while *running > own {
        ENDED.wait(&mut running);
    }
}
