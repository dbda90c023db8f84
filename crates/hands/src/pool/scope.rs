//! Tasks that borrow.
//!
//! # Protocol
//!
//! - A scope has its tasks on a list of its own. The pool's queue holds *claims* on them, no more
//!   than there are workers: a worker that gets one runs tasks of the list as long as nothing else
//!   waits in the queue, and then puts the claim back. A thread that waits for the scope on a
//!   worker may run them, too. A claim that finds the list empty is over.
//! - `left` counts the scope's own function and all tasks that have not ended. `scope_in` is left,
//!   also by a panic, only when it is zero. A task counts from before it is on the list until its
//!   closure and what that has borrowed are gone; its result is kept by the handle.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;

use parking_lot::Mutex;

use super::claims::Claims;
use super::crew::Crew;
use super::job::QueuedJob;
use crate::context::Context;
use crate::foreign::{NoUnwind, dispose, dispose_payload};
use crate::primitive::Ordering;
use crate::queue::Queue;
use crate::sync::cancel::Owners;
use crate::task::TaskError;
use crate::task::blocking::{self, Host};
use crate::task::cell::{Ran, Runnable};
use crate::task::latch::Latch;
use crate::thread::panic::caught;

/// Where tasks are spawned that borrow: what [`ThreadPool::scope`](super::ThreadPool::scope) gives
/// to its function.
pub struct TaskScope<'scope, 'env: 'scope> {
    state: Arc<ScopeState>,
    /// Invariant, so that neither life can be made longer or shorter than it is.
    lives: PhantomData<(&'scope mut &'scope (), &'env mut &'env ())>,
}

struct ScopeState {
    crew: Arc<Crew>,
    /// Tasks that have not ended, and the scope's own function.
    left: Latch,
    /// Those that have not begun. A queue with a lock at each end: a thread that spawns and a
    /// thread that runs are seldom in each other's way.
    queued: Queue<Queued>,
    /// Claims in the pool's queue, or with a worker.
    claims: Claims,
    /// The first panic of a task that nobody joins.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

struct Queued {
    run: Box<dyn FnOnce() + Send>,
    context: Context,
}

/// The claim on the result of a task of a scope: what [`TaskScope::spawn`] returns. Dropping it
/// lets the task run on, to the end of the scope at most; if it panics, the scope does.
pub struct ScopedHandle<'scope, R> {
    /// Gone when it is dropped.
    slot: Option<Arc<Slot<R>>>,
    state: Arc<ScopeState>,
    life: PhantomData<&'scope ()>,
}

/// Where a task leaves its result.
struct Slot<R> {
    done: Latch,
    result: Mutex<Option<std::thread::Result<R>>>,
}

impl<'scope> TaskScope<'scope, '_> {
    /// Hands a task to the pool. It may borrow whatever outlives the scope, and spawn more tasks in
    /// it.
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

    /// [`spawn`](Self::spawn) for a task whose result nobody wants: cheaper. If it panics, the
    /// scope does.
    pub fn execute<F>(&'scope self, run: F)
    where
        F: FnOnce() + Send + 'scope,
    {
        self.put(Box::new(run));
    }

    fn put(&'scope self, run: Box<dyn FnOnce() + Send + 'scope>) {
        // SAFETY: only the life is changed. What the closure borrows lives until `scope_in`
        // returns, and that waits, also when unwinding, until `left` is zero. `left` counts this
        // task from here until `State::run_one` or `State::refuse` has used the closure up or
        // dropped it; one of the two comes, as there is a claim as long as there are tasks on the
        // list.
        let run: Box<dyn FnOnce() + Send + 'static> = unsafe { std::mem::transmute(run) };
        let context = Context::current();
        let state = &self.state;
        state.left.add_one();
        if let Err(refused) = state.queued.put(Queued { run, context }) {
            // It is never shut down; were it so, the task would be gone, and so it counts no more.
            let _done = Done(&state.left);
            dispose(refused);
            return;
        }
        state.claim();
    }
}

/// The task's side of a slot. Dropped without a result, it tells the handle so.
struct Promise<R> {
    slot: Option<Arc<Slot<R>>>,
    state: Arc<ScopeState>,
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

/// For one of the two sides of a slot that needs it no more. The last drops the result, and if that
/// is a panic, it is the scope's.
fn give_up<R>(slot: Arc<Slot<R>>, state: &ScopeState) {
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
    /// Waits for the result. On a worker of the pool, tasks of the scope that have not begun are
    /// run meanwhile.
    ///
    /// # Errors
    ///
    /// The payload of its panic; or, if the pool was shut down before it had run, a text that says
    /// so.
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

impl ScopeState {
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

    /// `owners`: those of a worker on which another task waits.
    fn run_one(&self, Queued { run, context }: Queued, owners: Option<&Owners>) {
        let _done = Done(&self.left);
        let run = || caught(|| context.run(run));
        let ran = match owners {
            // What the waiting task beneath has for a token is not this one's.
            Some(owners) => owners.run(None, run),
            None => run(),
        };
        if let Err(caught) = ran {
            self.note(caught.into_payload());
        }
        dispose(context);
    }

    fn refuse_one(&self, Queued { run, context }: Queued) {
        let _done = Done(&self.left);
        dispose(run);
        dispose(context);
        self.note(Box::new(REFUSED));
    }

    /// Takes the next task from the list, for a claim that is over if there is none; puts another
    /// claim if there are workers for it.
    fn next(self: &Arc<Self>) -> Option<Queued> {
        loop {
            if let Ok(next) = self.queued.try_get() {
                if !self.queued.seems_empty() {
                    self.claim();
                }
                return Some(next);
            }
            let workers = self.crew.wanted();
            let is_empty = || self.queued.seems_empty();
            if !self.claims.give_back(workers, is_empty) {
                return None;
            }
        }
    }

    /// Puts one more claim, if there are workers for it.
    fn claim(self: &Arc<Self>) {
        if self.claims.add(self.crew.wanted()) {
            self.crew.put(QueuedJob::task(Arc::clone(self) as _));
        }
    }

    /// On a worker: runs the next task that has not begun, as long as there is room on the stack.
    fn run_queued(self: &Arc<Self>) -> bool {
        let is_own = |host: &Rc<dyn Host>| host.pool() == self.crew.id && host.has_room();
        let Some(host) = blocking::host().filter(is_own) else {
            return false;
        };
        let Ok(next) = self.queued.try_get() else {
            return false;
        };
        match self.crew.discards.load(Ordering::Acquire) {
            true => self.refuse_one(next),
            false => self.run_one(next, Some(host.owners())),
        }
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

/// A claim on the tasks that have not begun.
impl Runnable for ScopeState {
    fn run(self: Arc<Self>, _: &Owners, begins: &mut dyn FnMut()) -> Ran {
        let mut ran = Ran::Elsewhere;
        while let Some(next) = self.next() {
            if self.crew.discards.load(Ordering::Acquire) {
                self.refuse_one(next);
                continue;
            }
            if ran == Ran::Elsewhere {
                begins();
            }
            self.run_one(next, None);
            if ran == Ran::Well {
                self.crew.counts.scoped.fetch_add(1, Ordering::Relaxed);
            }
            ran = Ran::Well;
            if !self.crew.jobs.seems_empty() && self.crew.put_back(Arc::clone(&self) as _) {
                break;
            }
        }
        ran
    }

    fn class(&self) -> &'static str {
        "(in a scope)"
    }

    fn refuse(&self, _: TaskError) {
        if !self.claims.refuse() {
            // Those that have another one run all that there is.
            return;
        }
        while let Ok(queued) = self.queued.try_get() {
            self.refuse_one(queued);
        }
    }
}

pub(super) fn scope_in<'env, F, R>(crew: &Arc<Crew>, run: F) -> R
where
    F: for<'scope> FnOnce(&'scope TaskScope<'scope, 'env>) -> R,
{
    let scope = TaskScope {
        state: Arc::new(ScopeState {
            crew: Arc::clone(crew),
            left: Latch::new(1),
            queued: Queue::unbounded(),
            claims: Claims::default(),
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

impl fmt::Debug for TaskScope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
