//! Many small tasks, submitted together.

use std::collections::VecDeque;
use std::fmt;
use std::vec;

use super::chunks::Chunks;
use crate::task::{Handle, Outcome};

/// The outcomes of [`submit_many`](super::Pool::submit_many), in the order of the inputs. Iterating
/// waits for each; dropping it lets the tasks run on.
#[must_use = "the outcomes are lost with it"]
pub struct Many<R> {
    /// Each with the number of its tasks.
    chunks: VecDeque<(Handle<Vec<Outcome<R>>>, usize)>,
    current: vec::IntoIter<Outcome<R>>,
    left: usize,
}

impl<R> Many<R> {
    fn new(chunks: VecDeque<(Handle<Vec<Outcome<R>>>, usize)>) -> Many<R> {
        Many {
            left: chunks.iter().map(|(_, tasks)| tasks).sum(),
            chunks,
            current: Vec::new().into_iter(),
        }
    }

    /// Hands over all inputs at once, many to a worker.
    pub(super) fn submit<P, F, A, I>(pool: &P, task: &F, inputs: I) -> Many<R>
    where
        P: Chunks<F, A, R> + ?Sized,
        I: IntoIterator<Item = A>,
    {
        let mut inputs = inputs.into_iter();
        let expected = inputs.size_hint().0;
        // Enough chunks that all workers end at about the same time; few enough that a chunk costs
        // next to nothing.
        let chunk = (expected / (16 * pool.most_workers().max(1))).clamp(1, 4096);
        let chunks = std::iter::from_fn(|| {
            let arguments: Vec<A> = inputs.by_ref().take(chunk).collect();
            let tasks = arguments.len();
            (tasks > 0).then(|| (pool.submit_chunk(task, arguments), tasks))
        });
        Many::new(chunks.collect())
    }

    /// Waits for all.
    pub fn join(self) -> Vec<Outcome<R>> {
        self.collect()
    }

    /// Cancels those that have not begun, some of which may begin all the same: they are taken by
    /// the dozen.
    pub fn cancel(&self) {
        for (handle, _) in &self.chunks {
            handle.cancel();
        }
    }

    /// Whether all have an outcome.
    pub fn is_finished(&self) -> bool {
        self.chunks.iter().all(|(handle, _)| handle.is_finished())
    }
}

/// The outcomes of a chunk, or what kept it from running, for each of its tasks.
pub(super) fn outcomes<R>(
    outcome: Outcome<Vec<Outcome<R>>>,
    tasks: usize,
) -> vec::IntoIter<Outcome<R>> {
    outcome
        .unwrap_or_else(|error| (0..tasks).map(|_| Err(error.clone())).collect())
        .into_iter()
}

impl<R> Iterator for Many<R> {
    type Item = Outcome<R>;

    fn next(&mut self) -> Option<Outcome<R>> {
        loop {
            if let Some(outcome) = self.current.next() {
                self.left -= 1;
                return Some(outcome);
            }
            let (handle, tasks) = self.chunks.pop_front()?;
            self.current = outcomes(handle.join(), tasks);
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<R> ExactSizeIterator for Many<R> {}

impl<R> fmt::Debug for Many<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Many")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
