//! What is to be done for a URL, what becomes of it, and why a try comes to nothing.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::list::Wanted;

/// What became of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchState {
    /// It is there.
    Ok {
        /// Bytes of the file.
        bytes: u64,
        /// Those of them that came in this run.
        received: u64,
    },
    /// What was there is what the server has.
    Unchanged,
    /// It was not asked for.
    Skipped(String),
    /// It has not come.
    Failed(String),
}

/// One URL, or what has become of it already.
#[derive(Clone)]
pub(super) struct FetchWork {
    /// From 1.
    pub(super) number: u64,
    /// As it was written.
    pub(super) text: String,
    pub(super) job: Result<FetchJob, FetchState>,
}

/// A file, and where it goes.
#[derive(Clone)]
pub(crate) struct FetchJob {
    pub(crate) number: u64,
    pub(crate) wanted: Wanted,
    pub(crate) target: FetchTarget,
    /// It is being given its name: from now on it is not stopped.
    pub(crate) is_being_named: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
pub(crate) enum FetchTarget {
    /// A path that nobody else of this run has.
    File(PathBuf),
    /// A folder: the server is to say the name, or else this is it.
    Named { folder: PathBuf, otherwise: String },
    /// Where it is one of several it waits for its turn.
    Stdout { waits: bool },
    /// A device or a pipe: it is written to, and stays what it is.
    Stream(PathBuf),
}

/// Whether it is one that passes when others are done.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let error = rustix::io::Errno::from_io_error(error);
    matches!(
        error,
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)
    )
}

/// Why one that was under way when all was stopped has not come.
pub(super) const STOPPED: &str = "stopped; what has come is kept";

/// Why one that goes to stdout has failed when it is nobody's fault: [`FetchState::Failed`] says
/// this.
pub const NOBODY_READS: &str = "nobody reads stdout any more";

/// Why a try came to nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Another may do better: after so long, if the server has said so.
    Again(String, Option<Duration>),
    /// Nobody is there.
    Absent(String),
    /// The host wants to be left alone, by all: for so long, if it has said so.
    Busy(String, Option<Duration>),
    /// The connection was one that had been used before, and the server had ended it: nobody's
    /// fault.
    Stale(String),
    /// Another source may do better, and this one will not.
    Source(String),
    /// Nothing will.
    Final(String),
    /// It is known already what becomes of it.
    Is(FetchState),
}

/// Of a file, and no affair of a server.
pub(super) fn failed(error: io::Error) -> FetchState {
    if is_shortage(&error) {
        return FetchState::Failed(SHORTAGE.to_owned());
    }
    FetchState::Failed(match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full; what has come is kept".to_owned(),
        io::ErrorKind::BrokenPipe => NOBODY_READS.to_owned(),
        io::ErrorKind::FileTooLarge => {
            "it is larger than the limit on files allows (`ulimit -f`); what has come is kept"
                .to_owned()
        }
        _ => format!("it cannot be written: {error}"),
    })
}

const SHORTAGE: &str = "there are too few descriptors at the moment";

impl From<io::Error> for Trouble {
    /// What goes wrong with a file is no affair of the server; descriptors come back when others
    /// are done.
    fn from(error: io::Error) -> Trouble {
        match is_shortage(&error) {
            true => Trouble::Again(SHORTAGE.to_owned(), None),
            false => Trouble::Is(failed(error)),
        }
    }
}

/// How a try ended well.
pub(super) enum CameWhole {
    Whole,
    Unchanged,
}
