//! A task whose function runs in another process: what is typed about it, on both sides.

use std::any::type_name;
use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;

use super::inner::Inner;
use crate::process::again;
use crate::process::order::Answer;
use crate::sync::waiters::Ticket;
use crate::task::cell::{Callback, Claim, TaskCell};
use crate::task::{Data, Outcome, Task, TaskError, WorkerId};
use crate::thread::panic::caught;
use crate::wire::codec::{self, Failure, LaidReady};
use crate::wire::image::Code;
use crate::wire::message as wire;

/// What precedes an outcome: a result, or an [`Answer`] that is none.
const RESULT: u8 = 0;
const FAILED: u8 = 1;
/// A result that is an `Err`, of a task that is begun again then.
pub(super) const UNWELL: u8 = 2;

/// What is called in the worker: it takes one argument from what is to be read, and appends one outcome. Returned are the
/// descriptors that belong to that. (What the function itself writes down must not see the argument's descriptors.)
pub(super) type Call = fn(&mut &[u8], &mut LaidReady, &mut Vec<u8>) -> Vec<OwnedFd>;

/// Where the worker finds what it is to call in the place of a function. `None`: not in the executable.
pub(super) fn code_of<F, A, R>(_task: F) -> Option<Code>
where
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    const { F::CAPTURES_NOTHING };
    let call: Call = call::<F, A, R>;
    Code::at(call as usize)
}

/// # Safety
///
/// The code was made by [`code_of`] in a process of the same image.
pub(super) unsafe fn called(code: Code) -> Option<Call> {
    let address = code.address()?;
    // SAFETY: the same code is at the same place in the image, as the caller says; there it was a `Call`.
    Some(unsafe { std::mem::transmute::<*const (), Call>(address) })
}

fn call<F, A, R>(input: &mut &[u8], carried: &mut LaidReady, output: &mut Vec<u8>) -> Vec<OwnedFd>
where
    F: Task<A, R>,
    A: Data,
    R: Data,
{
    // SAFETY: `code_of`, which alone names this function, was given one.
    let run = unsafe { again::<F>() };
    call_by(run, (input, carried), output)
}

/// Reads the argument, calls, and appends what comes of it.
pub(super) fn call_by<A, R>(
    run: impl FnOnce(A) -> R,
    (input, carried): (&mut &[u8], &mut LaidReady),
    output: &mut Vec<u8>,
) -> Vec<OwnedFd>
where
    A: Data,
    R: Data,
{
    let before = output.len();
    let done = caught(|| {
        let argument = match codec::lend(carried, || codec::read::<A>(input)) {
            Ok(argument) => argument,
            Err(Failure::Decode(what) | Failure::Encode(what)) => {
                return Err(Answer::Decode(what));
            }
        };
        let result = run(argument);
        Ok(write_result(&result, output))
    });
    let failed = match done {
        Ok(Ok(descriptors)) => return descriptors,
        Ok(Err(answer)) => answer,
        Err(caught) => caught.into(),
    };
    output.truncate(before);
    write_failed(&failed, output);
    Vec::new()
}

/// As [`code_of`], for a task that is begun again when its result is an `Err`.
pub(super) fn until_ok_code_of<F, A, T, E>(_task: F) -> Option<Code>
where
    F: Task<A, Result<T, E>>,
    A: Data,
    Result<T, E>: Data,
{
    const { F::CAPTURES_NOTHING };
    let call: Call = call_until_ok::<F, A, T, E>;
    Code::at(call as usize)
}

fn call_until_ok<F, A, T, E>(
    input: &mut &[u8],
    carried: &mut LaidReady,
    output: &mut Vec<u8>,
) -> Vec<OwnedFd>
where
    F: Task<A, Result<T, E>>,
    A: Data,
    Result<T, E>: Data,
{
    thread_local! {
        static IS_ERR: Cell<bool> = const { Cell::new(false) };
    }
    fn noting<F, A, T, E>(argument: A) -> Result<T, E>
    where
        F: Task<A, Result<T, E>>,
    {
        // SAFETY: `until_ok_code_of`, which alone leads here, was given one.
        let result = unsafe { again::<F>() }(argument);
        IS_ERR.set(result.is_err());
        result
    }
    let before = output.len();
    let descriptors = call_by(noting::<F, A, T, E>, (input, carried), output);
    if IS_ERR.take() && output.get(before) == Some(&RESULT) {
        output[before] = UNWELL;
    }
    descriptors
}

/// Appends a result, or why it cannot be written down.
pub(super) fn write_result<R: Data>(result: &R, output: &mut Vec<u8>) -> Vec<OwnedFd> {
    let before = output.len();
    output.push(RESULT);
    let (written, descriptors) = codec::collecting(|| codec::write(result, output));
    match written {
        Ok(()) if descriptors.len() > wire::MOST_SHARED => {
            output.truncate(before);
            write_failed(&Answer::Encode(wire::too_many(descriptors.len())), output);
            Vec::new()
        }
        Ok(()) => descriptors,
        Err(Failure::Decode(what) | Failure::Encode(what)) => {
            output.truncate(before);
            write_failed(&Answer::Encode(what), output);
            Vec::new()
        }
    }
}

pub(super) fn write_failed(failed: &Answer, output: &mut Vec<u8>) {
    output.push(FAILED);
    // Strings and numbers can always be written down.
    let _ = codec::append(failed, output);
}

/// One outcome of those there.
fn outcome<R: Data>(bytes: &mut &[u8]) -> Outcome<R> {
    let unreadable = |what: String| TaskError::Decode {
        what: format!("the result: {what}"),
    };
    let read = match bytes.split_first() {
        Some((&(RESULT | UNWELL), rest)) => {
            *bytes = rest;
            caught(|| codec::read::<R>(bytes))
        }
        Some((&FAILED, rest)) => {
            *bytes = rest;
            let answer = codec::take::<Answer>(bytes);
            return Err(match answer {
                Ok(answer) => answer.error(),
                Err(_) => unreadable("it is no outcome".to_owned()),
            });
        }
        _ => return Err(unreadable("it is missing".to_owned())),
    };
    match read {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(Failure::Decode(what) | Failure::Encode(what))) => Err(unreadable(what)),
        Err(caught) => Err(caught.into()),
    }
}

/// The error that an outcome is, for one without a result.
pub(super) fn said(mut bytes: &[u8]) -> Option<TaskError> {
    outcome::<()>(&mut bytes).err()
}

/// A part of a chunk that is sent on its own: what all its arguments share is too much for one message.
pub(super) struct Part<R> {
    whole: Arc<Chunk<R>>,
    first: u64,
    count: u64,
    left: AtomicU64,
}

impl<R: Data> Part<R> {
    pub(super) fn new(whole: &Arc<Chunk<R>>, first: usize, count: usize) -> Arc<Part<R>> {
        Arc::new(Part {
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

impl<R: Data> Remote for Part<R> {
    fn outcomes(&self, bytes: &[u8], first: u64, count: u64) -> bool {
        self.whole.outcomes(bytes, self.first + first, count);
        self.came(count)
    }

    fn fail(&self, number: u64, why: TaskError) -> bool {
        self.whole.fail(self.first + number, why);
        self.came(1)
    }

    fn finish(&self, count: &dyn Fn(u64)) {
        if self.whole.outcomes.lock().left == 0 {
            self.whole.finish(count);
        }
    }

    fn refuse(&self, why: TaskError) -> bool {
        let mut is_last = false;
        for number in 0..self.count {
            is_last |= self.whole.fail(self.first + number, why.clone());
        }
        if is_last {
            self.whole.finish(&|_| ());
        }
        true
    }

    fn is_open(&self) -> bool {
        self.whole.is_open()
    }

    fn has_callbacks(&self) -> bool {
        self.whole.has_callbacks()
    }

    fn runs_on(&self, worker: WorkerId) {
        self.whole.runs_on(worker);
    }
}

/// A task, whatever its types are: it has an outcome for each argument, and is finished when all have come, in whatever order they are told of.
pub(super) trait Remote: Send + Sync {
    /// Outcomes have come, from this number on. True: they were the last.
    fn outcomes(&self, bytes: &[u8], first: u64, count: u64) -> bool;
    /// The outcome of this number is this. True: it was the last.
    fn fail(&self, number: u64, why: TaskError) -> bool;
    /// All have come. Before anybody hears of it `count` is told how many have panicked.
    fn finish(&self, count: &dyn Fn(u64));
    /// It has this outcome, and will never run, or not to its end. False: it has another.
    fn refuse(&self, why: TaskError) -> bool;
    fn is_open(&self) -> bool;
    /// Whether the user's callbacks are called when it is finished.
    fn has_callbacks(&self) -> bool;
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
pub(super) struct Single<R> {
    cell: TaskCell<(), R>,
    outcome: Mutex<Option<Outcome<R>>>,
    last: Last,
    pool: Weak<Inner>,
}

/// Outcomes by their numbers, and how many are to come.
struct Gathered<R> {
    /// Gone once somebody tells of them: of two parts that end at the same time, each may see that nothing is left.
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
pub(super) struct Chunk<R> {
    cell: TaskCell<(), Vec<Outcome<R>>>,
    outcomes: Mutex<Gathered<R>>,
    last: Last,
    pool: Weak<Inner>,
}

impl<R: Data> Single<R> {
    pub(super) fn new<F>(pool: &Arc<Inner>) -> Arc<Single<R>> {
        Arc::new(Single {
            cell: TaskCell::remote(type_name::<F>(), ()),
            outcome: Mutex::new(None),
            last: Last::default(),
            pool: Arc::downgrade(pool),
        })
    }
}

impl<R: Data> Chunk<R> {
    pub(super) fn new<F>(pool: Weak<Inner>, count: usize) -> Arc<Chunk<R>> {
        Arc::new(Chunk {
            cell: TaskCell::remote(type_name::<F>(), ()),
            outcomes: Mutex::new(Gathered {
                outcomes: Some((0..count).map(|_| None).collect()),
                left: count,
            }),
            last: Last::default(),
            pool,
        })
    }
}

impl<R> Chunk<R> {
    pub(super) fn count(&self) -> usize {
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
            let outcome = outcome(&mut bytes);
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

    fn finish(&self, count: &dyn Fn(u64)) {
        let outcome = self.outcome.lock().take().unwrap_or_else(|| {
            Err(TaskError::Decode {
                what: "the result: it is missing".to_owned(),
            })
        });
        count(u64::from(is_panic(&outcome)));
        self.cell.resolve(outcome);
    }

    fn refuse(&self, why: TaskError) -> bool {
        self.cell.resolve(Err(why))
    }

    fn is_open(&self) -> bool {
        !self.cell.is_finished()
    }

    fn has_callbacks(&self) -> bool {
        self.cell.has_callbacks()
    }

    fn runs_on(&self, worker: WorkerId) {
        self.last.set(worker);
    }
}

impl<R: Data> Remote for Chunk<R> {
    fn outcomes(&self, mut bytes: &[u8], first: u64, count: u64) -> bool {
        // Read without the lock: that is the user's code.
        let read: Vec<_> = (0..count).map(|_| outcome(&mut bytes)).collect();
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

    fn finish(&self, count: &dyn Fn(u64)) {
        let Some(gathered) = self.outcomes.lock().outcomes.take() else {
            return;
        };
        let outcomes: Vec<_> = gathered.into_iter().flatten().collect();
        let panicked = outcomes.iter().filter(|outcome| is_panic(outcome)).count();
        count(panicked as u64);
        self.cell.resolve(Ok(outcomes));
    }

    fn refuse(&self, why: TaskError) -> bool {
        self.cell.resolve(Err(why))
    }

    fn is_open(&self) -> bool {
        !self.cell.is_finished()
    }

    fn has_callbacks(&self) -> bool {
        self.cell.has_callbacks()
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
                    pool.assist(deadline, || self.cell.is_finished());
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

    #[test]
    fn of_two_parts_that_end_at_the_same_time_one_tells_of_all_outcomes() {
        let whole = Chunk::<u8>::new::<()>(Weak::new(), 2);
        let parts = [0, 1].map(|first| Part::new(&whole, first, 1));
        for part in &parts {
            assert!(part.fail(0, TaskError::Cancelled));
        }
        // The other comes in the middle of telling.
        parts[0].finish(&|_| parts[1].finish(&|_| panic!("it is told of already")));
        let mut ticket = None;
        let told = whole.poll(&mut ticket, Waker::noop());
        let cancelled = Err(TaskError::Cancelled);
        assert_eq!(told, Poll::Ready(Ok(vec![cancelled.clone(), cancelled])));
    }
}
