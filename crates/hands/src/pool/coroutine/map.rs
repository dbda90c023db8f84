//! One coroutine for each of many inputs, in bounded memory.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::AsyncPool;
use crate::pool::map::Progress;
use crate::sync::park;
use crate::task::{AsCompleted, Handle, Outcome, as_completed};

/// The outcomes of [`AsyncPool::map_async`] and [`AsyncPool::map_stream`], as a stream;
/// [`blocking`](Self::blocking) makes it an iterator.
///
/// Inputs are taken when outcomes are asked for, and never more than [`ahead`](Self::ahead) of
/// them. Dropping it cancels what is unfinished: its coroutines are dropped where they await.
#[must_use = "nothing is done before it is polled"]
pub struct MapAsync<'pool, S, F, R> {
    pool: &'pool AsyncPool,
    task: F,
    /// `None` when there are no more.
    inputs: Option<Pin<Box<S>>>,
    ahead: usize,
    pending: PendingCoroutine<R>,
    progress: Progress,
    watcher: Option<Watcher<'pool>>,
}

type Watcher<'pool> = Box<dyn FnMut(&Progress) + Send + 'pool>;

enum PendingCoroutine<R> {
    Ordered(VecDeque<Handle<R>>),
    Unordered(AsCompleted<R>),
}

/// An iterator, as a stream that is always ready.
#[derive(Debug)]
pub struct ReadyOutcome<I>(I);

impl<I: Iterator + Unpin> Stream for ReadyOutcome<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

impl AsyncPool {
    /// Runs a coroutine for each input, and gives the outcomes in the order of the inputs. It takes
    /// no more inputs than it needs to have as many in flight as it may. See [`MapAsync`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use hands::pool::AsyncPool;
    ///
    /// let pool = AsyncPool::new()?;
    /// let squares = pool.map_async(
    ///     |n: u64| async move {
    ///         tokio::time::sleep(Duration::from_millis(n % 3)).await;
    ///         n * n
    ///     },
    ///     0..100,
    /// );
    /// let total: u64 = squares.blocking().map(|square| square.expect("no panic")).sum();
    /// assert_eq!(total, 328_350);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn map_async<F, Fut, I>(
        &self,
        task: F,
        inputs: I,
    ) -> MapAsync<'_, ReadyOutcome<I::IntoIter>, F, Fut::Output>
    where
        F: FnMut(I::Item) -> Fut,
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
        I: IntoIterator<IntoIter: Unpin>,
    {
        self.map_stream(task, ReadyOutcome(inputs.into_iter()))
    }

    /// [`map_async`](Self::map_async) over a stream. An input that is not there yet holds up no
    /// outcome.
    pub fn map_stream<F, Fut, S>(&self, task: F, inputs: S) -> MapAsync<'_, S, F, Fut::Output>
    where
        F: FnMut(S::Item) -> Fut,
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
        S: Stream,
    {
        MapAsync {
            pool: self,
            task,
            inputs: Some(Box::pin(inputs)),
            ahead: self.crew.limit(),
            pending: PendingCoroutine::Ordered(VecDeque::new()),
            progress: Progress::default(),
            watcher: None,
        }
    }
}

impl<'pool, S, F, R> MapAsync<'pool, S, F, R> {
    /// Outcomes as they come, not in the order of the inputs: one slow coroutine holds up nobody.
    pub fn unordered(mut self) -> Self {
        if let PendingCoroutine::Ordered(pending) = &mut self.pending {
            self.pending = PendingCoroutine::Unordered(as_completed(pending.drain(..)));
        }
        self
    }

    /// How many inputs are taken before their outcome is asked for, at most; as many as may be in
    /// flight unless set. It is no less than 1.
    pub fn ahead(mut self, inputs: usize) -> Self {
        self.ahead = inputs.max(1);
        self
    }

    /// Has `watcher` told after each outcome how far it is.
    pub fn progress(mut self, watcher: impl FnMut(&Progress) + Send + 'pool) -> Self {
        self.watcher = Some(Box::new(watcher));
        self
    }

    /// As an iterator that waits, for a thread that may.
    pub fn blocking(self) -> BlockingMap<'pool, S, F, R> {
        BlockingMap(self)
    }
}

// Nothing in it is pinned but the inputs, which are pinned in their box.
impl<S, F, R> Unpin for MapAsync<'_, S, F, R> {}

impl<S, F, Fut> Stream for MapAsync<'_, S, F, Fut::Output>
where
    S: Stream,
    F: FnMut(S::Item) -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    type Item = Outcome<Fut::Output>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while this.progress.taken - this.progress.given < this.ahead as u64
            && let Some(inputs) = &mut this.inputs
        {
            match inputs.as_mut().poll_next(context) {
                Poll::Ready(Some(input)) => {
                    this.progress.taken += 1;
                    let handle = this.pool.spawn((this.task)(input));
                    match &mut this.pending {
                        PendingCoroutine::Ordered(pending) => pending.push_back(handle),
                        PendingCoroutine::Unordered(pending) => {
                            pending.push(handle);
                        }
                    }
                }
                Poll::Ready(None) => this.inputs = None,
                Poll::Pending => break,
            }
        }
        let next = match &mut this.pending {
            PendingCoroutine::Ordered(pending) => match pending.front_mut() {
                Some(first) => Pin::new(first).poll(context).map(|outcome| {
                    pending.pop_front();
                    Some(outcome)
                }),
                None => Poll::Ready(None),
            },
            PendingCoroutine::Unordered(pending) => {
                let next = Pin::new(pending).poll_next(context);
                next.map(|next| next.map(|(_, outcome)| outcome))
            }
        };
        match next {
            Poll::Ready(Some(outcome)) => {
                this.progress.given += 1;
                this.progress.failed += u64::from(outcome.is_err());
                if let Some(watcher) = &mut this.watcher {
                    watcher(&this.progress);
                }
                Poll::Ready(Some(outcome))
            }
            // Nothing is unfinished; more inputs may still come.
            Poll::Ready(None) if this.inputs.is_some() => Poll::Pending,
            other => other,
        }
    }
}

impl<S, F, R> Drop for MapAsync<'_, S, F, R> {
    fn drop(&mut self) {
        match &self.pending {
            PendingCoroutine::Ordered(pending) => pending.iter().for_each(|handle| {
                handle.cancel();
            }),
            PendingCoroutine::Unordered(pending) => pending.cancel(),
        }
    }
}

impl<S, F, R> fmt::Debug for MapAsync<'_, S, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("MapAsync");
        shown.field("ahead", &self.ahead);
        shown
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

/// A [`MapAsync`] for a thread that may wait.
pub struct BlockingMap<'pool, S, F, R>(MapAsync<'pool, S, F, R>);

impl<S, F, Fut> Iterator for BlockingMap<'_, S, F, Fut::Output>
where
    S: Stream,
    F: FnMut(S::Item) -> Fut,
    Fut: Future + Send + 'static,
    Fut::Output: Send + 'static,
{
    type Item = Outcome<Fut::Output>;

    fn next(&mut self) -> Option<Self::Item> {
        let map = &mut self.0;
        let next = poll_fn(|context| Pin::new(&mut *map).poll_next(context));
        // Without a deadline it is ready some time.
        park::block_on(next, None).ok().flatten()
    }
}

impl<S, F, R> fmt::Debug for BlockingMap<'_, S, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
