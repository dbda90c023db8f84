//! The program `hands`: wording and wiring over the library `hands`.

mod fetch;
mod flags;
mod generate;
mod plan;
mod run;
mod tune;
mod usage;

use std::process::ExitCode;

use clap::Parser;

use crate::flags::{Cli, Command};
use crate::plan::Plan;

fn main() -> ExitCode {
    let argv = match flags::translated(std::env::args_os().collect()) {
        Ok(argv) => argv,
        Err(message) => return usage::fail(&message),
    };
    let cli = match Cli::try_parse_from(&argv) {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error, &argv),
    };
    match cli.command {
        Command::Run(flags) => match Plan::new(*flags) {
            Ok(plan) => run::main(plan),
            Err(error) => usage::fail(&error.to_string()),
        },
        Command::Fetch(flags) => fetch::main(*flags),
        Command::Tune(flags) => tune::main(*flags),
        Command::Completions { shell } => generate::completions(shell.into()),
        Command::Man => generate::man(),
    }
}
