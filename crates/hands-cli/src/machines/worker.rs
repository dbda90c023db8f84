//! `hands worker`: this machine, lent to a cluster.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::access::{AccessPlan, with_access};
use super::allow::Allowed;
use super::runner::{self, OwnersRules};
use super::{log, say};
use crate::ui::usage;

/// What `hands worker` was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerPlan {
    pub(crate) access: AccessPlan,
    pub(crate) slots: usize,
    pub(crate) name: Option<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) grace: Duration,
    pub(crate) hold: Duration,
    pub(crate) joblog: Option<std::path::PathBuf>,
    pub(crate) rules: OwnersRules,
}

/// Runs jobs of others until it is told to end.
pub(crate) fn main(plan: WorkerPlan) -> ExitCode {
    match work(plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => usage::fail(&why),
    }
}

fn work(plan: WorkerPlan) -> Result<(), String> {
    hands::command::keep_exit_codes();
    hands::command::raise_descriptor_limit();
    let access = plan.access.resolve()?;
    let mut rules = plan.rules;
    let name = plan.name.unwrap_or_else(host_name);
    rules.name.clone_from(&name);
    let folders = rules.folders.iter().map(|folder| {
        std::fs::canonicalize(folder)
            .map_err(|error| format!("`--folder {}`: {error}", folder.display()))
    });
    rules.folders = folders.collect::<Result<_, _>>()?;
    if let Some(path) = &plan.joblog {
        log::open(path)?;
    }
    let most = rules.auto.map_or(plan.slots, |limits| limits.max);
    let allowed = rules.allowed.clone();
    runner::lend(rules)?;
    let mut builder = with_access!(hands_cluster::worker(&access.url), access)
        .slots(plan.slots)
        .most_slots(most)
        .name(name.clone())
        .tells(runner::running)
        .grace(plan.grace)
        .hold(plan.hold)
        .keep(Duration::from_secs(24 * 3600));
    for label in &plan.labels {
        builder = builder.label(label);
    }
    let worker = Arc::new(builder.start().map_err(|error| error.to_string())?);
    let resizes = Arc::downgrade(&worker);
    runner::on_size(Box::new(move |slots| {
        if let Some(worker) = resizes.upgrade() {
            worker.resize(slots);
        }
    }));
    tell(&name, &access.url, plan.slots, &allowed);
    let signal = worker.wait();
    say(&match signal {
        Some(signal) => format!(
            "hands worker: {signal}; what runs is waited for, {} at most",
            secs(plan.grace)
        ),
        None => "hands worker: told to end".to_owned(),
    });
    worker.stop();
    Ok(())
}

fn secs(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

/// What others may do here, in words: at the start, when it can still be undone.
fn tell(name: &str, url: &str, slots: usize, allowed: &Allowed) {
    let jobs = if slots == 1 { "job" } else { "jobs" };
    say(&format!(
        "hands worker: {name} takes {slots} {jobs} at a time from {url}\nhands worker: who may use that cluster may run {} as {} on this machine",
        allowed.told(),
        user_name()
    ));
    if allowed.all || allowed.has_a_shell() {
        say("hands worker: that is as good as a login on this machine");
    } else if allowed.programs.is_empty() {
        say("  hint: `--allow PROGRAM` allows one; `--allow-all` any");
    }
}

fn user_name() -> String {
    std::env::var("USER").unwrap_or_else(|_| format!("user {}", rustix::process::getuid().as_raw()))
}

fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        "worker".to_owned()
    } else {
        name
    }
}
