//! [`Batch`]: many commands at once, and the rules for them.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::control::Control;
use super::elsewhere::{Elsewhere, Machines};
use super::policy::{Halt, HaltWhen, LoadGate, MemFreeGate, Retries, Timeout};
use super::sink::Sink;
use hands::command::engine::{Conditions, DEFAULT_GRACE};
use hands::event::Events;
use hands::sizing::{Decision, Limits};

/// How the outputs of the jobs are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// A job's output is written when it has ended (or, for a job that runs alone, as it comes),
    /// without any other job's in between.
    #[default]
    Jobs,
    /// As [`Jobs`](Self::Jobs), in the order of the jobs' numbers.
    Ordered,
    /// Line by line, as they come.
    Lines,
    /// Not at all: jobs write to the program's own stdout and stderr.
    None,
    /// Handed to [`Observer::output`](super::Observer::output) as it comes.
    Raw,
}

/// Which jobs get the program's terminal, to read from it.
///
/// Jobs are in the background, as a shell sees it: one that reads the terminal is stopped by the
/// system (`SIGTTIN`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TerminalUse {
    /// None; one that reads it stays stopped.
    #[default]
    Never,
    /// One that reads it gets it when it is the only one that runs. Until then it is stopped, and
    /// [`Notice::WantsTerminal`] says so.
    ///
    /// [`Notice::WantsTerminal`]: super::Notice::WantsTerminal
    WhenAlone,
    /// Each from its start, with the terminal as its stdin. To be used with one job at once.
    Always,
}

/// How many jobs run at once.
#[derive(Clone, Copy, Debug)]
pub(super) enum AtOnce {
    /// One for each core.
    Cores,
    Count(NonZeroUsize),
    /// By what is measured.
    Auto(Limits),
}

/// Many commands at once, in one event loop on the calling thread.
///
/// Each job leads its own process group. When the batch is told to stop, or fails, or the program
/// dies, even by `SIGKILL`, all that its jobs have started is ended: see [`Control`] for the first,
/// and a watchdog process sees to the last.
///
/// ```
/// use hands_batch::{Batch, Commands, Sink};
///
/// let commands = ["one", "two", "three"].map(|word| vec!["echo".into(), word.into()]);
/// let summary = Batch::new().jobs(2).run(Commands::new(commands), &mut ())?;
/// assert_eq!(summary.succeeded, 3);
/// # Ok::<(), hands_batch::BatchError>(())
/// ```
#[derive(Debug)]
#[must_use = "a batch does nothing until it is run"]
pub struct Batch {
    pub(super) at_once: AtOnce,
    pub(super) conditions: Conditions,
    pub(super) grouping: Grouping,
    pub(super) timeout: Option<Timeout>,
    pub(super) grace: Duration,
    pub(super) retries: Retries,
    pub(super) halt: Halt,
    pub(super) delay: Duration,
    pub(super) load: Option<LoadGate>,
    pub(super) memfree: Option<MemFreeGate>,
    pub(super) stdout: Option<Sink>,
    pub(super) stderr: Option<Sink>,
    pub(super) spill_folder: PathBuf,
    pub(super) tick: Option<Duration>,
    pub(super) control: Option<Control>,
    pub(super) linger: Option<Duration>,
    pub(super) terminal: TerminalUse,
    pub(super) events: Events,
    pub(super) elsewhere: Option<Machines>,
    pub(super) tails: usize,
    pub(super) keep_failed: bool,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch::new()
    }
}

impl Batch {
    /// As many jobs at once as there are [usable cores](hands::cores), grouped output to the
    /// program's stdout and stderr.
    pub fn new() -> Batch {
        Batch {
            at_once: AtOnce::Cores,
            conditions: Conditions::default(),
            grouping: Grouping::Jobs,
            timeout: None,
            grace: DEFAULT_GRACE,
            retries: Retries::default(),
            halt: Halt::Never,
            delay: Duration::ZERO,
            load: None,
            memfree: None,
            stdout: None,
            stderr: None,
            spill_folder: std::env::temp_dir(),
            tick: None,
            control: None,
            linger: None,
            terminal: TerminalUse::Never,
            events: Events::new(),
            elsewhere: None,
            tails: 0,
            keep_failed: false,
        }
    }

    /// How many jobs run at once; at least one.
    pub fn jobs(mut self, jobs: usize) -> Batch {
        self.at_once = AtOnce::Count(NonZeroUsize::new(jobs).unwrap_or(NonZeroUsize::MIN));
        self
    }

    /// As many jobs at once as keep the cores busy, found out from what each took: see
    /// [`sizing`](hands::sizing). Begins with one for each core, within the limits;
    /// [`Summary::sizing`] says what came of it.
    ///
    /// A job's CPU time is that of all its processes that were waited for. The time in which it was
    /// ready to run without a core is known of its first process only; that of others counts as
    /// waiting, and is kept from doing harm by the rule that nothing grows while no core is idle.
    ///
    /// ```
    /// use hands_batch::{Batch, Commands};
    /// use hands::sizing::Limits;
    ///
    /// let naps = (0..20).map(|_| vec!["sleep".into(), "0.01".into()]);
    /// let batch = Batch::new().auto(Limits::new(hands::cores().get() as f64, 64));
    /// let summary = batch.run(Commands::new(naps), &mut ())?;
    /// assert_eq!(summary.succeeded, 20);
    /// println!("{}", summary.sizing.unwrap());
    /// # Ok::<(), hands_batch::BatchError>(())
    /// ```
    pub fn auto(mut self, limits: Limits) -> Batch {
        self.at_once = AtOnce::Auto(limits);
        self
    }

    /// How outputs are kept apart.
    pub fn grouping(mut self, grouping: Grouping) -> Batch {
        self.grouping = grouping;
        self
    }

    /// Where grouped output goes instead of the program's stdout.
    pub fn stdout(mut self, sink: Sink) -> Batch {
        self.stdout = Some(sink);
        self
    }

    /// Where grouped errors go instead of the program's stderr.
    pub fn stderr(mut self, sink: Sink) -> Batch {
        self.stderr = Some(sink);
        self
    }

    /// Ends a job that runs too long, with all it has started, and counts it as failed.
    pub fn timeout(mut self, timeout: Timeout) -> Batch {
        self.timeout = Some(timeout);
        self
    }

    /// Time between TERM and KILL for a job that is ended; 2 seconds unless set.
    pub fn grace(mut self, grace: Duration) -> Batch {
        self.grace = grace;
        self
    }

    /// Whether and when a failed job is tried again. What a failed attempt wrote is not shown.
    pub fn retries(mut self, retries: Retries) -> Batch {
        self.retries = retries;
        self
    }

    /// Keeps what fails for good, the last 10,000 of it, so that
    /// [`Control::retry_failed`](super::Control::retry_failed) can try it again while the batch
    /// runs.
    ///
    /// ```
    /// use hands_batch::{Batch, Commands, Control, Finished, Observer};
    ///
    /// /// Tries again what failed when there was nothing to be found.
    /// struct Again(Control, std::path::PathBuf);
    ///
    /// impl Observer for Again {
    ///     fn finished(&mut self, job: &Finished<'_>, _: &mut Vec<u8>) {
    ///         if job.outcome.is_final_failure() {
    ///             std::fs::write(&self.1, "now").unwrap();
    ///             self.0.retry_failed();
    ///         }
    ///     }
    /// }
    ///
    /// let folder = tempfile::tempdir()?;
    /// let file = folder.path().join("file");
    /// let control = Control::new()?;
    /// let batch = Batch::new().keep_failed(true).control(&control);
    /// let jobs = vec![vec!["test".into(), "-e".into(), file.clone().into_os_string()]];
    /// let summary = batch.run(Commands::new(jobs.into_iter()), &mut Again(control, file))?;
    /// assert_eq!((summary.succeeded, summary.failed), (1, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn keep_failed(mut self, keep: bool) -> Batch {
        self.keep_failed = keep;
        self
    }

    /// When to stop early.
    pub fn halt(mut self, halt: Halt) -> Batch {
        self.halt = halt;
        self
    }

    /// Least time between two starts.
    pub fn delay(mut self, delay: Duration) -> Batch {
        self.delay = delay;
        self
    }

    /// Starts no job while the machine's load is above this.
    pub fn load(mut self, gate: LoadGate) -> Batch {
        self.load = Some(gate);
        self
    }

    /// Starts no job while less memory is free than this.
    pub fn memfree(mut self, gate: MemFreeGate) -> Batch {
        self.memfree = Some(gate);
        self
    }

    /// Sets a variable in the jobs' environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Batch {
        let pair = (name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self.conditions.environment.set.push(pair);
        self
    }

    /// The directory that jobs start in.
    pub fn cwd(mut self, directory: impl AsRef<Path>) -> Batch {
        self.conditions.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Bytes of address space for each process of a job (`RLIMIT_AS`).
    pub fn memory_limit(mut self, bytes: u64) -> Batch {
        self.conditions.memory_limit = Some(bytes);
        self
    }

    /// CPU time for each process of a job (`RLIMIT_CPU`), in whole seconds, rounded up.
    pub fn cpu_limit(mut self, time: Duration) -> Batch {
        self.conditions.cpu_limit = Some(time);
        self
    }

    /// Added to the jobs' nice value.
    pub fn nice(mut self, increment: i32) -> Batch {
        self.conditions.nice = increment;
        self
    }

    /// Where output that does not fit in memory waits for its turn; the system's temporary folder
    /// unless set.
    pub fn spill_folder(mut self, folder: impl AsRef<Path>) -> Batch {
        self.spill_folder = folder.as_ref().to_owned();
        self
    }

    /// Calls [`Observer::tick`](super::Observer::tick) about this often.
    pub fn tick(mut self, every: Duration) -> Batch {
        self.tick = Some(every);
        self
    }

    /// Tells there what happens: a job's number is its task's number, its slot is its worker.
    /// An [`Observer`](super::Observer) hears more: command lines, output, reasons.
    pub fn events(mut self, events: &Events) -> Batch {
        self.events = events.clone();
        self
    }

    /// Keeps the last bytes that each job writes to its stderr, for
    /// [`Finished::stderr_tail`](super::Finished::stderr_tail); not with [`Grouping::None`].
    pub fn keep_tails(mut self, bytes: usize) -> Batch {
        self.tails = bytes;
        self
    }

    /// Runs the jobs on other machines, as many at once as those take. The batch's environment,
    /// directory and limits are not theirs.
    pub fn elsewhere(mut self, machines: impl Elsewhere + 'static) -> Batch {
        self.elsewhere = Some(Machines(Box::new(machines)));
        self
    }

    /// The handle by which the batch can be stopped or paused.
    pub fn control(mut self, control: &Control) -> Batch {
        self.control = Some(control.clone());
        self
    }

    /// How long output is waited for after a job has ended while something that it has started in
    /// the background holds its stdout or stderr. What comes later is lost. Unless set, until all
    /// have let go of it.
    pub fn linger(mut self, time: Duration) -> Batch {
        self.linger = Some(time);
        self
    }

    /// Which jobs get the program's terminal; none unless set.
    pub fn terminal(mut self, terminal: TerminalUse) -> Batch {
        self.terminal = terminal;
        self
    }
}

/// How a batch ended.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Jobs that exited with code 0.
    pub succeeded: u64,
    /// Jobs that failed, timed out or could not be started, after all their tries.
    pub failed: u64,
    /// Jobs that were running when the batch was told to stop, and were ended.
    pub ended: u64,
    /// All items had been taken up when the batch ended.
    pub exhausted: bool,
    /// The rule that stopped the batch early, if one did.
    pub halted: Option<HaltWhen>,
    /// Exit code for a program that ends with this batch: how many failed, at most 101, or what the
    /// halt rule says.
    pub exit_code: u8,
    /// How many jobs ran at once at the end, and why, where that was for the batch to find out
    /// ([`Batch::auto`]).
    pub sizing: Option<Decision>,
}
