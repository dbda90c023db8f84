//! `hands run`: the plan, carried out.
//!
//! ```text
//! Plan ─► work (what to run) ─┐
//!         report (what is said) ├─► hands_batch::Batch ─► exit code
//!         signals (when to stop) ┘
//! ```

mod advice;
mod dry;
mod events;
pub(crate) mod failures;
mod files;
pub(crate) mod item;
mod nested;
mod page;
pub(crate) mod progress;
mod report;
mod resume;
mod robin;
pub(crate) mod signals;
mod sources;
pub(crate) mod table;
mod trace;
mod web;
pub(crate) mod work;

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use hands::sizing;
use hands_batch::joblog::{JobLog, Resume, ResumeMode};
use hands_batch::policy::{LoadGate, MemFreeGate, Room, Slots};
use hands_batch::{Batch, BatchError, Control, Grouping, Sink, Summary, TerminalUse};

use self::files::Files;
use self::page::ReportPage;
use self::progress::Display;
use self::report::RunReport;
use self::signals::Signals;
use self::table::ShownTable;
use self::trace::BatchTrace;
use self::web::BatchPage;
use self::work::Jobs;
use crate::machines::run::MachineRun;
use crate::plan::parts::{self, OutputMode};
use crate::plan::{LINGER, MOST_FOR_A_CORE, Plan};
use crate::ui::codes::{INTERRUPTED, MANY_FAILED, NOBODY_READS};
use crate::ui::usage;

/// So much of what a job wrote to its stderr is in a report.
const TAIL: usize = 2048;

/// Runs the batch and gives the code to exit with.
pub(crate) fn main(plan: Plan) -> ExitCode {
    match run(plan) {
        Ok(code) => ExitCode::from(code),
        Err(message) => usage::fail(&message),
    }
}

fn run(plan: Plan) -> Result<u8, String> {
    if waits_for_a_typist(&plan) {
        return Ok(usage::no_inputs());
    }
    // The C library's habit of leaving SIGCHLD as it was found would cost us the jobs' exit codes.
    hands::command::keep_exit_codes();
    hands::command::keep_file_limit_errors();
    if matches!(plan.slots, Slots::AsManyAsFit | Slots::Auto) {
        hands::command::raise_descriptor_limit();
    }
    let cores = LazyLock::new(hands::cores as fn() -> NonZeroUsize);
    let slots = match plan.slots {
        Slots::Count(slots) => slots,
        slots => slots.resolve(*cores),
    };
    let resume = plan.log.as_ref().and_then(read_log).transpose()?;
    let mut failed_before = resume.as_ref().map_or(0, Resume::skipped_failures);
    look_for_nested(&plan)?;
    if let Some(file) = &plan.stdin {
        take_for_stdin(file)?;
    }
    let machines = plan.machines.as_ref().filter(|_| !plan.dry_run);
    let mut elsewhere = machines.map(MachineRun::open).transpose()?;
    if let Some(elsewhere) = &mut elsewhere
        && resume::reads_stdin(&plan)
    {
        elsewhere.take_stdin()?;
    }
    let inputs = (plan.output.mode == OutputMode::Table).then(table::Inputs::default);
    let files = files_folder(&plan)?;
    let jobs = Jobs::new(&plan, slots, resume, inputs.clone(), files.as_deref());
    let jobs = jobs.inspect_err(|_| {
        // Nothing is in it yet.
        let _ = files.as_ref().map(std::fs::remove_dir);
    })?;
    if plan.dry_run {
        return dry::run(jobs);
    }
    let control = Control::new().map_err(|error| format!("cannot set up signals: {error}"))?;
    let signals = Signals::catch().and_then(|signals| signals.wake(&control).map(|()| signals));
    let signals = signals.map_err(|error| format!("cannot set up signals: {error}"))?;
    let display = Display::new(plan.progress, plan.output.mode);
    let batch = batch(&plan, slots.get(), &cores, &display)?.control(&control);
    // Only now that nothing is left to be refused: opening a log for a new run empties it.
    let goes_on = elsewhere.as_ref().is_some_and(MachineRun::goes_on);
    failed_before += elsewhere.as_ref().map_or(0, MachineRun::failed_before);
    let log = plan
        .log
        .as_ref()
        .map(|log| open_log(log, goes_on))
        .transpose()?;
    let table = results_table(&plan, inputs)?;
    let web = plan
        .web
        .map(|address| BatchPage::open(address, &plan, &control));
    let mut report = RunReport::new(&plan, display, log, control, signals, table);
    report.web = web.transpose()?;
    report.trace = plan.trace.as_deref().map(BatchTrace::create).transpose()?;
    report.page = plan.report.as_deref().map(ReportPage::new);
    report.files = files.map(|folder| Files::new(folder, plan.output.keep_order));
    let mut input = Ok(());
    let result = match (elsewhere, &plan.machines) {
        (Some(mut elsewhere), Some(machines)) => {
            let (jobs, there) = elsewhere.split(jobs, &plan, machines)?;
            let result = batch.elsewhere(there).run(jobs, &mut report);
            input = elsewhere.end();
            result
        }
        _ => batch.run(jobs, &mut report),
    };
    let code = finish(result, &mut report)?;
    input?;
    if report.is_unused() && code == 0 && advice::seems_to_have_inputs(&plan) {
        let _ = writeln!(
            io::stderr(),
            "hands: warning: stdin had no inputs, so nothing was run\n  hint: inputs stand behind `:::`, or files of them behind `::::`"
        );
    }
    Ok(with_failed_before(code, failed_before, goes_on))
}

/// The folder for what jobs write, if it is to be kept in files.
fn files_folder(plan: &Plan) -> Result<Option<PathBuf>, String> {
    if plan.output.mode != OutputMode::Files || plan.dry_run {
        return Ok(None);
    }
    let folder = files::folder(plan.limits.tmpdir.as_deref());
    let wrong = |error| format!("no folder for `--files` can be made: {error}");
    folder.map(Some).map_err(wrong)
}

fn results_table(plan: &Plan, inputs: Option<table::Inputs>) -> Result<Option<ShownTable>, String> {
    let (Some(parts::ResultsPlan::Table(path, separator)), Some(inputs)) =
        (&plan.output.results, inputs)
    else {
        return Ok(None);
    };
    let table = ShownTable::create(path, *separator, inputs);
    let wrong = |error| format!("`--results {}`: {error}", path.display());
    table.map(Some).map_err(wrong)
}

/// The code to exit with when jobs failed before this run, too, of which it tells.
fn with_failed_before(code: u8, failed_before: u64, goes_on: bool) -> u8 {
    if failed_before == 0 {
        return code;
    }
    let s = if failed_before == 1 { "" } else { "s" };
    // A closed stderr leaves nobody to tell.
    let when = match goes_on {
        true => "before this program went on with the run",
        false => "in an earlier run; `--resume-failed` runs them again",
    };
    let _ = writeln!(io::stderr(), "hands: {failed_before} job{s} failed {when}");
    match code {
        0..=MANY_FAILED => {
            let all = u64::from(code).saturating_add(failed_before);
            u8::try_from(all).map_or(MANY_FAILED, |all| all.min(MANY_FAILED))
        }
        code => code,
    }
}

/// An input that another shell reads as a script: a warning, or with `--strict` an error.
fn look_for_nested(plan: &Plan) -> Result<(), String> {
    if let Some(why) = advice::perl(plan).filter(|_| !plan.verbatim) {
        return Err(why);
    }
    let (words, _) = hands_batch::input::split_args(plan.words.clone());
    for warning in advice::warnings(plan) {
        // A closed stderr leaves nobody to tell.
        let _ = writeln!(io::stderr(), "hands: warning: {warning}");
    }
    match nested::found(&words) {
        Some(why) if plan.strict => Err(why),
        Some(why) => {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(io::stderr(), "hands: warning: {why}");
            Ok(())
        }
        None => Ok(()),
    }
}

/// From now on stdin is this file.
fn take_for_stdin(path: &Path) -> Result<(), String> {
    let wrong = |error: io::Error| format!("`--arg-file {}`: {error}", path.display());
    let file = std::fs::File::open(path).map_err(wrong)?;
    rustix::stdio::dup2_stdin(&file).map_err(|error| wrong(error.into()))
}

/// With nothing on the command line, lines are read from stdin: from a person, that would look like
/// a hang. Who names `-` means to type.
fn waits_for_a_typist(plan: &Plan) -> bool {
    let asked = |file: &PathBuf| file.as_os_str() == "-";
    resume::reads_stdin(plan)
        && !plan.inputs.arg_files.iter().any(asked)
        && !plan.words.iter().any(|word| word == "::::")
        && io::stdin().is_terminal()
}

fn batch(
    plan: &Plan,
    slots: usize,
    cores: &LazyLock<NonZeroUsize>,
    display: &Display,
) -> Result<Batch, String> {
    let grouping = match plan.output.mode {
        OutputMode::Json | OutputMode::Table | OutputMode::Files => Grouping::Raw,
        // Those of other machines come line by line at the soonest.
        OutputMode::Direct if plan.machines.is_some() => Grouping::Lines,
        OutputMode::Direct => Grouping::None,
        // In order, the job whose turn it is streams; that is all that lines in order can mean.
        _ if plan.output.keep_order => Grouping::Ordered,
        OutputMode::Lines => Grouping::Lines,
        OutputMode::Grouped => Grouping::Jobs,
    };
    let sink = |sink: io::Result<Sink>, name: &str| {
        sink.map_err(|error| format!("cannot write to {name}: {error}"))
    };
    let root = Path::new("/");
    let batch = match plan.slots {
        Slots::Auto => {
            let most = Room::now().jobs().get().min(MOST_FOR_A_CORE * cores.get());
            Batch::new().auto(sizing::Limits::new(cores.get() as f64, most))
        }
        _ => Batch::new().jobs(slots),
    };
    let mut batch = batch
        .grouping(grouping)
        .stdout(sink(Sink::stdout(), "stdout")?)
        .stderr(sink(Sink::stderr(), "stderr")?)
        .retries(plan.retries)
        .halt(plan.halt)
        .delay(plan.delay)
        .terminal(match plan.tty {
            true => TerminalUse::Always,
            false => TerminalUse::WhenAlone,
        });
    if plan.report.is_some() || plan.web.is_some() {
        batch = batch.keep_tails(TAIL);
    }
    if !plan.wait_pipes {
        batch = batch.linger(LINGER);
    }
    if let Some(load) = plan.load {
        batch = batch.load(LoadGate::new(load, **cores, root));
    }
    if let Some(memfree) = plan.memfree {
        batch = batch.memfree(MemFreeGate::new(memfree, root));
    }
    let for_page = plan.web.map(|_| web::TICK);
    if let Some(every) = [display.tick(), for_page].into_iter().flatten().min() {
        batch = batch.tick(every);
    }
    batch = batch.keep_failed(web::keeps_failed(plan));
    limited(batch, plan)
}

/// The batch with what each job may use, and what it runs in.
pub(crate) fn limited(mut batch: Batch, plan: &Plan) -> Result<Batch, String> {
    let limits = &plan.limits;
    batch = batch.grace(limits.grace);
    if let Some(timeout) = limits.timeout {
        batch = batch.timeout(timeout);
    }
    if let Some(bytes) = limits.memory {
        batch = batch.memory_limit(bytes);
    }
    if let Some(time) = limits.cpu {
        batch = batch.cpu_limit(time);
    }
    if let Some(nice) = limits.nice {
        batch = batch.nice(nice);
    }
    for (name, value) in &limits.env {
        batch = batch.env(name, value);
    }
    if let Some(directory) = &limits.workdir {
        if !directory.is_dir() {
            return Err(format!(
                "`--workdir {}` is not a directory",
                directory.display()
            ));
        }
        batch = batch.cwd(directory);
    }
    if let Some(folder) = &limits.tmpdir {
        if !folder.is_dir() {
            return Err(format!(
                "`--tmpdir {}` is not a directory",
                folder.display()
            ));
        }
        batch = batch.spill_folder(folder);
    }
    Ok(batch)
}

/// What the log says is done already, if it is to be heeded.
fn read_log(log: &parts::JobLogFlags) -> Option<Result<Resume, String>> {
    let mode = match log.resume? {
        parts::ResumeFlags::Unfinished => ResumeMode::Skip,
        parts::ResumeFlags::UnfinishedAndFailed => ResumeMode::Failed,
    };
    Some(Resume::read(&log.path, mode).map_err(|error| error.to_string()))
}

fn open_log(log: &parts::JobLogFlags, goes_on: bool) -> Result<JobLog, String> {
    let opened = match log.resume {
        None if !goes_on => JobLog::create(&log.path),
        _ => JobLog::append(&log.path),
    };
    opened.map_err(|error| error.to_string())
}

fn finish(result: Result<Summary, BatchError>, report: &mut RunReport) -> Result<u8, String> {
    if matches!(result, Err(BatchError::OutputClosed)) || report.is_unread() {
        return Ok(NOBODY_READS);
    }
    report.close(result.as_ref().ok());
    if let Some(error) = report.log_error() {
        return Err(error.to_owned());
    }
    match result {
        Ok(_) if report.interrupted() => Ok(INTERRUPTED),
        Ok(summary) if summary.exit_code == 0 && report.cancelled() > 0 => {
            Ok(u8::try_from(report.cancelled()).map_or(MANY_FAILED, |all| all.min(MANY_FAILED)))
        }
        Ok(summary) => Ok(summary.exit_code),
        Err(error) => Err(error.to_string()),
    }
}
