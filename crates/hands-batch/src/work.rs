//! What a batch is given to do: [`Work`], which makes [`Job`]s as they are needed.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::input::Pull;

/// An error of the caller's own kind, passed through a batch.
pub type WorkError = Box<dyn std::error::Error + Send + Sync>;

/// Where jobs come from. A batch pulls an item when a slot is free, never sooner, so that a million
/// inputs cost no memory.
pub trait Work {
    /// What a job is made of, kept while the job runs or may be tried again.
    type Item;

    /// The next item and its number. Numbers go up; gaps are allowed. Must not block: say
    /// [`Pull::Pending`] and name the descriptor to wait for.
    ///
    /// # Errors
    ///
    /// Any error ends the batch once its running jobs have ended.
    fn next(&mut self) -> Result<Pull<(u64, Self::Item)>, WorkError>;

    /// What becomes readable when `next` has more to say.
    fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Makes the job, once its place is known; called again, with the next attempt, if it is tried
    /// again.
    ///
    /// # Errors
    ///
    /// Fails this job only.
    fn job(&mut self, item: &mut Self::Item, place: JobPlace) -> Result<Job, WorkError>;

    /// How many items there are in all, when that is known.
    fn total(&self) -> Option<u64> {
        None
    }
}

/// Which job this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPlace {
    /// The item's number.
    pub number: u64,
    /// The lowest free of the slots 1 to the number of jobs at once.
    pub slot: usize,
    /// 1, or higher when it is tried again.
    pub attempt: u32,
}

/// One command of a batch.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Program and arguments.
    pub argv: Vec<Vec<u8>>,
    /// The command as a person would type it, for logs and messages.
    pub display: Vec<u8>,
    /// What its stdin holds; nothing if `None`.
    pub stdin: Option<Vec<u8>>,
    /// A file or pipe as its stdin instead.
    pub stdin_file: Option<Arc<OwnedFd>>,
    /// Files that it needs, where it runs [elsewhere](crate::Elsewhere).
    pub send: Vec<Vec<u8>>,
    /// Files that it makes, where it runs elsewhere.
    pub fetch: Vec<Vec<u8>>,
    /// Written before each line of its output when not empty.
    pub tag: Vec<u8>,
    /// A folder, made if need be, in which its output is kept as files `stdout` and `stderr`, with
    /// its number in `seq`.
    pub results: Option<PathBuf>,
    /// `results` is the file for its stdout instead, with that for its stderr and its number beside
    /// it, as `.err` and `.seq`.
    pub results_are_files: bool,
}

/// [`Work`] made of an iterator of commands, each a program and its arguments, numbered from 1.
///
/// The iterator is asked for the next command when a slot is free; while it blocks, the whole batch
/// waits.
#[derive(Clone, Debug)]
pub struct Commands<I> {
    commands: I,
    number: u64,
}

impl<I: Iterator<Item = Vec<std::ffi::OsString>>> Commands<I> {
    /// Work that runs each of `commands` once.
    pub fn new(commands: impl IntoIterator<IntoIter = I>) -> Commands<I> {
        Commands {
            commands: commands.into_iter(),
            number: 0,
        }
    }
}

impl<I: Iterator<Item = Vec<std::ffi::OsString>>> Work for Commands<I> {
    type Item = Vec<std::ffi::OsString>;

    fn next(&mut self) -> Result<Pull<(u64, Self::Item)>, WorkError> {
        Ok(match self.commands.next() {
            Some(command) => {
                self.number += 1;
                Pull::Item((self.number, command))
            }
            None => Pull::End,
        })
    }

    fn job(&mut self, item: &mut Self::Item, _: JobPlace) -> Result<Job, WorkError> {
        let argv: Vec<Vec<u8>> = item.iter().map(|word| word.as_bytes().to_vec()).collect();
        let display = argv.join(&b' ');
        Ok(Job {
            argv,
            display,
            ..Job::default()
        })
    }

    fn total(&self) -> Option<u64> {
        match self.commands.size_hint() {
            (least, Some(most)) if least == most => Some(self.number + least as u64),
            _ => None,
        }
    }
}
