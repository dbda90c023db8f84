//! What wakes the loop of a batch whose jobs run elsewhere, and who ends them there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Wake, Waker};
use std::time::Duration;

use hands::task::Handle;
use rustix::event::{EventfdFlags, eventfd};

use super::job::JobEnd;

/// How often it is looked whether there are more workers, or none.
const EVERY: Duration = Duration::from_secs(1);
/// So long the server, and workers, have to hear that jobs are not wanted any more.
const CANCELS: Duration = Duration::from_secs(5);

/// Rings when there is something to hear.
pub(super) struct MachineBell {
    fd: OwnedFd,
    rung: Mutex<Vec<u64>>,
}

impl MachineBell {
    pub(super) fn new() -> Result<Arc<MachineBell>, String> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let fd = fd.map_err(|error| format!("cannot wait for other machines: {error}"))?;
        let bell = Arc::new(MachineBell {
            fd,
            rung: Mutex::default(),
        });
        ring_now_and_then(&bell)?;
        Ok(bell)
    }

    /// What wakes a task's waiter, and says which.
    pub(super) fn waker(self: &Arc<MachineBell>, batch: u64) -> Waker {
        let bell = Arc::clone(self);
        Waker::from(Arc::new(BatchBell { bell, batch }))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn ring(&self) {
        let _ = rustix::io::write(&self.fd, &1_u64.to_ne_bytes());
    }

    /// Which tasks have rung since.
    pub(super) fn take(&self) -> Vec<u64> {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.fd, &mut count);
        std::mem::take(&mut self.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Woken when a task has its outcome.
struct BatchBell {
    bell: Arc<MachineBell>,
    batch: u64,
}

impl Wake for BatchBell {
    fn wake(self: Arc<Self>) {
        let mut rung = self
            .bell
            .rung
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        rung.push(self.batch);
        drop(rung);
        self.bell.ring();
    }
}

/// Has it looked, now and then, whether there are more workers, or none.
fn ring_now_and_then(bell: &Arc<MachineBell>) -> Result<(), String> {
    let rings = Arc::downgrade(bell);
    let thread = std::thread::Builder::new().name("hands-look".to_owned());
    let looks = move || {
        loop {
            std::thread::park_timeout(EVERY);
            match rings.upgrade() {
                Some(bell) => bell.ring(),
                None => return,
            }
        }
    };
    let started = thread.spawn(looks);
    started
        .map(drop)
        .map_err(|error| format!("cannot start a thread: {error}"))
}

/// Cancels tasks on a thread of its own. Dropped, it waits until all are, or for a while: a server
/// that is away is not waited for.
pub(super) struct Canceller {
    handles: mpsc::Sender<Handle<Vec<JobEnd>>>,
    done: mpsc::Receiver<()>,
}

impl Canceller {
    pub(super) fn start() -> Result<Canceller, String> {
        let (handles, to_cancel) = mpsc::channel::<Handle<Vec<JobEnd>>>();
        let (give, done) = mpsc::channel();
        let thread = std::thread::Builder::new().name("hands-cancel".to_owned());
        let cancels = move || {
            for handle in to_cancel {
                handle.cancel();
            }
            drop(give);
        };
        let started = thread.spawn(cancels);
        started.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Canceller { handles, done })
    }
}

impl Canceller {
    pub(super) fn cancel(&self, handle: Handle<Vec<JobEnd>>) {
        let _ = self.handles.send(handle);
    }
}

impl Drop for Canceller {
    fn drop(&mut self) {
        // Its channel is closed by that.
        self.handles = mpsc::channel().0;
        let _ = self.done.recv_timeout(CANCELS);
    }
}
