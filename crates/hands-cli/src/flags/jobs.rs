//! Flags about when jobs start, and when the batch stops.

use std::time::Duration;

use clap::Args;
use hands_batch::policy::{Halt, Load, Slots, parse_duration, parse_size};

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Jobs")]
pub(crate) struct JobFlags {
    /// Run N jobs at once: `8`, `50%` of the cores, `+2`, `0` for no bound, `auto`
    ///
    /// By default one for each core this process may use: its affinity and its container's CPU
    /// quota count. `+2` and `-1` are that many more or fewer. `0` runs as many as the limits on
    /// descriptors and processes allow. `auto` starts with one for each core and finds out how many
    /// keep the cores busy, up to 32 for each; with --verbose it says why.
    #[arg(
        short = 'j',
        short_alias = 'P',
        long,
        alias = "max-procs",
        value_name = "N",
        allow_negative_numbers = true
    )]
    pub(crate) jobs: Option<Slots>,

    /// Start no job while N processes are running: `6`, `80%` of the cores, `auto`
    #[arg(
        long,
        alias = "max-load",
        value_name = "N",
        allow_negative_numbers = true
    )]
    pub(crate) load: Option<Load>,

    /// Start no job while less memory than this is available: `500M`, `2G`
    ///
    /// The limit of a container counts as well as the machine's memory.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memfree: Option<u64>,

    /// Wait this long between two starts
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) delay: Option<Duration>,

    /// Try each failing job up to N times in all; 0 is for ever
    #[arg(long, value_name = "N")]
    pub(crate) retries: Option<u32>,

    /// Wait this long before the second try [default: 0.1]
    ///
    /// Before each further try the wait is twice as long, up to a minute. 0 tries again at once.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) retry_delay: Option<Duration>,

    /// Stop early: `now,fail=1`, `soon,fail=10%`, `now,success=1`, … [default: never]
    ///
    /// `soon` starts no more jobs and lets the running ones end; `now` kills them. What is counted
    /// is `fail`, `success` or `done`, in jobs or in percent of all jobs. The old numbers of GNU
    /// parallel (0, 1, 2, -1, -2) work too.
    #[arg(
        long,
        alias = "halt-on-error",
        value_name = "WHEN",
        allow_negative_numbers = true
    )]
    pub(crate) halt: Option<Halt>,

    /// Stop at the first failure and end the running jobs: `--halt now,fail=1`
    #[arg(long, conflicts_with = "halt")]
    pub(crate) fail_fast: bool,
}
