//! What may leave the process.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a portable task takes and returns: anything that can be written down and read back. Several
/// arguments are a tuple.
///
/// It is implemented for all that is, and never by hand. What is borrowed is not, `&'static str`
/// included (the compiler says that `Deserialize` is not general enough): send a `String`, as in
/// `spawn(load, "a.pdf".to_owned())` and `pool.map(load, ["a", "b"].map(String::from))`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot leave the process",
    label = "not `Serialize`, `Deserialize`, `Send` and `'static`",
    note = "derive `serde::Serialize` and `serde::Deserialize`, or use `ThreadPool::spawn`, whose tasks stay in the process",
    note = "of text send a `String`, of a slice a `Vec`: what is borrowed stays here"
)]
pub trait Data: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Data for T {}

/// A portable task: a function, or a closure that captures nothing, so that its code alone says
/// what it does.
///
/// A closure that captures only values without bytes, as a token that stands for "the library has
/// been initialised" may be, counts as one that captures nothing. It is made anew where it runs,
/// and so is the token: initialise there as well.
///
/// It is implemented for all of them, and never by hand. A closure that captures does not compile:
///
/// ```compile_fail
/// use hands::pool::{Pool, ThreadPool};
///
/// let pool = ThreadPool::new().unwrap();
/// let factor = 3;
/// // `(factor, 4)` as the argument does, and so does `pool.submit`, which knows that its workers are threads.
/// Pool::submit(&pool, move |n: u64| n * factor, 4);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no portable task",
    note = "a portable task is a function of one argument, or a closure that captures nothing",
    note = "several arguments are a tuple: `pool.submit(|(a, b): (u64, u64)| a + b, (1, 2))`"
)]
pub trait Task<A, R>: Fn(A) -> R + Copy + Send + Sync + 'static {
    /// Does not compile for what captures.
    #[doc(hidden)]
    const CAPTURES_NOTHING: () = assert!(
        size_of::<Self>() == 0,
        "this closure captures something, which cannot leave the process. Pass it with the argument: instead of `submit(move |n: u64| n * factor, 4)` write `submit(|(n, factor): (u64, u64)| n * factor, (4, factor))`. `ThreadPool::spawn` and `ThreadPool::map` take what captures"
    );
}

impl<F, A, R> Task<A, R> for F where F: Fn(A) -> R + Copy + Send + Sync + 'static {}

/// A portable coroutine: an `async fn`, or an `async` closure that captures nothing. What holds for
/// a [`Task`] holds for it.
///
/// It is implemented for all of them, and never by hand.
#[cfg(feature = "async")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no portable coroutine",
    note = "a portable coroutine is an `async fn`, or an `async` closure that captures nothing; pass the data as its argument"
)]
pub trait AsyncTask<A, R>: Copy + Send + Sync + 'static {
    /// Does not compile for what captures.
    #[doc(hidden)]
    const CAPTURES_NOTHING: () = assert!(
        size_of::<Self>() == 0,
        "a portable coroutine captures nothing: pass the data as its argument"
    );

    /// What it is while it runs.
    #[doc(hidden)]
    type Running: Future<Output = R> + 'static;

    /// Begins it.
    #[doc(hidden)]
    fn begin(&self, argument: A) -> Self::Running;
}

#[cfg(feature = "async")]
impl<F, A, Fut, R> AsyncTask<A, R> for F
where
    F: Fn(A) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = R> + 'static,
{
    type Running = Fut;

    fn begin(&self, argument: A) -> Fut {
        self(argument)
    }
}
