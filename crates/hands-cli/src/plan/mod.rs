//! What the flags mean together: a batch that makes sense, or one sentence that says why it does
//! not.
//!
//! ```text
//! argv --clap--> RunFlags --Plan::new--> Plan ----> run
//!                (as written)            (no contradictions left, no clap types)
//! ```
//!
//! Nothing is opened, started or measured here: the same flags give the same plan on every machine.
//! What depends on the machine ([`Slots`], [`Load`]) stays a rule, to be resolved by the code that
//! runs the plan.

mod conflicts;
mod error;
mod escape;
mod fetch;
mod machines;
pub(crate) mod parts;

pub(crate) use self::error::PlanError;
pub(crate) use self::fetch::fetch_plan;
pub(crate) use self::machines::{MachinesPlan, access, worker_plan};

pub(crate) use parts::{Inputs, JobLimits, JobLogFlags, OutputGrouping, OutputPlan, PipePlan};

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use hands_batch::policy::{Halt, HaltCount, HaltOn, HaltWhen, Load, Retries, Slots};

use crate::flags::{ColourWhen, JobFlags, ProgressStyle, RunFlags};

/// So long the output of a job that has ended is waited for, while something that it has started in
/// the background holds it.
pub(crate) const LINGER: Duration = Duration::from_millis(500);

/// `-j auto` runs no more jobs at once for each core.
pub(crate) const MOST_FOR_A_CORE: usize = 32;

/// A batch to run, free of contradictions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// The command and its sources as written: `gzip {} ::: a b`. Empty or begun by a source: each
    /// input is a command.
    pub(crate) words: Vec<OsString>,
    /// Where inputs come from and how they are taken apart.
    pub(crate) inputs: Inputs,
    /// `--pipe`: stdin is spread over the jobs instead of read as inputs.
    pub(crate) pipe: Option<PipePlan>,
    /// How many jobs run at once. Raise the soft limit on descriptors before resolving `-j 0`.
    pub(crate) slots: Slots,
    /// `--load`.
    pub(crate) load: Option<Load>,
    /// `--memfree`, in bytes.
    pub(crate) memfree: Option<u64>,
    /// `--delay`: at least this long between two starts.
    pub(crate) delay: Duration,
    /// `--retries` and `--retry-delay`.
    pub(crate) retries: Retries,
    /// `--halt`.
    pub(crate) halt: Halt,
    /// What each job may use and what it runs in.
    pub(crate) limits: JobLimits,
    /// What is shown, and how.
    pub(crate) output: OutputPlan,
    /// `--joblog` and whether to resume from it.
    pub(crate) log: Option<JobLogFlags>,
    /// `--trace` and `--report`.
    pub(crate) trace: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
    /// `--web`: where a page is served.
    pub(crate) web: Option<SocketAddr>,
    /// `--dry-run`.
    pub(crate) dry_run: bool,
    /// `--verbose`: each command on stderr before it runs.
    pub(crate) verbose: bool,
    /// `--progress`, `--bar`.
    pub(crate) progress: ProgressStyle,
    /// `--color`.
    pub(crate) color: ColourWhen,
    /// `--tty`: jobs get the terminal.
    pub(crate) tty: bool,
    /// `--wait-pipes`.
    pub(crate) wait_pipes: bool,
    /// `--quote`: words are taken as they are.
    pub(crate) verbatim: bool,
    /// `--strict`.
    pub(crate) strict: bool,
    /// `--tee`: each job gets all of stdin.
    pub(crate) tee: bool,
    /// `--pipepart`: stands for stdin.
    pub(crate) stdin: Option<PathBuf>,
    /// `--cluster`.
    pub(crate) machines: Option<MachinesPlan>,
}

impl Plan {
    /// Checks the flags against each other and settles every default.
    ///
    /// # Errors
    ///
    /// [`PlanError`] for flags that contradict each other, need one that is missing, or hold a
    /// value only the whole can show to be wrong.
    pub(crate) fn new(flags: RunFlags) -> Result<Self, PlanError> {
        conflicts::check(&flags)?;
        machines::check(&flags)?;
        let RunFlags {
            inputs,
            jobs,
            limits,
            output,
            pipe,
            log,
            machines,
            watch,
            words,
        } = flags;
        let progress = match output.progress {
            Some(progress) => progress,
            None if output.bar => ProgressStyle::Bar,
            None => ProgressStyle::Auto,
        };
        let (mut inputs, mut pipe) = (inputs, pipe);
        let stdin = match pipe.pipepart {
            true => Some(inputs.arg_files.remove(0)),
            false => None,
        };
        pipe.pipe |= pipe.pipepart;
        let tee = pipe.tee;
        let web = watch.web.filter(|_| !output.dry_run);
        let pipe = pipe.into_parts()?;
        let grouping = match &pipe.pipe {
            Some(_) => OutputGrouping::Rows(NonZeroUsize::MIN),
            None if inputs.merge && inputs.max_args.is_none() => {
                OutputGrouping::Rows(NonZeroUsize::MAX)
            }
            None => OutputGrouping::new(inputs.max_args.or(pipe.records_as_args), inputs.fill),
        };
        Ok(Self {
            retries: retries(&jobs),
            slots: match (jobs.jobs, output.tty) {
                (None, true) => Slots::Count(NonZeroUsize::MIN),
                (slots, _) => slots.unwrap_or_default(),
            },
            tty: output.tty,
            wait_pipes: output.wait_pipes,
            verbatim: inputs.quote,
            strict: limits.strict,
            stdin,
            tee,
            load: jobs.load,
            memfree: jobs.memfree,
            delay: jobs.delay.unwrap_or_default(),
            halt: match jobs.fail_fast {
                true => Halt::At {
                    when: HaltWhen::Now,
                    on: HaltOn::Fail,
                    count: HaltCount::Jobs(1),
                },
                false => jobs.halt.unwrap_or_default(),
            },
            inputs: Inputs::new(inputs, grouping)?,
            pipe: pipe.pipe,
            limits: JobLimits::new(limits)?,
            dry_run: output.dry_run,
            verbose: output.verbose,
            color: output.color,
            progress,
            output: OutputPlan::from(output),
            trace: log.trace.clone(),
            report: log.report.clone(),
            web,
            log: JobLogFlags::new(log),
            machines: MachinesPlan::new(machines, jobs.jobs),
            words,
        })
    }
}

fn retries(jobs: &JobFlags) -> Retries {
    let retries = jobs.retries.map_or(Retries::NONE, Retries::times);
    match jobs.retry_delay {
        Some(delay) => retries.with_delay(delay),
        None => retries,
    }
}

#[cfg(test)]
mod tests;
