//! Parts of the lists of a ledger: a page asks for as many rows as it has room for.

use serde::{Deserialize, Serialize};

use super::timeline::worker_name;
use super::{EndedTask, Ledger, TaskName};
use hands::event::TaskEnd;

/// Rows that are given at once, at most.
const MOST: usize = 500;

/// A list of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum List {
    /// Those that run, in the order of their numbers.
    Running,
    /// Those that wait, in their order.
    Waiting,
    /// Those that failed, the last first: the last 10,000.
    Failed,
    /// The others that have ended, the last first: the last 10,000.
    Finished,
}

/// In which order tasks that run are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowOrder {
    /// By their numbers.
    #[default]
    Number,
    /// Those that have run for longest first.
    Time,
    /// By their names.
    Name,
}

/// A part of a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rows {
    /// How many rows the whole list has.
    pub total: usize,
    /// The place of the first of these in it.
    pub from: usize,
    /// The rows.
    pub rows: Vec<Row>,
}

/// What is listed of one task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Row {
    /// Its number.
    pub id: u64,
    /// What it is called.
    pub name: String,
    /// Of a function's call: its worker, as its number says nothing to anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Seconds that it has run, or ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    /// Bytes that are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// Bytes that there will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// How it has ended, in a word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub how: String,
    /// How it has ended, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The last that it wrote to its stderr.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tail: String,
}

impl Ledger {
    /// So many rows of a list, from this one on; no more than 500.
    pub fn rows(&self, list: List, order: RowOrder, from: usize, count: usize) -> Rows {
        let count = count.min(MOST);
        let (total, rows) = match list {
            List::Running => {
                let mut all: Vec<_> = self.running.iter().collect();
                match order {
                    RowOrder::Number => {}
                    RowOrder::Time => all.sort_by_key(|(_, task)| task.since),
                    RowOrder::Name => all.sort_by_cached_key(|(_, task)| task.name.text()),
                }
                let rows = all.into_iter().skip(from).take(count);
                let rows = rows.map(|(id, task)| Row {
                    id: *id,
                    name: task.name.text(),
                    place: place(&task.name, Some(task.worker)),
                    time: Some(task.since.elapsed().as_secs_f64()),
                    received: (task.received > 0 || task.expected > 0).then_some(task.received),
                    expected: (task.expected > 0).then_some(task.expected),
                    ..Row::default()
                });
                (self.running.len(), rows.collect())
            }
            List::Waiting => {
                let rows = self.waiting.iter().skip(from).take(count);
                let rows = rows.map(|(id, name)| Row {
                    id: *id,
                    name: name.to_string(),
                    ..Row::default()
                });
                (self.waiting.len(), rows.collect())
            }
            List::Failed => ended(&self.failed, from, count),
            List::Finished => ended(&self.ended, from, count),
        };
        Rows { total, from, rows }
    }
}

fn ended(
    list: &std::collections::VecDeque<EndedTask>,
    from: usize,
    count: usize,
) -> (usize, Vec<Row>) {
    let rows = list.iter().rev().skip(from).take(count);
    let rows = rows.map(|task| Row {
        id: task.id,
        name: task.name.text(),
        place: place(&task.name, task.worker),
        time: Some(task.time.as_secs_f64()),
        received: (task.bytes > 0).then_some(task.bytes),
        how: word(task.how).to_owned(),
        why: task.why.clone(),
        tail: task.tail.clone(),
        ..Row::default()
    });
    (list.len(), rows.collect())
}

fn place(name: &TaskName, worker: Option<u32>) -> Option<String> {
    match name {
        TaskName::Function(_) => worker.map(worker_name),
        TaskName::Text(_) => None,
    }
}

fn word(how: TaskEnd) -> &'static str {
    match how {
        TaskEnd::Well => "done",
        TaskEnd::Panicked => "panicked",
        TaskEnd::NotRun => "not run",
        TaskEnd::Died => "its worker died",
        TaskEnd::TimedOut => "took too long",
        TaskEnd::Cancelled => "cancelled",
        TaskEnd::Retried => "tried again",
        _ => "failed",
    }
}
