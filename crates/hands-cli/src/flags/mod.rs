//! The program's flags as they are written: names, values, help text. Nothing is decided here.
//!
//! [`Cli`] is what clap parses into. [`crate::plan`] checks what was given against itself and turns
//! it into a `Plan`; everything after that sees only the plan. The help, the completions and the
//! man page all come from these definitions.

mod definitions;
mod elders;
mod fetch;
mod input;
mod jobs;
mod limits;
mod log;
mod machines;
pub(crate) mod manual;
mod output;
mod parallel;
mod pipe;
mod run;
mod sem;
mod top;
mod tune;
mod watch;

pub(crate) use elders::translated;
pub(crate) use fetch::{FetchFlags, FetchJobs, ShownFlags};
pub(crate) use input::InputFlags;
pub(crate) use jobs::JobFlags;
pub(crate) use limits::LimitFlags;
pub(crate) use log::LogFlags;
pub(crate) use machines::{AccessFlags, ClusterCommand, MachineFlags, WorkerFlags};
pub(crate) use output::{ColourWhen, OutputFlags, ProgressStyle};
pub(crate) use pipe::PipeFlags;
pub(crate) use run::RunFlags;
pub(crate) use sem::SemFlags;
pub(crate) use top::TopFlags;
pub(crate) use tune::TuneFlags;
pub(crate) use watch::WatchFlags;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

/// Run a batch of commands or downloads, fast and safe.
#[derive(Debug, Parser)]
#[command(
    name = "hands",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = EXAMPLES,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: CommandLine,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CommandLine {
    /// Run a command once for each input, many at a time
    ///
    /// Each input takes the place of `{}` in the command, or is added at its end. Inputs are the
    /// words after `:::`, the lines of the files after `::::`, or the lines of stdin. Output comes
    /// in one piece for each job.
    Run(Box<RunFlags>),
    /// Fetch many URLs to files, many at a time
    ///
    /// A file has its name when it is whole and not before; what was interrupted is taken up again.
    /// Failed tries are repeated, and each URL ends in one state: ok, unchanged, skipped or failed.
    Fetch(Box<FetchFlags>),

    /// Lend this machine to a cluster: run jobs of `hands run --cluster`
    ///
    /// Runs the programs that you allow, and nothing else, until it is told to end.
    Worker(Box<WorkerFlags>),

    /// Start, list and end what runs jobs on other machines
    #[command(subcommand)]
    Cluster(ClusterCommand),

    /// Run a command when fewer than N of its name run
    ///
    /// Waits for room, starts the command in the background and returns; who is killed has given
    /// its place back.
    Sem(Box<SemFlags>),

    /// Watch and steer a run that has a page (--web), in this terminal
    Top(TopFlags),

    /// Find out how many jobs of a command are worth running at once
    ///
    /// Runs a sample of them with 1 at once, with one for each core, and with twice as many while
    /// that does more; prints a table of what they took and did, what the cores would bear, and
    /// which number to use.
    Tune(Box<TuneFlags>),
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell to complete in.
        shell: CompletedShell,
    },
    /// Print the man page.
    #[command(after_help = "Example:\n  hands man > ~/.local/share/man/man1/hands.1")]
    Man,
}

/// The shells whose completions are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CompletedShell {
    Bash,
    Zsh,
    Fish,
}

impl From<CompletedShell> for Shell {
    fn from(shell: CompletedShell) -> Self {
        match shell {
            CompletedShell::Bash => Self::Bash,
            CompletedShell::Zsh => Self::Zsh,
            CompletedShell::Fish => Self::Fish,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  hands run 'gzip -k {}' ::: *.log     compress every log, one job for each core
  find . -name '*.png' -print0 | hands run -0 optipng
  hands fetch -i urls.txt --dir out    download what is listed there, many files at once
  hands tune 'gzip -c {}' ::: *.log    how many at once are worth while
  hands run --help                     everything about `run`";

const COMPLETIONS: &str = "\
Examples:
  hands completions bash > ~/.local/share/bash-completion/completions/hands
  hands completions zsh > ~/.zfunc/_hands
  hands completions fish > ~/.config/fish/completions/hands.fish";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_help_whose_first_line_is_short() {
        let mut cli = Cli::command();
        cli.build();
        let named = |name| cli.find_subcommand(name).expect("a command");
        for arg in ["run", "fetch"]
            .map(named)
            .iter()
            .flat_map(|command| command.get_arguments())
        {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty(), "`{}` has no help", arg.get_id());
            let first = help.lines().next().unwrap_or_default();
            assert!(first.chars().count() <= 80, "`{}`: {first}", arg.get_id());
        }
    }

    #[test]
    fn every_flag_stands_under_a_heading() {
        let cli = Cli::command();
        let named = |name| cli.find_subcommand(name).expect("a command");
        for arg in ["run", "fetch"]
            .map(named)
            .iter()
            .flat_map(|command| command.get_arguments())
        {
            let headed = arg.is_positional() || arg.get_help_heading().is_some();
            assert!(headed, "`{}`", arg.get_id());
        }
    }
}
