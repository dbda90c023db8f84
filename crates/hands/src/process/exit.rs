//! The end of a process that has started others: those that are no daemons are waited for, the
//! daemons ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::Signal;

use super::reactor::Ready;
use super::running::RunningProcess;
use crate::thread::registry;

/// Between TERM and KILL for daemons.
const GRACE: Duration = Duration::from_secs(1);

/// All processes that have been started and are not known to have ended.
static LIVE: Mutex<Live> = Mutex::new(Live {
    all: Vec::new(),
    look_at: 64,
});

struct Live {
    all: Vec<Arc<RunningProcess>>,
    /// How many make it worth while to look who has ended.
    look_at: usize,
}

pub(super) fn note(process: Arc<RunningProcess>) {
    let mut live = LIVE.lock();
    if live.all.len() >= live.look_at {
        // Only those whose handle is gone: the others' owners will look themselves.
        live.all
            .retain(|process| Arc::strong_count(process) > 1 || !process.has_ended());
        live.look_at = 64.max(2 * live.all.len());
    }
    live.all.push(process);
}

pub(super) fn forget(process: &Arc<RunningProcess>) {
    LIVE.lock().all.retain(|other| !Arc::ptr_eq(other, process));
}

/// Nobody has a handle of this process, which runs. It is forgotten when it has ended, and what is
/// kept for it given back.
pub(super) fn forget_at_end(process: &Arc<RunningProcess>) {
    struct Forgetting {
        process: Arc<RunningProcess>,
        ready: Mutex<Option<Pin<Box<Ready>>>>,
    }
    impl Wake for Forgetting {
        fn wake(self: Arc<Self>) {
            let mut ready = self.ready.lock();
            loop {
                if self.process.has_ended() {
                    *ready = None;
                    return forget(&self.process);
                }
                let Ok(again) = Ready::to_read(self.process.answers()) else {
                    return;
                };
                let waker = Waker::from(Arc::clone(&self));
                let place = ready.insert(Box::pin(again));
                match place.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Pending => return,
                    Poll::Ready(Ok(())) => {}
                    // For want of a descriptor: `note` looks at it some time.
                    Poll::Ready(Err(_)) => return *ready = None,
                }
            }
        }
    }
    let forgetting = Forgetting {
        process: Arc::clone(process),
        ready: Mutex::new(None),
    };
    Arc::new(forgetting).wake();
}

/// Waits for threads and processes that are no daemons, those included that they start meanwhile;
/// then ends the daemons.
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
