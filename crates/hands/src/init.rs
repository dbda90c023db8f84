//! [`init`] and its guard: what happens when the program begins and ends.

use crate::process;

/// What `#[hands::main]` makes of an `async fn main`.
#[cfg(feature = "async")]
#[doc(hidden)]
pub fn block_on_main<T>(main: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(main),
        // Nothing has run yet, and nothing can.
        Err(error) => process::stop(&format!("no runtime can be had for `main`: {error}")),
    }
}

/// To be called first in `main`. Its guard waits, when `main` ends, for all threads that are not
/// daemons.
///
/// ```
/// fn main() {
///     let _hands = hands::init();
///     hands::thread::spawn(|| println!("printed, though nobody joins this thread"));
/// }
/// ```
///
/// Without it a program ends with `main`, whatever its threads are doing: so it is with
/// `std::thread`. Daemon threads are abandoned in either case. Threads that were not started by
/// [`thread`](crate::thread) are not known here.
///
/// It waits for the tasks of pools as well, of those in a `static`, too, which are never dropped;
/// unless a daemon has made the pool. A thread has ended when its thread-local values have been
/// dropped.
#[expect(
    clippy::needless_doctest_main,
    reason = "where in `main` it stands is the point"
)]
#[must_use = "dropped at once, it waits at once: bind it with `let _hands = hands::init();`"]
pub fn init() -> Guard {
    process::enter();
    Guard(())
}

/// What [`init`] returns. Dropping it waits until no thread runs but daemons and the caller, those
/// that are started meanwhile included; also when `main` panics, as Python does after an exception.
#[derive(Debug)]
pub struct Guard(());

impl Drop for Guard {
    fn drop(&mut self) {
        process::exit::finish();
    }
}
