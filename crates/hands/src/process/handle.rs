//! [`Process`]: the one who started it waits for it, ends it, gets its result.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::exit;
use super::reactor::Ready;
pub use super::running::Resources;
use super::running::{ProcessEnd, RunningProcess};
use crate::wire::answer::Answer;
use crate::wire::codec::{self, Failure};

use crate::task::{Data, Died, Outcome, TaskError};

/// A process that runs one function. Dropping this lets it run on.
///
/// ```
/// # hands::entry!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let _hands = hands::init();
/// let square = hands::process::spawn(|n: u64| n * n, 12)?;
/// assert_eq!(square.join(), Ok(144));
/// # Ok(())
/// # }
/// ```
pub struct Process<R> {
    shared: Arc<RunningProcess>,
    result: PhantomData<fn() -> R>,
}

impl<R> Process<R> {
    pub(super) fn new(shared: Arc<RunningProcess>) -> Process<R> {
        Process {
            shared,
            result: PhantomData,
        }
    }

    /// Its number. It may be another's once this one has ended.
    pub fn pid(&self) -> u32 {
        self.shared.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.shared.name.as_deref()
    }

    /// Whether it is ended, rather than waited for, when the program ends.
    pub fn is_daemon(&self) -> bool {
        self.shared.is_daemon
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.shared.has_ended()
    }

    /// Asks it, and what else is in its process group, to end: `SIGTERM`. It may have ended
    /// already.
    pub fn terminate(&self) {
        self.shared.signal(Signal::TERM);
    }

    /// Ends it, and what else is in its process group: `SIGKILL`. It may have ended already.
    pub fn kill(&self) {
        self.shared.signal(Signal::KILL);
    }

    /// How it ended: exit code or signal. `None` while it runs, and when nobody is left who could
    /// tell.
    ///
    /// A function that returns makes the code 0, a panic 101.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.ended()?.status
    }

    /// What it used. `None` while it runs.
    pub fn resources(&self) -> Option<Resources> {
        Some(self.ended()?.resources)
    }

    fn ended(&self) -> Option<ProcessEnd> {
        self.shared.has_ended();
        self.shared.heard.lock().ended
    }

    /// Readable when [`is_finished`](Self::is_finished) may have become true.
    pub(crate) fn events(&self) -> BorrowedFd<'_> {
        self.shared.answers.as_fd()
    }

    /// Waits until it has ended.
    pub fn wait(&self) {
        self.shared.wait(None);
    }

    /// Waits until it has ended, but no longer than this; false if it has not.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.shared.wait(Instant::now().checked_add(timeout))
    }
}

impl<R: Data> Process<R> {
    /// Waits until it has ended, and returns the function's result.
    ///
    /// # Errors
    ///
    /// [`Panicked`](TaskError::Panicked) with the panic's message and place;
    /// [`Died`](TaskError::Died) when it ended before the function did, by a signal or by exiting;
    /// [`Decode`](TaskError::Decode), [`Encode`](TaskError::Encode) and [`Init`](TaskError::Init)
    /// when the function could not be called or its result not be sent.
    pub fn join(self) -> Outcome<R> {
        self.wait();
        self.outcome()
    }

    /// [`join`](Self::join) for coroutines of any runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, it lets the process run on, as dropping the process does.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join); [`Init`](TaskError::Init) when no thread or descriptor can be had
    /// to wait for it.
    pub async fn join_async(self) -> Outcome<R> {
        let refused = |error: io::Error| TaskError::Init {
            message: format!("nobody can wait for the process: {error}").into(),
        };
        while !self.shared.has_ended() {
            let ready = Ready::to_read(self.shared.answers.as_fd()).map_err(refused)?;
            ready.await.map_err(refused)?;
        }
        self.outcome()
    }

    /// As [`join`](Self::join), but gives the process back when it has not ended in time.
    ///
    /// # Errors
    ///
    /// Itself.
    pub fn join_timeout(self, timeout: Duration) -> Result<Outcome<R>, Process<R>> {
        if self.wait_timeout(timeout) {
            Ok(self.outcome())
        } else {
            Err(self)
        }
    }

    fn outcome(&self) -> Outcome<R> {
        let mut heard = self.shared.heard.lock();
        let Some((answer, descriptors)) = heard.answer.take() else {
            if let Some(why) = heard.lost.take() {
                return Err(TaskError::Decode {
                    what: format!("the result: {why}"),
                });
            }
            let status = heard.ended.and_then(|ended| ended.status);
            return Err(TaskError::Died(Box::new(Died::new(self.pid(), status))));
        };
        match answer {
            Answer::Result(bytes) => {
                let read = codec::with_descriptors(descriptors, || codec::decode_value(&bytes));
                read.map_err(|failure| match failure {
                    Failure::Decode(what) | Failure::Encode(what) => TaskError::Decode {
                        what: format!("the result: {what}"),
                    },
                })
            }
            failed => Err(failed.error()),
        }
    }
}

impl<R> Drop for Process<R> {
    fn drop(&mut self) {
        if self.shared.has_ended() {
            exit::forget(&self.shared);
        } else if self.shared.is_ours() {
            exit::forget_at_end(&self.shared);
        }
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("pid", &self.pid())
            .field("name", &self.name())
            .field("is_finished", &self.is_finished())
            .finish()
    }
}
