//! One function over many inputs, in bounded memory.

use std::any::type_name;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use std::vec;

use super::chunks::Chunks;
use super::crew::Crew;
use super::many::outcomes;
use super::worker::ThreadWorker;
use crate::task::{AsCompleted, Handle, Options, Outcome, as_completed};
use crate::thread::panic::caught;

/// The outcomes of [`Pool::map`](super::Pool::map), as an iterator.
///
/// Inputs are taken when outcomes are asked for, and never more than [`ahead`](Self::ahead) of
/// them; so neither inputs nor outcomes pile up, however many there are and however slow their
/// reader is. Nothing is done before the first `next`. Dropping it cancels what has not begun. Over
/// the iterator of a [queue](crate::queue) it hands out what is ready while the queue is empty.
#[must_use = "nothing is done before `next` is called"]
pub struct Map<'pool, P: ?Sized, F, I: Iterator, R> {
    pool: &'pool P,
    task: F,
    inputs: std::iter::Fuse<I>,
    chunk: usize,
    /// The chunk is as large as was asked for.
    is_chunk_set: bool,
    ahead: Option<usize>,
    pending: Pending<R>,
    current: vec::IntoIter<Outcome<R>>,
    progress: Progress,
    watcher: Option<Watcher<'pool>>,
}

type Watcher<'pool> = Box<dyn FnMut(&Progress) + 'pool>;

/// How far a [`Map`] has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Inputs that have been taken.
    pub taken: u64,
    /// Outcomes that have been given to the reader.
    pub given: u64,
    /// Those of them that were errors.
    pub failed: u64,
}

/// Chunks that have been submitted.
enum Pending<R> {
    Ordered(VecDeque<(Handle<Vec<Outcome<R>>>, Sent)>),
    /// By the number of the handle.
    Unordered(AsCompleted<Vec<Outcome<R>>>, VecDeque<(usize, Sent)>),
}

/// A chunk that has been submitted.
struct Sent {
    inputs: usize,
    at: Instant,
}

/// Whole chunks that take less are too small, and such that take more are too large.
const SHORT: Duration = Duration::from_micros(100);
const LONG: Duration = Duration::from_millis(2);
const LARGEST: usize = 4096;
/// So long an outcome is waited for before a queue of inputs is looked at again.
const MOMENT: Duration = Duration::from_millis(1);

impl<F, A, R> Chunks<Arc<F>, A, R> for Crew
where
    F: Fn(A) -> R + Send + Sync + 'static,
    A: Send + 'static,
    R: Send + 'static,
{
    fn workers(&self) -> usize {
        self.wanted()
    }

    fn most_workers(&self) -> usize {
        self.most()
    }

    fn submit_chunk(&self, task: &Arc<F>, arguments: Vec<A>) -> Handle<Vec<Outcome<R>>> {
        let task = Arc::clone(task);
        self.submit_as(type_name::<F>(), Options::new(), move || {
            run_each(&*task, arguments)
        })
    }
}

/// The outcome for each of them, in their order. A panic is caught outside the loop, which then
/// goes on with the next: an input that does not panic pays nothing for it.
fn run_each<A, R>(task: &impl Fn(A) -> R, inputs: Vec<A>) -> Vec<Outcome<R>> {
    let mut outcomes = Vec::with_capacity(inputs.len());
    let mut inputs = inputs.into_iter();
    while inputs.len() > 0 {
        let ran = caught(|| outcomes.extend(inputs.by_ref().map(|input| Ok(task(input)))));
        if let Err(panic) = ran {
            ThreadWorker::note_panic();
            outcomes.push(Err(panic.into()));
        }
    }
    outcomes
}

impl<'pool, P, F, I, A, R> Map<'pool, P, F, I, R>
where
    P: Chunks<F, A, R> + ?Sized,
    I: Iterator<Item = A>,
{
    pub(super) fn new(pool: &'pool P, task: F, inputs: I) -> Self {
        Map {
            pool,
            task,
            inputs: inputs.fuse(),
            chunk: 1,
            is_chunk_set: false,
            ahead: None,
            pending: Pending::Ordered(VecDeque::new()),
            current: Vec::new().into_iter(),
            progress: Progress::default(),
            watcher: None,
        }
    }

    /// Outcomes as they come, not in the order of the inputs: one slow task holds up nobody.
    pub fn unordered(mut self) -> Self {
        if let Pending::Ordered(pending) = &mut self.pending
            && pending.is_empty()
        {
            self.pending = Pending::Unordered(as_completed([]), VecDeque::new());
        }
        self
    }

    /// How many inputs a worker is given at once. Unless set it is 1 at first, and grows, up to
    /// 4096, as long as whole chunks come back within a tenth of a millisecond: so it stays 1 where
    /// an input takes longer than that.
    ///
    /// # Panics
    ///
    /// If it is 0.
    pub fn chunk(mut self, inputs: usize) -> Self {
        assert!(
            inputs > 0,
            "a chunk of 0 inputs would never end; give each worker at least 1"
        );
        self.chunk = inputs;
        self.is_chunk_set = true;
        self
    }

    /// How many inputs are taken before their outcome is asked for, at most; twice the number of
    /// workers times the chunk unless set. It is no less than one chunk.
    pub fn ahead(mut self, inputs: usize) -> Self {
        self.ahead = Some(inputs);
        self
    }

    /// Has `watcher` told after each outcome how far it is.
    pub fn progress(mut self, watcher: impl FnMut(&Progress) + 'pool) -> Self {
        self.watcher = Some(Box::new(watcher));
        self
    }

    /// Fits the next chunks to how long one has taken, its wait for a worker included. One that was
    /// not waited for since `came` may have been there for long, so that it has taken less is all
    /// that it shows.
    fn fit(&mut self, came: Instant, chunk: &Sent) {
        if self.is_chunk_set || chunk.inputs < self.chunk {
            return;
        }
        let now = Instant::now();
        let age = now.saturating_duration_since(chunk.at);
        if age < SHORT {
            self.chunk = (2 * self.chunk).min(LARGEST);
        } else if age > LONG && now.saturating_duration_since(came) > SHORT {
            self.chunk = (self.chunk / 2).max(1);
        }
    }

    /// Waits for the next chunk; or, over a queue, for a moment.
    #[cold]
    fn next_chunk(&mut self) -> Option<()> {
        self.fill();
        let came = Instant::now();
        // More may come into a queue meanwhile.
        let within = (self.inputs.size_hint().1 == Some(usize::MAX)).then_some(MOMENT);
        if let Poll::Ready(next) = self.pending.next(within) {
            let Came { outcomes, chunk } = next?;
            self.current = outcomes;
            self.fit(came, &chunk);
        }
        Some(())
    }

    fn fill(&mut self) {
        let workers = self.pool.workers().max(1);
        if let (false, Some(ahead)) = (self.is_chunk_set, self.ahead) {
            // Such that each worker may have two.
            self.chunk = self.chunk.min(ahead / (2 * workers)).max(1);
        }
        let ahead = self.ahead.unwrap_or(2 * workers * self.chunk);
        loop {
            let waiting = self.progress.taken - self.progress.given;
            let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
            let room = ahead.max(self.chunk).saturating_sub(waiting);
            if room < self.chunk.min(ahead.max(1)) {
                return;
            }
            let mut chunk = self.chunk;
            // A queue, which says what is there: while outcomes are to come, nobody waits for what
            // is not.
            if let (ready, Some(usize::MAX)) = self.inputs.size_hint()
                && waiting > 0
            {
                chunk = chunk.min(ready);
            }
            let arguments: Vec<A> = self.inputs.by_ref().take(chunk).collect();
            if arguments.is_empty() {
                return;
            }
            let inputs = arguments.len();
            self.progress.taken += inputs as u64;
            let handle = self.pool.submit_chunk(&self.task, arguments);
            let chunk = Sent {
                inputs,
                at: Instant::now(),
            };
            match &mut self.pending {
                Pending::Ordered(pending) => pending.push_back((handle, chunk)),
                Pending::Unordered(pending, sizes) => {
                    sizes.push_back((pending.push(handle), chunk));
                }
            }
        }
    }
}

/// A chunk that has come.
struct Came<R> {
    outcomes: vec::IntoIter<Outcome<R>>,
    chunk: Sent,
}

impl<R> Pending<R> {
    /// The next chunk, waiting for it; or no longer than `within`: then `Pending`.
    fn next(&mut self, within: Option<Duration>) -> Poll<Option<Came<R>>> {
        match self {
            Pending::Ordered(pending) => {
                let Some((handle, chunk)) = pending.pop_front() else {
                    return Poll::Ready(None);
                };
                let outcome = match within {
                    None => handle.join(),
                    Some(within) => match handle.join_timeout(within) {
                        Ok(outcome) => outcome,
                        Err(handle) => {
                            pending.push_front((handle, chunk));
                            return Poll::Pending;
                        }
                    },
                };
                let outcomes = outcomes(outcome, chunk.inputs);
                Poll::Ready(Some(Came { outcomes, chunk }))
            }
            Pending::Unordered(pending, sizes) => {
                let next = match within {
                    None => pending.next(),
                    Some(within) => pending.next_timeout(within),
                };
                let Some((number, outcome)) = next else {
                    return match AsCompleted::is_empty(pending) {
                        true => Poll::Ready(None),
                        false => Poll::Pending,
                    };
                };
                let at = sizes.iter().position(|(of, _)| *of == number);
                let sent = at.and_then(|at| sizes.remove(at));
                Poll::Ready(sent.map(|(_, chunk)| Came {
                    outcomes: outcomes(outcome, chunk.inputs),
                    chunk,
                }))
            }
        }
    }
}

impl<P, F, I, A, R> Iterator for Map<'_, P, F, I, R>
where
    P: Chunks<F, A, R> + ?Sized,
    I: Iterator<Item = A>,
{
    type Item = Outcome<R>;

    #[inline]
    fn next(&mut self) -> Option<Outcome<R>> {
        loop {
            if let Some(outcome) = self.current.next() {
                self.progress.given += 1;
                self.progress.failed += u64::from(outcome.is_err());
                if let Some(watcher) = &mut self.watcher {
                    watcher(&self.progress);
                }
                return Some(outcome);
            }
            self.next_chunk()?;
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let waiting = self.progress.taken - self.progress.given;
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        let (least, most) = self.inputs.size_hint();
        (
            least.saturating_add(waiting),
            most.and_then(|most| most.checked_add(waiting)),
        )
    }
}

impl<P: ?Sized, F, I: Iterator, R> Drop for Map<'_, P, F, I, R> {
    fn drop(&mut self) {
        match &self.pending {
            Pending::Ordered(pending) => pending.iter().for_each(|(handle, _)| {
                handle.cancel();
            }),
            Pending::Unordered(pending, _) => pending.cancel(),
        }
    }
}

impl<P: ?Sized, F, I: Iterator, R> fmt::Debug for Map<'_, P, F, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Map");
        shown.field("chunk", &self.chunk);
        shown
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
