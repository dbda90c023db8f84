//! What takes chunks of arguments.

use crate::task::{Handle, Outcome};

/// What takes chunks of arguments for a function: a pool of any kind with portable functions, or
/// threads with any closure.
pub trait Chunks<F, A, R> {
    #[doc(hidden)]
    fn workers(&self) -> usize;
    #[doc(hidden)]
    fn most_workers(&self) -> usize;
    #[doc(hidden)]
    fn submit_chunk(&self, task: &F, arguments: Vec<A>) -> Handle<Vec<Outcome<R>>>;
}
