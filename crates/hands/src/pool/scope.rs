//! Tasks that borrow.
//!
//! # Protocol
//!
//! - A scope has its tasks on a list of its own. For each of them the pool's queue holds a claim on one of the list, whichever is the next then;
//!   so whoever waits for the scope on a worker may run them, too, and claims that come later find nothing.
//! - `left` counts the scope's own function and all tasks that have not ended. `scope_in` is left, also by a panic, only when it is zero. A task
//!   counts from before it is on the list until its closure and what that has borrowed are gone; its result is kept by the handle.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;

use parking_lot::Mutex;

use super::crew::Crew;
use super::job::Job;
use crate::context::Context;
use crate::foreign::{NoUnwind, dispose, dispose_payload};
use crate::sync::cancel::Owners;
use crate::task::TaskError;
use crate::task::blocking::{self, Host, PoolId};
use crate::task::cell::{Ran, Runnable};
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
    pool: PoolId,
    /// Tasks that have not ended, and the scope's own function.
    left: Latch,
    /// Those that have not begun.
    queued: Mutex<VecDeque<Queued>>,
    /// The first panic of a task that nobody joins.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

struct Queued {
    run: Box<dyn FnOnce() + Send>,
    context: Context,
}

/// The claim on the result of a task of a scope: what [`Scope::spawn`] returns. Dropping it lets the task run on, to the end of the scope at
/// most; if it panics, the scope does.
pub struct ScopedHandle<'scope, R> {
    /// Gone when it is dropped.
    slot: Option<Arc<Slot<R>>>,
    state: Arc<State>,
    life: PhantomData<&'scope ()>,
}

/// Where a task leaves its result.
struct Slot<R> {
    done: Latch,
    result: Mutex<Option<std::thread::Result<R>>>,
}

impl<'scope> Scope<'scope, '_> {
    /// Hands a task to the pool. It may borrow whatever outlives the scope, and spawn more tasks in it.
    ///
    /// ```
    /// use hands::pool::ThreadPool;
    ///
    /// let pool = ThreadPool::new()?;
    /// let words = ["many", "hands"];
    /// let lengths: usize = pool.scope(|scope| {
    ///     let handles = words.each_ref().map(|word| scope.spawn(|| word.len()));
    ///     handles.into_iter().map(|handle| handle.join().unwrap()).sum()
    /// });
    /// assert_eq!(lengths, 9);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn<F, R>(&'scope self, run: F) -> ScopedHandle<'scope, R>
    where
        F: FnOnce() -> R + Send + 'scope,
        R: Send + 'scope,
    {
        let slot = Arc::new(Slot {
            done: Latch::new(1),
            result: Mutex::new(None),
        });
        let handle = ScopedHandle {
            slot: Some(Arc::clone(&slot)),
            state: Arc::clone(&self.state),
            life: PhantomData,
        };
        let promise = Promise {
            slot: Some(slot),
            state: Arc::clone(&self.state),
        };
        self.put(Box::new(move || {
            let result = caught(run).map_err(|caught| caught.into_payload());
            promise.keep(result);
        }));
        handle
    }

    /// [`spawn`](Self::spawn) for a task whose result nobody wants: cheaper. If it panics, the scope does.
    pub fn execute<F>(&'scope self, run: F)
    where
        F: FnOnce() + Send + 'scope,
    {
        let state = Arc::clone(&self.state);
        self.put(Box::new(move || {
            if let Err(caught) = caught(run) {
                state.note(caught.into_payload());
            }
        }));
    }

    fn put(&'scope self, run: Box<dyn FnOnce() + Send + 'scope>) {
        // SAFETY: only the life is changed. What the closure borrows lives until `scope_in` returns, and that waits, also
        // when unwinding, until `left` is zero. `left` counts this task from here until `State::run_one` or `State::refuse` has
        // used the closure up or dropped it.
        let run: Box<dyn FnOnce() + Send + 'static> = unsafe { std::mem::transmute(run) };
        let context = Context::current();
        self.state.left.add_one();
        self.state.queued.lock().push_back(Queued { run, context });
        self.crew.put(Job::task(Arc::clone(&self.state) as _));
    }
}

/// The task's side of a slot. Dropped without a result, it tells the handle so.
struct Promise<R> {
    slot: Option<Arc<Slot<R>>>,
    state: Arc<State>,
}

impl<R> Promise<R> {
    fn keep(self, result: std::thread::Result<R>) {
        if let Some(slot) = &self.slot {
            *slot.result.lock() = Some(result);
        }
    }
}

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.done.done();
            give_up(slot, &self.state);
        }
    }
}

/// For one of the two sides of a slot that needs it no more. The last drops the result, and if that is a panic, it is the scope's.
fn give_up<R>(slot: Arc<Slot<R>>, state: &State) {
    match Arc::into_inner(slot).map(|slot| slot.result.into_inner()) {
        Some(Some(Err(payload))) => state.note(payload),
        result => dispose(result),
    }
}

impl<R> Drop for ScopedHandle<'_, R> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            give_up(slot, &self.state);
        }
    }
}

impl<R> ScopedHandle<'_, R> {
    /// Waits for the result. On a worker of the pool, tasks of the scope that have not begun are run meanwhile.
    ///
    /// # Errors
    ///
    /// The payload of its panic; or, if the pool was shut down before it had run, a text that says so.
    pub fn join(self) -> std::thread::Result<R> {
        let result = self.slot.as_ref().and_then(|slot| {
            while !slot.done.is_done() && self.state.run_queued() {}
            slot.done.wait();
            slot.result.lock().take()
        });
        result.unwrap_or_else(|| Err(Box::new(REFUSED)))
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.slot.as_ref().is_none_or(|slot| slot.done.is_done())
    }
}

impl<R> fmt::Debug for ScopedHandle<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ScopedHandle");
        shown.field("finished", &self.is_finished());
        shown.finish_non_exhaustive()
    }
}

const REFUSED: &str =
    "the pool was shut down before all tasks of the scope had run; end the scope first";

/// One task of the scope less, also when unwinding.
struct Done<'a>(&'a Latch);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.done();
    }
}

impl State {
    /// Notes a panic; the first one counts.
    fn note(&self, payload: Box<dyn Any + Send>) {
        let mut payload = Some(payload);
        let mut noted = self.panic.lock();
        if noted.is_none() {
            *noted = payload.take();
        }
        drop(noted);
        if let Some(payload) = payload {
            dispose_payload(payload);
        }
    }

    /// Runs the next task, if one has not begun.
    fn run_one(&self, owners: Option<&Owners>) -> bool {
        let Some(Queued { run, context }) = self.queued.lock().pop_front() else {
            return false;
        };
        let _done = Done(&self.left);
        // The closure contains the panics of what is the user's; a subscriber of `tracing` may panic around it.
        let run = || {
            let ran = caught(|| context.run(run));
            if let Err(caught) = ran {
                self.note(caught.into_payload());
            }
        };
        match owners {
            // What a waiting task beneath has for a token is not this one's.
            Some(owners) => owners.run(None, run),
            None => run(),
        }
        dispose(context);
        true
    }

    /// On a worker: runs the next task that has not begun, as long as there is room on the stack.
    fn run_queued(self: &Arc<Self>) -> bool {
        let is_own = |host: &Rc<dyn Host>| host.pool() == self.pool && host.has_room();
        let Some(host) = blocking::host().filter(is_own) else {
            return false;
        };
        if self.queued.lock().is_empty() {
            return false;
        }
        host.run_here(Arc::clone(self) as _);
        true
    }

    /// Waits until all tasks have ended.
    fn wait(self: &Arc<Self>) {
        self.left.done();
        while !self.left.is_done() {
            if !self.run_queued() {
                self.left.wait();
            }
        }
    }
}

/// The claim on one of the tasks that have not begun.
impl Runnable for State {
    fn run(self: Arc<Self>, owners: &Owners) -> Ran {
        match self.run_one(Some(owners)) {
            true => Ran::Well,
            false => Ran::Elsewhere,
        }
    }

    fn class(&self) -> &'static str {
        "(in a scope)"
    }

    fn refuse(&self, _: TaskError) {
        let Some(Queued { run, context }) = self.queued.lock().pop_front() else {
            return;
        };
        let _done = Done(&self.left);
        dispose(run);
        dispose(context);
        self.note(Box::new(REFUSED));
    }
}

pub(super) fn scope_in<'env, F, R>(crew: &Arc<Crew>, run: F) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    let scope = Scope {
        crew: Arc::clone(crew),
        state: Arc::new(State {
            pool: crew.id,
            left: Latch::new(1),
            queued: Mutex::default(),
            panic: Mutex::new(None),
        }),
        lives: PhantomData,
    };
    let result = caught(|| run(&scope));
    let guard = NoUnwind::new("tasks of a scope may still run, and borrow from this frame");
    scope.state.wait();
    guard.end();
    let panic = scope.state.panic.lock().take();
    match (result, panic) {
        (Ok(result), None) => result,
        (Ok(result), Some(payload)) => {
            dispose(result);
            resume_unwind(payload)
        }
        (Err(own), other) => {
            if let Some(payload) = other {
                dispose_payload(payload);
            }
            resume_unwind(own.into_payload())
        }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
