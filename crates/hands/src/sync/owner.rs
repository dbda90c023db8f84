//! The token of a task, made when somebody first asks for it: few tasks do, and a token costs more
//! than a small task.
//!
//! Each worker keeps the tasks it runs, the innermost last (a waiting task has others on top of
//! it), and with each the token that was around its submitter. As long as that one is still
//! the token around the caller, nobody has entered another within the task, and the task's own
//! takes its place.

use std::cell::RefCell;
use std::sync::Arc;

use parking_lot::Mutex;

use super::cancel::{CURRENT, CancelToken};
use crate::context::before_capture;
use crate::foreign::dispose;

/// What has a token of its own: a task.
pub(crate) trait Owner: Send + Sync {
    /// Its token; made, when there is none, as a child of `outer`.
    fn token(&self, outer: Option<&CancelToken>) -> CancelToken;
}

/// The tasks that one worker runs.
#[derive(Clone, Default)]
pub(crate) struct Owners(Arc<Mutex<Vec<Owned>>>);

#[derive(Clone)]
struct Owned {
    /// `None`: work without a token of its own.
    owner: Option<Arc<dyn Owner>>,
    outer: Option<CancelToken>,
}

thread_local! {
    static OWN: RefCell<Option<Owners>> = const { RefCell::new(None) };
}

/// Takes the innermost out again, also when unwinding.
struct Leave<'a>(&'a Owners);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let left = self.0.0.lock().pop();
        // Perhaps the last that held the task: not under the lock.
        drop(left);
    }
}

impl Owners {
    /// From now on these are the tasks of this thread.
    pub(crate) fn adopt(&self) {
        before_capture(overlay_own);
        OWN.set(Some(self.clone()));
    }

    /// As [`adopt`](Self::adopt), for as long as `run` takes: the thread belongs to somebody else.
    #[cfg(feature = "async")]
    pub(crate) fn adopted<R>(&self, run: impl FnOnce() -> R) -> R {
        /// Gives the thread back, also when unwinding.
        struct Return(Option<Owners>);

        impl Drop for Return {
            fn drop(&mut self) {
                let _ = OWN.try_with(|own| own.replace(self.0.take()));
            }
        }

        before_capture(overlay_own);
        let _return = Return(OWN.replace(Some(self.clone())));
        run()
    }

    /// Runs the function of a task on this thread, which must have [adopted](Self::adopt) these.
    pub(crate) fn run<R>(&self, owner: Option<Arc<dyn Owner>>, run: impl FnOnce() -> R) -> R {
        let outer = CURRENT.get().map(|token| CancelToken::clone(&token));
        self.0.lock().push(Owned { owner, outer });
        let _leave = Leave(self);
        run()
    }

    /// Whether both are those of the same thread.
    pub(crate) fn is(&self, other: &Owners) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Cancels all that run.
    pub(crate) fn cancel(&self) {
        let running = self.0.lock().clone();
        for owned in running {
            if let Some(owner) = &owned.owner {
                owner.token(owned.outer.as_ref()).cancel();
            }
            // Perhaps the last that held the task.
            dispose(owned);
        }
    }
}

/// Puts the token of the task around the caller, if there is a task that has one and nothing
/// nearer.
pub(crate) fn overlay_own() {
    let of = |own: &RefCell<Option<Owners>>| own.borrow().as_ref()?.0.lock().last().cloned();
    let Some(Owned {
        owner: Some(owner),
        outer,
    }) = OWN.try_with(of).ok().flatten()
    else {
        return;
    };
    let around = CURRENT.get();
    if around.as_deref().map(CancelToken::identity) == outer.as_ref().map(CancelToken::identity) {
        CURRENT.overlay(owner.token(outer.as_ref()));
    }
}
