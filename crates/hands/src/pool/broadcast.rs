//! Something for each worker to do.
//!
//! # Protocol
//!
//! - Each worker that is at work, or ready to be, has a mailbox on the pool's list, from before its
//!   thread is started. Whatever is put there it runs itself, between two tasks.
//! - A thread that broadcasts puts under the list's lock. A worker takes its mailbox off the list
//!   before it ends or becomes a spare, and opens it once more after that: so nothing stays in a
//!   mailbox that nobody opens.
//! - The thread is unparked after the put; a worker looks into its mailbox before it sleeps and
//!   whenever it is woken.

use std::any::type_name;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use parking_lot::Mutex;

use super::crew::Crew;
use super::worker::ThreadWorker;
use crate::task::blocking::Host;
use crate::task::cell::{Runnable, TaskCell};
use crate::task::{Handle, TaskError};

#[derive(Default)]
pub(super) struct Mailbox {
    /// Once it runs.
    thread: OnceLock<Thread>,
    count: AtomicUsize,
    tasks: Mutex<VecDeque<Arc<dyn Runnable>>>,
}

impl Mailbox {
    /// The calling thread's worker looks here from now on.
    pub(super) fn open(&self) {
        let _ = self.thread.set(std::thread::current());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn put(&self, task: Arc<dyn Runnable>) {
        self.tasks.lock().push_back(task);
        self.count.fetch_add(1, Ordering::SeqCst);
        // One that has not begun looks when it does.
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(super) fn take(&self) -> Option<Arc<dyn Runnable>> {
        let task = self.tasks.lock().pop_front()?;
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(task)
    }
}

pub(super) fn broadcast<F, R>(crew: &Arc<Crew>, run: F) -> Vec<Handle<R>>
where
    F: Fn(usize) -> R + Send + Sync + 'static,
    R: Send + 'static,
{
    let own = ThreadWorker::current().filter(|own| Arc::ptr_eq(&own.crew, crew));
    let run = Arc::new(run);
    let mut handles = Vec::new();
    let mut here = None;
    let mailboxes = crew.mailboxes.lock();
    for (number, mailbox) in mailboxes.iter().enumerate() {
        let run = Arc::clone(&run);
        let task = Arc::new(TaskCell::new(type_name::<F>(), move || run(number)));
        // No worker may run it in another one's place, so it is of no pool.
        handles.push(Handle::new(Arc::clone(&task) as _));
        match &own {
            Some(own) if Arc::ptr_eq(&own.mailbox, mailbox) => here = Some(task),
            _ => mailbox.put(task),
        }
    }
    drop(mailboxes);
    if let (Some(own), Some(task)) = (own, here) {
        own.run_here(task);
    }
    if handles.is_empty() {
        // Nobody is there to run it: the pool has been shut down.
        let task = Arc::new(TaskCell::new(type_name::<F>(), move || run(0)));
        task.refuse(TaskError::PoolClosed);
        handles.push(Handle::new(task));
    }
    handles
}
