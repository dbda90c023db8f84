//! `hands run`: all its flags together, and the texts around them.

use std::ffi::OsString;

use clap::Args;

use super::{
    InputFlags, JobFlags, LimitFlags, LogFlags, MachineFlags, OutputFlags, PipeFlags, WatchFlags,
};

/// Everything that can follow `hands run`.
#[derive(Debug, Default, Args)]
#[command(
    override_usage = USAGE,
    after_help = SHORT_AFTER,
    after_long_help = super::manual::long_help(),
    args_override_self = true
)]
pub(crate) struct RunFlags {
    #[command(flatten)]
    pub(crate) jobs: JobFlags,

    #[command(flatten)]
    pub(crate) inputs: InputFlags,

    #[command(flatten)]
    pub(crate) limits: LimitFlags,

    #[command(flatten)]
    pub(crate) output: OutputFlags,

    #[command(flatten)]
    pub(crate) log: LogFlags,

    #[command(flatten)]
    pub(crate) pipe: PipeFlags,

    #[command(flatten)]
    pub(crate) machines: MachineFlags,

    #[command(flatten)]
    pub(crate) watch: WatchFlags,

    /// The command, then its inputs after `:::`, or files of them after `::::`
    ///
    /// Options of `hands run` come before it; all that follows its first word belongs to it.
    /// Without a command, each input is one.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, help_heading = None)]
    pub(crate) words: Vec<OsString>,
}

const USAGE: &str = "\
hands run [OPTIONS] COMMAND... ::: INPUT...
       hands run [OPTIONS] COMMAND... :::: FILE...
       ... | hands run [OPTIONS] COMMAND...
       ... | hands run --pipe [OPTIONS] COMMAND...";

const SHORT_AFTER: &str = "\
Replaced in the command:
  {} input   {.} without extension   {/} file name   {//} directory   {/.} both
  {#} number of the job   {%} its slot   {1} {2} {name} one source or column, also {1.} {1/} …

Examples:
  hands run 'gzip -k {}' ::: *.log
  hands run -k 'echo {1}{2}' ::: 1 2 ::: a b
  find . -name '*.jpg' -print0 | hands run -0 convert {} {.}.png
  hands run --joblog log --resume --retries 3 ./fetch :::: urls.txt

Exit codes: 0 all fine, 1-100 so many jobs failed, 101 more, 130 interrupted, 255 usage.
`hands run --help` says more.";
