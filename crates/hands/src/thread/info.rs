//! Who a thread is.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};

/// A thread, as it is known to itself: what [`current`] returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    pub(super) name: Arc<str>,
    pub(super) id: ThreadId,
    pub(super) daemon: bool,
}

impl Current {
    /// Its name; `main` for the first, `thread-N` for one that was given none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number, which no other thread of this program ever has.
    pub fn id(&self) -> ThreadId {
        self.id
    }

    /// Whether the program may end without it.
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }
}

thread_local! {
    /// Of a thread that was started here.
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

struct Own {
    name: Arc<str>,
    daemon: bool,
    /// Dropped when the thread ends.
    _ending: Box<dyn Any>,
}

/// The calling thread. One that was not started by [`spawn`](super::spawn) and its kin is no
/// daemon.
///
/// ```
/// let name = hands::thread::spawn(|| hands::thread::current().name().to_owned());
/// assert!(name.join().unwrap().starts_with("thread-"));
/// ```
pub fn current() -> Current {
    let thread = thread::current();
    let known = |own: &RefCell<Option<Own>>| {
        let own = own.borrow();
        own.as_ref().map(|own| (Arc::clone(&own.name), own.daemon))
    };
    let own = OWN.try_with(known).ok().flatten();
    let (name, daemon) = own.unwrap_or_else(|| (thread.name().unwrap_or("unnamed").into(), false));
    Current {
        name,
        id: thread.id(),
        daemon,
    }
}

/// Notes on the new thread who it is. To be the first that the thread does: thread-local values are
/// dropped in the reverse of the order in which they were first used, so `ending` is dropped after
/// all that the thread's function has left behind.
pub(crate) fn introduce(name: Arc<str>, daemon: bool, ending: impl Any) {
    let own = Own {
        name,
        daemon,
        _ending: Box::new(ending),
    };
    OWN.set(Some(own));
}

/// Whether the calling thread was started here and is no daemon.
pub(super) fn is_registered() -> bool {
    let daemon = OWN.try_with(|own| own.borrow().as_ref().map(|own| own.daemon));
    daemon.ok().flatten() == Some(false)
}

/// A name for a thread that is given none.
pub(super) fn next_name() -> Arc<str> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("thread-{}", LAST.fetch_add(1, Ordering::Relaxed) + 1).into()
}
