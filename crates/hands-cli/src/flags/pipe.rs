//! Flags about spreading one stream over jobs.

use std::ffi::OsString;

use clap::Args;
use hands_batch::policy::parse_size;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Spreading stdin over jobs")]
pub(crate) struct PipeFlags {
    /// Split stdin between records and give each job a piece as its stdin
    #[arg(long, alias = "spreadstdin")]
    pub(crate) pipe: bool,

    /// The same for a file, named with --arg-file
    #[arg(long)]
    pub(crate) pipepart: bool,

    /// Start as many jobs as run at once; each block goes to one that is ready for more
    #[arg(long, visible_alias = "round", alias = "roundrobin")]
    pub(crate) round_robin: bool,

    /// Give each job its block as a file, whose name {} is, instead of as stdin
    #[arg(long, alias = "fifo")]
    pub(crate) cat: bool,

    /// Give each job all of stdin; inputs come after `:::` as without --pipe
    ///
    /// Stdin is read to its end first, into a file without a name in the folder of --tmpdir.
    #[arg(long)]
    pub(crate) tee: bool,

    /// Give each job about this much [default: 1M]
    #[arg(long, alias = "block-size", value_name = "SIZE", value_parser = parse_size)]
    pub(crate) block: Option<u64>,

    /// Give each job N records; without --pipe the same as -n
    #[arg(
        short = 'N',
        long = "max-records",
        alias = "max-replace-args",
        value_name = "N"
    )]
    pub(crate) max_records: Option<usize>,

    /// Records start with TEXT
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) recstart: Option<OsString>,

    /// Records end with TEXT; "" cuts anywhere [default: \n]
    ///
    /// `\n`, `\t`, `\0`, `\x1f` and `\\` are understood.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) recend: Option<OsString>,

    /// --recstart and --recend are regular expressions
    #[arg(long, alias = "regex")]
    pub(crate) regexp: bool,

    /// Leave the texts of --recstart and --recend out of what jobs get
    #[arg(long, visible_alias = "rrs", alias = "removerecsep")]
    pub(crate) remove_rec_sep: bool,
}
