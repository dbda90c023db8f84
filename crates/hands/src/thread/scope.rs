//! Threads that borrow from the function that starts them.

use std::sync::Arc;
use std::thread::ThreadId;

use super::handle::{JoinError, ThreadShared};
use super::info::Current;

/// Runs a function that may start threads, and returns when all of them have ended. So they may
/// borrow what lives longer than this call.
///
/// ```
/// let numbers = [1, 2, 3, 4];
/// let sum: i32 = hands::thread::scope(|scope| {
///     let halves = numbers.chunks(2).map(|half| scope.spawn(|| half.iter().sum::<i32>()));
///     halves.map(|half| half.join().unwrap()).sum()
/// });
/// assert_eq!(sum, 10);
/// ```
///
/// Nothing borrowed leaves it:
///
/// ```compile_fail,E0716
/// let mut kept = None;
/// hands::thread::scope(|scope| {
///     let local = &String::from("gone when the function returns");
///     kept = Some(scope.spawn(move || local.len()));
/// });
/// ```
///
/// # Panics
///
/// If a thread panicked that nobody has joined.
pub fn scope<'env, F, T>(run: F) -> T
where
    F: for<'scope> FnOnce(Scope<'scope, 'env>) -> T,
{
    std::thread::scope(|scope| run(Scope(scope)))
}

/// Where threads are started that end with a [`scope`](fn@scope).
#[derive(Clone, Copy, Debug)]
pub struct Scope<'scope, 'env>(pub(super) &'scope std::thread::Scope<'scope, 'env>);

/// A thread of a scope. Dropping it lets the thread run on, to the end of the scope at most.
#[derive(Debug)]
pub struct ScopedJoinHandle<'scope, T> {
    pub(super) thread: std::thread::ScopedJoinHandle<'scope, T>,
    pub(super) shared: Arc<ThreadShared>,
    pub(super) info: Current,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits until the thread has ended, and returns its value.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`], with message and place; [`JoinError::Itself`] at once, when the
    /// thread has got hold of its own handle.
    pub fn join(self) -> Result<T, JoinError> {
        if self.info.id == std::thread::current().id() {
            return Err(JoinError::Itself);
        }
        let thread = self.thread.join();
        thread.map_err(|payload| self.shared.panicked(&self.info, payload))
    }

    /// Whether the thread has ended: joining it would not wait.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// The thread's name.
    pub fn name(&self) -> &str {
        self.info.name()
    }

    /// The thread's number.
    pub fn id(&self) -> ThreadId {
        self.info.id()
    }
}
