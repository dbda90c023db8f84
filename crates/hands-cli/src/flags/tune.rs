//! `hands tune`: its flags.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use hands_batch::policy::parse_duration;

use super::{InputFlags, LimitFlags, RunFlags};

/// Everything that can follow `hands tune`.
#[derive(Debug, Default, Args)]
#[command(override_usage = USAGE, after_help = AFTER, args_override_self = true)]
pub(crate) struct TuneFlags {
    /// Try these numbers of jobs at once, instead of doubling while it helps: `1,2,6`
    #[arg(
        long,
        value_name = "N,...",
        value_delimiter = ',',
        help_heading = "Measuring"
    )]
    pub(crate) sizes: Vec<NonZeroUsize>,

    /// Start jobs for this long at each number [default: 3]
    ///
    /// Jobs still running then are allowed to finish, so long jobs make a trial longer.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Measuring")]
    pub(crate) time: Option<Duration>,

    #[command(flatten)]
    pub(crate) inputs: InputFlags,

    #[command(flatten)]
    pub(crate) limits: LimitFlags,

    /// The command, then inputs to try it on after `:::`, or files of them after `::::`
    ///
    /// It is written as for `hands run`. Without inputs it is repeated as it is.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, help_heading = None)]
    pub(crate) words: Vec<OsString>,
}

impl TuneFlags {
    /// The flags of a run of the same command.
    pub(crate) fn into_run(self) -> RunFlags {
        RunFlags {
            inputs: self.inputs,
            limits: self.limits,
            words: self.words,
            ..RunFlags::default()
        }
    }
}

const USAGE: &str = "\
hands tune [OPTIONS] COMMAND... ::: INPUT...
       hands tune [OPTIONS] COMMAND... :::: FILE...
       hands tune [OPTIONS] COMMAND...";

const AFTER: &str = "\
The command really runs, many times, and more than once on the same input; what it writes to stdout
and stderr is thrown away. Try what can be done again without harm.

Examples:
  hands tune 'gzip -c {} > /dev/null' ::: *.log
  hands tune --time 10 curl -so /dev/null http://localhost:8000/{} :::: names.txt
  hands tune --sizes 1,4,16 ./job

Exit codes: 0 all fine, 1-100 so many jobs failed, 101 more, 130 interrupted, 255 usage, or the
command failed when it was tried once.";
