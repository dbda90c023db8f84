//! Running and dropping values of the user's so that they can hurt nobody but themselves.
//!
//! A result, a panic's payload, an item, a waker, a callback: each has a destructor, and some have
//! a body, that may panic, block, or call back into what holds it. Hence the rules of this crate:
//!
//! - Nothing of it runs or is dropped under a lock of ours. What is taken out under a lock is
//!   dropped after the unlock.
//! - On a thread that others depend on (a worker, a driver of coroutines, the thread that rings
//!   alarms) it runs and is dropped inside a catch: [`caught`](crate::thread::panic::caught) or
//!   [`dispose`].
//! - A thread of ours on which it may run has as much stack as any other: it asks for no less.
//! - A frame that lends memory is left only when all borrowers are done. [`NoUnwind`] guards the
//!   lines for which that is assured by nothing else: a panic there ends the process with a
//!   sentence.

use std::any::Any;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::task::Waker;

/// The number of payloads of panics in payloads' destructors that are dropped, before one is leaked
/// instead.
const PAYLOADS: usize = 8;

/// Calls a function; a panic ends there. The panic hook has reported it.
fn contained(run: impl FnOnce()) {
    // The model checker ends a model by a panic, which must get through.
    #[cfg(hands_loom)]
    run();
    #[cfg(not(hands_loom))]
    if let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        dispose_payload(payload);
    }
}

/// Drops a value whose destructor may panic.
#[inline]
pub(crate) fn dispose<T>(value: T) {
    if std::mem::needs_drop::<T>() {
        contained(|| drop(value));
    }
}

/// Drops values one by one: the panic of one destructor does not keep the others from being run.
pub(crate) fn dispose_each<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(dispose);
}

/// Drops the payload of a panic, which may panic with a payload that panics in turn.
pub(crate) fn dispose_payload(mut payload: Box<dyn Any + Send>) {
    for _ in 0..PAYLOADS {
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload)));
        match dropped {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    // Leaked: its destructor has shown that it never ends well.
    let _ = ManuallyDrop::new(payload);
}

/// Wakes a waker, which belongs to some executor; its panic hurts nobody else who is to be woken.
#[inline]
pub(crate) fn wake(waker: Waker) {
    contained(|| waker.wake());
}

/// Wakes all of them.
pub(crate) fn wake_each(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(wake);
}

/// Ends the process, with a sentence, when a panic passes by.
pub(crate) struct NoUnwind(&'static str);

impl NoUnwind {
    /// `why` completes "a panic must not pass here:".
    pub(crate) fn new(why: &'static str) -> NoUnwind {
        NoUnwind(why)
    }

    /// From here on a panic may pass.
    pub(crate) fn end(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl Drop for NoUnwind {
    fn drop(&mut self) {
        abort(format_args!("a panic must not pass here: {}", self.0));
    }
}

/// Ends the process with a sentence on stderr.
#[cold]
pub(crate) fn abort(why: std::fmt::Arguments<'_>) -> ! {
    // Whether it can be written or not, the process must end.
    let _ = writeln!(std::io::stderr(), "hands: the process is aborted: {why}");
    std::process::abort()
}

#[cfg(all(test, not(hands_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Bomb(usize);

    impl Drop for Bomb {
        fn drop(&mut self) {
            if self.0 > 0 {
                std::panic::panic_any(Bomb(self.0 - 1));
            }
        }
    }

    /// It has no bytes, so that nothing is leaked with the one that is given up.
    struct Endless;

    impl Drop for Endless {
        fn drop(&mut self) {
            std::panic::panic_any(Endless);
        }
    }

    #[test]
    fn a_payload_that_panics_again_and_again_is_disposed_of() {
        dispose_payload(Box::new(Bomb(3)));
        dispose_payload(Box::new(Endless));
        dispose(Endless);
    }

    #[test]
    fn one_destructor_that_panics_keeps_no_other_from_being_run() {
        struct Counted(Arc<AtomicUsize>, usize);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
                drop(Bomb(self.1));
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        dispose_each((0..4).map(|n| Counted(Arc::clone(&dropped), n)));
        assert_eq!(dropped.load(Ordering::Relaxed), 4);
    }
}
