//! Flags about where inputs come from and how they are taken apart.

use std::ffi::OsString;
use std::num::NonZeroUsize;
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
    /// Fields may be quoted and hold separators and newlines. See --no-header for files without
    /// names.
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
    #[arg(
        short = 'n',
        short_alias = 'L',
        long,
        alias = "max-lines",
        value_name = "N"
    )]
    pub(crate) max_args: Option<usize>,

    /// Give each job as many inputs as a command line holds
    #[arg(short = 'X')]
    pub(crate) fill: bool,

    /// As -X, but `x{}y` becomes one word with all inputs, not one for each
    #[arg(short = 'm', long = "xargs")]
    pub(crate) merge: bool,

    /// With -n or -X: put no more bytes than N on a command line
    #[arg(short = 's', long, value_name = "N")]
    pub(crate) max_chars: Option<NonZeroUsize>,

    /// The input that ends a file or stdin, and is none itself
    #[arg(short = 'E', long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) eof: Option<OsString>,

    /// Link all sources, as `:::+` does; the shorter ones begin again
    #[arg(long, alias = "xapply")]
    pub(crate) link: bool,

    /// Take white space off inputs: `l` at the left, `r` at the right, `lr` at both
    #[arg(long, value_name = "SIDES", default_value = "n", hide_default_value = true, value_parser = ["n", "l", "r", "lr", "rl"])]
    pub(crate) trim: String,

    /// Take inputs in a random order; all are read first
    #[arg(long)]
    pub(crate) shuf: bool,

    /// Take the words of the command as they are, also `|` and `>`
    #[arg(short = 'q', long)]
    pub(crate) quote: bool,

    /// Skip empty inputs
    #[arg(short = 'r', long)]
    pub(crate) no_run_if_empty: bool,

    /// More placeholders: {..} {...} {/..} {/...} {+/} {+.} {+..} {+...}
    #[arg(long)]
    pub(crate) plus: bool,

    /// Define a placeholder: its name, and what is done to the input
    ///
    /// Such as '{gz} s/\.gz$//': substitutions as in sed, several with `;` between them; with `||`
    /// the second is done where the first does not match. Perl beyond that does not work. May be
    /// given several times.
    #[arg(long, value_name = "'{NAME} CODE'", allow_hyphen_values = true)]
    pub(crate) rpl: Vec<String>,
}
