//! How a thread waits that may be a worker: it works meanwhile.
//!
//! A task that submits to its own pool and waits for the outcome would wait for ever if all workers did so. So a worker
//! that waits for a handle runs other tasks of its pool until the outcome is there. It runs them on top of the waiting
//! task's stack; what that holds (a lock, a borrowed cell) it holds meanwhile.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::sync::park::{self, TimedOut};

/// A worker, to itself.
pub(crate) trait Help {
    /// Runs tasks until `poll` is ready, and waits where there are none. False: the deadline came first.
    fn help_until(
        &self,
        poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
        deadline: Option<Instant>,
    ) -> bool;
}

thread_local! {
    static HELPER: RefCell<Option<Rc<dyn Help>>> = const { RefCell::new(None) };
}

/// From now on this thread helps while it waits.
pub(crate) fn become_helper(helper: Rc<dyn Help>) {
    HELPER.set(Some(helper));
}

/// Whether this thread has better things to do than to wait.
pub(crate) fn is_helper() -> bool {
    HELPER
        .try_with(|helper| helper.borrow().is_some())
        .unwrap_or(false)
}

/// Waits for `future`, as a worker helping its pool.
pub(crate) fn block_on<F: Future>(
    future: F,
    deadline: Option<Instant>,
) -> Result<F::Output, TimedOut> {
    let helper = HELPER.try_with(|helper| helper.borrow().clone());
    let Some(helper) = helper.ok().flatten() else {
        return park::block_on(future, deadline);
    };
    let mut future = pin!(future);
    let mut output = None;
    let mut poll = |context: &mut Context<'_>| {
        future
            .as_mut()
            .poll(context)
            .map(|ready| output = Some(ready))
    };
    helper.help_until(&mut poll, deadline);
    output.ok_or(TimedOut)
}
