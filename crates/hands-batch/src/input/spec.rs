//! [`Spec`]: all that is to be known of the inputs, and [`JobsSpec`], which reads them.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use regex::bytes::Regex;
use rustix::event::{PollFd, PollFlags, poll};

use super::combine::{Linked, Product};
use super::group::{Group, Grouped};
use super::table::{FieldSplit, Table};
use super::{InputError, InputSource, Pull, Reader, Row};

/// The inputs of a batch.
#[derive(Debug)]
pub struct Spec {
    /// In the order of their columns; stdin if there are none.
    pub sources: Vec<SourceSpec>,
    /// What ends an input in files and on stdin; at least one byte.
    pub delimiter: Vec<u8>,
    /// How an input becomes columns.
    pub columns: Columns,
    /// The first row of each source holds the names of its columns.
    pub header: bool,
    /// Empty inputs are left out.
    pub skip_empty: bool,
    /// An input of a file or of stdin that is this is the end of it, and is none itself.
    pub end: Option<Vec<u8>>,
    /// Linked sources that end begin again until the longest has ended.
    pub cycles: bool,
    /// How many rows a job gets.
    pub group: Group,
}

impl Default for Spec {
    /// Lines of stdin, one for each job.
    fn default() -> Spec {
        Spec {
            sources: Vec::new(),
            delimiter: b"\n".to_vec(),
            columns: Columns::Whole,
            header: false,
            skip_empty: false,
            end: None,
            cycles: false,
            group: Group::default(),
        }
    }
}

/// How an input becomes columns.
#[derive(Clone, Debug, Default)]
pub enum Columns {
    /// It is one.
    #[default]
    Whole,
    /// Between matches of a regular expression.
    Pattern(String),
    /// RFC 4180, with this byte between fields. Values given as words are one column each.
    Csv(u8),
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// What it is.
    pub kind: InputKind,
    /// It goes side by side with the source before it (`:::+`).
    pub linked: bool,
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// These values.
    Values(Vec<Vec<u8>>),
    /// A file, opened by name; `-` is stdin.
    File(PathBuf),
    /// The program's stdin.
    Stdin,
}

impl SourceSpec {
    /// A file that is not linked; `-` is stdin.
    pub fn file(path: &Path) -> SourceSpec {
        let kind = if path == Path::new("-") {
            InputKind::Stdin
        } else {
            InputKind::File(path.to_owned())
        };
        SourceSpec {
            kind,
            linked: false,
        }
    }
}

impl Spec {
    /// Opens the sources.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened, or a regular expression is none.
    pub fn open(mut self) -> Result<JobsSpec, InputError> {
        if self.sources.is_empty() {
            self.sources.push(SourceSpec {
                kind: InputKind::Stdin,
                linked: false,
            });
        }
        let mut parts: Vec<Linked> = Vec::new();
        for source in std::mem::take(&mut self.sources) {
            let linked = source.linked;
            let table = self.table(source.kind)?;
            match parts.last_mut() {
                Some(part) if linked => part.link(table),
                _ => parts.push(Linked::new(table, self.cycles)),
            }
        }
        let product =
            Product::new(parts).expect("there is a source: stdin was added if there was none");
        let mut grouped = Grouped::new(product, self.group);
        let names = if self.header {
            names(&mut grouped)?
        } else {
            Vec::new()
        };
        let total = grouped.known_jobs();
        Ok(JobsSpec {
            grouped,
            names,
            total,
        })
    }

    fn table(&self, kind: InputKind) -> Result<Table, InputError> {
        let split = match &self.columns {
            Columns::Whole => FieldSplit::Whole,
            Columns::Csv(_) if matches!(kind, InputKind::Values(_)) => FieldSplit::Whole,
            Columns::Csv(separator) => FieldSplit::Csv(Box::new(
                csv_core::ReaderBuilder::new().delimiter(*separator).build(),
            )),
            Columns::Pattern(pattern) => FieldSplit::Pattern(separator(pattern)?),
        };
        let (name, reader) = match kind {
            InputKind::Values(values) => return Ok(Table::values(values, split, self.skip_empty)),
            InputKind::File(path) => (path.display().to_string(), Reader::open(&path)),
            InputKind::Stdin => ("stdin".to_owned(), Reader::stdin()),
        };
        let open = |error: io::Error| InputError::Open {
            name: name.clone(),
            error,
        };
        let reader = reader.map_err(open)?;
        Ok(
            Table::file(reader, name, self.delimiter.clone(), split, self.skip_empty)
                .until(self.end.clone()),
        )
    }
}

/// The regular expression between columns. One that matches nothing at all would cut between all
/// characters, which is what `|` does, and what nobody who writes it wants.
fn separator(pattern: &str) -> Result<Regex, InputError> {
    let regex = Regex::new(pattern).map_err(|error| InputError::Pattern {
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    })?;
    if regex.is_match(b"") {
        return Err(InputError::EmptyMatch {
            pattern: pattern.to_owned(),
        });
    }
    Ok(regex)
}

/// Waits for the names, without which no command can be made.
fn names(grouped: &mut Grouped) -> Result<Row, InputError> {
    loop {
        match grouped.header()? {
            Pull::Item(names) => return Ok(names),
            Pull::End => return Ok(Vec::new()),
            Pull::Pending => {
                if let Some(fd) = grouped.ready_fd() {
                    // Interrupted or not: the next round looks again.
                    let _ = poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], None);
                }
            }
        }
    }
}

/// The rows of one job after the other.
///
/// ```
/// use hands_batch::input::{Pull, InputSource, SourceSpec, Spec, split_args};
///
/// let words = ["echo", ":::", "1", "2", ":::", "a", "b"].map(Into::into).to_vec();
/// let (command, sources) = split_args(words);
/// assert_eq!(command, ["echo"]);
/// let mut jobs = Spec { sources, ..Spec::default() }.open()?;
/// assert_eq!(jobs.total(), Some(4));
/// assert_eq!(jobs.pull()?, Pull::Item(vec![vec![b"1".to_vec(), b"a".to_vec()]]));
/// # Ok::<(), hands_batch::input::InputError>(())
/// ```
#[derive(Debug)]
pub struct JobsSpec {
    grouped: Grouped,
    names: Row,
    total: Option<u64>,
}

impl JobsSpec {
    /// The names of the columns, where the sources have some.
    pub fn names(&self) -> &[Vec<u8>] {
        &self.names
    }

    /// How many jobs there are in all, where that could be known without reading.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

impl InputSource<Vec<Row>> for JobsSpec {
    fn pull(&mut self) -> Result<Pull<Vec<Row>>, InputError> {
        self.grouped.pull()
    }

    fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        self.grouped.ready_fd()
    }
}
