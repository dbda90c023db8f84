//! Flags about what a job may use, and what it runs in.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hands_batch::policy::{Timeout, parse_duration, parse_size};

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Each job")]
pub(crate) struct LimitFlags {
    /// Kill a job that runs longer: `10`, `1h30m`, or `300%` of the median
    ///
    /// A percentage is of the median run time of the jobs that succeeded; it applies once three
    /// have.
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Timeout>,

    /// Time between TERM and KILL when a job is stopped [default: 5]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) grace: Option<Duration>,

    /// Let no process of a job have more address space than this: `500M`, `2G`
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory_limit: Option<u64>,

    /// Kill a process of a job that uses more CPU time than this (whole seconds)
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) cpu_limit: Option<Duration>,

    /// Run jobs at this niceness, 19 the most modest
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(-20..=19),
        allow_negative_numbers = true
    )]
    pub(crate) nice: Option<i32>,

    /// Set a variable in the jobs' environment; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<OsString>,

    /// Run jobs in this directory
    #[arg(long, alias = "wd", alias = "work-dir", value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,

    /// Run commands that need a shell with this one [default: sh]
    #[arg(long, value_name = "PATH")]
    pub(crate) shell: Option<PathBuf>,

    /// Refuse a command in which an input may run as code: see "What inputs can do"
    ///
    /// Without it there is a warning.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Keep output that does not fit in memory here [default: $TMPDIR or /tmp]
    #[arg(long, value_name = "DIR")]
    pub(crate) tmpdir: Option<PathBuf>,
}
