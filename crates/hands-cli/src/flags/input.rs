//! Flags about where inputs come from and how they are taken apart.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Inputs")]
pub(crate) struct InputFlags {
    /// Read inputs from FILE (`-` is stdin); several are combined like several `:::`
    #[arg(short = 'a', long = "arg-file", value_name = "FILE")]
    pub(crate) arg_files: Vec<PathBuf>,

    /// Inputs end in NUL, not newline (for `find -print0`)
    #[arg(short = '0', long)]
    pub(crate) null: bool,

    /// Inputs end in DELIM; `\n`, `\t`, `\0`, `\x1f` and `\\` are understood
    #[arg(short = 'd', long, value_name = "DELIM", allow_hyphen_values = true)]
    pub(crate) delimiter: Option<OsString>,

    /// Split each input into columns {1}, {2}, … at this regular expression
    ///
    /// With --csv, the one character that separates fields.
    #[arg(short = 'C', long, value_name = "REGEX", allow_hyphen_values = true)]
    pub(crate) colsep: Option<OsString>,

    /// Inputs are CSV, the first record names the columns: {name}, also {1}
    ///
    /// Fields may be quoted and hold separators and newlines. See --no-header for files without names.
    #[arg(long)]
    pub(crate) csv: bool,

    /// With --csv: the first record is data like the others
    #[arg(long, requires = "csv")]
    pub(crate) no_header: bool,

    /// `--header :` takes the first input of each source as a name, for {name}
    #[arg(long, value_name = ":")]
    pub(crate) header: Option<String>,

    /// Give each job up to N inputs; {1} to {N} are each of them
    ///
    /// With 0 each input starts a job but is not inserted into its command.
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) max_args: Option<usize>,

    /// Give each job as many inputs as a command line holds
    #[arg(short = 'X')]
    pub(crate) fill: bool,

    /// Skip empty inputs
    #[arg(short = 'r', long)]
    pub(crate) no_run_if_empty: bool,
}
