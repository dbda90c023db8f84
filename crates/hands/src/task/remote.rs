//! A task whose function runs in another process: its outcome, and what is told of it without its
//! types.
//!
//! A [`Single`] has one outcome, a [`Chunk`] one for each argument, a [`ChunkPart`] is a piece of a
//! chunk that is sent on its own. To those who send tasks and take in replies each is a [`Remote`];
//! to the caller it is what a handle claims.

#![cfg_attr(
    not(feature = "cluster"),
    allow(unreachable_pub, reason = "it is reached by way of `remote`")
)]

use std::any::type_name;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;

use super::cell::{Callback, Claim, TaskCell};
use super::{Data, Outcome, TaskError, WorkerId};
use crate::sync::waiters::Ticket;

/// How one outcome is read from a reply.
pub(crate) type Read<R> = fn(&mut &[u8]) -> Outcome<R>;

/// What a task asks of the pool that it was submitted to.
pub trait RemotePool: Send + Sync {
    /// It is no longer wanted. Whether that is its outcome.
    fn cancel(&self, task: &dyn Remote) -> bool;
    /// The worker that runs it now.
    fn runs(&self, task: &dyn Remote) -> Option<WorkerId>;
    /// Takes in replies on the caller's thread, until `is_over` or the deadline.
    fn assist(&self, deadline: Option<Instant>, is_over: &dyn Fn() -> bool);
}

/// A part of a chunk that is sent on its own: what all its arguments share is too much for one
/// message.
pub(crate) struct ChunkPart<R> {
    whole: Arc<Chunk<R>>,
    first: u64,
    count: u64,
    left: AtomicU64,
}

impl<R: Data> ChunkPart<R> {
    pub(crate) fn new(whole: &Arc<Chunk<R>>, first: usize, count: usize) -> Arc<ChunkPart<R>> {
        Arc::new(ChunkPart {
            whole: Arc::clone(whole),
            first: first as u64,
            count: count as u64,
            left: AtomicU64::new(count as u64),
        })
    }

    /// True: these were its last.
    fn came(&self, count: u64) -> bool {
        self.left.fetch_sub(count, Ordering::AcqRel) == count
    }
}

impl<R: Data> Remote for ChunkPart<R> {
    fn outcomes(&self, bytes: &[u8], first: u64, count: u64) -> bool {
        self.whole.outcomes(bytes, self.first + first, count);
        self.came(count)
    }

    fn fail(&self, number: u64, why: TaskError) -> bool {
        self.whole.fail(self.first + number, why);
        self.came(1)
    }

    fn finish(&self, count: &dyn Fn(u64)) -> bool {
        let is_whole = self.whole.outcomes.lock().left == 0;
        !is_whole || self.whole.finish(count)
    }

    fn call_back(&self) {
        self.whole.call_back();
    }

    fn refuse(&self, why: TaskError) -> bool {
        if !self.refuse_quietly(why) {
            self.whole.call_back();
        }
        true
    }

    fn refuse_quietly(&self, why: TaskError) -> bool {
        let mut is_last = false;
        for number in 0..self.count {
            is_last |= self.whole.fail(self.first + number, why.clone());
        }
        !is_last || self.whole.finish(&|_| ())
    }

    fn is_open(&self) -> bool {
        self.whole.is_open()
    }

    fn class(&self) -> &'static str {
        self.whole.class()
    }

    fn runs_on(&self, worker: WorkerId) {
        self.whole.runs_on(worker);
    }
}

/// A task, whatever its types are: it has an outcome for each argument, and is finished when all
/// have come, in whatever order they are told of.
pub trait Remote: Send + Sync {
    /// Outcomes have come, from this number on. True: they were the last.
    fn outcomes(&self, bytes: &[u8], first: u64, count: u64) -> bool;
    /// The outcome of this number is this. True: it was the last.
    fn fail(&self, number: u64, why: TaskError) -> bool;
    /// All have come. Before anybody hears of it `count` is told how many have panicked. False: it
    /// has callbacks, which may block; [`call_back`](Self::call_back) is to be called where they
    /// may.
    #[must_use]
    fn finish(&self, count: &dyn Fn(u64)) -> bool;
    /// Runs the callbacks of a task that is [finished](Self::finish) but for them.
    fn call_back(&self);
    /// It has this outcome, and will never run, or not to its end; runs its callbacks. False: it
    /// has another.
    fn refuse(&self, why: TaskError) -> bool;
    /// As [`refuse`](Self::refuse), where no callback may run. False: as of
    /// [`finish`](Self::finish).
    #[must_use]
    fn refuse_quietly(&self, why: TaskError) -> bool;
    /// Whether it has no outcome yet.
    fn is_open(&self) -> bool;
    /// What kind of task it is: the type of its function.
    fn class(&self) -> &'static str;
    /// This one has run it, or has died of it.
    fn runs_on(&self, worker: WorkerId);
}

/// Who ran a task last.
#[derive(Default)]
struct Last(AtomicU64);

impl Last {
    fn set(&self, worker: WorkerId) {
        // No pool has so many workers.
        let number = worker.number as u64 + 1;
        self.0
            .store(number << 32 | u64::from(worker.pid), Ordering::Relaxed);
    }

    fn get(&self) -> Option<WorkerId> {
        let word = self.0.load(Ordering::Relaxed);
        let number = usize::try_from(word >> 32).ok()?.checked_sub(1)?;
        Some(WorkerId::new(number, word as u32))
    }
}

/// One call, with its outcome.
pub struct Single<R> {
    cell: TaskCell<(), R>,
    outcome: Mutex<Option<Outcome<R>>>,
    last: Last,
    pool: Weak<dyn RemotePool>,
    read: Read<R>,
}

/// Outcomes by their numbers, and how many are to come.
struct Gathered<R> {
    /// Gone once somebody tells of them: of two parts that end at the same time, each may see that
    /// nothing is left.
    outcomes: Option<Vec<Option<Outcome<R>>>>,
    left: usize,
}

impl<R> Gathered<R> {
    /// True: it was the last.
    fn put(&mut self, number: u64, outcome: Outcome<R>) -> bool {
        let place = usize::try_from(number).ok();
        let outcomes = self.outcomes.as_mut();
        let place = outcomes.and_then(|outcomes| outcomes.get_mut(place?));
        if let Some(place @ None) = place {
            *place = Some(outcome);
            self.left -= 1;
            return self.left == 0;
        }
        false
    }
}

/// Several, with theirs.
pub struct Chunk<R> {
    cell: TaskCell<(), Vec<Outcome<R>>>,
    outcomes: Mutex<Gathered<R>>,
    /// All of them, of which callbacks are to be told.
    whole: Mutex<Option<Outcome<Vec<Outcome<R>>>>>,
    last: Last,
    pool: Weak<dyn RemotePool>,
    read: Read<R>,
}

impl<R: Data> Single<R> {
    /// For a function of this type.
    pub fn new<F>(pool: Weak<dyn RemotePool>, read: Read<R>) -> Arc<Single<R>> {
        Arc::new(Single {
            cell: TaskCell::remote(type_name::<F>(), ()),
            outcome: Mutex::new(None),
            last: Last::default(),
            pool,
            read,
        })
    }
}

impl<R: Data> Chunk<R> {
    /// For a function of this type.
    pub fn new<F>(pool: Weak<dyn RemotePool>, read: Read<R>, count: usize) -> Arc<Chunk<R>> {
        Arc::new(Chunk {
            cell: TaskCell::remote(type_name::<F>(), ()),
            outcomes: Mutex::new(Gathered {
                outcomes: Some((0..count).map(|_| None).collect()),
                left: count,
            }),
            whole: Mutex::new(None),
            last: Last::default(),
            pool,
            read,
        })
    }
}

impl<R: Data> Single<R> {
    /// False: callbacks are to be told of it.
    fn resolve_quietly(&self, outcome: Outcome<R>) -> bool {
        let left = self.cell.resolve_quietly(outcome).err();
        let is_over = left.is_none();
        if !is_over {
            *self.outcome.lock() = left;
        }
        is_over
    }
}

impl<R: Data> Chunk<R> {
    /// False: callbacks are to be told of it.
    fn resolve_quietly(&self, outcome: Outcome<Vec<Outcome<R>>>) -> bool {
        let left = self.cell.resolve_quietly(outcome).err();
        let is_over = left.is_none();
        if !is_over {
            *self.whole.lock() = left;
        }
        is_over
    }
}

impl<R> Chunk<R> {
    pub(crate) fn count(&self) -> usize {
        self.outcomes.lock().outcomes.as_ref().map_or(0, Vec::len)
    }
}

fn is_panic<R>(outcome: &Outcome<R>) -> bool {
    matches!(outcome, Err(TaskError::Panicked(_)))
}

impl<R: Data> Remote for Single<R> {
    fn outcomes(&self, mut bytes: &[u8], _: u64, count: u64) -> bool {
        if count > 0 {
            // Read without the lock: that is the user's code.
            let outcome = (self.read)(&mut bytes);
            let before = self.outcome.lock().replace(outcome);
            drop(before);
        }
        count > 0
    }

    fn fail(&self, _: u64, why: TaskError) -> bool {
        let before = self.outcome.lock().replace(Err(why));
        drop(before);
        true
    }

    fn finish(&self, count: &dyn Fn(u64)) -> bool {
        let outcome = self.outcome.lock().take().unwrap_or_else(|| {
            Err(TaskError::Decode {
                what: "the result: it is missing".to_owned(),
            })
        });
        count(u64::from(is_panic(&outcome)));
        self.resolve_quietly(outcome)
    }

    fn call_back(&self) {
        let outcome = self.outcome.lock().take();
        if let Some(outcome) = outcome {
            self.cell.settle(outcome);
        }
    }

    fn refuse(&self, why: TaskError) -> bool {
        self.cell.resolve(Err(why))
    }

    fn refuse_quietly(&self, why: TaskError) -> bool {
        self.resolve_quietly(Err(why))
    }

    fn is_open(&self) -> bool {
        !self.cell.is_finished()
    }

    fn class(&self) -> &'static str {
        self.cell.kind()
    }

    fn runs_on(&self, worker: WorkerId) {
        self.last.set(worker);
    }
}

impl<R: Data> Remote for Chunk<R> {
    fn outcomes(&self, mut bytes: &[u8], first: u64, count: u64) -> bool {
        // Read without the lock: that is the user's code.
        let read: Vec<_> = (0..count).map(|_| (self.read)(&mut bytes)).collect();
        let mut gathered = self.outcomes.lock();
        let mut is_last = false;
        for (number, outcome) in (first..).zip(read) {
            is_last |= gathered.put(number, outcome);
        }
        is_last
    }

    fn fail(&self, number: u64, why: TaskError) -> bool {
        self.outcomes.lock().put(number, Err(why))
    }

    fn finish(&self, count: &dyn Fn(u64)) -> bool {
        let Some(gathered) = self.outcomes.lock().outcomes.take() else {
            return true;
        };
        let outcomes: Vec<_> = gathered.into_iter().flatten().collect();
        let panicked = outcomes.iter().filter(|outcome| is_panic(outcome)).count();
        count(panicked as u64);
        self.resolve_quietly(Ok(outcomes))
    }

    fn call_back(&self) {
        let outcome = self.whole.lock().take();
        if let Some(outcome) = outcome {
            self.cell.settle(outcome);
        }
    }

    fn refuse(&self, why: TaskError) -> bool {
        self.cell.resolve(Err(why))
    }

    fn refuse_quietly(&self, why: TaskError) -> bool {
        self.resolve_quietly(Err(why))
    }

    fn is_open(&self) -> bool {
        !self.cell.is_finished()
    }

    fn class(&self) -> &'static str {
        self.cell.kind()
    }

    fn runs_on(&self, worker: WorkerId) {
        self.last.set(worker);
    }
}

macro_rules! claim {
    ($task:ident, $outcome:ty) => {
        impl<R: Data> Claim<$outcome> for $task<R> {
            fn poll(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<Outcome<$outcome>> {
                self.cell.poll(ticket, waker)
            }

            fn peek(&self, ticket: &mut Option<Ticket>, waker: &Waker) -> Poll<bool> {
                self.cell.peek(ticket, waker)
            }

            fn leave(&self, ticket: Ticket) {
                self.cell.leave(ticket);
            }

            fn is_finished(&self) -> bool {
                self.cell.is_finished()
            }

            fn cancel(&self) -> bool {
                match self.pool.upgrade() {
                    Some(pool) => pool.cancel(self),
                    None => self.refuse(TaskError::Cancelled),
                }
            }

            fn worker(&self) -> Option<WorkerId> {
                let pool = self.pool.upgrade().filter(|_| !self.cell.is_finished());
                pool.and_then(|pool| pool.runs(self))
                    .or_else(|| self.last.get())
            }

            fn on_done(&self, callback: Callback<$outcome>) {
                self.cell.on_done(callback);
            }

            fn assist(&self, deadline: Option<Instant>) {
                if let Some(pool) = self.pool.upgrade() {
                    pool.assist(deadline, &|| self.cell.is_finished());
                }
            }
        }
    };
}

claim!(Single, R);
claim!(Chunk, Vec<Outcome<R>>);

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl RemotePool for Nobody {
        fn cancel(&self, _: &dyn Remote) -> bool {
            false
        }

        fn runs(&self, _: &dyn Remote) -> Option<WorkerId> {
            None
        }

        fn assist(&self, _: Option<Instant>, _: &dyn Fn() -> bool) {}
    }

    #[test]
    fn of_two_parts_that_end_at_the_same_time_one_tells_of_all_outcomes() {
        let read = |_: &mut &[u8]| Err(TaskError::Cancelled);
        let whole = Chunk::<u8>::new::<()>(Weak::<Nobody>::new(), read, 2);
        let parts = [0, 1].map(|first| ChunkPart::new(&whole, first, 1));
        for part in &parts {
            assert!(part.fail(0, TaskError::Cancelled));
        }
        // The other comes in the middle of telling.
        let second = |_| assert!(parts[1].finish(&|_| panic!("it is told of already")));
        assert!(parts[0].finish(&second));
        let mut ticket = None;
        let told = whole.poll(&mut ticket, Waker::noop());
        let cancelled = Err(TaskError::Cancelled);
        assert_eq!(told, Poll::Ready(Ok(vec![cancelled.clone(), cancelled])));
    }

    #[test]
    fn a_callback_that_comes_at_the_last_moment_is_not_run_by_who_takes_in_replies() {
        let read = |_: &mut &[u8]| Err(TaskError::Cancelled);
        let task = Single::<u8>::new::<()>(Weak::<Nobody>::new(), read);
        assert!(task.outcomes(&[], 0, 1));
        let (told, hear) = std::sync::mpsc::channel();
        let (late, also) = (Arc::clone(&task), told.clone());
        task.on_done(Box::new(move |_| {
            late.on_done(Box::new(move |_| also.send(2).expect("somebody hears")));
            told.send(1).expect("somebody hears");
        }));
        assert!(!task.finish(&|_| ()));
        assert!(hear.try_recv().is_err());
        assert!(!task.is_finished());
        task.call_back();
        assert_eq!(hear.iter().collect::<Vec<i32>>(), [1, 2]);
        assert!(task.is_finished());
    }
}
