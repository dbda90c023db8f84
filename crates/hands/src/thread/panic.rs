//! What a thread that panicked has left: message, place, payload.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Once};

/// Where in the source something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the compiler was given it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A panic that ended a thread.
pub struct Panic {
    thread: Arc<str>,
    place: Option<Place>,
    payload: Box<dyn Any + Send>,
}

impl Panic {
    pub(super) fn new(
        thread: Arc<str>,
        place: Option<Place>,
        payload: Box<dyn Any + Send>,
    ) -> Panic {
        Panic {
            thread,
            place,
            payload,
        }
    }

    /// What it said; for a payload that is no text, that it is none.
    pub fn message(&self) -> &str {
        message(&*self.payload)
    }

    /// Where it happened. `None` for one that was thrown with `resume_unwind`, or while the program had another panic hook
    /// in front of ours that does not pass on.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The name of the thread.
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// What was thrown.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload
    }

    /// Goes on panicking with it, in this thread.
    pub fn resume(self) -> ! {
        panic::resume_unwind(self.payload)
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

fn message(payload: &(dyn Any + Send)) -> &str {
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
    place: Place,
}

thread_local! {
    /// The outer `None`: this thread is not watched.
    static SEEN: RefCell<Option<Option<Seen>>> = const { RefCell::new(None) };
}

/// Sees to it that places are noted. Does nothing while the caller itself is panicking: the hook is in use then.
pub(super) fn watch_places() {
    static ONCE: Once = Once::new();
    if std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if let Some(location) = info.location() {
                let place = Place {
                    file: location.file().to_owned(),
                    line: location.line(),
                    column: location.column(),
                };
                let message = message(info.payload()).to_owned();
                let _ = SEEN.try_with(|seen| {
                    if let Some(seen) = &mut *seen.borrow_mut() {
                        *seen = Some(Seen { message, place });
                    }
                });
            }
            before(info);
        }));
    });
}

/// Runs a thread's function. A panic goes on when `note` has been told where it happened.
pub(super) fn watched<T>(run: impl FnOnce() -> T, note: impl FnOnce(Place)) -> T {
    SEEN.with(|seen| seen.replace(Some(None)));
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => value,
        Err(payload) => {
            let seen = SEEN.try_with(|seen| seen.take()).ok().flatten().flatten();
            // One that was caught earlier, perhaps, and this one did not pass by the hook.
            if let Some(seen) = seen.filter(|seen| seen.message == message(&*payload)) {
                note(seen.place);
            }
            panic::resume_unwind(payload)
        }
    }
}
