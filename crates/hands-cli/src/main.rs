//! The program `hands`: wording and wiring over the library `hands`.
#![forbid(unsafe_code)]

mod fetch;
mod flags;
mod generate;
mod machines;
mod plan;
mod run;
mod sem;
mod top;
mod tune;
mod ui;

use std::process::ExitCode;

use clap::Parser;
use hands_cluster::WorkerOrder;

use crate::flags::{Cli, ClusterCommand, CommandLine};
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
        CommandLine::Worker(flags) => machines::worker::main(plan::worker_plan(*flags)),
        CommandLine::Cluster(command) => cluster(command),
        CommandLine::Sem(flags) => sem::main(*flags),
        CommandLine::Top(flags) => top::main(flags),
        CommandLine::Tune(flags) => tune::main(*flags),
        CommandLine::Completions { shell } => generate::completions(shell.into()),
        CommandLine::Man => generate::show_man(),
    }
}

fn cluster(command: ClusterCommand) -> ExitCode {
    let (url, access, worker, order) = match command {
        ClusterCommand::Dev { port, dir } => return machines::dev::main(port, dir),
        ClusterCommand::Status { url, json, access } => {
            return machines::admin::status(&plan::access(url, access), json);
        }
        ClusterCommand::Drain {
            url,
            worker,
            access,
        } => (url, access, worker, WorkerOrder::Drain),
        ClusterCommand::Remove {
            url,
            worker,
            access,
        } => (url, access, worker, WorkerOrder::End),
    };
    machines::admin::tell(&plan::access(url, access), &worker, order)
}

/// Goes on with a run that another program has begun, with the words it was begun with.
fn attach(run: &str, flags: flags::RunFlags) -> ExitCode {
    match begun_as(flags, run) {
        Ok(flags) => run_here(flags),
        Err(why) => usage::fail(&why),
    }
}

fn begun_as(flags: flags::RunFlags, run: &str) -> Result<flags::RunFlags, String> {
    if !flags.words.is_empty() {
        return Err("`--attach` goes on with a run as it was begun
  hint: give it nothing but `--cluster` and how to reach it"
            .to_owned());
    }
    let Some(url) = flags.machines.cluster.clone() else {
        return Err("`--attach` needs `--cluster`
  hint: the run's first line has both"
            .to_owned());
    };
    let access = plan::access(url.clone(), flags.machines.access.clone());
    let record = machines::run::begun_as(&access, run)?;
    let mut words = flags::translated(record.argv())?;
    let begun = words.run_flags();
    let mut begun = begun.ok_or("the run was begun with words that this version does not know")?;
    std::env::set_current_dir(record.directory()).map_err(|error| {
        format!(
            "the run's folder `{}`: {error}",
            record.directory().display()
        )
    })?;
    begun.machines.cluster = Some(url);
    begun.machines.access = flags.machines.access;
    begun.machines.attach = Some(run.to_owned());
    Ok(begun)
}

fn run(flags: flags::RunFlags) -> ExitCode {
    match flags.machines.attach.clone() {
        Some(run) => attach(&run, flags),
        None => run_here(flags),
    }
}

fn run_here(flags: flags::RunFlags) -> ExitCode {
    match Plan::new(flags) {
        Ok(plan) => run::main(plan),
        Err(error) => usage::fail(&error.to_string()),
    }
}
