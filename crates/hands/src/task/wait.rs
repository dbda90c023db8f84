//! Waiting for several handles at once.
//!
//! Each handle has a waker of its own, which notes the handle's number and wakes the one who waits.
//! So every wake-up leads to one look at one handle, and a thousand handles cost a thousand looks
//! in all.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
#[cfg(feature = "async")]
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::blocking::{self, AtBound, GaveUp};
use super::cell::Runnable;
use super::error::{Outcome, TaskError};
use super::handle::Handle;
use crate::foreign::{dispose, wake};
use crate::primitive::Mutex;
use crate::sync::park::deadline;

/// When [`wait`] has waited long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// When one has an outcome.
    First,
    /// When one has failed, or all have an outcome.
    FirstError,
    /// When all have an outcome.
    All,
}

/// What [`wait`] found.
#[derive(Debug)]
pub struct Waited<R> {
    /// Those with an outcome, in the order in which they were given.
    pub done: Vec<Handle<R>>,
    /// Those without.
    pub pending: Vec<Handle<R>>,
}

/// Waits until one or all of the tasks have an outcome. Nothing to wait for is over at once.
///
/// ```
/// use hands::pool::{Pool, ThreadPool};
/// use hands::task::{self, When};
///
/// let pool = ThreadPool::new()?;
/// let handles = (1..=3).map(|n: u64| pool.submit(|n| n * n, n));
/// let waited = task::wait(handles, When::All);
/// assert_eq!(waited.done.len(), 3);
/// # std::io::Result::Ok(())
/// ```
pub fn wait<R>(handles: impl IntoIterator<Item = Handle<R>>, when: When) -> Waited<R> {
    wait_until(handles, when, None)
}

/// [`wait`], but no longer than `timeout`.
pub fn wait_timeout<R>(
    handles: impl IntoIterator<Item = Handle<R>>,
    when: When,
    timeout: Duration,
) -> Waited<R> {
    wait_until(handles, when, deadline(timeout))
}

/// There is no outcome to say it in.
fn too_many(AtBound { waiting }: AtBound) -> ! {
    panic!("{}", TaskError::TooManyWaiting { waiting })
}

fn wait_until<R>(
    handles: impl IntoIterator<Item = Handle<R>>,
    when: When,
    deadline: Option<Instant>,
) -> Waited<R> {
    let mut watched = Watched::new(handles);
    let mut failed = false;
    let enough = |watched: &Watched<R>, failed: bool| match when {
        When::First => watched.left < watched.handles.len() || watched.handles.is_empty(),
        When::FirstError => failed || watched.left == 0,
        When::All => watched.left == 0,
    };
    // Those that must all end may as well be run here. Where one is enough, another might end
    // sooner.
    let mut first = match when == When::All && deadline.is_none() {
        true => watched.run_here(),
        false => None,
    };
    if !enough(&watched, failed) {
        watched.refuse_to_block();
    }
    while !enough(&watched, failed) {
        let next = poll_fn(|context| watched.poll_next(context));
        match blocking::block_on(next, deadline, first.take(), || ()) {
            Ok(Some((_, error))) => failed |= error,
            Ok(None) => break,
            // At the deadline it is as it is.
            Err(GaveUp::TimedOut) => break,
            Err(GaveUp::AtBound(bound)) => too_many(bound),
        }
    }
    let (mut done, mut pending) = (Vec::new(), Vec::new());
    for mut handle in watched.handles.into_values() {
        handle.leave();
        if handle.is_finished() {
            done.push(handle);
        } else {
            pending.push(handle);
        }
    }
    Waited { done, pending }
}

/// The outcomes as they come, each with the number of its handle in the order given, from 0.
///
/// ```
/// use hands::pool::{Pool, ThreadPool};
/// use hands::task::as_completed;
///
/// let pool = ThreadPool::new()?;
/// let handles = (0..3).map(|n: usize| pool.submit(|n| n * n, n));
/// for (number, outcome) in as_completed(handles) {
///     assert_eq!(outcome, Ok(number * number));
/// }
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "gather")]
pub fn as_completed<R>(handles: impl IntoIterator<Item = Handle<R>>) -> AsCompleted<R> {
    AsCompleted {
        watched: Watched::new(handles),
    }
}

/// Outcomes as they come: what [`as_completed`] returns. Dropping it drops the handles that are
/// left.
#[derive(Debug)]
#[must_use = "nobody waits before `next` is called"]
pub struct AsCompleted<R> {
    watched: Watched<R>,
}

impl<R> AsCompleted<R> {
    /// The next outcome, if one comes within `timeout`; `None` too when there is none left, which
    /// [`is_empty`](Self::is_empty) tells apart.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<(usize, Outcome<R>)> {
        self.next_until(deadline(timeout))
    }

    /// How many outcomes are still to come.
    pub fn len(&self) -> usize {
        self.watched.left
    }

    /// Whether all outcomes have come.
    pub fn is_empty(&self) -> bool {
        self.watched.left == 0
    }

    /// Cancels those that have no outcome yet; see [`Handle::cancel`].
    pub fn cancel(&self) {
        for handle in self.watched.handles.values() {
            handle.cancel();
        }
    }

    /// Another handle, to come with the others; returns its number.
    pub fn push(&mut self, handle: Handle<R>) -> usize {
        self.watched.push(handle)
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<(usize, Outcome<R>)> {
        let watched = &mut self.watched;
        watched.refuse_to_block();
        let next = poll_fn(|context| watched.poll_next(context));
        let (number, _) = match blocking::block_on(next, deadline, None, || ()) {
            Ok(next) => next?,
            Err(GaveUp::TimedOut) => return None,
            Err(GaveUp::AtBound(bound)) => too_many(bound),
        };
        let handle = watched.handles.remove(&number)?;
        Some((number, handle.take()))
    }
}

impl<R> Iterator for AsCompleted<R> {
    type Item = (usize, Result<R, TaskError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.watched.left, Some(self.watched.left))
    }
}

impl<R> ExactSizeIterator for AsCompleted<R> {}

/// For coroutines: outcomes as they come. Dropping a future that waits for the next loses none.
#[cfg(feature = "async")]
impl<R> futures_core::Stream for AsCompleted<R> {
    type Item = (usize, Result<R, TaskError>);

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let watched = &mut self.get_mut().watched;
        watched.poll_next(context).map(|next| {
            let (number, _) = next?;
            Some((number, watched.handles.remove(&number)?.take()))
        })
    }
}

/// Handles, and which of them to look at.
#[derive(Debug)]
struct Watched<R> {
    /// By number.
    handles: BTreeMap<usize, Handle<R>>,
    /// How many there have been.
    pushed: usize,
    left: usize,
    bell: Arc<Bell>,
}

/// Numbers of handles that may have an outcome, and who waits for them.
#[derive(Debug, Default)]
struct Bell {
    rung: Mutex<(VecDeque<usize>, Option<Waker>)>,
}

struct Rope {
    bell: Arc<Bell>,
    number: usize,
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        let mut rung = self.bell.rung.lock();
        rung.0.push_back(self.number);
        let waker = rung.1.take();
        drop(rung);
        if let Some(waker) = waker {
            wake(waker);
        }
    }
}

impl<R> Watched<R> {
    fn new(handles: impl IntoIterator<Item = Handle<R>>) -> Watched<R> {
        let mut watched = Watched {
            handles: BTreeMap::new(),
            pushed: 0,
            left: 0,
            bell: Arc::default(),
        };
        for handle in handles {
            watched.push(handle);
        }
        watched
    }

    fn push(&mut self, mut handle: Handle<R>) -> usize {
        let number = self.pushed;
        self.pushed += 1;
        let waker = Waker::from(Arc::new(Rope {
            bell: Arc::clone(&self.bell),
            number,
        }));
        if handle
            .poll_peek(&mut Context::from_waker(&waker))
            .is_ready()
        {
            self.bell.rung.lock().0.push_back(number);
        }
        self.handles.insert(number, handle);
        self.left += 1;
        number
    }

    /// On a worker: runs those that have not begun, as far as there is room. Returns one for which
    /// there is none.
    fn run_here(&self) -> Option<Arc<dyn Runnable>> {
        self.handles.values().find_map(Handle::run_here)
    }

    fn refuse_to_block(&self) {
        let open = self.handles.values().find(|handle| !handle.is_finished());
        if let (Some(open), true) = (open, self.bell.rung.lock().0.is_empty()) {
            open.refuse_to_block();
        }
    }

    /// The next handle that has an outcome, and whether that is an error; each comes once. `None`:
    /// all have.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(usize, bool)>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut clone = None;
        let number = loop {
            let mut rung = self.bell.rung.lock();
            if let Some(number) = rung.0.pop_front() {
                break number;
            }
            let known = rung.1.as_ref();
            if known.is_some_and(|known| known.will_wake(context.waker())) {
                return Poll::Pending;
            }
            if clone.is_some() {
                let before = std::mem::replace(&mut rung.1, clone);
                drop(rung);
                dispose(before);
                return Poll::Pending;
            }
            drop(rung);
            clone = Some(context.waker().clone());
        };
        dispose(clone);
        self.left -= 1;
        let handle = self.handles.get_mut(&number);
        let error = handle.is_some_and(|handle| {
            let mut idle = Context::from_waker(Waker::noop());
            matches!(handle.poll_peek(&mut idle), Poll::Ready(true))
        });
        Poll::Ready(Some((number, error)))
    }
}
