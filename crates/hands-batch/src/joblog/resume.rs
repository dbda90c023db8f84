//! Reading a log back, and deciding job by job what is left to do.
//!
//! Of a row only the hash of its command is kept: eight bytes for each job, whatever the length of
//! the commands. The hash is SipHash with keys drawn by this process, and it never leaves this
//! process, so it neither has to be the same tomorrow nor can be aimed at. Its top 62 bits are
//! used: that a changed command goes unnoticed has a chance of one in 4·10¹⁸. The text is read
//! again only for the message about a change.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Seek as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::JobLogError;
use super::header::{ENOUGH, LogOpening};
use super::row::Logged;

/// Jobs in one page of marks. Numbers in a log are dense; small pages keep a made-up log with few
/// and far numbers from costing much more memory than it has bytes.
const PAGE: u64 = 64;

/// No command is as long as this, with all of its bytes escaped; a longer line is not one of ours.
const LONGEST_LINE: u64 = 64 << 20;

/// The two low bits of a mark; the others are the command's hash.
const FAILED: u64 = 0b01;
const SUCCEEDED: u64 = 0b10;
const OUTCOME: u64 = FAILED | SUCCEEDED;

/// Which of the logged jobs are not run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeMode {
    /// `--resume`: all of them, failed or not.
    Skip,
    /// `--resume-failed`: those that succeeded. When a job has several rows, the last one tells.
    Failed,
}

/// What is to be done about a job of the new run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResumeDecision {
    /// It was done.
    Skip,
    /// It is left to do.
    Run,
    /// Another command was logged under its number; [`Resume::mismatch`] makes the error of it.
    Mismatch {
        /// The command in the log; empty when the log could not be read again.
        logged: Vec<u8>,
    },
}

/// A job log that a new run follows.
///
/// ```
/// use hands_batch::joblog::{ResumeDecision, ResumeMode, Resume};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("log");
/// # std::fs::write(&path, "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n\
/// #     1\t:\t1795418470.102\t     0.003\t0\t2\t0\t0\techo a\n")?;
/// let resume = Resume::read(&path, ResumeMode::Skip)?;
/// assert_eq!(resume.decide(1, b"echo a"), ResumeDecision::Skip);
/// assert_eq!(resume.decide(2, b"echo b"), ResumeDecision::Run);
/// assert_eq!(resume.decide(1, b"echo c"), ResumeDecision::Mismatch { logged: b"echo a".to_vec() });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Resume {
    path: PathBuf,
    /// Kept open: the message about a change comes from the file that was read, whatever its name
    /// means by then.
    file: Option<File>,
    mode: ResumeMode,
    keys: RandomState,
    /// By number / [`PAGE`]; a mark is 0 for a job that has no row.
    marks: BTreeMap<u64, Box<[u64; PAGE as usize]>>,
    unfinished: u64,
}

impl Resume {
    /// Reads the log at `path`. A missing or empty one has no jobs, so that the first run and the
    /// ones that resume it can be started by the same command, as with GNU parallel.
    ///
    /// An unfinished last line is passed over: its job runs again.
    ///
    /// # Errors
    ///
    /// [`Open`](JobLogError::Open) and [`Read`](JobLogError::Read) with the system's reason;
    /// [`NotAJobLog`](JobLogError::NotAJobLog) with the first line that is no row.
    pub fn read(path: impl AsRef<Path>, mode: ResumeMode) -> Result<Self, JobLogError> {
        let path = path.as_ref().to_owned();
        let keys = RandomState::new();
        let mut resume = Self {
            path,
            file: None,
            mode,
            keys,
            marks: BTreeMap::new(),
            unfinished: 0,
        };
        let file = match File::open(&resume.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(resume),
            Err(source) => {
                return Err(JobLogError::Open {
                    path: resume.path,
                    source,
                });
            }
        };
        let unreadable = |source| JobLogError::Read {
            path: resume.path.clone(),
            source,
        };
        let found = file.metadata().map_err(unreadable)?;
        // A pipe or a device has no past. Reading it would wait for ever, or never end.
        if found.is_file() {
            resume.read_rows(&file)?;
            resume.file = Some(file);
        } else if found.is_dir() {
            return Err(unreadable(ErrorKind::IsADirectory.into()));
        }
        Ok(resume)
    }

    /// What to do about job number `seq` that is now `command`, in the form that is given to
    /// [`JobLogEntry::command`](super::JobLogEntry::command).
    pub fn decide(&self, seq: u64, command: &[u8]) -> ResumeDecision {
        let mark = self.mark(seq);
        if mark == 0 {
            return ResumeDecision::Run;
        }
        if mark & !OUTCOME != self.hash(command) {
            return ResumeDecision::Mismatch {
                logged: self.logged_command(seq, mark).unwrap_or_default(),
            };
        }
        if self.skips(mark) {
            ResumeDecision::Skip
        } else {
            ResumeDecision::Run
        }
    }

    /// The error that tells of a [`ResumeDecision::Mismatch`].
    pub fn mismatch(&self, seq: u64, logged: Vec<u8>, now: &[u8]) -> JobLogError {
        JobLogError::InputsChanged {
            path: self.path.clone(),
            seq,
            logged,
            now: now.to_vec(),
        }
    }

    /// To be called when the inputs have ended after `jobs` jobs: a log that goes on beyond them
    /// was written for other inputs.
    ///
    /// # Errors
    ///
    /// [`FewerInputs`](JobLogError::FewerInputs).
    pub fn check_end(&self, jobs: u64) -> Result<(), JobLogError> {
        let logged = self.highest_seq();
        if logged <= jobs {
            return Ok(());
        }
        Err(JobLogError::FewerInputs {
            path: self.path.clone(),
            logged,
            now: jobs,
        })
    }

    /// The highest number in the log; 0 when there is none.
    pub fn highest_seq(&self) -> u64 {
        let highest = self.marks.last_key_value().and_then(|(page, marks)| {
            marks
                .iter()
                .rposition(|&mark| mark != 0)
                .map(|at| page * PAGE + at as u64)
        });
        highest.unwrap_or(0)
    }

    /// How many jobs will be skipped, if the inputs are the same.
    pub fn skipped(&self) -> u64 {
        self.marks
            .values()
            .flat_map(|page| page.iter())
            .filter(|&&mark| self.skips(mark))
            .count() as u64
    }

    /// How many of those have failed.
    pub fn skipped_failures(&self) -> u64 {
        let marks = self.marks.values().flat_map(|page| page.iter());
        let failed = marks.filter(|&&mark| self.skips(mark) && mark & FAILED != 0);
        failed.count() as u64
    }

    /// The length in bytes of an unfinished last line; mostly 0.
    pub fn unfinished(&self) -> u64 {
        self.unfinished
    }

    fn read_rows(&mut self, file: &File) -> Result<(), JobLogError> {
        let path = self.path.clone();
        let unreadable = |source| JobLogError::Read {
            path: path.clone(),
            source,
        };
        let foreign = |line, found: &[u8]| {
            let found = found.strip_suffix(b"\n").unwrap_or(found);
            let found = found[..found.len().min(ENOUGH)].to_vec();
            JobLogError::NotAJobLog {
                path: path.clone(),
                line,
                found,
            }
        };
        let mut lines = Lines::of(file).map_err(unreadable)?;
        match LogOpening::of(&lines.opening) {
            LogOpening::Blank => {
                self.unfinished = lines.opening.len() as u64;
                return Ok(());
            }
            LogOpening::Foreign(line) => return Err(foreign(1, line)),
            LogOpening::JobLog(rows) => lines.skip_to(rows as u64).map_err(unreadable)?,
        }
        while let Some(line) = lines.next().map_err(unreadable)? {
            match line {
                LogLine::Unfinished(piece) => self.unfinished = piece.len() as u64,
                LogLine::Whole(text) => match Logged::parse(text) {
                    Some(logged) => self.note(&logged),
                    None => return Err(foreign(lines.number, &lines.line)),
                },
            }
        }
        Ok(())
    }

    fn note(&mut self, logged: &Logged<'_>) {
        let outcome = if logged.succeeded { SUCCEEDED } else { FAILED };
        let mark = self.hash(&logged.command()) | outcome;
        let page = self
            .marks
            .entry(logged.seq / PAGE)
            .or_insert_with(|| Box::new([0; PAGE as usize]));
        page[(logged.seq % PAGE) as usize] = mark;
    }

    fn mark(&self, seq: u64) -> u64 {
        self.marks
            .get(&(seq / PAGE))
            .map_or(0, |page| page[(seq % PAGE) as usize])
    }

    fn skips(&self, mark: u64) -> bool {
        match self.mode {
            ResumeMode::Skip => mark != 0,
            ResumeMode::Failed => mark & SUCCEEDED != 0,
        }
    }

    fn hash(&self, command: &[u8]) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write(command);
        hasher.finish() & !OUTCOME
    }

    /// Finds the text behind a mark. The run at hand may have added rows since; the hash tells
    /// which was meant.
    fn logged_command(&self, seq: u64, mark: u64) -> Option<Vec<u8>> {
        let mut lines = Lines::of(self.file.as_ref()?).ok()?;
        while let Some(line) = lines.next().ok()? {
            let LogLine::Whole(text) = line else { continue };
            let Some(logged) = Logged::parse(text).filter(|logged| logged.seq == seq) else {
                continue;
            };
            let command = logged.command();
            if self.hash(&command) == mark & !OUTCOME {
                return Some(command.into_owned());
            }
        }
        None
    }
}

/// The commands of a log, in the order of their numbers: for a run that takes them from there.
///
/// # Errors
///
/// As for [`Resume::read`]; and [`Read`](JobLogError::Read) where there are none, or some are
/// missing in between.
pub fn commands_to_retry(path: impl AsRef<Path>) -> Result<Vec<OsString>, JobLogError> {
    let path = path.as_ref();
    // Reads it as a log, or says why it is none.
    Resume::read(path, ResumeMode::Failed)?;
    let unreadable = |source| JobLogError::Read {
        path: path.to_owned(),
        source,
    };
    let odd = |what: &str| unreadable(io::Error::new(ErrorKind::InvalidData, what));
    let file = File::open(path).map_err(unreadable)?;
    let mut lines = Lines::of(&file).map_err(unreadable)?;
    let mut commands = BTreeMap::new();
    while let Some(line) = lines.next().map_err(unreadable)? {
        if let LogLine::Whole(text) = line
            && let Some(logged) = Logged::parse(text)
        {
            commands.insert(logged.seq, logged.command().into_owned());
        }
    }
    if commands.is_empty() {
        return Err(odd("there is no job in it"));
    }
    if !commands.keys().copied().eq(1..=commands.len() as u64) {
        return Err(odd(
            "it does not have all jobs; `--resume-failed` with the command and its inputs runs those that are missing, too",
        ));
    }
    Ok(commands.into_values().map(OsString::from_vec).collect())
}

/// The file's lines, counted, one at a time in one buffer.
struct Lines<'a> {
    reader: BufReader<&'a File>,
    /// The first [`ENOUGH`] bytes.
    opening: Vec<u8>,
    line: Vec<u8>,
    number: u64,
}

enum LogLine<'a> {
    /// Without its newline.
    Whole(&'a [u8]),
    /// The end of the file, where a newline is missing.
    Unfinished(&'a [u8]),
}

impl<'a> Lines<'a> {
    fn of(file: &'a File) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(64 * 1024, file);
        reader.rewind()?;
        let mut opening = Vec::with_capacity(ENOUGH);
        reader
            .by_ref()
            .take(ENOUGH as u64)
            .read_to_end(&mut opening)?;
        reader.rewind()?;
        Ok(Self {
            reader,
            opening,
            line: Vec::new(),
            number: 0,
        })
    }

    /// Passes the first line, which ends at `offset`.
    fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        self.number = 1;
        self.reader.seek(io::SeekFrom::Start(offset)).map(drop)
    }

    fn next(&mut self) -> io::Result<Option<LogLine<'_>>> {
        self.line.clear();
        self.number += 1;
        let length = self
            .reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut self.line)?;
        if length as u64 == LONGEST_LINE && self.line.last() != Some(&b'\n') {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("line {} is too long", self.number),
            ));
        }
        Ok(match self.line.split_last() {
            None => None,
            Some((b'\n', text)) => Some(LogLine::Whole(text)),
            Some(_) => Some(LogLine::Unfinished(&self.line)),
        })
    }
}

#[cfg(test)]
#[path = "resume_tests.rs"]
mod tests;
