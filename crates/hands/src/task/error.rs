//! Why a task has no result.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::thread::PanicPlace;
use crate::thread::panic::Caught;

/// What became of a task: its result, or why there is none.
pub type Outcome<R> = Result<R, TaskError>;

/// Why a task has no result.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// Its function panicked; the worker goes on with the next task.
    Panicked(Box<Panicked>),
    /// It had not finished in time. A function that runs on regardless has its result thrown away.
    TimedOut {
        /// The time it was given.
        after: Duration,
    },
    /// It was cancelled before it began, by its handle or by a shutdown of the pool.
    Cancelled,
    /// No worker could be made ready for it: the pool's initialiser failed, and all its tasks with
    /// it.
    Init {
        /// What the initialiser said.
        message: Arc<str>,
    },
    /// The pool took no more tasks.
    PoolClosed,
    /// The process it ran in ended before it did.
    Died(Box<Died>),
    /// The process it ran in wanted more memory than it may have.
    MemoryLimit {
        /// Bytes that it may have.
        limit: u64,
    },
    /// A worker was to wait for it, and could not: so many tasks of its pool wait already that no
    /// further worker can take its place. The task itself stays in the queue.
    TooManyWaiting {
        /// Tasks of the pool that wait.
        waiting: usize,
    },
    /// The system refused what the task needs.
    Refused {
        /// What, and why.
        why: Arc<str>,
    },
    /// Its result could not be sent.
    Encode {
        /// Why.
        what: String,
    },
    /// Its argument or its result could not be read where it had been sent.
    Decode {
        /// Which, and why.
        what: String,
    },
    /// Each worker that began it ended before it did, and it is not begun again.
    Poisoned {
        /// How often it was begun.
        starts: u32,
    },
    /// No worker of the cluster can run its function.
    NoWorker {
        /// The function.
        name: String,
    },
    /// Its function is not one that may run on other machines: it lacks `#[hands::task]`.
    Unregistered {
        /// The function.
        name: String,
    },
    /// It is neither queued nor answered: the server that keeps the tasks has lost it.
    Lost,
}

/// A process that ended before its task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Died {
    /// Its number.
    pub pid: u32,
    /// The exit code, if it exited.
    pub code: Option<i32>,
    /// The signal, if one killed it.
    pub signal: Option<i32>,
    /// The last of what it wrote to stderr, where that is kept.
    pub stderr_tail: String,
    /// The kernel seems to have killed it because the machine, or its part of it, had no more
    /// memory.
    pub out_of_memory: bool,
}

impl Died {
    pub(crate) fn new(pid: u32, status: Option<ExitStatus>) -> Died {
        Died {
            pid,
            code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            stderr_tail: String::new(),
            out_of_memory: false,
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ", self.pid)?;
        match (self.signal, self.code) {
            (Some(signal), _) => match signal_name(signal) {
                Some(name) => write!(f, "was killed by signal {signal} ({name})")?,
                None => write!(f, "was killed by signal {signal}")?,
            },
            (None, Some(code)) => write!(f, "exited with {code}")?,
            (None, None) => f.write_str("ended")?,
        }
        if self.out_of_memory {
            f.write_str(", as it seems because there was no more memory,")?;
        }
        f.write_str(" before its task had finished")?;
        if !self.stderr_tail.is_empty() {
            write!(f, "; the last it wrote: {}", self.stderr_tail.trim_end())?;
        }
        Ok(())
    }
}

/// A panic that ended a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panicked {
    /// What it said; for a payload that is no text, that it is none.
    pub message: String,
    /// Where it happened; unknown for one that was thrown with `resume_unwind`.
    pub location: Option<PanicPlace>,
    /// How it came there, if `RUST_BACKTRACE` asks for it.
    pub backtrace: Option<String>,
    pub(crate) payload: Payload,
}

/// What was thrown, shared by all clones of an outcome.
#[derive(Clone, Default)]
pub(crate) struct Payload(Arc<Mutex<Option<Caught>>>);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload")
    }
}

/// What was thrown says nothing that the message does not.
impl PartialEq for Payload {
    fn eq(&self, _: &Payload) -> bool {
        true
    }
}

impl Eq for Payload {}

impl Panicked {
    /// What was thrown, once: for the first who asks, and if it happened in this process.
    ///
    /// ```
    /// use hands::pool::ThreadPool;
    /// use hands::task::TaskError;
    ///
    /// let pool = ThreadPool::new()?;
    /// let outcome = pool.spawn(|| std::panic::panic_any(42)).join();
    /// let Err(TaskError::Panicked(panicked)) = outcome else { panic!("it panicked") };
    /// let payload = panicked.take_payload().expect("it is there");
    /// assert_eq!(payload.downcast_ref(), Some(&42));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn take_payload(&self) -> Option<Box<dyn Any + Send>> {
        let caught = self.payload.0.lock().take();
        caught.map(Caught::into_payload)
    }

    /// Goes on panicking, in this thread: with what was thrown, if it is there, or with its
    /// message.
    pub fn resume(&self) -> ! {
        let message = || Box::new(self.message.clone()) as Box<dyn Any + Send>;
        std::panic::resume_unwind(self.take_payload().unwrap_or_else(message))
    }
}

impl From<Caught> for TaskError {
    fn from(caught: Caught) -> TaskError {
        let mut caught = caught;
        TaskError::Panicked(Box::new(Panicked {
            message: caught.message().to_owned(),
            location: caught.place.take(),
            backtrace: caught.backtrace.take(),
            payload: Payload(Arc::new(Mutex::new(Some(caught)))),
        }))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Panicked(panicked) => panicked.fmt(f),
            TaskError::TimedOut { after } => write!(
                f,
                "the task had not finished after {after:?}; give it more time, or let it do less"
            ),
            TaskError::Cancelled => f.write_str(
                "the task was cancelled before it began; submit it again if it is still wanted",
            ),
            TaskError::Init { message } => write!(
                f,
                "no worker could be made ready, so the task never began; mend the pool's initialiser, which said: {message}"
            ),
            TaskError::PoolClosed => f.write_str(
                "the pool takes no more tasks; submit before it is closed or shut down, or make another",
            ),
            TaskError::Died(died) => died.fmt(f),
            TaskError::MemoryLimit { limit } => write!(
                f,
                "the task wanted more than the {limit} bytes of memory that its process may have; let it do with less, or give it more"
            ),
            TaskError::TooManyWaiting { waiting } => write!(
                f,
                "{waiting} tasks of the pool wait for others, and no further worker can be had, so this wait would not end; let fewer tasks wait, or raise `max_waiting`"
            ),
            TaskError::Refused { why } => write!(
                f,
                "the task was not started, as the system refused what it needs: {why}"
            ),
            TaskError::Encode { what } => write!(
                f,
                "the task's result cannot be sent to another process: {what}"
            ),
            TaskError::Decode { what } => write!(f, "cannot read {what}"),
            TaskError::Poisoned { starts } => write!(
                f,
                "the task was begun {starts} times, and each time its worker ended before it did; look at what it does to its process before submitting it again"
            ),
            TaskError::NoWorker { name } => write!(
                f,
                "no worker can run `{name}`; start one whose program has the same function, with the same signature"
            ),
            TaskError::Unregistered { name } => write!(
                f,
                "`{name}` may not run on other machines; write `#[hands::task]` before the function"
            ),
            TaskError::Lost => f.write_str(
                "the task is neither queued nor answered: the server has lost what it kept; submit it again if it may run twice",
            ),
        }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task panicked")?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Error for TaskError {}

debug_is_sentence!(TaskError);
