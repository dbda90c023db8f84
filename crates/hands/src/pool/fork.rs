//! Splitting work in two: `join(a, b)`.
//!
//! # Protocol
//!
//! - The worker puts *b* on its stack of halves, wakes a thief if one sleeps, and runs *a*. If *b*
//!   is still on the stack it takes it back and runs it too; else a thief has it. Until that is
//!   done the worker takes back parts of *b*: halves that the thief has put on its own stack since
//!   it began *b* (leapfrogging: D. B. Wagner and B. G. Calder, *Leapfrogging: A Portable Technique
//!   for Implementing Efficient Futures*, PPoPP 1993). So it runs nothing but what it waits for.
//!   When there are none, it steps aside.
//! - *b* and the place for its result lie on the worker's call stack. The worker leaves that frame,
//!   also by a panic of *a*, only when it has taken *b* back or seen `done`.
//! - The thief's last touch of the frame is to set `done`. What it wakes the worker with it has
//!   copied before.

use std::panic::resume_unwind;
use std::ptr::NonNull;
use std::sync::Arc;

use super::stack::Stack;
use super::worker::ThreadWorker;
use crate::context::Context;
use crate::foreign::{NoUnwind, dispose};
use crate::primitive::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, Thread, UnsafeCell, park};
use crate::task::blocking;
use crate::thread::panic::{Caught, caught};
use crate::thread::room;

/// Runs both functions, the second on another worker if one has nothing to do, and returns both
/// results. On a thread that is no worker of a pool it runs one after the other;
/// [`ThreadPool::both`](super::ThreadPool::both) is for those.
///
/// ```
/// use hands::pool::{ThreadPool, join};
///
/// fn sum(numbers: &[u64]) -> u64 {
///     if numbers.len() < 1000 {
///         return numbers.iter().sum();
///     }
///     let (left, right) = numbers.split_at(numbers.len() / 2);
///     let (left, right) = join(|| sum(left), || sum(right));
///     left + right
/// }
///
/// let numbers: Vec<u64> = (1..=100_000).collect();
/// let pool = ThreadPool::new()?;
/// assert_eq!(pool.install(|| sum(&numbers)), 5_000_050_000);
/// # std::io::Result::Ok(())
/// ```
///
/// # Panics
///
/// When one of them panics, with its panic, once both have ended; if both do, with that of the
/// first.
pub fn join<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    match ThreadWorker::current() {
        Some(worker) => fork(&worker, a, b),
        None => (a(), b()),
    }
}

fn fork<A, B, RA, RB>(worker: &ThreadWorker, a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA,
    B: FnOnce() -> RB + Send,
    RB: Send,
{
    let crew = &worker.crew;
    let piece = Piece::new(b, &worker.thread);
    let guard = NoUnwind::new("a half of a `join` may still be run, and borrows from this frame");
    crew.stacks.push(&worker.stack, piece.half());
    let a = caught(|| {
        crew.call_thief();
        a()
    });
    let b = match crew.stacks.pop(&worker.stack) {
        Some(half) => {
            // Ours: thieves take from the other end, so what was pushed before it went before it.
            debug_assert_eq!(half.piece, NonNull::from(&piece).cast());
            let b = piece.run.into_inner();
            b.map(caught)
        }
        None => {
            piece.await_thief(worker);
            piece.result.into_inner()
        }
    };
    guard.end();
    let Some(b) = b else {
        unreachable!("a half that was pushed is run once");
    };
    match (a, b) {
        (Ok(a), Ok(b)) => (a, b),
        // What the other has returned is dropped before, as its destructor may panic.
        (Err(first), second) => {
            dispose(second);
            resume_unwind(first.into_payload())
        }
        (first, Err(second)) => {
            dispose(first);
            resume_unwind(second.into_payload())
        }
    }
}

/// The half of a piece of work that may be stolen, in the frame of the worker that split it.
struct Piece<'w, B, R> {
    run: UnsafeCell<Option<B>>,
    result: UnsafeCell<Option<Result<R, Caught>>>,
    context: Context,
    done: AtomicBool,
    /// The stack of the worker that runs it, to be compared and never followed; and how many halves
    /// lay on it before.
    thief: AtomicPtr<Stack>,
    base: AtomicUsize,
    owner: &'w Thread,
}

/// How often a worker looks before it steps aside.
const LOOKS: u32 = 200;

fn pause_until(is_done: impl Fn() -> bool) -> bool {
    std::hint::spin_loop();
    is_done()
}

/// Somebody's right, and duty, to run a [`Piece`]: there is one of it, and it is used up.
pub(super) struct Half {
    piece: NonNull<()>,
    run: unsafe fn(NonNull<()>, &ThreadWorker),
}

// SAFETY: it stands for a `Piece` whose function and result are `Send` (`Piece::half` asks for
// that), and a thread that has it is the only one to touch them until `done` is set.
unsafe impl Send for Half {}

impl<B, R> Piece<'_, B, R>
where
    B: FnOnce() -> R + Send,
    R: Send,
{
    fn new(run: B, owner: &Thread) -> Piece<'_, B, R> {
        Piece {
            run: UnsafeCell::new(Some(run)),
            result: UnsafeCell::new(None),
            context: Context::current(),
            done: AtomicBool::new(false),
            thief: AtomicPtr::new(std::ptr::null_mut()),
            base: AtomicUsize::new(0),
            owner,
        }
    }

    /// To be called once.
    fn half(&self) -> Half {
        Half {
            piece: NonNull::from(self).cast(),
            run: Piece::<B, R>::run,
        }
    }

    /// Runs parts of it until it is done, and waits when there are none.
    fn await_thief(&self, worker: &ThreadWorker) {
        let is_done = || self.done.load(Ordering::Acquire);
        while !is_done() {
            if self.help(worker) || (0..LOOKS).any(|_| pause_until(is_done)) {
                continue;
            }
            blocking::aside(|| {
                while !is_done() {
                    park();
                }
            });
        }
    }

    /// Runs a part of it that nobody has begun, if there is one.
    fn help(&self, worker: &ThreadWorker) -> bool {
        if !room::has_room() {
            return false;
        }
        let thief = self.thief.load(Ordering::Acquire);
        if thief.is_null() {
            return false;
        }
        let base = self.base.load(Ordering::Relaxed);
        let half = worker.crew.stacks.steal_above(thief, base);
        half.map(|half| half.run(worker)).is_some()
    }

    /// # Safety
    ///
    /// `piece` points to a `Piece<B, R>` that is alive, and the caller is the only one to run it.
    unsafe fn run(piece: NonNull<()>, thief: &ThreadWorker) {
        // SAFETY: the caller vouches for it, until `done` is set below.
        let piece = unsafe { piece.cast::<Piece<'_, B, R>>().as_ref() };
        piece.base.store(thief.stack.height(), Ordering::Relaxed);
        let stack = Arc::as_ptr(&thief.stack).cast_mut();
        piece.thief.store(stack, Ordering::Release);
        piece.finish();
    }

    /// Runs it, and says so to its owner. To be called once, by the one who has its [`Half`]; from
    /// the end of it on the piece may be gone.
    fn finish(&self) {
        // SAFETY: nobody else touches the function: its owner does so only with the `Half` in hand,
        // which was given up for this call.
        let run = self.run.with_mut(|run| unsafe { &mut *run }.take());
        // Around everything that is foreign, the subscriber of a `tracing` span included: nothing
        // may keep `done` from being set.
        let result = run.map(|run| caught(|| self.context.run(run)));
        // SAFETY: as for the function; the owner reads the result when it has seen `done`. What is
        // overwritten is `None`.
        self.result.with_mut(|place| unsafe { *place = result });
        let owner = self.owner.clone();
        // Release: a thread that sees it sees the result.
        self.done.store(true, Ordering::Release);
        owner.unpark();
    }
}

impl Half {
    /// Runs the piece, as a thief.
    pub(super) fn run(self, thief: &ThreadWorker) {
        // SAFETY: the pointer is to the piece that `half` was called on, of the types that `run` is
        // for. It is alive: its owner stays in the frame until it has this `Half` back or has seen
        // `done`, and neither can be, as it is here.
        unsafe { (self.run)(self.piece, thief) };
    }
}

#[cfg(all(test, hands_loom))]
mod model {
    //! Every interleaving of a worker and the thief of its half.

    use super::*;
    use loom::thread;

    /// A pointer that a model passes on, as a `Half` does.
    struct Stolen(NonNull<()>);

    // SAFETY: a thread that has it is the only one to run the piece, whose function and result are
    // `Send`; the owner keeps the piece alive until it has seen `done`.
    unsafe impl Send for Stolen {}

    #[test]
    fn a_piece_is_left_when_its_thief_is_done_and_its_result_is_there() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let own = crate::primitive::current();
            let mut borrowed = 1_u64;
            let double = || {
                borrowed *= 2;
                borrowed
            };
            fn steal<B: FnOnce() -> R + Send, R: Send>(piece: &Piece<'_, B, R>) -> fn(NonNull<()>) {
                let _ = piece;
                |place| {
                    // SAFETY: the owner is in the frame of the piece until it has seen `done`,
                    // which `finish` sets last.
                    let piece = unsafe { place.cast::<Piece<'_, B, R>>().as_ref() };
                    piece.finish();
                }
            }
            let piece = Piece::new(double, &own);
            let run = steal(&piece);
            let stolen = Stolen(NonNull::from(&piece).cast());
            let thief = thread::spawn(move || {
                let stolen = stolen;
                run(stolen.0);
            });
            while !piece.done.load(Ordering::Acquire) {
                park();
            }
            let result = piece.result.into_inner();
            assert!(matches!(result, Some(Ok(2))));
            assert_eq!(borrowed, 2);
            thief.join().unwrap();
        });
    }
}
