//! [`Control`]: stopping a batch from outside, in steps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use hands::sync::Mutex;
use rustix::pipe::{PipeFlags, pipe_with};

/// How far a batch has been told to stop. Only ever goes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    #[default]
    No,
    /// Start no further job; let the running ones end.
    Drain,
    /// TERM the running jobs' process groups, and after the batch's grace KILL everything that they
    /// have started.
    Terminate,
    /// KILL everything that the running jobs have started.
    Kill,
}

impl Stop {
    fn from_u8(value: u8) -> Stop {
        match value {
            0 => Stop::No,
            1 => Stop::Drain,
            2 => Stop::Terminate,
            _ => Stop::Kill,
        }
    }
}

/// What is asked for single jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobRequest {
    End(u64),
    Retry(u64),
    RetryFailed,
}

/// A handle by which other threads and signal handlers steer a running batch. Clones steer the same
/// batch.
#[derive(Clone, Debug)]
pub struct Control {
    shared: Arc<ControlState>,
}

#[derive(Debug)]
struct ControlState {
    stop: AtomicU8,
    paused: AtomicBool,
    suspend: AtomicBool,
    requests: Mutex<Vec<JobRequest>>,
    read: OwnedFd,
    write: OwnedFd,
}

impl Control {
    /// A control for one batch.
    ///
    /// # Errors
    ///
    /// When no pipe can be had to wake the batch by.
    pub fn new() -> io::Result<Control> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let shared = ControlState {
            stop: AtomicU8::new(0),
            paused: AtomicBool::new(false),
            suspend: AtomicBool::new(false),
            requests: Mutex::default(),
            read,
            write,
        };
        Ok(Control {
            shared: Arc::new(shared),
        })
    }

    /// Stops the batch as far as `stop` says; never less far than it was told before.
    pub fn stop(&self, stop: Stop) {
        // Telling it again what it knows wakes nobody, so that an observer may say so each time it
        // is woken.
        if self.shared.stop.fetch_max(stop as u8, Ordering::AcqRel) < stop as u8 {
            self.wake();
        }
    }

    /// How far the batch has been told to stop.
    pub fn stopped(&self) -> Stop {
        Stop::from_u8(self.shared.stop.load(Ordering::Acquire))
    }

    /// While paused, no job is started; running jobs go on.
    pub fn pause(&self, paused: bool) {
        self.shared.paused.store(paused, Ordering::Release);
        self.wake();
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.shared.paused.load(Ordering::Acquire)
    }

    /// Stops the running jobs and then the program itself, until somebody continues it, which
    /// continues the jobs: what Ctrl-Z and `fg` do to a program whose children are in its own
    /// process group.
    pub fn suspend(&self) {
        self.shared.suspend.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn take_suspend(&self) -> bool {
        self.shared.suspend.swap(false, Ordering::AcqRel)
    }

    /// Ends the job of this number, if it runs: TERM, and after the batch's grace KILL. It counts
    /// as ended, neither done nor failed, and is not tried again.
    pub fn end_job(&self, number: u64) {
        self.ask(JobRequest::End(number));
    }

    /// Tries the job of this number again, if it has failed for good: as if it had not yet. For
    /// batches that [keep what fails](super::Batch::keep_failed). One whose output is still being
    /// written is tried when that is through.
    pub fn retry(&self, number: u64) {
        self.ask(JobRequest::Retry(number));
    }

    /// Tries all again that have failed so far, as [`retry`](Self::retry) does.
    pub fn retry_failed(&self) {
        self.ask(JobRequest::RetryFailed);
    }

    fn ask(&self, request: JobRequest) {
        self.shared.requests.lock().push(request);
        self.wake();
    }

    /// At the next turn, which comes when something can be written.
    pub(crate) fn ask_again(&self, request: JobRequest) {
        self.shared.requests.lock().push(request);
    }

    pub(super) fn take_requests(&self) -> Vec<JobRequest> {
        std::mem::take(&mut self.shared.requests.lock())
    }

    /// Makes the batch look at this control, and call [`Observer::woken`](super::Observer::woken).
    pub fn wake(&self) {
        // A full pipe wakes it just as well.
        let _ = rustix::io::write(&self.shared.write, b"!");
    }

    /// The end of a pipe, any write to which wakes the batch: for signal handlers, which may do
    /// little else.
    ///
    /// # Errors
    ///
    /// When no further descriptor can be had.
    pub fn waker(&self) -> io::Result<OwnedFd> {
        self.shared.write.try_clone()
    }

    pub(super) fn wakeable(&self) -> BorrowedFd<'_> {
        self.shared.read.as_fd()
    }

    pub(super) fn clear(&self) {
        let mut buffer = [0; 64];
        while matches!(rustix::io::read(&self.shared.read, &mut buffer), Ok(got) if got > 0) {}
    }
}
