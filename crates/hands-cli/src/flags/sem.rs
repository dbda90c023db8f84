//! `hands sem`: its flags.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use hands_batch::policy::parse_duration;

/// Everything that can follow `hands sem`.
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = AFTER)]
pub(crate) struct SemFlags {
    /// Let N commands of this semaphore run at once [default: 1]
    #[arg(short = 'j', long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Which semaphore [default: that of the terminal]
    #[arg(long, alias = "semaphorename", value_name = "NAME")]
    pub(crate) id: Option<String>,

    /// Run the command in the foreground, and exit with its code
    #[arg(long)]
    pub(crate) fg: bool,

    /// Wait until no command of this semaphore runs any more
    #[arg(long)]
    pub(crate) wait: bool,

    /// Give up when there is no room for this long
    #[arg(long, alias = "semaphoretimeout", alias = "st", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// The command: one word is a line for the shell, several are taken as they are
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub(crate) words: Vec<OsString>,
}

const USAGE: &str = "\
hands sem [OPTIONS] COMMAND...
       hands sem [OPTIONS] --wait";

const AFTER: &str = "\
Waits until fewer than N commands of the semaphore run, then starts this one in the background and returns.
Who is killed, also by SIGKILL, has given its place back: it is a lock that ends with the processes that have it.

Examples:
  for f in *.log; do hands sem -j4 gzip \"$f\"; done; hands sem --wait
  hands sem --id backup --fg ./backup        one at a time, no matter who starts it

Exit codes: with --fg that of the command; 0 when it was started; 1 when there was no room in time; 255 usage.";
