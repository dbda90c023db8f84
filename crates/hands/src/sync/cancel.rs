//! Asking work to end: by a person, a rule or a deadline; with everything that was started on its
//! behalf.
//!
//! # How it works
//!
//! Tokens form a tree. Cancelling one goes down the tree, node by node, each under its own lock
//! only: a child is enlisted at its parent under the parent's lock, which also guards the parent's
//! state, so a child is either seen by the cancelling or born cancelled. A deadline needs nobody to
//! announce it: a thread that asks compares it with the clock, and a child takes over its parent's
//! if that is sooner.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) use super::owner::{Owner, Owners, overlay_own};
use super::park::{block_on, deadline};
use super::timer::Alarm;
use super::waiters::{Ticket, Waiters, in_line};
use crate::context::Local;
use crate::foreign::{dispose, wake_each};
use crate::primitive::{AtomicBool, Mutex, Ordering};

/// That of the work at hand.
pub(super) static CURRENT: Local<CancelToken> = Local::new();

/// Says whether work is still wanted. Clones are the same token.
///
/// Nothing is stopped by force: what runs asks now and then, or waits with the token.
///
/// ```
/// use hands::sync::CancelToken;
///
/// let request = CancelToken::new();
/// let lookup = request.child();
/// lookup.cancel(); // only this part of it
/// assert!(!request.is_cancelled());
/// let render = request.child();
/// request.cancel(); // and all its parts
/// assert!(render.is_cancelled());
/// ```
#[derive(Clone)]
pub struct CancelToken {
    node: Arc<Node>,
}

/// What [`CancelToken::watch`] returns.
pub(crate) type Watch = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Node {
    /// Written under the lock.
    cancelled: AtomicBool,
    /// The soonest of its own and its ancestors'.
    deadline: Option<Instant>,
    /// With the number under which it knows this one.
    parent: Option<(Arc<Node>, u64)>,
    family: Mutex<Family>,
}

#[derive(Default)]
struct Family {
    children: HashMap<u64, Weak<Node>>,
    born: u64,
    waiters: Waiters,
}

/// Why work is no longer wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancelled {
    /// Somebody has cancelled it.
    Asked,
    /// Its deadline has passed.
    DeadlinePassed,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cancelled::Asked => "cancelled",
            Cancelled::DeadlinePassed => "the deadline has passed",
        })
    }
}

impl Error for Cancelled {}

impl Default for CancelToken {
    fn default() -> CancelToken {
        CancelToken::new()
    }
}

// A panic leaves it as it was.
impl std::panic::UnwindSafe for CancelToken {}
impl std::panic::RefUnwindSafe for CancelToken {}

impl CancelToken {
    /// A token that nobody has cancelled, without a deadline.
    pub fn new() -> CancelToken {
        CancelToken::made(None, None)
    }

    /// A token that is cancelled when `timeout` has passed, if not before.
    pub fn with_timeout(timeout: Duration) -> CancelToken {
        CancelToken::made(deadline(timeout), None)
    }

    /// A token that is cancelled at `deadline`, if not before.
    pub fn with_deadline(deadline: Instant) -> CancelToken {
        CancelToken::made(Some(deadline), None)
    }

    /// A token for a part of the work: cancelled with this one, or alone.
    pub fn child(&self) -> CancelToken {
        CancelToken::made(None, Some(&self.node))
    }

    /// A [`child`](Self::child) that has no longer than `timeout`.
    pub fn child_with_timeout(&self, timeout: Duration) -> CancelToken {
        CancelToken::made(deadline(timeout), Some(&self.node))
    }

    fn made(deadline: Option<Instant>, parent: Option<&Arc<Node>>) -> CancelToken {
        let inherited = parent.and_then(|parent| parent.deadline);
        let deadline = [deadline, inherited].into_iter().flatten().min();
        let mut family = parent.map(|parent| parent.family.lock());
        let number = family.as_mut().map(|family| {
            family.born += 1;
            family.born
        });
        let cancelled = parent.is_some_and(|parent| parent.cancelled.load(Ordering::Acquire));
        let node = Arc::new(Node {
            cancelled: AtomicBool::new(cancelled),
            deadline,
            parent: parent.cloned().zip(number),
            family: Mutex::default(),
        });
        if let (Some(mut family), Some(number), false) = (family, number, cancelled) {
            family.children.insert(number, Arc::downgrade(&node));
        }
        CancelToken { node }
    }

    /// Says that the work is no longer wanted, nor any part of it. Wakes all who wait. Once is
    /// enough.
    pub fn cancel(&self) {
        // A tree may be deep: no recursion.
        let mut left = vec![Arc::clone(&self.node)];
        let mut woken = Vec::new();
        while let Some(node) = left.pop() {
            let mut family = node.family.lock();
            if node.cancelled.swap(true, Ordering::Release) {
                continue;
            }
            left.extend(
                family
                    .children
                    .drain()
                    .filter_map(|(_, child)| child.upgrade()),
            );
            woken.append(&mut family.waiters.all());
        }
        wake_each(woken);
    }

    /// Whether the work is no longer wanted: cancelled, or past its deadline.
    pub fn is_cancelled(&self) -> bool {
        self.check().is_err()
    }

    /// [`is_cancelled`](Self::is_cancelled) for use with `?`.
    ///
    /// # Errors
    ///
    /// [`Cancelled`], with the reason.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.node.cancelled.load(Ordering::Acquire) {
            return Err(Cancelled::Asked);
        }
        match self.node.deadline {
            Some(deadline) if deadline <= Instant::now() => Err(Cancelled::DeadlinePassed),
            _ => Ok(()),
        }
    }

    /// When it is cancelled at the latest: the soonest of its own and its ancestors' deadlines.
    pub fn deadline(&self) -> Option<Instant> {
        self.node.deadline
    }

    /// Sleeps for `timeout`, or until the token is cancelled: then it says `true`.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let until = [deadline(timeout), self.node.deadline];
        let until = until.into_iter().flatten().min();
        block_on(self.asked(), until).is_ok() || self.is_cancelled()
    }

    /// Waits until the token is cancelled, or its deadline has passed.
    pub fn wait(&self) -> Cancelled {
        match block_on(self.asked(), self.node.deadline) {
            Ok(()) => Cancelled::Asked,
            Err(_) => Cancelled::DeadlinePassed,
        }
    }

    /// [`wait`](Self::wait) for a coroutine: `select!` between this and the work. Dropping the
    /// future changes nothing for others.
    ///
    /// Where the system refuses the thread that keeps the time of a token with a deadline, the
    /// future asks to be polled again at once, until it is given one.
    pub fn cancelled(&self) -> WaitCancelled<'_> {
        WaitCancelled {
            asked: self.asked(),
            alarm: None,
        }
    }

    /// Cancels the token when what is returned is dropped, however the scope is left, unless it is
    /// [disarmed](DropGuard::disarm).
    ///
    /// ```
    /// use hands::sync::CancelToken;
    ///
    /// let token = CancelToken::new();
    /// let child = token.child().drop_guard().disarm();
    /// assert!(!child.is_cancelled());
    /// {
    ///     let _guard = token.clone().drop_guard();
    /// }
    /// assert!(token.is_cancelled());
    /// ```
    pub fn drop_guard(self) -> DropGuard {
        DropGuard(Some(self))
    }

    /// Runs a coroutine until it is ready, or until the token is cancelled: then it is dropped
    /// where it awaits.
    ///
    /// # Errors
    ///
    /// [`Cancelled`], with the reason.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        let mut cancelled = std::pin::pin!(self.cancelled());
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            if let Poll::Ready(why) = cancelled.as_mut().poll(context) {
                return Poll::Ready(Err(why));
            }
            future.as_mut().poll(context).map(Ok)
        })
        .await
    }

    /// Runs a function with this token around it, so that all it calls and starts finds it by
    /// [`current`](Self::current).
    pub fn enter<R>(&self, run: impl FnOnce() -> R) -> R {
        overlay_own();
        CURRENT.with(self.clone(), run)
    }

    /// The token around the caller: that of its task, if it has one. It follows into threads and
    /// tasks that are started here.
    ///
    /// ```
    /// use hands::sync::CancelToken;
    /// use hands::thread;
    ///
    /// let token = CancelToken::new();
    /// let worker = token.enter(|| {
    ///     thread::spawn(|| CancelToken::current().expect("that of the creator").wait())
    /// });
    /// token.cancel();
    /// worker.join().unwrap();
    /// assert!(CancelToken::current().is_none());
    /// ```
    pub fn current() -> Option<CancelToken> {
        overlay_own();
        Some(CancelToken::clone(&*CURRENT.get()?))
    }

    /// Has `waker` woken when it is cancelled, as long as the watch is kept; its deadline does not
    /// count. `None`: it is already.
    pub(crate) fn watch(self, waker: &Waker) -> Option<Watch> {
        let mut asked: Watch = Box::pin(async move { self.asked().await });
        let is_asked = asked
            .as_mut()
            .poll(&mut Context::from_waker(waker))
            .is_ready();
        (!is_asked).then_some(asked)
    }

    /// The same for clones, and for nobody else.
    pub(super) fn identity(&self) -> *const () {
        Arc::as_ptr(&self.node).cast()
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            node: &self.node,
            ticket: None,
        }
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("CancelToken");
        shown.field("cancelled", &self.check().err());
        shown.field("deadline", &self.node.deadline);
        shown.finish_non_exhaustive()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A chain of parents that nobody else holds may be long: no recursion.
        let mut parent = self.parent.take();
        while let Some((node, number)) = parent {
            node.family.lock().children.remove(&number);
            parent = Arc::into_inner(node).and_then(|mut node| node.parent.take());
        }
    }
}

/// Cancels a token when it is dropped: what [`CancelToken::drop_guard`] returns.
#[derive(Debug)]
#[must_use = "dropped at once, it cancels at once"]
pub struct DropGuard(Option<CancelToken>);

impl DropGuard {
    /// Gives the token back, which is not cancelled.
    pub fn disarm(mut self) -> CancelToken {
        // It is there until now: a guard is made with one.
        self.0.take().unwrap_or_default()
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = &self.0 {
            token.cancel();
        }
    }
}

/// Waits for a `cancel`; deadlines are not its affair.
struct Asked<'a> {
    node: &'a Node,
    ticket: Option<Ticket>,
}

impl Future for Asked<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        in_line(context.waker(), |caller| {
            let mut family = this.node.family.lock();
            if this.node.cancelled.load(Ordering::Acquire) {
                return Some(Poll::Ready(()));
            }
            family.waiters.enlist(&mut this.ticket, caller, ())
        })
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let left = self.node.family.lock().waiters.leave(ticket);
            dispose(left);
        }
    }
}

/// Waits for cancellation: what [`CancelToken::cancelled`] returns.
#[must_use = "futures do nothing unless awaited"]
pub struct WaitCancelled<'a> {
    asked: Asked<'a>,
    alarm: Option<Alarm>,
}

impl Future for WaitCancelled<'_> {
    type Output = Cancelled;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Cancelled> {
        let this = self.get_mut();
        if Pin::new(&mut this.asked).poll(context).is_ready() {
            return Poll::Ready(Cancelled::Asked);
        }
        let Some(deadline) = this.asked.node.deadline else {
            return Poll::Pending;
        };
        match &this.alarm {
            Some(alarm) => alarm.rouse(context.waker()),
            None => match Alarm::set(deadline, context.waker().clone()) {
                Ok(alarm) => this.alarm = Some(alarm),
                // The system gives no thread to keep the time: looking again and again does it,
                // too.
                Err(_) => context.waker().wake_by_ref(),
            },
        }
        // Asked last: an alarm that has just rung is not missed.
        if deadline <= Instant::now() {
            return Poll::Ready(Cancelled::DeadlinePassed);
        }
        Poll::Pending
    }
}

impl fmt::Debug for WaitCancelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("WaitCancelled");
        shown.field("is_waiting", &self.asked.ticket.is_some());
        shown.finish_non_exhaustive()
    }
}

debug_is_sentence!(Cancelled);
