//! [`Ledger`]: what a page shows, kept in bounded memory.
//!
//! Whoever runs tasks tells it when each begins and ends, by events or by its own methods; the page
//! reads it some times a second. However many tasks there are, it keeps those that run, the last
//! that ended, a minute of the timeline in at most 64 lanes, and 300 points of the history.

mod frame;
mod history;
mod rows;
mod timeline;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use hands::event::{EventKind, Name, TaskEnd, WorkEvent, WorkFigures};
use hands::text::is_deceptive;
use serde::{Deserialize, Serialize};

use self::history::History;
use self::timeline::Timeline;

pub use self::frame::{Frame, ListSizes};
pub use self::history::HistoryLines;
pub use self::rows::{List, Row, RowOrder, Rows};

/// Tasks that are kept after they have ended: of those that failed, and of the others.
const KEPT: usize = 10_000;
/// Tasks that run and are listed; of more, such as a million coroutines that sleep, the number is
/// known.
const RUNNING: usize = 20_000;
/// Letters of a name, of a reason, and of what a task wrote to its stderr.
const LETTERS: usize = 300;
const TAIL: usize = 4096;
/// Things that a user should know.
const NOTES: usize = 20;

/// What is watched stands so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Phase {
    /// There is nothing to do yet, or for now.
    Idle,
    /// Tasks are run.
    #[default]
    Running,
    /// No further task is started until it is resumed.
    Paused,
    /// No further task is started; those that run come to their end.
    Stopping,
    /// All is over.
    Done,
}

/// A task that runs.
#[derive(Clone, Debug)]
struct RunningTask {
    name: TaskName,
    worker: u32,
    since: Instant,
    received: u64,
    expected: u64,
}

/// A task that has ended.
#[derive(Clone, Debug)]
struct EndedTask {
    id: u64,
    name: TaskName,
    worker: Option<u32>,
    how: TaskEnd,
    time: Duration,
    why: String,
    tail: String,
    bytes: u64,
}

/// A function's name costs nothing, a command's is kept.
#[derive(Clone, Debug)]
enum TaskName {
    Function(Name),
    Text(Box<str>),
}

impl TaskName {
    fn text(&self) -> String {
        match self {
            TaskName::Function(name) => short_path(name.as_str()),
            TaskName::Text(text) => text.to_string(),
        }
    }
}

/// The last two parts of a function's path: `module::function`.
fn short_path(path: &str) -> String {
    let path = path.split('<').next().unwrap_or(path);
    let parts: Vec<&str> = path.rsplit("::").take(2).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("::")
}

/// How a task has ended.
#[derive(Clone, Debug)]
pub struct End {
    /// In one word.
    pub how: TaskEnd,
    /// In a sentence; empty where there is nothing to say.
    pub why: String,
    /// The last that it wrote to its stderr.
    pub tail: String,
    /// How long it ran.
    pub wall: Duration,
    /// For how long of that it was on a CPU, where that is known.
    pub cpu: Option<Duration>,
}

impl End {
    /// It ended so, after this time.
    pub fn new(how: TaskEnd, wall: Duration) -> End {
        End {
            how,
            why: String::new(),
            tail: String::new(),
            wall,
            cpu: None,
        }
    }
}

/// What is known of the whole, where the events do not say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overview {
    /// Where it stands.
    pub phase: Phase,
    /// Tasks in all, if that is known.
    pub total: Option<u64>,
    /// Tasks that wait for a worker.
    pub waiting: u64,
    /// Tasks that have their outcome.
    pub finished: u64,
    /// Of these, the ones that did not end well.
    pub failed: u64,
    /// Tasks that wait to be tried again.
    pub retrying: u64,
    /// Workers there are.
    pub workers: usize,
    /// Workers that run a task.
    pub busy: usize,
    /// Why there are so many workers, in words.
    pub sizing: String,
    /// Bytes that have been moved.
    pub bytes: u64,
}

/// What a page shows.
#[derive(Debug)]
pub struct Ledger {
    title: String,
    began: Instant,
    began_at: SystemTime,
    overview: Overview,
    figures: WorkFigures,
    running: BTreeMap<u64, RunningTask>,
    failed: VecDeque<EndedTask>,
    ended: VecDeque<EndedTask>,
    timeline: Timeline,
    history: History,
    notes: VecDeque<String>,
    /// What waits to be begun, where that is a list that can be shown.
    waiting: BTreeMap<u64, Box<str>>,
    /// When all was over.
    over: Option<Duration>,
    lost: u64,
}

impl Ledger {
    /// Of nothing yet.
    pub fn new(title: impl Into<String>) -> Ledger {
        let now = Instant::now();
        Ledger {
            title: cut(&title.into(), LETTERS),
            began: now,
            began_at: SystemTime::now(),
            overview: Overview::default(),
            figures: WorkFigures::default(),
            running: BTreeMap::new(),
            failed: VecDeque::new(),
            ended: VecDeque::new(),
            timeline: Timeline::new(now),
            history: History::default(),
            notes: VecDeque::new(),
            waiting: BTreeMap::new(),
            over: None,
            lost: 0,
        }
    }

    /// What is known of the whole by now.
    pub fn overview(&mut self, overview: Overview) {
        if overview.phase == Phase::Done {
            self.over.get_or_insert_with(|| self.began.elapsed());
        } else {
            self.over = None;
        }
        self.overview = overview;
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.overview.phase
    }

    /// Takes in what a pool tells. Its tasks are known by the names of their functions.
    pub fn event(&mut self, event: &WorkEvent) {
        self.figures.count(&event.kind);
        match event.kind {
            EventKind::Started {
                task, name, worker, ..
            } => self.begun(task, TaskName::Function(name), worker),
            EventKind::Finished {
                task,
                name,
                worker,
                how,
                wall,
                ..
            } => {
                let begun = self.running.remove(&task);
                let name = begun.map_or(TaskName::Function(name), |begun| begun.name);
                self.end(task, name, worker, End::new(how, wall));
            }
            _ => {}
        }
    }

    /// A task has begun, under this name.
    pub fn started(&mut self, id: u64, name: &str, worker: u32) {
        self.figures.count(&EventKind::Started {
            task: id,
            name: Name::NONE,
            worker,
            waited: None,
        });
        let name = TaskName::Text(cut(name, LETTERS).into());
        self.begun(id, name, worker);
    }

    fn begun(&mut self, id: u64, name: TaskName, worker: u32) {
        self.waiting.remove(&id);
        self.timeline.worker(worker);
        let task = RunningTask {
            name,
            worker,
            since: Instant::now(),
            received: 0,
            expected: 0,
        };
        if self.running.len() < RUNNING {
            self.running.insert(id, task);
        }
    }

    /// A task has so many bytes, of so many; 0 if that is not known.
    pub fn moved(&mut self, id: u64, received: u64, expected: u64) {
        if let Some(task) = self.running.get_mut(&id) {
            (task.received, task.expected) = (received, expected);
        }
    }

    /// A task has ended. One that was never begun is listed under this name.
    pub fn finished(&mut self, id: u64, name: &str, end: End) {
        self.waiting.remove(&id);
        let begun = self.running.remove(&id);
        self.figures.count(&EventKind::Finished {
            task: id,
            name: Name::NONE,
            worker: begun.as_ref().map(|begun| begun.worker),
            how: end.how,
            wall: end.wall,
            cpu: end.cpu,
        });
        let worker = begun.as_ref().map(|begun| begun.worker);
        let received = begun.as_ref().map_or(0, |begun| begun.received);
        let name = match begun {
            Some(begun) => begun.name,
            None => TaskName::Text(cut(name, LETTERS).into()),
        };
        self.end(id, name, worker, end);
        if let Some(ended) = self.ended.back_mut().filter(|ended| ended.id == id) {
            ended.bytes = received;
        }
    }

    fn end(&mut self, id: u64, name: TaskName, worker: Option<u32>, end: End) {
        let is_failure = is_failure(end.how);
        if let Some(worker) = worker {
            self.timeline
                .ran(worker, Instant::now(), end.wall, is_failure);
        }
        let (list, why) = match is_failure {
            true => (&mut self.failed, end.why),
            false => (&mut self.ended, end.why),
        };
        if list.len() == KEPT {
            list.pop_front();
        }
        list.push_back(EndedTask {
            id,
            name,
            worker,
            how: end.how,
            time: end.wall,
            why: cut(&why, LETTERS),
            tail: cut_front(&end.tail, TAIL),
            bytes: 0,
        });
    }

    /// The task that has ended last had so many bytes.
    pub fn had(&mut self, id: u64, bytes: u64) {
        if let Some(ended) = self.ended.back_mut().filter(|ended| ended.id == id) {
            ended.bytes = bytes;
        }
    }

    /// A task that had failed is tried again: it is not listed as failed any more.
    pub fn forget_failure(&mut self, id: u64) {
        self.failed.retain(|task| task.id != id);
    }

    /// The same for many at once.
    pub fn forget_failures(&mut self, ids: &HashSet<u64>) {
        if !ids.is_empty() {
            self.failed.retain(|task| !ids.contains(&task.id));
        }
    }

    /// Nothing is listed of it any more.
    pub fn forget(&mut self, id: u64) {
        self.waiting.remove(&id);
        self.forget_failure(id);
        self.ended.retain(|task| task.id != id);
    }

    /// A task waits to be begun, and is listed until it is, by its number.
    pub fn queued(&mut self, id: u64, name: &str) {
        self.waiting.insert(id, cut(name, LETTERS).into());
    }

    /// How many of those wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Something that a user should know.
    pub fn note(&mut self, note: impl Into<String>) {
        if self.notes.len() == NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back(cut(&note.into(), LETTERS));
    }

    /// So many events came too fast to be looked at: the timeline and the quantiles lack them.
    pub fn lost(&mut self, events: u64) {
        self.lost = events;
    }

    /// The figures in the text format of Prometheus, labelled with the title.
    pub fn prometheus(&mut self) -> String {
        self.figures.update();
        self.figures.prometheus(&self.title)
    }

    fn elapsed(&self) -> Duration {
        self.over.unwrap_or_else(|| self.began.elapsed())
    }
}

fn is_failure(how: TaskEnd) -> bool {
    matches!(
        how,
        TaskEnd::Panicked | TaskEnd::Failed | TaskEnd::Died | TaskEnd::TimedOut
    )
}

/// The beginning of a text, as it may be shown.
fn cut(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        Some((at, _)) => format!("{}…", honest(&text[..at])),
        None => honest(text),
    }
}

/// The text with a sign in place of each letter that deceives.
fn honest(text: &str) -> String {
    let odd = |letter| is_deceptive(letter) && !"\n\t".contains(letter);
    text.replace(odd, "\u{fffd}")
}

/// The end of a text, as it may be shown.
fn cut_front(text: &str, bytes: usize) -> String {
    let mut from = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    honest(&text[from..])
}
