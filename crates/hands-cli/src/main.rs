//! The program `hands`: wording and wiring over the library `hands`.
#![forbid(unsafe_code)]

mod fetch;
mod flags;
mod generate;
mod plan;
mod run;
mod sem;
mod tune;
mod ui;

use std::process::ExitCode;

use clap::Parser;

use crate::flags::{Cli, CommandLine};
use crate::plan::Plan;
use crate::ui::usage;

/// With a smaller stack than this the program works on a thread that has one of its own.
const STACK: u64 = 1 << 20;

fn main() -> ExitCode {
    let stack = rustix::process::getrlimit(rustix::process::Resource::Stack).current;
    if stack.is_none_or(|stack| stack >= STACK) {
        return program();
    }
    let thread = std::thread::Builder::new().stack_size(4 << 20);
    match thread.spawn(program).map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        // It has said why.
        Ok(Err(_)) => ExitCode::from(usage::USAGE),
        Err(error) => usage::fail(&format!("cannot start a thread: {error}")),
    }
}

fn program() -> ExitCode {
    let mut words = match flags::translated(std::env::args_os().collect()) {
        Ok(words) => words,
        Err(message) => return usage::fail(&message),
    };
    if let Some(flags) = words.run_flags() {
        return run(flags);
    }
    let argv = words.argv;
    let cli = match Cli::try_parse_from(&argv) {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error, &argv),
    };
    match cli.command {
        CommandLine::Run(flags) => run(*flags),
        CommandLine::Fetch(flags) => fetch::main(*flags),
        CommandLine::Sem(flags) => sem::main(*flags),
        CommandLine::Tune(flags) => tune::main(*flags),
        CommandLine::Completions { shell } => generate::completions(shell.into()),
        CommandLine::Man => generate::show_man(),
    }
}

fn run(flags: flags::RunFlags) -> ExitCode {
    match Plan::new(flags) {
        Ok(plan) => run::main(plan),
        Err(error) => usage::fail(&error.to_string()),
    }
}
