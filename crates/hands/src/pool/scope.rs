//! Tasks that borrow.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::sync::Arc;

use parking_lot::Mutex;

use super::crew::Crew;
use super::job::Job;
use crate::task::latch::Latch;
use crate::thread::panic::caught;

/// Where tasks are spawned that borrow: what [`ThreadPool::scope`](super::ThreadPool::scope) gives to its function.
pub struct Scope<'scope, 'env: 'scope> {
    crew: Arc<Crew>,
    state: Arc<State>,
    /// Invariant, so that neither life can be made longer or shorter than it is.
    lives: PhantomData<(&'scope mut &'scope (), &'env mut &'env ())>,
}

struct State {
    /// Tasks that have not ended, and the scope's own function.
    left: Latch,
    /// The first panic.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What the queue holds for a task of a scope.
struct Borrowing {
    /// Gone when it has been run.
    run: Option<Box<dyn FnOnce() + Send>>,
    state: Arc<State>,
}

impl<'scope> Scope<'scope, '_> {
    /// Hands a task to the pool. It may borrow whatever outlives the scope, and spawn more tasks in it.
    pub fn spawn<F>(&'scope self, run: F)
    where
        F: FnOnce() + Send + 'scope,
    {
        let run: Box<dyn FnOnce() + Send + 'scope> = Box::new(run);
        // SAFETY: only the life is changed. What the closure borrows lives until `scope_in` returns, and that waits, also
        // when unwinding, until `left` is zero. `left` counts this task from here until `Borrowing` is dropped, which has
        // then either run the closure, using it up, or dropped it.
        let run: Box<dyn FnOnce() + Send + 'static> = unsafe { std::mem::transmute(run) };
        self.state.left.add_one();
        let mut task = Borrowing {
            run: Some(run),
            state: Arc::clone(&self.state),
        };
        self.crew.put(Job::run(Box::new(move || task.work())));
    }
}

impl Borrowing {
    fn work(&mut self) {
        if let Some(run) = self.run.take()
            && let Err(caught) = caught(run)
        {
            self.state.panic.lock().get_or_insert(caught.payload);
        }
    }
}

impl Drop for Borrowing {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            let dropped = caught(|| drop(run));
            let why =
                "the pool was shut down before all tasks of the scope had run; end the scope first";
            let payload = dropped
                .err()
                .map_or_else(|| Box::new(why) as _, |caught| caught.payload);
            self.state.panic.lock().get_or_insert(payload);
        }
        self.state.left.done();
    }
}

/// Waits, also when unwinding.
struct Wait<'a>(&'a Latch);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.done();
        while !self.0.is_done() {
            let _ = caught(|| self.0.wait());
        }
    }
}

pub(super) fn scope_in<'env, F, R>(crew: &Arc<Crew>, run: F) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    let scope = Scope {
        crew: Arc::clone(crew),
        state: Arc::new(State {
            left: Latch::new(1),
            panic: Mutex::new(None),
        }),
        lives: PhantomData,
    };
    let result = {
        let _wait = Wait(&scope.state.left);
        run(&scope)
    };
    if let Some(payload) = scope.state.panic.lock().take() {
        resume_unwind(payload);
    }
    result
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
