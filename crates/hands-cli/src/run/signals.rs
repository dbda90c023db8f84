//! Ctrl-C and its relatives, as steps of stopping.
//!
//! | signal | first | second | third |
//! |---|---|---|---|
//! | INT, HUP | start no more, let jobs end | TERM the jobs | KILL them |
//! | TERM | TERM the jobs | KILL them | |
//! | TSTP | stop the jobs and ourselves, until continued | | |
//!
//! A handler only sets a flag and wakes the batch. A signal that was ignored when the program
//! started (`nohup`, a shell script's background job) stays ignored.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hands_batch::{Control, Stop};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};

/// The flags that the handlers set.
#[derive(Debug)]
pub(crate) struct Signals {
    flags: Vec<(i32, Arc<AtomicBool>)>,
    /// A signal has told the batch to stop.
    pub(crate) interrupted: bool,
}

/// What a signal has led to, to be told to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalStep {
    /// The batch stops this far.
    Stopping(Stop),
    /// The user suspends it.
    Suspending,
}

impl Signals {
    /// Sets up handlers.
    pub(crate) fn catch() -> io::Result<Signals> {
        let mut flags = Vec::new();
        for signal in [SIGINT, SIGHUP, SIGTERM, SIGTSTP] {
            if hands::command::signal_is_ignored(signal) {
                continue;
            }
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            flags.push((signal, flag));
        }
        Ok(Signals {
            flags,
            interrupted: false,
        })
    }

    /// From now on signals wake this too.
    pub(crate) fn wake(&self, control: &Control) -> io::Result<()> {
        for (signal, _) in &self.flags {
            signal_hook::low_level::pipe::register(*signal, control.waker()?)?;
        }
        Ok(())
    }

    /// Tells the batch what the signals since the last call ask for.
    pub(crate) fn pass_on(&mut self, control: &Control) -> Option<SignalStep> {
        let mut step = None;
        for (signal, flag) in &self.flags {
            if !flag.swap(false, Ordering::AcqRel) {
                continue;
            }
            if *signal == SIGTSTP {
                control.suspend();
                step = Some(SignalStep::Suspending);
                continue;
            }
            let next = match (*signal, control.stopped()) {
                (SIGTERM, Stop::No | Stop::Drain) | (_, Stop::Drain) => Stop::Terminate,
                (_, Stop::No) => Stop::Drain,
                (_, Stop::Terminate | Stop::Kill) => Stop::Kill,
            };
            self.interrupted = true;
            control.stop(next);
            step = Some(SignalStep::Stopping(next));
        }
        step
    }
}
