//! [`current_task`]: what a task that runs here may know of itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;

use hands::sync::Mutex;
use serde::{Deserialize, Serialize};

use crate::feed::{FeedWriter, RunFiles};
use crate::link::ServerLink;
use crate::names::PoolNames;

/// The workers of this program, by their ids.
static WORKERS: LazyLock<Mutex<HashMap<String, (ServerLink, PoolNames)>>> =
    LazyLock::new(Mutex::default);

/// Who runs a task, and who began it before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct TaskOrigin {
    pub(super) worker: String,
    pub(super) before: Vec<String>,
}

tokio::task_local! {
    /// Of the coroutine that runs.
    pub(super) static ORIGIN: TaskOrigin;
}

thread_local! {
    /// Of the function that runs on this thread.
    static ORIGIN_HERE: RefCell<Option<TaskOrigin>> = const { RefCell::new(None) };
}

/// A worker of this program, for as long as it lends this machine.
pub(super) fn enter(id: &str, link: &ServerLink, names: &PoolNames) {
    let its = (link.clone(), names.clone());
    WORKERS.lock().insert(id.to_owned(), its);
}

pub(super) fn leave(id: &str) {
    // Its connection may end with it, and not under the lock.
    let left = WORKERS.lock().remove(id);
    drop(left);
}

/// As long as a function runs on this thread.
pub(super) struct OriginScope;

impl OriginScope {
    pub(super) fn enter(origin: TaskOrigin) -> OriginScope {
        ORIGIN_HERE.with(|own| *own.borrow_mut() = Some(origin));
        OriginScope
    }
}

impl Drop for OriginScope {
    fn drop(&mut self) {
        ORIGIN_HERE.with(|own| own.borrow_mut().take());
    }
}

/// The task that the caller runs in; `None` outside of tasks.
pub fn current_task() -> Option<CurrentTask> {
    let of_a_coroutine = ORIGIN.try_with(Clone::clone).ok();
    let origin = of_a_coroutine.or_else(|| ORIGIN_HERE.with(|own| own.borrow().clone()))?;
    let reached = WORKERS.lock().get(&origin.worker).cloned();
    Some(CurrentTask { origin, reached })
}

/// What a task may know of itself, and how it reaches who has submitted it.
#[derive(Clone, Debug)]
pub struct CurrentTask {
    origin: TaskOrigin,
    /// `None`: it runs in a process of its own, without a connection.
    reached: Option<(ServerLink, PoolNames)>,
}

impl CurrentTask {
    /// The names of the workers that have begun it, and did not finish it, one after the other.
    /// Empty unless a worker has gone, or was cut off.
    pub fn begun_before(&self) -> &[String] {
        &self.origin.before
    }

    /// A feed of this name, `<run>.<name>`. `None`: the task runs in a process of its own, or the
    /// name has what no name may have. `on_room` is called, on another thread, when there is room
    /// again after there was none.
    pub fn feed(
        &self,
        name: &str,
        on_room: impl Fn() + Send + Sync + 'static,
    ) -> Option<FeedWriter> {
        let (link, names) = self.reached.as_ref()?;
        FeedWriter::open(link, names, name, on_room)
    }

    /// Files by way of the server. `None`: the task runs in a process of its own.
    pub fn files(&self) -> Option<RunFiles> {
        let (link, names) = self.reached.as_ref()?;
        Some(RunFiles::new(link, names))
    }
}
