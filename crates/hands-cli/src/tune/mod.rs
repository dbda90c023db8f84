//! `hands tune`: a command, tried with different numbers at once, and what to make of that.
//!
//! ```text
//! TuneFlags ─► Plan of a run ─► Sample (inputs, over and over)
//!                                  │ one Round for each size
//!                                  ▼
//!               Batch ─► Probe ─► Measured ─► table, next size, advice
//! ```
//!
//! **Promises:** each size is judged by jobs that had as many neighbours as it says, not by the
//! last ones that ran alone; the command is run once before anything is measured, so that a mistake
//! is told at once and a cold cache counts for no size.

mod advice;
mod measure;
mod work;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use hands::sizing;
use hands_batch::input;
use hands_batch::policy::Room;
use hands_batch::template::{Template, TemplateOptions};
use hands_batch::{Batch, Control, Grouping};

use self::advice::Bounds;
use self::measure::{Measured, SizeProbe};
use self::work::{TuneRound, TuneSample};
use crate::flags::TuneFlags;
use crate::plan::MOST_FOR_A_CORE;
use crate::plan::Plan;
use crate::run::limited;
use crate::run::signals::Signals;
use crate::run::work::Jobs;
use crate::ui::codes::{INTERRUPTED, NOBODY_READS};
use crate::ui::usage;

/// `--time`, where none is given.
const TIME: Duration = Duration::from_secs(3);

/// Why there is no advice.
enum ProbeEnd {
    Error(String),
    Interrupted,
    NobodyReads,
}

impl From<String> for ProbeEnd {
    fn from(message: String) -> ProbeEnd {
        ProbeEnd::Error(message)
    }
}

/// Tries the command and gives the code to exit with.
pub(crate) fn main(flags: TuneFlags) -> ExitCode {
    match tune(flags) {
        Ok(code) => ExitCode::from(code),
        Err(ProbeEnd::Error(message)) => usage::fail(&message),
        Err(ProbeEnd::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(ProbeEnd::NobodyReads) => ExitCode::from(NOBODY_READS),
    }
}

fn tune(flags: TuneFlags) -> Result<u8, ProbeEnd> {
    let sizes = flags.sizes.clone();
    let time = flags.time.unwrap_or(TIME);
    if time.is_zero() {
        let told =
            "`--time 0` leaves no time to measure in\n  hint: give a time such as `3` or `500ms`";
        return Err(told.to_owned().into());
    }
    let plan = plan(flags)?;
    hands::command::keep_exit_codes();
    hands::command::keep_file_limit_errors();
    hands::command::raise_descriptor_limit();
    let cores = hands::cores().get();
    let room = Room::now().jobs().get();
    if let Some(size) = sizes.iter().find(|size| size.get() > room) {
        return Err(format!("`--sizes {size}` is more than the {room} jobs that the limits of this process allow at once").into());
    }
    let bounds = Bounds {
        cores,
        most: room.min(MOST_FOR_A_CORE * cores),
    };
    let mut trials = Trials::new(plan, time)?;
    let first = trials.warm_up()?;
    print(advice::HEADER)?;
    let mut tried: Vec<Measured> = Vec::new();
    let mut failed = first.failed;
    loop {
        let size = match sizes.get(tried.len()) {
            Some(size) => size.get(),
            None if !sizes.is_empty() => break,
            None => match advice::next_size(&tried, bounds) {
                Some(size) => size,
                None => break,
            },
        };
        let measured = if size == 1 && first.wall >= time {
            first.clone()
        } else {
            trials.run(size)?
        };
        failed += measured.failed;
        print(&advice::row(&measured))?;
        tried.push(measured);
    }
    print("\n")?;
    print(&advice::advice(&tried, bounds, !sizes.is_empty()))?;
    if let Some(why) = &trials.why {
        // A closed stderr leaves nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "hands: {failed} job{} failed, the first {why}; what fails may take another time than what succeeds",
            if failed == 1 { "" } else { "s" }
        );
    }
    Ok(u8::try_from(failed.min(101)).unwrap_or(101))
}

/// A run of the same command. Without inputs, the command as it is takes one input that it does not
/// use.
fn plan(flags: TuneFlags) -> Result<Plan, String> {
    let mut flags = flags.into_run();
    let (words, listed) = input::split_args(flags.words.clone());
    if words.is_empty() && listed.is_empty() {
        return Err(
            "there is no command to try\n  hint: hands tune COMMAND... ::: INPUT...".to_owned(),
        );
    }
    if listed.is_empty() && flags.inputs.arg_files.is_empty() {
        let options = TemplateOptions {
            append: false,
            ..TemplateOptions::default()
        };
        let template = Template::parse(&words, options).map_err(|error| error.to_string())?;
        if template.has_input_placeholder() {
            return Err("the command has a place for inputs, and there are none\n  hint: give some to try after `:::`, or name a file of them after `::::`".to_owned());
        }
        flags.inputs.max_args = Some(0);
        flags.inputs.fill = false;
        flags.words.extend([":::".into(), "once".into()]);
    }
    Plan::new(flags).map_err(|error| error.to_string())
}

fn print(text: &str) -> Result<(), ProbeEnd> {
    let mut stdout = io::stdout();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ProbeEnd::NobodyReads),
        Err(error) => Err(format!("cannot write to stdout: {error}").into()),
    }
}

/// Everything the trials have in common.
struct Trials {
    plan: Plan,
    time: Duration,
    sample: TuneSample,
    signals: Signals,
    /// Of the first job that failed.
    why: Option<String>,
}

impl Trials {
    fn new(plan: Plan, time: Duration) -> Result<Trials, String> {
        let jobs = Jobs::new(&plan, NonZeroUsize::MIN, None, None, None)?;
        let signals = Signals::catch().map_err(no_signals)?;
        Ok(Trials {
            plan,
            time,
            sample: TuneSample::new(jobs),
            signals,
            why: None,
        })
    }

    /// One job alone, which must not fail.
    fn warm_up(&mut self) -> Result<Measured, ProbeEnd> {
        let (measured, told) = self.trial(1, Duration::ZERO)?;
        if self.sample.is_empty() {
            return Err("there are no inputs to try the command on"
                .to_owned()
                .into());
        }
        if let Some(why) = &self.why {
            let heard = String::from_utf8_lossy(&told);
            let heard: String = heard.lines().map(|line| format!("\n  {line}")).collect();
            return Err(format!("tried once, the command {why}{heard}").into());
        }
        Ok(measured)
    }

    fn run(&mut self, size: usize) -> Result<Measured, ProbeEnd> {
        Ok(self.trial(size, self.time)?.0)
    }

    /// What jobs took with this number at once, and what they wrote to stderr.
    fn trial(&mut self, size: usize, time: Duration) -> Result<(Measured, Vec<u8>), ProbeEnd> {
        let control = Control::new().map_err(no_signals)?;
        self.signals.wake(&control).map_err(no_signals)?;
        // A signal may have come between two trials.
        self.signals.pass_on(&control);
        let just = sizing::Limits {
            min: size,
            ..sizing::Limits::new(1.0, size)
        };
        let batch = limited(Batch::new(), &self.plan)?
            .auto(just)
            .grouping(Grouping::Raw)
            .control(&control);
        let mut probe = SizeProbe::new(size, time, &mut self.signals);
        let round = TuneRound::new(&mut self.sample, size, time);
        batch
            .run(round, &mut probe)
            .map_err(|error| error.to_string())?;
        let measured = probe.result();
        let (why, heard, shortage) = (probe.why, probe.heard, probe.shortage);
        if self.signals.interrupted {
            return Err(ProbeEnd::Interrupted);
        }
        if let Some(shortage) = shortage {
            return Err(format!(
                "{size} jobs at once are more than this system gives room for: {shortage}"
            )
            .into());
        }
        self.why = self.why.take().or(why);
        Ok((measured, heard))
    }
}

fn no_signals(error: io::Error) -> String {
    format!("cannot set up signals: {error}")
}
