//! [`Trace`]: what happened, as a file that <https://ui.perfetto.dev> and `chrome://tracing` open.
//!
//! The format is Chrome's [trace events][1], in JSON. There is a track for each worker, with a
//! slice for each task that it ran, one for the submitting of tasks, arrows from there to where a
//! task runs, and counters of how many wait and how many run.
//!
//! # What a viewer counts on, and this keeps
//!
//! - Slices of one track never overlap in part: one that would, by the clocks of two processes,
//!   begins where the one before it ended.
//! - Times are whole nanoseconds, written as microseconds with three decimals, and a duration is
//!   the difference of two of them; so nothing overlaps by rounding.
//! - An arrow begins and ends inside a slice.
//!
//! It is written as it happens, so a long run costs no memory.
//!
//! [1]: https://perfetto.dev/docs/getting-started/other-formats#chrome-json-format

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{EventKind, Events, Listener, PLACES, TaskEnd};

/// How often what has happened is written.
const EVERY: Duration = Duration::from_millis(20);
/// So often at most a counter is written.
const COUNTER: u64 = 1_000_000;
/// The track of what is submitted, and of the first worker.
const SUBMITTED: u64 = 1;
const WORKERS: u64 = 2;
/// Of a slice that says that a task was submitted, in nanoseconds.
const MOMENT: u64 = 1_000;

/// A trace that is being written, of all that [`Events`] tell.
///
/// ```
/// use hands::event::Trace;
/// use hands::pool::{Pool, ThreadPool};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("trace.json");
/// let pool = ThreadPool::with_workers(2)?;
/// let trace = Trace::to_file(&pool.events(), &path)?;
/// pool.map(|n: u64| n * n, 0..100).count();
/// let summary = trace.finish()?;
/// assert!(summary.tasks > 0 && summary.lost == 0);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
///
/// Dropped, it ends as with [`finish`](Self::finish), without a word on what went wrong.
#[derive(Debug)]
pub struct Trace {
    stop: mpsc::Sender<()>,
    thread: Option<JoinHandle<io::Result<TraceSummary>>>,
}

/// What a trace has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceSummary {
    /// Tasks that ran.
    pub tasks: u64,
    /// Events that came faster than they could be written, and are not in it.
    pub lost: u64,
}

impl Trace {
    /// Writes into a new file, or over an old one, until it is [finished](Self::finish).
    ///
    /// # Errors
    ///
    /// When the file cannot be made, a thread cannot be started, or eight listen already.
    pub fn to_file(events: &Events, path: impl AsRef<Path>) -> io::Result<Trace> {
        Trace::to(events, std::fs::File::create(path)?)
    }

    /// Writes there.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started, or eight listen already.
    pub fn to(events: &Events, out: impl Write + Send + 'static) -> io::Result<Trace> {
        let listener = events.listen().map_err(io::Error::other)?;
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("hands-trace".to_owned());
        let began = events.clone();
        let thread = thread.spawn(move || written(listener, &stopped, out, &began))?;
        Ok(Trace {
            stop,
            thread: Some(thread),
        })
    }

    /// Writes the rest. Tasks that still run are in it as far as they have come.
    ///
    /// # Errors
    ///
    /// When it could not be written.
    pub fn finish(mut self) -> io::Result<TraceSummary> {
        self.end()
    }

    fn end(&mut self) -> io::Result<TraceSummary> {
        let _ = self.stop.send(());
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(done)) => done,
            _ => Err(io::Error::other(
                "the thread that wrote the trace has panicked",
            )),
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if self.thread.is_some() {
            drop(self.end());
        }
    }
}

fn written(
    mut listener: Listener,
    stop: &mpsc::Receiver<()>,
    out: impl Write,
    began: &Events,
) -> io::Result<TraceSummary> {
    let mut file = TraceFile::new(out)?;
    let mut last = Ok(());
    loop {
        let is_over = stop.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
        // What does not fit on the disk is told at the end; until then those who tell go on.
        for event in &mut listener {
            let at = nanos(event.at);
            last = last.and_then(|()| file.event(at, &event.kind));
        }
        if is_over {
            last?;
            let now = nanos(began.began().elapsed().unwrap_or_default());
            let tasks = file.finish(now)?;
            let lost = listener.lost();
            return Ok(TraceSummary { tasks, lost });
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The file itself: what is made of events, or by who knows more of the tasks than their numbers.
///
/// Times are nanoseconds since whatever moment.
#[doc(hidden)]
pub struct TraceFile<W: Write> {
    out: BufWriter<W>,
    is_first: bool,
    /// Of each worker, when its last slice ended.
    ends: HashMap<u32, u64>,
    submitted: u64,
    running: HashMap<u64, (u32, u64, String)>,
    waiting: u64,
    counted: Option<u64>,
    tasks: u64,
}

impl<W: Write> TraceFile<W> {
    /// Begins it.
    ///
    /// # Errors
    ///
    /// When it cannot be written, as with all that follows.
    pub fn new(out: W) -> io::Result<TraceFile<W>> {
        let mut file = TraceFile {
            out: BufWriter::new(out),
            is_first: true,
            ends: HashMap::new(),
            submitted: 0,
            running: HashMap::new(),
            waiting: 0,
            counted: None,
            tasks: 0,
        };
        file.out
            .write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
        file.named("process_name", SUBMITTED, "hands")?;
        file.named("thread_name", SUBMITTED, "submitted")?;
        Ok(file)
    }

    fn event(&mut self, at: u64, kind: &EventKind) -> io::Result<()> {
        match *kind {
            EventKind::Queued { task, name } => self.queued(at, task, name.as_str()),
            EventKind::Started {
                task, name, worker, ..
            } => self.started(at, task, worker, name.as_str()),
            EventKind::Finished {
                task,
                name,
                worker: Some(worker),
                how,
                wall,
                ..
            } => {
                let args = format!("\"end\":\"{}\"", word(how));
                self.ran(at, task, worker, name.as_str(), wall, &args)
            }
            EventKind::Finished { worker: None, .. } => {
                self.waiting = self.waiting.saturating_sub(1);
                self.count(at)
            }
            EventKind::Sized { from, to } => self.counter(
                at,
                "workers",
                &[("size", u64::from(to)), ("before", u64::from(from))],
            ),
            _ => Ok(()),
        }
    }

    /// A task waits.
    #[doc(hidden)]
    pub fn queued(&mut self, at: u64, task: u64, name: &str) -> io::Result<()> {
        let start = at.max(self.submitted);
        self.submitted = start + MOMENT;
        self.slice(SUBMITTED, start, MOMENT, name, &format!("\"task\":{task}"))?;
        self.arrow('s', SUBMITTED, start, task)?;
        self.waiting += 1;
        self.count(at)
    }

    /// A worker has begun a task.
    #[doc(hidden)]
    pub fn started(&mut self, at: u64, task: u64, worker: u32, name: &str) -> io::Result<()> {
        self.waiting = self.waiting.saturating_sub(1);
        self.running.insert(task, (worker, at, name.to_owned()));
        self.count(at)
    }

    /// A task has ended, after so long. `args`: what else is to be said of it, as JSON.
    #[doc(hidden)]
    pub fn ran(
        &mut self,
        at: u64,
        task: u64,
        worker: u32,
        name: &str,
        wall: Duration,
        args: &str,
    ) -> io::Result<()> {
        self.running.remove(&task);
        self.tasks += 1;
        self.on_track(at, task, worker, name, nanos(wall), args)?;
        self.count(at)
    }

    fn on_track(
        &mut self,
        at: u64,
        task: u64,
        worker: u32,
        name: &str,
        wall: u64,
        args: &str,
    ) -> io::Result<()> {
        let before = self.ends.get(&worker).copied();
        let track = WORKERS + u64::from(worker);
        if before.is_none() {
            let name = match worker {
                PLACES.. => format!("place {}", worker - PLACES),
                worker => format!("worker {worker}"),
            };
            self.named("thread_name", track, &name)?;
        }
        let start = at.saturating_sub(wall).max(before.unwrap_or(0));
        let end = at.max(start);
        self.ends.insert(worker, end);
        let comma = if args.is_empty() { "" } else { "," };
        let args = format!("\"task\":{task}{comma}{args}");
        self.slice(track, start, end - start, name, &args)?;
        self.arrow('f', track, start, task)
    }

    /// The end of the file; what still runs has come so far.
    #[doc(hidden)]
    pub fn finish(mut self, at: u64) -> io::Result<u64> {
        let mut left: Vec<_> = self.running.drain().collect();
        left.sort_by_key(|(_, (_, since, _))| *since);
        for (task, (worker, since, name)) in left {
            let wall = at.saturating_sub(since);
            self.on_track(at, task, worker, &name, wall, "\"end\":\"running\"")?;
        }
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()?;
        Ok(self.tasks)
    }

    fn row(&mut self, text: &str) -> io::Result<()> {
        let before: &[u8] = match std::mem::take(&mut self.is_first) {
            true => b"\n",
            false => b",\n",
        };
        self.out.write_all(before)?;
        self.out.write_all(text.as_bytes())
    }

    fn slice(
        &mut self,
        track: u64,
        at: u64,
        length: u64,
        name: &str,
        args: &str,
    ) -> io::Result<()> {
        let name = if name.is_empty() { "task" } else { name };
        let row = format!(
            "{{\"ph\":\"X\",\"pid\":1,\"tid\":{track},\"ts\":{},\"dur\":{},\"name\":{},\"args\":{{{args}}}}}",
            micros(at),
            micros(length),
            quoted(name)
        );
        self.row(&row)
    }

    fn arrow(&mut self, end: char, track: u64, at: u64, task: u64) -> io::Result<()> {
        let binds = if end == 'f' { ",\"bp\":\"e\"" } else { "" };
        let row = format!(
            "{{\"ph\":\"{end}\",\"pid\":1,\"tid\":{track},\"ts\":{},\"id\":{task},\"name\":\"run\",\"cat\":\"run\"{binds}}}",
            micros(at)
        );
        self.row(&row)
    }

    fn count(&mut self, at: u64) -> io::Result<()> {
        if self.counted.is_some_and(|counted| at < counted + COUNTER) {
            return Ok(());
        }
        self.counted = Some(at);
        let figures = [
            ("waiting", self.waiting),
            ("running", self.running.len() as u64),
        ];
        self.counter(at, "tasks", &figures)
    }

    fn counter(&mut self, at: u64, name: &str, figures: &[(&str, u64)]) -> io::Result<()> {
        let figures: Vec<_> = (figures.iter())
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        let row = format!(
            "{{\"ph\":\"C\",\"pid\":1,\"tid\":0,\"ts\":{},\"name\":\"{name}\",\"args\":{{{}}}}}",
            micros(at),
            figures.join(",")
        );
        self.row(&row)
    }

    fn named(&mut self, what: &str, track: u64, name: &str) -> io::Result<()> {
        let row = format!(
            "{{\"ph\":\"M\",\"pid\":1,\"tid\":{track},\"name\":\"{what}\",\"args\":{{\"name\":{}}}}}",
            quoted(name)
        );
        self.row(&row)?;
        if what != "thread_name" {
            return Ok(());
        }
        let row = format!(
            "{{\"ph\":\"M\",\"pid\":1,\"tid\":{track},\"name\":\"thread_sort_index\",\"args\":{{\"sort_index\":{track}}}}}"
        );
        self.row(&row)
    }
}

impl<W: Write> std::fmt::Debug for TraceFile<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceFile").finish_non_exhaustive()
    }
}

fn micros(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1000, nanos % 1000)
}

/// As a JSON string.
#[doc(hidden)]
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn word(how: TaskEnd) -> &'static str {
    match how {
        TaskEnd::Well => "well",
        TaskEnd::Panicked => "panicked",
        TaskEnd::Failed => "failed",
        TaskEnd::NotRun => "not run",
        TaskEnd::Died => "died",
        TaskEnd::TimedOut => "timed out",
        TaskEnd::Cancelled => "cancelled",
        TaskEnd::Retried => "to be tried again",
    }
}
