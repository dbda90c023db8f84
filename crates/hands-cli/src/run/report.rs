//! What is said while the batch runs and at its end: progress, warnings, the job log, `--json`
//! events, failures.
//!
//! Results belong on stdout and are the batch's; all that is written here goes to stderr, but for
//! `--json`.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use hands::command::OutputStream;
use hands_batch::joblog::{JobLog, JobLogEntry};
use hands_batch::{
    BatchProgress, Control, Finished, Notice, Observer, Outcome, Started, Stop, Summary,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGPIPE;

use super::events;
use super::failures::{Failures, reason};
use super::files::Files;
use super::page::ReportPage;
use super::progress::{Display, short};
use super::resume::Resumption;
use super::signals::{SignalStep, Signals};
use super::table::ShownTable;
use super::trace::BatchTrace;
use super::web::BatchPage;
use crate::plan::Plan;
use crate::plan::parts::OutputMode;
use crate::ui::codes::INTERRUPTED;
use crate::ui::paint::Paint;
use crate::ui::time::seconds;

/// A want that comes and goes with every job is told once in this time.
const REMINDER: Duration = Duration::from_secs(60);

/// Hears the batch and tells the user.
pub(super) struct RunReport {
    display: Display,
    log: Option<JobLog>,
    log_error: Option<String>,
    control: Control,
    signals: Signals,
    failures: Failures,
    resumption: Resumption,
    paint: Paint,
    json: bool,
    halves: events::Halves,
    verbose: bool,
    ended: u64,
    done: u64,
    told_shortage: Option<Instant>,
    told_waiting: Option<Instant>,
    /// `--results FILE.csv`.
    table: Option<ShownTable>,
    /// `--files`.
    pub(super) files: Option<Files>,
    /// `--trace`.
    pub(super) trace: Option<BatchTrace>,
    /// `--report`.
    pub(super) page: Option<ReportPage>,
    /// `--web`.
    pub(super) web: Option<BatchPage>,
    /// Jobs that were ended one by one, while the others went on.
    cancelled: u64,
    /// There may be jobs that an earlier run has done.
    skipped: bool,
    /// Jobs write straight to our stdout.
    is_direct: bool,
    is_unread: bool,
}

impl RunReport {
    pub(super) fn new(
        plan: &Plan,
        display: Display,
        log: Option<JobLog>,
        control: Control,
        signals: Signals,
        table: Option<ShownTable>,
    ) -> RunReport {
        let paint = Paint::new(plan.color);
        RunReport {
            display,
            log,
            log_error: None,
            control,
            signals,
            failures: Failures::new(plan, paint),
            resumption: Resumption::new(plan),
            paint,
            json: plan.output.mode == OutputMode::Json,
            halves: events::Halves::default(),
            verbose: plan.verbose,
            ended: 0,
            done: 0,
            told_shortage: None,
            told_waiting: None,
            table,
            files: None,
            trace: None,
            page: None,
            web: None,
            cancelled: 0,
            skipped: plan.log.as_ref().is_some_and(|log| log.resume.is_some()),
            is_direct: plan.output.mode == OutputMode::Direct,
            is_unread: false,
        }
    }

    /// Nobody reads stdout any more: a job that writes straight to it has died of that.
    pub(super) fn is_unread(&self) -> bool {
        self.is_unread
    }

    pub(super) fn interrupted(&self) -> bool {
        self.signals.interrupted || self.web.as_ref().is_some_and(BatchPage::has_stopped)
    }

    /// Jobs that were ended one by one. They are not done, so they count where success is told.
    pub(super) fn cancelled(&self) -> u64 {
        self.cancelled
    }

    /// No job has been started.
    pub(super) fn is_unused(&self) -> bool {
        self.done == 0 && self.ended == 0 && !self.skipped
    }

    /// Why the job log could not be kept up, if it could not.
    pub(super) fn log_error(&self) -> Option<&str> {
        self.log_error.as_deref()
    }

    /// The last words, once the batch is over. `summary` is missing when it broke off.
    pub(super) fn close(&mut self, summary: Option<&Summary>) {
        let traced = self.trace.as_mut().map_or(Ok(()), BatchTrace::finish);
        let paged = self.page.as_ref().map_or(Ok(()), ReportPage::write);
        if let Err(why) = traced.and(paged) {
            self.log_error.get_or_insert(why);
        }
        if let Some(web) = &self.web {
            web.end();
        }
        if let Some(files) = &mut self.files {
            // Anyone who does not read names has all the same the files.
            let _ = io::stdout().write_all(&files.rest());
        }
        if self.json
            && let Some(summary) = summary
        {
            let code = if self.interrupted() {
                INTERRUPTED
            } else {
                summary.exit_code
            };
            let mut line = Vec::new();
            events::summary(summary, code, &mut line);
            // Anyone who reads events has seen every job's end already.
            let _ = io::stdout().write_all(&line);
        }
        if self.verbose
            && let Some(decision) = summary.and_then(|summary| summary.sizing)
        {
            let s = if decision.size == 1 { "" } else { "s" };
            let told = format!(
                "hands: {} job{s} at once in the end: {decision}\n",
                decision.size
            );
            say(told.as_bytes());
        }
        let log = self
            .log
            .as_ref()
            .map(|log| log.path().display().to_string());
        say(&self.failures.report(self.done, log.as_deref()));
        if self.interrupted() {
            say(self.resumption.told(self.ended).as_bytes());
        }
    }

    fn write_log(&mut self, job: &Finished<'_>) {
        let Some(log) = &mut self.log else { return };
        let timed_out = matches!(job.outcome, Outcome::TimedOut { .. });
        let entry = JobLogEntry {
            seq: job.place.number,
            host: job.host.unwrap_or(":"),
            start: job.at,
            runtime: job.wall,
            sent: job.sent,
            received: job.received,
            exit: job.exit(),
            signal: match job.signal() {
                // As GNU parallel logs it, also when the job caught the signal and exited by
                // itself.
                0 if timed_out => 15,
                signal => signal,
            },
            command: job.display,
        };
        if let Err(error) = log.record(&entry) {
            // A run that cannot be resumed is not what was asked for: stop before more is done than
            // is known.
            self.log_error.get_or_insert_with(|| error.to_string());
            self.control.stop(Stop::Drain);
        }
    }

    /// A line on stderr, with the progress display out of the way.
    fn tell(&mut self, text: &str) {
        if let Some(web) = &self.web {
            web.note(text);
        }
        self.display
            .aside(&mut || say(format!("hands: {text}\n").as_bytes()));
    }
}

/// Whether something is to be told (again), and notes that it was.
fn due(told: &mut Option<Instant>) -> bool {
    let due = told.is_none_or(|at| at.elapsed() >= REMINDER);
    if due {
        *told = Some(Instant::now());
    }
    due
}

/// Whether stdout is a pipe whose reader has gone.
fn nobody_reads() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::OUT)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::ERR)
}

/// Writes to stderr. A closed stderr leaves nobody to tell.
fn say(text: &[u8]) {
    let _ = io::stderr().write_all(text);
}

impl Observer for RunReport {
    fn started(&mut self, job: &Started<'_>, out: &mut Vec<u8>) {
        if let Some(trace) = &mut self.trace {
            trace.started(job);
        }
        if let Some(web) = &self.web {
            web.started(job);
        }
        if self.json {
            events::start(job, out);
        }
        if self.verbose {
            let mut line = job.display.to_vec();
            line.push(b'\n');
            self.display.aside(&mut || say(&line));
        }
    }

    fn output(&mut self, number: u64, stream: OutputStream, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.table {
            Some(table) => table.output(number, stream, bytes),
            None if self.files.is_none() => self.halves.output(number, stream, bytes, out),
            None if stream == OutputStream::Stderr => self.display.aside(&mut || say(bytes)),
            None => {}
        }
    }

    fn finished(&mut self, job: &Finished<'_>, out: &mut Vec<u8>) {
        if let Some(trace) = &mut self.trace {
            trace.finished(job);
        }
        if let Some(page) = &mut self.page {
            page.add(job);
        }
        if let Some(web) = &self.web {
            web.finished(job);
        }
        if self.json {
            self.halves.end(job.place.number, out);
            events::end(job, out);
        }
        match job.outcome {
            Outcome::Ended => {
                self.ended += 1;
                if self.control.stopped() == Stop::No {
                    self.cancelled += 1;
                    let told = format!("job {} was ended, as it was asked for", job.place.number);
                    self.tell(&told);
                }
                return;
            }
            Outcome::Failure { retry: Some(after) }
            | Outcome::TimedOut {
                retry: Some(after), ..
            } => {
                let (number, why) = (job.place.number, reason(job));
                if let Some(table) = &mut self.table {
                    table.forget(number);
                }
                self.tell(&format!(
                    "job {number} {why}; trying again in {}",
                    seconds(after)
                ));
                return;
            }
            _ => {}
        }
        if self.is_direct && job.signal() == SIGPIPE && nobody_reads() {
            self.is_unread = true;
            self.control.stop(Stop::Terminate);
            return;
        }
        self.done += 1;
        if let Some(files) = &mut self.files {
            files.end(job.place.number, out);
        }
        self.write_log(job);
        if let Some(Err(error)) = self.table.as_mut().map(|table| table.end(job)) {
            let why = format!("`--results` cannot be written: {error}");
            self.log_error.get_or_insert(why);
            self.control.stop(Stop::Drain);
        }
        if job.outcome.is_final_failure() {
            if job.error.is_some() {
                let told = format!("job {} {}", job.place.number, reason(job));
                self.tell(&self.paint.wrong(&told));
            }
            self.failures.add(job);
        }
    }

    fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Shortage(why) if due(&mut self.told_shortage) => {
self.tell(&format!(
                        "{why} (trying again as running jobs end)"
                    ));
}
            Notice::SpillFull { folder, reason } => self.tell(&format!(
                "cannot keep waiting output in `{}`: {reason}; jobs are held up instead (`--tmpdir` names another folder)",
                folder.display()
            )),
            Notice::Waiting(why) if due(&mut self.told_waiting) => {
self.tell(&format!("waiting to start more: {why}"));
}
            Notice::Halted { now: true } => self.tell("stopping now, as `--halt` says; ending the running jobs"),
            Notice::Halted { now: false } => self.tell("starting no more jobs, as `--halt` says; waiting for the running ones"),
            Notice::NoWatchdog(why) => self.tell(&format!(
                "cannot start the watchdog: {why}; if hands is killed, its jobs may go on"
            )),
            Notice::OutputHeld { number, display } => self.tell(&format!(
                "job {number} ({}) has ended, and what it has started still holds its output: what had come by then is kept (`--wait-pipes` waits for the rest)",
                short(display)
            )),
            Notice::BegunAnew { number, why } => {
                self.tell(&format!("job {number} is begun anew: {why}"));
            }
            Notice::TriedAgain { number } => {
                self.done = self.done.saturating_sub(1);
                self.failures.forget(*number);
                if let Some(page) = &mut self.page {
                    page.forget_failure(*number);
                }
                if let Some(web) = &self.web {
                    web.tried_again(*number);
                }
                if let Some(table) = &mut self.table {
                    table.forget(*number);
                }
            }
            Notice::HasTerminal { number } => {
                self.tell(&format!("job {number} asks for the terminal, and has it until it ends"));
            }
            Notice::WantsTerminal { number, display } => self.tell(&format!(
                "job {number} is stopped: it wants the terminal, and gets it when it is the only one that runs (`--tty` gives it to each, one after the other)\n  {}",
                short(display)
            )),
            Notice::Leftovers(1) => self.tell("ended 1 process that a job had left in the background (`setsid` keeps one)"),
            Notice::Leftovers(count) => self.tell(&format!(
                "ended {count} processes that jobs had left in the background (`setsid` keeps one)"
            )),
            _ => {}
        }
    }

    fn tick(&mut self, progress: &BatchProgress<'_>) {
        if let Some(web) = &self.web {
            web.tick(progress);
        }
        self.display.show(progress);
    }

    fn woken(&mut self, control: &Control) {
        match self.signals.pass_on(control) {
            Some(SignalStep::Stopping(Stop::Drain)) => self.tell(
                "interrupted: starting no more jobs and waiting for the running ones; again to end them",
            ),
            Some(SignalStep::Stopping(Stop::Terminate)) => {
                self.tell("interrupted: sent TERM to the running jobs; again to kill them");
            }
            Some(SignalStep::Stopping(Stop::Kill)) => self.tell("interrupted: killed the running jobs"),
            Some(SignalStep::Stopping(Stop::No) | SignalStep::Suspending) | None => {}
        }
    }

    fn writing(&mut self, write: &mut dyn FnMut()) {
        self.display.aside(write);
    }
}
