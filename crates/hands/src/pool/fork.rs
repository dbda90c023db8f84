//! Splitting work in two: `join(a, b)`.
//!
//! # Protocol
//!
//! - The worker puts *b* on its stack of halves, wakes a thief if one sleeps, and runs *a*. If *b* is still on the stack it
//!   takes it back and runs it too; else a thief has it, and the worker helps until the thief is done.
//! - *b* and the place for its result lie on the worker's call stack. The worker leaves that frame, also by a panic of
//!   *a*, only when it has taken *b* back or seen `done`.
//! - The thief's last touch of the frame is to set `done`. What it wakes the worker with it has copied before.

use std::cell::UnsafeCell;
use std::panic::resume_unwind;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::Thread;

use super::worker::Worker;
use crate::context::Context;
use crate::task::help::Help;
use crate::thread::panic::{Caught, caught};

/// Runs both functions, the second on another worker if one has nothing to do, and returns both results. On a thread that is
/// no worker of a pool it runs one after the other; [`ThreadPool::both`](super::ThreadPool::both) is for those.
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
/// When one of them panics, with its panic, once both have ended; if both do, with that of the first.
pub fn join<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    match Worker::current() {
        Some(worker) => fork(&worker, a, b),
        None => (a(), b()),
    }
}

fn fork<A, B, RA, RB>(worker: &Worker, a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA,
    B: FnOnce() -> RB + Send,
    RB: Send,
{
    let crew = &worker.crew;
    let piece = Piece {
        run: UnsafeCell::new(Some(b)),
        result: UnsafeCell::new(None),
        context: Context::current(),
        done: AtomicBool::new(false),
        owner: &worker.thread,
    };
    crew.stacks.push(&worker.stack, piece.half());
    // From here to the end of the match nothing may unwind.
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
            let mut poll = |_: &mut std::task::Context<'_>| match piece.done.load(Ordering::Acquire)
            {
                true => Poll::Ready(()),
                // The thief wakes this thread, whatever it sleeps in.
                false => Poll::Pending,
            };
            while !piece.done.load(Ordering::Acquire) {
                let _ = caught(|| worker.help_until(&mut poll, None));
            }
            piece.result.into_inner()
        }
    };
    let Some(b) = b else {
        unreachable!("a half that was pushed is run once");
    };
    match (a, b) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(first), _) => resume_unwind(first.payload),
        (_, Err(second)) => resume_unwind(second.payload),
    }
}

/// The half of a piece of work that may be stolen, in the frame of the worker that split it.
struct Piece<'w, B, R> {
    run: UnsafeCell<Option<B>>,
    result: UnsafeCell<Option<Result<R, Caught>>>,
    context: Context,
    done: AtomicBool,
    owner: &'w Thread,
}

/// Somebody's right, and duty, to run a [`Piece`]: there is one of it, and it is used up.
pub(super) struct Half {
    piece: NonNull<()>,
    run: unsafe fn(NonNull<()>),
}

// SAFETY: it stands for a `Piece` whose function and result are `Send` (`Piece::half` asks for that), and whoever has it is
// the only one to touch them until `done` is set.
unsafe impl Send for Half {}

impl<B, R> Piece<'_, B, R>
where
    B: FnOnce() -> R + Send,
    R: Send,
{
    /// To be called once.
    fn half(&self) -> Half {
        Half {
            piece: NonNull::from(self).cast(),
            run: Piece::<B, R>::run,
        }
    }

    /// # Safety
    ///
    /// `piece` points to a `Piece<B, R>` that is alive, and the caller is the only one to run it.
    unsafe fn run(piece: NonNull<()>) {
        // SAFETY: the caller vouches for it, until `done` is set below.
        let piece = unsafe { piece.cast::<Piece<'_, B, R>>().as_ref() };
        // SAFETY: nobody else touches the function: its owner does so only with the `Half` in hand, which was given up for
        // this call.
        let run = unsafe { &mut *piece.run.get() }.take();
        // Around everything that is foreign, the subscriber of a `tracing` span included: nothing may keep `done` from being set.
        let result = run.map(|run| caught(|| piece.context.run(run)));
        // SAFETY: as for the function; the owner reads the result when it has seen `done`.
        unsafe { *piece.result.get() = result };
        let owner = piece.owner.clone();
        // Release: whoever sees it sees the result. From here on the piece may be gone.
        piece.done.store(true, Ordering::Release);
        owner.unpark();
    }
}

impl Half {
    /// Runs the piece, as a thief.
    pub(super) fn run(self) {
        // SAFETY: the pointer is to the piece that `half` was called on, of the types that `run` is for. It is alive: its
        // owner stays in the frame until it has this `Half` back or has seen `done`, and neither can be, as it is here.
        unsafe { (self.run)(self.piece) };
    }
}
