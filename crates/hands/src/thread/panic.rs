//! What a thread that panicked has left: message, place, payload.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Once};

use parking_lot::Mutex;

use crate::foreign::dispose_payload;

/// Where in the source something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanicPlace {
    /// The file, as the compiler was given it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

impl fmt::Display for PanicPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A panic that ended a thread.
pub struct Panic {
    thread: Arc<str>,
    place: Option<PanicPlace>,
    message: String,
    /// The lock makes an error of it that may be shared between threads; there is nothing to wait
    /// for.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Panic {
    pub(super) fn new(
        thread: Arc<str>,
        place: Option<PanicPlace>,
        payload: Box<dyn Any + Send>,
    ) -> Panic {
        Panic {
            thread,
            place,
            message: message(&*payload).to_owned(),
            payload: Mutex::new(payload),
        }
    }

    /// What it said; for a payload that is no text, that it is none.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it happened. `None` for one that was thrown with `resume_unwind`, or while the program
    /// had another panic hook in front of ours that does not pass on.
    pub fn place(&self) -> Option<&PanicPlace> {
        self.place.as_ref()
    }

    /// The name of the thread.
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// What was thrown.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload.into_inner()
    }

    /// Goes on panicking with it, in this thread.
    pub fn resume(self) -> ! {
        panic::resume_unwind(self.into_payload())
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread `{}` panicked", self.thread)?;
        if let Some(place) = &self.place {
            write!(f, " at {place}")?;
        }
        write!(f, ": {}", self.message())
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Panic");
        shown.field("thread", &self.thread);
        shown.field("place", &self.place);
        shown.field("message", &self.message());
        shown.finish_non_exhaustive()
    }
}

/// What a payload says.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "(a payload that is no text)"
    }
}

/// The last panic of a thread that is watched.
struct Seen {
    message: String,
    place: PanicPlace,
    backtrace: Option<String>,
}

thread_local! {
    /// The outer `None`: this thread is not watched.
    static SEEN: RefCell<Option<Option<Seen>>> = const { RefCell::new(None) };
}

/// Installs the hook that notes places. Does nothing while the caller itself is panicking: the hook
/// is in use then.
pub(crate) fn watch_places() {
    static ONCE: Once = Once::new();
    if std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if let Some(location) = info.location() {
                let place = PanicPlace {
                    file: location.file().to_owned(),
                    line: location.line(),
                    column: location.column(),
                };
                let message = message(info.payload()).to_owned();
                let _ = SEEN.try_with(|seen| {
                    if let Some(seen) = &mut *seen.borrow_mut() {
                        let backtrace = Backtrace::capture();
                        let captured = backtrace.status() == BacktraceStatus::Captured;
                        *seen = Some(Seen {
                            message,
                            place,
                            backtrace: captured.then(|| backtrace.to_string()),
                        });
                    }
                });
            }
            before(info);
        }));
    });
}

/// A panic that was caught, with what the hook saw of it. Its payload is foreign, and is dropped
/// inside a catch.
pub(crate) struct Caught {
    payload: Option<Box<dyn Any + Send>>,
    /// `None` for one that did not pass by the hook.
    pub(crate) place: Option<PanicPlace>,
    /// Only where `RUST_BACKTRACE` asks for it.
    pub(crate) backtrace: Option<String>,
}

/// From now on [`caught`] knows where panics of this thread happen. Once for each thread is enough.
pub(crate) fn watch_this_thread() {
    SEEN.with(|seen| {
        seen.borrow_mut().get_or_insert_default();
    });
}

/// Runs a function, and catches its panic.
#[inline]
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Caught> {
    panic::catch_unwind(AssertUnwindSafe(run)).map_err(Caught::new)
}

impl Drop for Caught {
    fn drop(&mut self) {
        if let Some(payload) = self.payload.take() {
            dispose_payload(payload);
        }
    }
}

impl Caught {
    pub(crate) fn into_payload(mut self) -> Box<dyn Any + Send> {
        self.payload.take().unwrap_or_else(|| Box::new(()))
    }

    pub(crate) fn message(&self) -> &str {
        self.payload.as_deref().map_or("", message)
    }

    #[cold]
    fn new(payload: Box<dyn Any + Send>) -> Caught {
        let seen = SEEN.try_with(|seen| seen.borrow_mut().as_mut().and_then(Option::take));
        // One that was caught earlier, perhaps, and this one did not pass by the hook.
        let seen = seen
            .ok()
            .flatten()
            .filter(|seen| seen.message == message(&*payload));
        let (place, backtrace) =
            seen.map_or((None, None), |seen| (Some(seen.place), seen.backtrace));
        Caught {
            payload: Some(payload),
            place,
            backtrace,
        }
    }
}

/// Runs a thread's function. A panic goes on when `note` has been told where it happened.
pub(super) fn watched<T>(run: impl FnOnce() -> T, note: impl FnOnce(PanicPlace)) -> T {
    watch_this_thread();
    match caught(run) {
        Ok(value) => value,
        Err(mut caught) => {
            if let Some(place) = caught.place.take() {
                note(place);
            }
            panic::resume_unwind(caught.into_payload())
        }
    }
}
