//! Flags about remembering what was done.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Log and resume")]
pub(crate) struct LogFlags {
    /// Write a line for each job that ended to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) joblog: Option<PathBuf>,

    /// Write which job ran when to FILE.json, for ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Write a page about the batch to FILE.html at its end
    ///
    /// When which slot was busy, how long jobs took, which took longest, which failed and the last
    /// that they wrote to stderr. It needs nothing else, and has no script in it.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Skip the jobs that are in the joblog already; the inputs must be the same
    #[arg(long)]
    pub(crate) resume: bool,

    /// Like --resume, and run the jobs that failed once more
    #[arg(long)]
    pub(crate) resume_failed: bool,
}
