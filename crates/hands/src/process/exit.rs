//! The end of a process that has started others: those that are no daemons are waited for, the daemons ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::Signal;

use super::handle::Shared;
use crate::thread::registry;

/// Between TERM and KILL for daemons.
const GRACE: Duration = Duration::from_secs(1);

/// All processes that have been started and are not known to have ended.
static LIVE: Mutex<Live> = Mutex::new(Live {
    all: Vec::new(),
    look_at: 64,
});

struct Live {
    all: Vec<Arc<Shared>>,
    /// How many make it worth while to look who has ended.
    look_at: usize,
}

pub(super) fn note(process: Arc<Shared>) {
    let mut live = LIVE.lock();
    if live.all.len() >= live.look_at {
        // Only those whose handle is gone: the others' owners will look themselves.
        live.all
            .retain(|process| Arc::strong_count(process) > 1 || !process.has_ended());
        live.look_at = 64.max(2 * live.all.len());
    }
    live.all.push(process);
}

pub(super) fn forget(process: &Arc<Shared>) {
    LIVE.lock().all.retain(|other| !Arc::ptr_eq(other, process));
}

/// Waits for threads and processes that are no daemons, those included that they start meanwhile; then ends the daemons.
pub(crate) fn finish() {
    loop {
        registry::join_all();
        let awaited = LIVE
            .lock()
            .all
            .iter()
            .find(|process| !process.is_daemon)
            .cloned();
        let Some(process) = awaited else { break };
        if process.is_ours() {
            process.wait(None);
        }
        forget(&process);
    }
    let daemons = std::mem::take(&mut LIVE.lock().all);
    for daemon in &daemons {
        daemon.signal(Signal::TERM);
    }
    let until = Instant::now().checked_add(GRACE);
    for daemon in daemons.iter().filter(|daemon| daemon.is_ours()) {
        if !daemon.wait(until) {
            daemon.signal(Signal::KILL);
            daemon.wait(None);
        }
    }
}
