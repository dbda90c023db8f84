//! [`Observer`]: what a batch tells while it runs.

use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use super::control::Control;
use super::elsewhere::ElsewhereError;
use super::work::JobPlace;
use hands::command::{CommandError, OutputStream};
use hands::event::TaskEnd;
use hands::sizing::Decision;

/// Hears of everything that happens in a batch. Each method does nothing unless it is written.
///
/// Those with a parameter `out` may append bytes to it, which go to the batch's stdout in that
/// order.
pub trait Observer {
    /// A job has started.
    fn started(&mut self, job: &Started<'_>, out: &mut Vec<u8>) {
        let _ = (job, out);
    }

    /// A job has written something. Called only with [`Grouping::Raw`](super::Grouping::Raw).
    fn output(&mut self, number: u64, stream: OutputStream, bytes: &[u8], out: &mut Vec<u8>) {
        let _ = (number, stream, bytes, out);
    }

    /// A job has ended and been reaped, or could not be started.
    fn finished(&mut self, job: &Finished<'_>, out: &mut Vec<u8>) {
        let _ = (job, out);
    }

    /// Something a user should know.
    fn notice(&mut self, notice: &Notice) {
        let _ = notice;
    }

    /// Called about every [`Batch::tick`](super::Batch::tick), and once at the end.
    fn tick(&mut self, progress: &BatchProgress<'_>) {
        let _ = progress;
    }

    /// The [`Control`] was woken: look at your signal flags, and tell it to stop if they say so.
    fn woken(&mut self, control: &Control) {
        let _ = control;
    }

    /// The batch is about to write to its sinks by calling `write`: clear what you have drawn on
    /// the same screen.
    fn writing(&mut self, write: &mut dyn FnMut()) {
        write();
    }
}

impl Observer for () {}

/// A job that has started.
#[derive(Clone, Copy, Debug)]
pub struct Started<'a> {
    /// Which.
    pub place: JobPlace,
    /// Its process, which leads its group.
    pub pid: i32,
    /// As a person would type it.
    pub display: &'a [u8],
    /// When.
    pub at: SystemTime,
}

/// How a job ended.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// Which.
    pub place: JobPlace,
    /// As a person would type it.
    pub display: &'a [u8],
    /// What is to be made of it.
    pub outcome: Outcome,
    /// Exit code or signal; `None` if it never started.
    pub status: Option<ExitStatus>,
    /// Why it never started.
    pub error: Option<&'a (dyn std::error::Error + 'static)>,
    /// When it started.
    pub at: SystemTime,
    /// Until it was reaped.
    pub wall: Duration,
    /// CPU time in its own code and that of descendants it waited for.
    pub cpu_user: Duration,
    /// CPU time in the kernel, likewise.
    pub cpu_system: Duration,
    /// Time in which its first process was ready to run but had no core; where the batch sizes
    /// itself ([`Batch::auto`](super::Batch::auto)).
    pub delay: Option<Duration>,
    /// Bytes of the largest of its processes at its peak.
    pub max_rss: u64,
    /// The machines that it was begun on, where that is not this one.
    pub host: Option<&'a str>,
    /// The last that it wrote to its stderr, where that is [kept](super::Batch::keep_tails).
    pub stderr_tail: &'a [u8],
    /// Bytes given to its stdin.
    pub sent: u64,
    /// Bytes it wrote, where the batch reads its output.
    pub received: u64,
}

impl Finished<'_> {
    /// The exit code, as a shell would give it but for signals: 127 or 126 if it could not be
    /// started, -1 if it timed out, 0 if it died of a signal.
    pub fn exit(&self) -> i32 {
        match (self.outcome, self.status) {
            (Outcome::TimedOut { .. }, _) => -1,
            (_, Some(status)) => status.code().unwrap_or(0),
            (_, None) => self
                .error
                .and_then(|error| match error.downcast_ref::<ElsewhereError>() {
                    Some(error) => Some(error.code),
                    None => error.downcast_ref::<CommandError>()?.shell_code(),
                })
                .unwrap_or(126),
        }
    }

    /// The signal it died of, or 0.
    pub fn signal(&self) -> i32 {
        self.status
            .as_ref()
            .and_then(std::os::unix::process::ExitStatusExt::signal)
            .unwrap_or(0)
    }
}

/// What is to be made of a job's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Exit code 0.
    Success,
    /// Another exit code, a signal, or it could not be started.
    Failure {
        /// It will be tried again after this long.
        retry: Option<Duration>,
    },
    /// It ran longer than it may.
    TimedOut {
        /// Its limit.
        after: Duration,
        /// It will be tried again after this long.
        retry: Option<Duration>,
    },
    /// The batch was told to stop and ended it: neither done nor failed.
    Ended,
}

impl Outcome {
    /// The same in the words of the events.
    pub fn task_end(self) -> TaskEnd {
        match self {
            Outcome::Success => TaskEnd::Well,
            Outcome::Failure { retry: Some(_) } | Outcome::TimedOut { retry: Some(_), .. } => {
                TaskEnd::Retried
            }
            Outcome::Failure { retry: None } => TaskEnd::Failed,
            Outcome::TimedOut { retry: None, .. } => TaskEnd::TimedOut,
            Outcome::Ended => TaskEnd::Cancelled,
        }
    }

    /// Whether this is the last word on a job that failed.
    pub fn is_final_failure(self) -> bool {
        matches!(
            self,
            Outcome::Failure { retry: None } | Outcome::TimedOut { retry: None, .. }
        )
    }
}

/// Something a user should know, none of it the end of the batch.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// The system could not start a further job; the batch goes on with those that run.
    Shortage(String),
    /// Output that waits cannot be put on the disk: jobs are held up until their turn.
    SpillFull {
        /// The folder that is full.
        folder: std::path::PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// Jobs are not started for now, in words: the load, or the free memory.
    Waiting(String),
    /// `--halt`-like rule: the batch stops.
    Halted {
        /// Running jobs are ended rather than waited for.
        now: bool,
    },
    /// Without its watchdog a `SIGKILL` of the program may leave jobs behind.
    NoWatchdog(String),
    /// A job on another machine is begun anew there, as its machine is gone or cut off.
    BegunAnew {
        /// Which.
        number: u64,
        /// Why, in words.
        why: String,
    },
    /// A job that had failed for good is tried again all the same: somebody has asked for that.
    TriedAgain {
        /// Which.
        number: u64,
    },
    /// A job has ended, and something that it has started still holds its output: what had come by
    /// then is what there is of it. Told once.
    OutputHeld {
        /// Which.
        number: u64,
        /// As a person would type it.
        display: Vec<u8>,
    },
    /// A job that reads or sets the terminal has it from now on, until it ends.
    HasTerminal {
        /// Which.
        number: u64,
    },
    /// A job reads or sets the terminal, which it can have only while it is the only one that runs;
    /// until then it is stopped. Told once for each.
    WantsTerminal {
        /// Which.
        number: u64,
        /// As a person would type it.
        display: Vec<u8>,
    },
    /// Processes that finished jobs had left in the background were ended with the batch.
    Leftovers(usize),
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug)]
pub struct BatchProgress<'a> {
    /// All items, when that is known.
    pub total: Option<u64>,
    /// Items started at least once.
    pub started: u64,
    /// Jobs that succeeded.
    pub succeeded: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Jobs waiting to be tried again.
    pub retrying: usize,
    /// The running jobs, longest-running first, at most a few.
    pub running: &'a [RunningView<'a>],
    /// How many run.
    pub running_count: usize,
    /// How many may run at once.
    pub at_once: usize,
    /// Why so many, where the batch finds that out.
    pub sizing: Option<Decision>,
    /// Since the batch began.
    pub elapsed: Duration,
    /// What the batch has written last is the beginning of a line.
    pub mid_line: bool,
    /// The batch is over.
    pub done: bool,
}

/// A running job.
#[derive(Clone, Copy, Debug)]
pub struct RunningView<'a> {
    /// Its number.
    pub number: u64,
    /// As a person would type it.
    pub display: &'a [u8],
    /// For how long.
    pub elapsed: Duration,
}
