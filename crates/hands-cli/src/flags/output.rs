//! Flags about what is shown.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputFlags {
    /// Print the output of jobs in the order of their inputs
    #[arg(short = 'k', long, alias = "keeporder")]
    pub(crate) keep_order: bool,

    /// Print each job's output in one piece when it ends (the default)
    #[arg(long)]
    pub(crate) group: bool,

    /// Print whole lines as they come; lines of several jobs mix
    #[arg(long, visible_alias = "lb", alias = "linebuffer")]
    pub(crate) line_buffer: bool,

    /// Let jobs write straight to the terminal or file; their output may mix
    #[arg(short = 'u', long)]
    pub(crate) ungroup: bool,

    /// Wait for what jobs leave running in the background, if it holds their output
    ///
    /// Otherwise a job that has ended is over half a second later; what it has left running may
    /// write no more.
    #[arg(long)]
    pub(crate) wait_pipes: bool,

    /// Give each job the terminal, one after the other
    ///
    /// Implies -j1 and --ungroup; the terminal is its stdin. Without it a job that reads the
    /// terminal gets it when it is the only one that runs.
    #[arg(long)]
    pub(crate) tty: bool,

    /// Start each line of output with the job's input and a tab
    #[arg(long)]
    pub(crate) tag: bool,

    /// Start each line of output with this text; {} and the like are replaced
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) tagstring: Option<OsString>,

    /// Keep the outputs of each job in files below DIR
    #[arg(long, alias = "res", value_name = "DIR")]
    pub(crate) results: Option<PathBuf>,

    /// Keep the output of each job in a file, and print the file's name
    ///
    /// The files are in a new folder below that of --tmpdir, and stay.
    #[arg(long)]
    pub(crate) files: bool,

    /// Print events instead of outputs, one JSON object a line
    ///
    /// Events are `start`, `output` (text, or base64 of what is not UTF-8), `end` and, last,
    /// `summary`.
    #[arg(long)]
    pub(crate) json: bool,

    /// Print the commands that would run, and run none
    #[arg(long, alias = "dryrun")]
    pub(crate) dry_run: bool,

    /// Print each command on stderr before it runs
    #[arg(short = 'v', short_alias = 't', long)]
    pub(crate) verbose: bool,

    /// Show progress on stderr
    ///
    /// `auto`, the default, is a bar on a terminal, where nothing but `hands` writes to it; `plain`
    /// is a line now and then.
    #[arg(long, value_name = "WHAT")]
    pub(crate) progress: Option<ProgressStyle>,

    /// The same as `--progress bar`
    #[arg(long, alias = "eta")]
    pub(crate) bar: bool,

    /// Do not read the configuration file, nor $PARALLEL
    ///
    /// It is `$XDG_CONFIG_HOME/hands/run.conf` (`~/.config/hands/run.conf`): an option a line, as
    /// on the command line; `#` begins a comment. `--profile NAME` reads `NAME.conf` beside it.
    #[arg(long)]
    pub(crate) no_config: bool,

    /// Use colours: `auto` does on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColourWhen::Auto)]
    pub(crate) color: ColourWhen,
}

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ProgressStyle {
    /// A bar on a terminal where nothing else writes, else nothing.
    #[default]
    Auto,
    /// A bar that is redrawn.
    Bar,
    /// A line now and then.
    Plain,
    /// Nothing.
    None,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColourWhen {
    /// On a terminal.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}
