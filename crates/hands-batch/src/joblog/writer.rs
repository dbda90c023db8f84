//! Writing the log so that neither a kill nor a full disk leaves more than whole rows.
//!
//! The file is opened with `O_APPEND` and each row is handed to the kernel in one `write`.
//! Buffering would be faster and would lose the rows of jobs that are done when the program is
//! killed; one write a job is noise beside starting a process. The log is not `fsync`ed: it is
//! there for killed programs, not for lost power.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use memchr::memrchr;

use super::header::{ENOUGH, HEADER, LogOpening};
use super::{JobLogEntry, JobLogError};
use hands::command::engine::with_file_limit_as_error;

/// A job log open for writing.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use hands_batch::joblog::{JobLogEntry, JobLog};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("log");
/// let mut log = JobLog::create(&path)?;
/// log.record(&JobLogEntry {
///     host: ":",
///     seq: 1,
///     start: SystemTime::now(),
///     runtime: Duration::from_millis(3),
///     sent: 0,
///     received: 2,
///     exit: 0,
///     signal: 0,
///     command: b"echo a",
/// })?;
/// assert!(std::fs::read_to_string(&path)?.ends_with("\t     0.003\t0\t2\t0\t0\techo a\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct JobLog {
    file: File,
    path: PathBuf,
    /// A full disk can be undone in a regular file; a pipe or a device takes what it takes.
    regular: bool,
    cut: u64,
    /// Kept between rows for its allocation.
    row: Vec<u8>,
}

impl JobLog {
    /// Starts a new log, replacing the one that is there.
    ///
    /// # Errors
    ///
    /// [`NotAJobLog`](JobLogError::NotAJobLog) when the file exists and holds something else, which
    /// is left alone: a mistyped name must not cost anyone their notes. [`Open`](JobLogError::Open)
    /// and [`Write`](JobLogError::Write) with the system's reason.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, JobLogError> {
        let mut log = Self::open(path.as_ref())?;
        if log.regular {
            log.opening()?;
            log.truncate(0)?;
        }
        log.append_whole(HEADER)?;
        Ok(log)
    }

    /// Goes on with the log that is there, or starts one where there is none.
    ///
    /// An unfinished last line, which a kill can leave, is cut off; [`cut`](Self::cut) tells its
    /// length.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    pub fn append(path: impl AsRef<Path>) -> Result<Self, JobLogError> {
        let mut log = Self::open(path.as_ref())?;
        let rows = if log.regular { log.opening()? } else { None };
        if let Some(rows) = rows {
            log.cut_unfinished_line(rows)?;
        } else {
            if log.regular {
                log.cut = log.length()?;
                log.truncate(0)?;
            }
            log.append_whole(HEADER)?;
        }
        Ok(log)
    }

    /// How many bytes of an unfinished last line [`append`](Self::append) cut off; mostly 0.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// The file's name, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the row of a job that has been reaped.
    ///
    /// # Errors
    ///
    /// [`Write`](JobLogError::Write) when the row could not be written whole; then none of it stays
    /// in the file, and a later row may be tried.
    pub fn record(&mut self, entry: &JobLogEntry<'_>) -> Result<(), JobLogError> {
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        entry.write_row(&mut row);
        let written = self.append_whole(&row);
        self.row = row;
        written
    }

    fn open(path: &Path) -> Result<Self, JobLogError> {
        let failed = |source| JobLogError::Open {
            path: path.to_owned(),
            source,
        };
        // Reading is for looking at what is there. A pipe must be opened for writing alone: with
        // both ends in our own hands, nobody would notice that its reader has gone.
        let regular = match fs::metadata(path) {
            Ok(found) => found.is_file(),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(failed(error)),
        };
        let file = OpenOptions::new()
            .append(true)
            .read(regular)
            .create(regular)
            .open(path)
            .map_err(failed)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            regular,
            cut: 0,
            row: Vec::new(),
        })
    }

    /// Where the rows start; `None` when there is no whole header yet.
    fn opening(&self) -> Result<Option<u64>, JobLogError> {
        let mut start = Vec::with_capacity(ENOUGH);
        (&self.file)
            .take(ENOUGH as u64)
            .read_to_end(&mut start)
            .map_err(|error| self.unreadable(error))?;
        match LogOpening::of(&start) {
            LogOpening::Blank => Ok(None),
            LogOpening::JobLog(rows) => Ok(Some(rows as u64)),
            LogOpening::Foreign(line) => Err(JobLogError::NotAJobLog {
                path: self.path.clone(),
                line: 1,
                found: line.to_vec(),
            }),
        }
    }

    /// Cuts off what follows the last newline. The header ends in one, so the search ends at
    /// `rows`.
    fn cut_unfinished_line(&mut self, rows: u64) -> Result<(), JobLogError> {
        let length = self.length()?;
        let mut chunk = vec![0; 64 * 1024];
        let mut end = length;
        while end > rows {
            let start = end.saturating_sub(chunk.len() as u64).max(rows);
            let piece = &mut chunk[..(end - start) as usize];
            self.file
                .read_exact_at(piece, start)
                .map_err(|error| self.unreadable(error))?;
            if let Some(newline) = memrchr(b'\n', piece) {
                end = start + newline as u64 + 1;
                break;
            }
            end = start;
        }
        if end < length {
            self.truncate(end)?;
            self.cut = length - end;
        }
        Ok(())
    }

    /// Writes all of `bytes` or, in a regular file, nothing.
    fn append_whole(&mut self, bytes: &[u8]) -> Result<(), JobLogError> {
        let mut written = 0;
        while written < bytes.len() {
            match with_file_limit_as_error(|| self.file.write(&bytes[written..])) {
                Ok(0) => return Err(self.undo(written, ErrorKind::WriteZero.into())),
                // A disk fills up in the middle of a row: the next attempt gets the reason.
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.undo(written, error)),
            }
        }
        Ok(())
    }

    /// Takes the `written` bytes at the end back, and makes the error of it.
    fn undo(&mut self, written: usize, source: io::Error) -> JobLogError {
        if self.regular && written > 0 {
            // An appending write leaves the file's position behind what it wrote. Bytes beyond are
            // someone else's; then the piece stays, and the newline keeps the next row apart from
            // it.
            let taken_back = self.file.stream_position().and_then(|end| {
                if self.file.metadata()?.len() == end {
                    self.file.set_len(end - written as u64)
                } else {
                    Ok(())
                }
            });
            if let Err(source) = taken_back {
                return self.unwritable(source);
            }
        }
        self.unwritable(source)
    }

    fn length(&self) -> Result<u64, JobLogError> {
        self.file
            .metadata()
            .map(|found| found.len())
            .map_err(|error| self.unreadable(error))
    }

    fn truncate(&self, length: u64) -> Result<(), JobLogError> {
        self.file
            .set_len(length)
            .map_err(|error| self.unwritable(error))
    }

    fn unreadable(&self, source: io::Error) -> JobLogError {
        JobLogError::Read {
            path: self.path.clone(),
            source,
        }
    }

    fn unwritable(&self, source: io::Error) -> JobLogError {
        JobLogError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn entry(seq: u64) -> JobLogEntry<'static> {
        JobLogEntry {
            host: ":",
            seq,
            start: UNIX_EPOCH,
            runtime: Duration::ZERO,
            sent: 0,
            received: 0,
            exit: 0,
            signal: 0,
            command: b"true",
        }
    }

    fn rows(seqs: &[u64]) -> Vec<u8> {
        let mut text = HEADER.to_vec();
        seqs.iter().for_each(|&seq| entry(seq).write_row(&mut text));
        text
    }

    #[test]
    fn creating_replaces_an_older_log_and_appending_goes_on_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        JobLog::create(&path).unwrap().record(&entry(1)).unwrap();
        let mut log = JobLog::create(&path).unwrap();
        log.record(&entry(2)).unwrap();
        drop(log);
        assert_eq!(fs::read(&path).unwrap(), rows(&[2]));
        let mut log = JobLog::append(&path).unwrap();
        log.record(&entry(1)).unwrap();
        assert_eq!((log.cut(), log.path()), (0, path.as_path()));
        assert_eq!(fs::read(&path).unwrap(), rows(&[2, 1]));
    }

    #[test]
    fn appending_starts_a_log_where_there_is_none_or_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        JobLog::append(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), HEADER);
        fs::write(&path, "").unwrap();
        JobLog::append(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), HEADER);
    }

    #[test]
    fn a_log_cut_anywhere_by_a_kill_goes_on_with_whole_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let whole = rows(&[1, 2]);
        for end in 0..=whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let mut log = JobLog::append(&path).unwrap();
            let kept = whole[..end]
                .iter()
                .rposition(|&b| b == b'\n')
                .map_or(0, |newline| newline + 1);
            assert_eq!(log.cut(), (end - kept) as u64, "cut at {end}");
            log.record(&entry(3)).unwrap();
            let expected = if kept == 0 {
                rows(&[3])
            } else {
                [&whole[..kept], &rows(&[3])[HEADER.len()..]].concat()
            };
            assert_eq!(fs::read(&path).unwrap(), expected, "cut at {end}");
        }
    }

    #[test]
    fn an_unfinished_line_longer_than_a_read_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, [rows(&[1]), vec![b'x'; 200_000]].concat()).unwrap();
        assert_eq!(JobLog::append(&path).unwrap().cut(), 200_000);
        assert_eq!(fs::read(&path).unwrap(), rows(&[1]));
    }

    #[test]
    fn a_file_that_is_no_job_log_is_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes");
        for text in ["milk\neggs", "milk", "\n"] {
            fs::write(&path, text).unwrap();
            for opened in [JobLog::create(&path), JobLog::append(&path)] {
                assert!(
                    matches!(opened, Err(JobLogError::NotAJobLog { line: 1, .. })),
                    "{text:?}: {opened:?}"
                );
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn an_error_names_the_file() {
        let error = JobLog::create("/nowhere/log").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot open the job log `/nowhere/log`: "),
            "{error}"
        );
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            JobLog::append(dir.path()),
            Err(JobLogError::Open { .. })
        ));
    }
}
