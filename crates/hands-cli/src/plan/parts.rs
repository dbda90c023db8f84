//! The parts of a plan, each settled from its own flags.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use hands_batch::policy::Timeout;
use hands_batch::template::Rule;

use super::PlanError;
use super::escape::unescape;
use crate::flags::{InputFlags, LimitFlags, LogFlags, OutputFlags, PipeFlags};

/// Where inputs come from and how they are taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// `-a FILE`, in order; `-` is stdin. They come before the sources among the words.
    pub(crate) arg_files: Vec<PathBuf>,
    /// How the bytes of a file or of stdin become records.
    pub(crate) reads: Reads,
    /// How a record becomes columns.
    pub(crate) columns: ColumnFlags,
    /// The first record of each source holds the names of its columns.
    pub(crate) header: bool,
    /// Empty inputs are skipped.
    pub(crate) skip_empty: bool,
    /// How many rows a job gets.
    pub(crate) grouping: OutputGrouping,
    /// Bytes that a command line may have, if fewer than the system allows.
    pub(crate) most_bytes: Option<NonZeroUsize>,
    /// The input of a file or of stdin that ends it: `--eof`.
    pub(crate) end: Option<Vec<u8>>,
    /// Linked sources that end begin again: `--link`.
    pub(crate) cycles: bool,
    /// White space that is taken off inputs: `--trim`.
    pub(crate) trim: Trim,
    /// In a random order: `--shuf`.
    pub(crate) shuffled: bool,
    /// Further placeholders: `--plus`, `--rpl`.
    pub(crate) rules: Vec<Rule>,
}

/// On which sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trim {
    pub(crate) left: bool,
    pub(crate) right: bool,
}

/// What ends a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Newline: the default.
    Lines,
    /// These bytes, at least one: `-0`, `-d`.
    Delimited(Vec<u8>),
}

/// What separates the columns of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ColumnFlags {
    /// A record is one column.
    Whole,
    /// `--colsep`: a regular expression, not compiled yet.
    Pattern(String),
    /// `--csv`, fields separated by this byte.
    Csv(u8),
}

/// How many rows a job gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputGrouping {
    /// Up to this number: `-n N`, 1 by default.
    Rows(NonZeroUsize),
    /// One row a job, none of it inserted into the command: `-n 0`.
    Uninserted,
    /// As many as a command line holds, and no more than this: `-X`, `-X -n N`.
    Fill(Option<NonZeroUsize>),
}

impl OutputGrouping {
    pub(super) fn new(rows: Option<usize>, fill: bool) -> Self {
        match (rows.map(NonZeroUsize::new), fill) {
            (Some(rows), true) => Self::Fill(rows),
            (None, true) => Self::Fill(None),
            (Some(None), false) => Self::Uninserted,
            (Some(Some(rows)), false) => Self::Rows(rows),
            (None, false) => Self::Rows(NonZeroUsize::MIN),
        }
    }
}

impl Inputs {
    pub(super) fn new(flags: InputFlags, grouping: OutputGrouping) -> Result<Self, PlanError> {
        let reads = match flags.delimiter {
            _ if flags.null => Reads::Delimited(vec![0]),
            None => Reads::Lines,
            Some(delimiter) => match unescape("--delimiter", &delimiter)? {
                bytes if bytes.is_empty() => {
                    return Err(PlanError::new(
                        "`--delimiter` is empty, so no input would ever end",
                    )
                    .hint("leave it out for lines, or use `-0` for NUL"));
                }
                bytes => Reads::Delimited(bytes),
            },
        };
        let columns = match (flags.csv, flags.colsep) {
            (true, colsep) => ColumnFlags::Csv(csv_separator(colsep.as_deref())?),
            (false, None) => ColumnFlags::Whole,
            (false, Some(pattern)) => ColumnFlags::Pattern(pattern_text("--colsep", pattern)?),
        };
        let mut rules = Vec::new();
        for definition in &flags.rpl {
            let wrong = |error| PlanError::new(format!("`--rpl {definition}`: {error}"));
            rules.push(Rule::parse(definition).map_err(wrong)?);
        }
        if flags.plus {
            rules.extend(Rule::plus());
        }
        Ok(Self {
            arg_files: flags.arg_files,
            reads,
            columns,
            header: flags.header.is_some() || (flags.csv && !flags.no_header),
            skip_empty: flags.no_run_if_empty,
            grouping,
            most_bytes: flags.max_chars,
            end: flags.eof.map(|text| text.as_bytes().to_vec()),
            cycles: flags.link,
            trim: Trim {
                left: flags.trim.contains('l'),
                right: flags.trim.contains('r'),
            },
            shuffled: flags.shuf,
            rules,
        })
    }
}

fn csv_separator(colsep: Option<&OsStr>) -> Result<u8, PlanError> {
    let Some(colsep) = colsep else {
        return Ok(b',');
    };
    match unescape("--colsep", colsep)?.as_slice() {
        &[byte] if !matches!(byte, b'"' | b'\n' | b'\r') => Ok(byte),
        _ => Err(PlanError::new(format!(
            "`--colsep {}` cannot separate the fields of `--csv`",
            colsep.display()
        ))
        .hint(
            "with `--csv` it is one byte other than a quote or a line end, such as `;` or `\\t`",
        )),
    }
}

/// A regular expression matches any bytes but is itself written in UTF-8 (`\xff` stands for a byte
/// that is not).
fn pattern_text(flag: &str, pattern: OsString) -> Result<String, PlanError> {
    let text = pattern.into_string().map_err(|pattern| {
        PlanError::new(format!("`{flag} {}` is not valid UTF-8", pattern.display()))
            .hint("write bytes of a regular expression as `(?-u:\\xff)`")
    })?;
    if text.is_empty() {
        return Err(
            PlanError::new(format!("`{flag}` is empty, so it would match everywhere")).hint(
                "give the text or the regular expression that separates, such as `,` or `\\t`",
            ),
        );
    }
    Ok(text)
}

/// `--pipe`: one stream spread over jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PipePlan {
    /// Bytes a job gets, more or less one record.
    pub(crate) block: u64,
    /// Records a job gets at most, whatever their size; `None` for no such limit.
    pub(crate) records: Option<NonZeroUsize>,
    /// Where one record ends and the next starts.
    pub(crate) boundary: RecordEnd,
    /// The texts of the boundary are left out.
    pub(crate) remove: bool,
    /// How a job gets its piece.
    pub(crate) given: GivenParts,
}

/// How a job of `--pipe` gets its piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenParts {
    /// As its stdin.
    Stdin,
    /// As a file: `--cat`.
    File,
    /// As its stdin, which has as many of them as it is ready for: `--round-robin`.
    RoundRobin,
}

/// Where one record ends and the next starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordEnd {
    /// Between these two; either may be empty. Both empty: anywhere.
    Literal { end: Vec<u8>, start: Vec<u8> },
    /// The same as regular expressions, not compiled yet; either may be empty, not both.
    Pattern { end: String, start: String },
}

/// `--block`, where none is given.
const BLOCK: u64 = 1 << 20;

pub(super) struct PipeParts {
    pub(super) pipe: Option<PipePlan>,
    /// `-N` without `--pipe`.
    pub(super) records_as_args: Option<usize>,
}

impl PipeFlags {
    pub(super) fn into_parts(self) -> Result<PipeParts, PlanError> {
        if !self.pipe || self.tee {
            return Ok(PipeParts {
                pipe: None,
                records_as_args: self.max_records,
            });
        }
        let records = match self.max_records.map(NonZeroUsize::new) {
            Some(None) => {
                return Err(
                    PlanError::new("`-N 0` with `--pipe` would give no job any input")
                        .hint("give the number of records for each job, from 1"),
                );
            }
            records => records.flatten(),
        };
        let block = self.block.unwrap_or(BLOCK);
        if block == 0 {
            return Err(PlanError::new("`--block 0` would give no job any input")
                .hint("give a size such as `1M`, or `-N` records for each job"));
        }
        let end_default = if self.recstart.is_none() { "\\n" } else { "" };
        let start = self.recstart.unwrap_or_default();
        let end = self.recend.unwrap_or_else(|| end_default.into());
        let boundary = if !self.regexp {
            RecordEnd::Literal {
                end: unescape("--recend", &end)?,
                start: unescape("--recstart", &start)?,
            }
        } else if start.is_empty() && end.is_empty() {
            return Err(
                PlanError::new("`--regexp` has no regular expression to work with")
                    .hint("give `--recstart` or `--recend`"),
            );
        } else {
            let text = |flag, pattern: OsString| match pattern.is_empty() {
                true => Ok(String::new()),
                false => pattern_text(flag, pattern),
            };
            RecordEnd::Pattern {
                end: text("--recend", end)?,
                start: text("--recstart", start)?,
            }
        };
        let pipe = PipePlan {
            block,
            records,
            boundary,
            remove: self.remove_rec_sep,
            given: match (self.cat, self.round_robin) {
                (true, _) => GivenParts::File,
                (_, true) => GivenParts::RoundRobin,
                _ => GivenParts::Stdin,
            },
        };
        Ok(PipeParts {
            pipe: Some(pipe),
            records_as_args: None,
        })
    }
}

/// What each job may use and what it runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobLimits {
    /// `--timeout`.
    pub(crate) timeout: Option<Timeout>,
    /// Between TERM and KILL.
    pub(crate) grace: Duration,
    /// `--memory-limit`: bytes of address space.
    pub(crate) memory: Option<u64>,
    /// `--cpu-limit`: whole seconds of CPU time, at least one.
    pub(crate) cpu: Option<Duration>,
    /// `--nice`.
    pub(crate) nice: Option<i32>,
    /// `--env`, in order: names without `=` or NUL, and values.
    pub(crate) env: Vec<(OsString, OsString)>,
    /// `--workdir`.
    pub(crate) workdir: Option<PathBuf>,
    /// `--shell`; `None` for `sh`.
    pub(crate) shell: Option<PathBuf>,
    /// `--tmpdir`; `None` for the system's.
    pub(crate) tmpdir: Option<PathBuf>,
}

/// `--grace`, where none is given.
const GRACE: Duration = Duration::from_secs(5);

impl JobLimits {
    pub(super) fn new(flags: LimitFlags) -> Result<Self, PlanError> {
        if flags.memory_limit == Some(0) {
            return Err(PlanError::new("`--memory-limit 0` would let no job start")
                .hint("give a size such as `500M`, or leave it out for no limit"));
        }
        if flags.cpu_limit == Some(Duration::ZERO) {
            return Err(
                PlanError::new("`--cpu-limit 0` would kill every job at once")
                    .hint("give a time such as `30` or `5m`, or leave it out for no limit"),
            );
        }
        // The kernel counts whole seconds; a job gets no less than was asked for.
        let whole = |limit: Duration| {
            let seconds = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
            Duration::from_secs(seconds)
        };
        Ok(Self {
            timeout: flags.timeout,
            grace: flags.grace.unwrap_or(GRACE),
            memory: flags.memory_limit,
            cpu: flags.cpu_limit.map(whole),
            nice: flags.nice,
            env: flags
                .variables
                .iter()
                .map(|entry| variable(entry))
                .collect::<Result<_, _>>()?,
            workdir: flags.workdir,
            shell: flags.shell,
            tmpdir: flags.tmpdir,
        })
    }
}

fn variable(entry: &OsStr) -> Result<(OsString, OsString), PlanError> {
    let bytes = entry.as_bytes();
    match bytes.iter().position(|&byte| byte == b'=') {
        Some(at) if at > 0 => {
            let part = |bytes| OsStr::from_bytes(bytes).to_owned();
            Ok((part(&bytes[..at]), part(&bytes[at + 1..])))
        }
        _ => Err(
            PlanError::new(format!("`--env {}` sets no variable", entry.display()))
                .hint("write `--env NAME=VALUE`; jobs have the variables you exported without it"),
        ),
    }
}

/// What is shown, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputPlan {
    /// How the outputs of jobs come together.
    pub(crate) mode: OutputMode,
    /// `-k`: in the order of the inputs.
    pub(crate) keep_order: bool,
    /// The template each line of output starts with; `{}` for `--tag`. The tab after it is not in
    /// it.
    pub(crate) tag: Option<Vec<u8>>,
    /// `--results`.
    pub(crate) results: Option<ResultsPlan>,
}

impl OutputPlan {
    /// Whether what a job writes is to be seen while it runs.
    pub(crate) fn shows_at_once(&self) -> bool {
        matches!(self.mode, OutputMode::Direct | OutputMode::Lines) && !self.keep_order
    }
}

/// Where `--results` go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResultsPlan {
    /// Into a folder for each job, below this one.
    Folder(PathBuf),
    /// Into files of names that are made by this template.
    Template(Vec<u8>),
    /// Into one file, a row for each job, with this between its fields.
    Table(PathBuf, u8),
}

impl ResultsPlan {
    fn new(path: PathBuf) -> ResultsPlan {
        if let Some(separator) = table_separator(&path) {
            return ResultsPlan::Table(path, separator);
        }
        let text = path.as_os_str().as_bytes();
        match text.contains(&b'{') && text.contains(&b'}') {
            true => ResultsPlan::Template(text.to_vec()),
            false => ResultsPlan::Folder(path),
        }
    }
}

/// The character between fields, if this is the name of a table.
fn table_separator(path: &std::path::Path) -> Option<u8> {
    match path.extension()?.to_str()? {
        "csv" => Some(b','),
        "tsv" => Some(b'\t'),
        _ => None,
    }
}

/// How the outputs of jobs come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputMode {
    /// Each job's in one piece.
    Grouped,
    /// Whole lines as they come.
    Lines,
    /// Jobs write to our own stdout and stderr.
    Direct,
    /// One JSON object a line.
    Json,
    /// A row of a table for each job; nothing on stdout.
    Table,
    /// The name of the file with its stdout for each job.
    Files,
}

impl From<OutputFlags> for OutputPlan {
    fn from(flags: OutputFlags) -> Self {
        let is_direct = flags.ungroup || flags.tty;
        let results = flags.results.map(ResultsPlan::new);
        let mode = match (flags.json, is_direct, flags.line_buffer) {
            (true, ..) => OutputMode::Json,
            _ if flags.files => OutputMode::Files,
            _ if matches!(results, Some(ResultsPlan::Table(..))) => OutputMode::Table,
            (_, true, _) => OutputMode::Direct,
            (_, _, true) => OutputMode::Lines,
            _ => OutputMode::Grouped,
        };
        let tag = match flags.tagstring {
            Some(text) => Some(text.as_bytes().to_vec()),
            None => flags.tag.then(|| b"{}".to_vec()),
        };
        Self {
            mode,
            keep_order: flags.keep_order,
            tag,
            results,
        }
    }
}

/// `--joblog`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobLogFlags {
    pub(crate) path: PathBuf,
    /// Which of the jobs in it run again; `None` starts the log anew.
    pub(crate) resume: Option<ResumeFlags>,
}

/// Which jobs run when a batch is taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResumeFlags {
    /// Those not in the log: `--resume`.
    Unfinished,
    /// Those not in the log and those that failed: `--resume-failed`.
    UnfinishedAndFailed,
}

impl JobLogFlags {
    pub(super) fn new(flags: LogFlags) -> Option<Self> {
        let resume = match (flags.resume_failed, flags.resume) {
            (true, _) => Some(ResumeFlags::UnfinishedAndFailed),
            (false, true) => Some(ResumeFlags::Unfinished),
            (false, false) => None,
        };
        let path = flags.joblog.map(|path| match path.as_os_str() == "-" {
            true => PathBuf::from("/dev/stdout"),
            false => path,
        });
        path.map(|path| Self { path, resume })
    }
}
