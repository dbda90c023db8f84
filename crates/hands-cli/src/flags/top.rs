//! `hands top`: its flags.

use clap::Args;

use super::ColourWhen;

/// Everything that can follow `hands top`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct TopFlags {
    /// The link that a run with --web prints, or its process's number
    ///
    /// Without it: the only run of this user that has a page.
    #[arg(value_name = "LINK|PID")]
    pub(crate) run: Option<String>,

    /// Use colours: `auto` does unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColourWhen::Auto)]
    pub(crate) color: ColourWhen,
}

const AFTER: &str = "\
Keys:
  q quit          p pause, resume     S stop
  c cancel        r retry             R retry all that failed
  1-4 Tab lists   ↑ ↓ PgUp PgDn       s sort by number, time, name
  Enter details   ? these keys

Where stdout is no terminal, the state is printed once.

Examples:
  hands run --web ./convert {} ::: *.png    and in another window: hands top";
