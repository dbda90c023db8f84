//! `hands cluster status`, `drain`, `remove`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use hands::text::is_deceptive;
use hands_cluster::{Cluster, WorkerOrder, WorkerStatus};
use serde::Serialize;

use super::access::{AccessPlan, with_access};
use crate::ui::codes::NOBODY_READS;
use crate::ui::usage;

/// Workers answer within this time.
const ANSWERS: Duration = Duration::from_millis(500);

/// What `hands cluster status --json` prints.
#[derive(Serialize)]
struct ClusterState {
    pool: String,
    /// Tasks that the server holds: some jobs each.
    tasks: u64,
    slots: usize,
    busy: usize,
    /// Items of each queue that are not done.
    queues: BTreeMap<String, u64>,
    workers: Vec<WorkerStatus>,
}

fn connected(access: &AccessPlan) -> Result<(Cluster, String), String> {
    let access = access.resolve()?;
    let builder = with_access!(Cluster::builder(&access.url), access);
    let cluster = builder.connect().map_err(|error| error.to_string())?;
    Ok((cluster, access.pool))
}

/// Lists who works, and what there is to do.
pub(crate) fn status(access: &AccessPlan, json: bool) -> ExitCode {
    let state = connected(access).and_then(|(cluster, pool)| {
        let mut workers = cluster.ask_statuses(ANSWERS);
        workers.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        Ok(ClusterState {
            pool,
            tasks: cluster.held().map_err(|error| error.to_string())?,
            slots: workers.iter().map(|worker| worker.slots).sum(),
            busy: workers.iter().map(|worker| worker.busy).sum(),
            queues: (cluster.queues().map_err(|error| error.to_string())?)
                .into_iter()
                .collect(),
            workers,
        })
    });
    let state = match state {
        Ok(state) => state,
        Err(why) => return usage::fail(&why),
    };
    let text = match json {
        true => serde_json::to_string(&state).unwrap_or_default() + "\n",
        false => shown(&state),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::from(NOBODY_READS),
        Err(error) => usage::fail(&format!("stdout cannot be written: {error}")),
    }
}

fn shown(state: &ClusterState) -> String {
    let mut text = format!(
        "pool {}: {} of {} slots busy, {} tasks waiting or running\n",
        state.pool, state.busy, state.slots, state.tasks
    );
    if state.workers.is_empty() {
        text.push_str(
            "no worker answers\n  hint: `hands worker URL --allow PROGRAM` lends a machine\n",
        );
        return text;
    }
    let rows = state.workers.iter().map(|worker| {
        let state = if worker.is_draining { " (ending)" } else { "" };
        [
            format!("{}{state}", printable(&worker.name)),
            printable(&worker.host),
            format!("{}/{}", worker.busy, worker.slots),
            format!("{}.{:02}", worker.load / 100, worker.load % 100),
            printable(&worker.version),
            printable(&worker.labels.join(",")),
            worker.id.get(..8).unwrap_or_default().to_owned(),
        ]
    });
    let head = ["WORKER", "HOST", "BUSY", "LOAD", "VERSION", "LABELS", "ID"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max();
            let width = width.unwrap_or(0) + 2;
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for (queue, items) in &state.queues {
        text.push_str(&format!("queue {}: {items} items\n", printable(queue)));
    }
    for worker in &state.workers {
        for job in &worker.running {
            text.push_str(&format!("{}: {}\n", printable(&worker.name), long(job)));
        }
    }
    text
}

/// A line, as a terminal may show it.
fn long(text: &str) -> String {
    text.chars()
        .map(|letter| if is_deceptive(letter) { '?' } else { letter })
        .collect()
}

/// What others have written, as a terminal may show it.
fn printable(text: &str) -> String {
    let shown = text
        .chars()
        .take(60)
        .map(|letter| match is_deceptive(letter) {
            true => '?',
            false => letter,
        });
    shown.collect()
}

/// Tells a worker to end: `drain` lets it finish what it runs, however long that takes.
pub(crate) fn tell(access: &AccessPlan, worker: &str, order: WorkerOrder) -> ExitCode {
    let told = connected(access).map(|(cluster, _)| {
        let known = cluster.ask_statuses(ANSWERS);
        let of_prefix = known
            .iter()
            .find(|status| worker.len() >= 8 && status.id.starts_with(worker));
        let worker = of_prefix.map_or(worker, |status| status.id.as_str());
        (cluster.tell_worker(worker, order), known)
    });
    match told {
        Ok((true, _)) => ExitCode::SUCCESS,
        Ok((false, known)) => {
            let mut names: Vec<_> = known.iter().map(|status| printable(&status.name)).collect();
            names.sort();
            let hint = match names.as_slice() {
                [] => "no worker answers".to_owned(),
                names => format!("there are {}", names.join(", ")),
            };
            usage::fail(&format!("no worker is called `{worker}`\n  hint: {hint}"))
        }
        Err(why) => usage::fail(&why),
    }
}
