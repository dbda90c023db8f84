//! What all pools can do.

use super::chunks::Chunks;
use super::many::Many;
use super::map::Map;
use super::stats::{Stats, StatsReader};
use crate::event::Events;
use crate::queue::Shutdown;
#[cfg(feature = "async")]
use crate::task::AsyncTask;
use crate::task::{Data, Handle, Options, Outcome, Task};

/// A pool of workers, of whatever kind.
///
/// ```
/// use hands::pool::{Pool, ThreadPool};
///
/// fn squares(pool: &impl Pool) -> u64 {
///     pool.map(|n: u64| n * n, 1..=3).map(|square| square.expect("no panic")).sum()
/// }
///
/// assert_eq!(squares(&ThreadPool::new()?), 14);
/// # std::io::Result::Ok(())
/// ```
/// A `dyn Pool` can be watched, joined and shut down. It cannot be handed tasks: those methods have
/// a type for each function, and so no place in a table of methods.
pub trait Pool {
    /// How many workers there are at the moment, or are to be.
    fn workers(&self) -> usize;

    /// Hands over a task that has so much time. See [`submit`](Self::submit).
    fn submit_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        Self: Sized,
        F: Task<A, R>,
        A: Data,
        R: Data;

    /// Hands over a task that calls the function for each argument; a panic costs the outcome of
    /// one.
    fn submit_chunk<F, A, R>(&self, task: F, arguments: Vec<A>) -> Handle<Vec<Outcome<R>>>
    where
        Self: Sized,
        F: Task<A, R>,
        A: Data,
        R: Data;

    /// Hands over a task; several arguments are a tuple. A pool that takes no more gives a handle
    /// whose outcome says so.
    fn submit<F, A, R>(&self, task: F, argument: A) -> Handle<R>
    where
        Self: Sized,
        F: Task<A, R>,
        A: Data,
        R: Data,
    {
        self.submit_with(Options::new(), task, argument)
    }

    /// Calls the function for each input, on the workers, and gives the outcomes in the order of
    /// the inputs. It takes no more inputs than it needs to keep the workers busy. See [`Map`] for
    /// its order, chunks and progress.
    fn map<F, A, R, I>(&self, task: F, inputs: I) -> Map<'_, Self, F, I::IntoIter, R>
    where
        Self: Sized,
        F: Task<A, R>,
        A: Data,
        R: Data,
        I: IntoIterator<Item = A>,
    {
        const { F::CAPTURES_NOTHING }
        Map::new(self, task, inputs.into_iter())
    }

    /// Hands over all inputs at once, many to a worker: the fast way for many small tasks.
    fn submit_many<F, A, R, I>(&self, task: F, inputs: I) -> Many<R>
    where
        Self: Sized,
        F: Task<A, R>,
        A: Data,
        R: Data,
        I: IntoIterator<Item = A>,
    {
        const { F::CAPTURES_NOTHING }
        Many::submit(self, &task, inputs)
    }

    /// How many workers there may ever be at a time.
    #[doc(hidden)]
    fn most_workers(&self) -> usize {
        self.workers()
    }

    /// What happens in it, for those who listen.
    fn events(&self) -> Events;

    /// What the pool does and has done.
    fn stats(&self) -> Stats;

    /// The same from elsewhere, for those who show it: it keeps nothing of the pool alive, and
    /// gives the last figures it read once the pool is gone.
    fn stats_reader(&self) -> StatsReader;

    /// Takes no more tasks. Those that have been submitted run.
    fn close(&self);

    /// Waits until all tasks that have been submitted have an outcome, those that are submitted
    /// meanwhile included. The pool stays as it is. On a worker of the pool it would wait for the
    /// task that calls it: it panics.
    fn join(&self);

    /// Takes no more tasks, and waits until the workers have ended: with [`Drain`](Shutdown::Drain)
    /// after all tasks, with [`Now`](Shutdown::Now) after those that run, whose tokens are
    /// cancelled; the others have the outcome [`Cancelled`](crate::task::TaskError::Cancelled). On
    /// a worker of the pool it does not wait.
    fn shutdown(&self, how: Shutdown);
}

/// A pool that runs coroutines, too: on its threads, in its processes.
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let _hands = hands::init();
/// use std::time::Duration;
/// use hands::pool::{AsyncPool, CoroutinePool, ProcessPool};
///
/// async fn twice(n: u64) -> u64 {
///     tokio::time::sleep(Duration::from_millis(1)).await;
///     2 * n
/// }
///
/// fn ask(pool: &impl CoroutinePool) -> u64 {
///     pool.submit_async(twice, 21).join().expect("no panic")
/// }
///
/// assert_eq!(ask(&AsyncPool::new()?), 42);
/// assert_eq!(ask(&ProcessPool::builder().workers(1).coroutines(100).build()?), 42);
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "async")]
pub trait CoroutinePool: Pool {
    /// Hands over a coroutine that has so much time. See [`submit_async`](Self::submit_async).
    fn submit_async_with<F, A, R>(&self, options: Options, task: F, argument: A) -> Handle<R>
    where
        F: AsyncTask<A, R, Running: Send>,
        A: Data,
        R: Data;

    /// Hands over a coroutine: an `async fn`, or an `async` closure that captures nothing, and its
    /// argument. One that is cancelled, or whose time is up, has its
    /// [`CancelToken`](crate::sync::CancelToken) cancelled and is dropped where it awaits.
    fn submit_async<F, A, R>(&self, task: F, argument: A) -> Handle<R>
    where
        F: AsyncTask<A, R, Running: Send>,
        A: Data,
        R: Data,
    {
        self.submit_async_with(Options::new(), task, argument)
    }
}

impl<P, F, A, R> Chunks<F, A, R> for P
where
    P: Pool,
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    fn workers(&self) -> usize {
        Pool::workers(self)
    }

    fn most_workers(&self) -> usize {
        Pool::most_workers(self)
    }

    fn submit_chunk(&self, task: &F, arguments: Vec<A>) -> Handle<Vec<Outcome<R>>> {
        Pool::submit_chunk(self, *task, arguments)
    }
}
