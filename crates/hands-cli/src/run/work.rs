//! What `hands run` gives its batch to do: inputs put into the command, or blocks of stdin fed to it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use hands::command::batch::{Job, Place, Work, WorkError};
use hands::command::input::{self, Pull, Row, Source, SourceSpec};
use hands::command::joblog::{Decision, Resume};
use hands::command::records::{RecordSpec, Records};
use hands::command::template::{JobArgs, Options, Template, Text};

use crate::plan::Plan;
use crate::plan::parts::{Columns, Grouping, Reads, RecordEnd};

/// What a job is made of.
pub(super) enum Item {
    /// Inputs for the command's placeholders.
    Rows(Vec<Row>),
    /// A piece of stdin.
    Block(Vec<u8>),
}

/// All jobs of the batch, made as they are needed.
pub(super) struct Jobs {
    source: From,
    command: Form,
    /// The inputs' names, where they have some: for `--results`.
    names: Vec<Vec<u8>>,
    tag: Option<Text>,
    results: Option<PathBuf>,
    /// Jobs that may be tried again need their block more than once.
    keep_blocks: bool,
    number: u64,
    resume: Option<Resume>,
    /// Jobs before the last one that the log has, which are to run all the same; found before any is started, so that
    /// inputs that have changed are refused while nothing has happened yet.
    gaps: VecDeque<(u64, Item)>,
    total: Option<u64>,
}

enum From {
    Inputs(input::Jobs),
    Stdin(Records),
}

/// How a job's inputs become its command.
enum Form {
    Template(Box<Template>),
    /// The input itself is the command line.
    Line { shell: Vec<u8> },
    /// `-n 0`: the command as it is, whatever the input.
    Fixed(Box<Template>),
}

impl Jobs {
    /// Opens the inputs and reads the command.
    pub(super) fn new(plan: &Plan, slots: NonZeroUsize, resume: Option<Resume>) -> Result<Jobs, String> {
        let (words, mut sources) = input::split_args(plan.words.clone());
        let files = plan.inputs.arg_files.iter().map(|path| SourceSpec::file(path));
        sources.splice(0..0, files);
        let shell = plan.limits.shell.as_ref().map(|shell| shell.as_os_str().as_bytes().to_vec());
        let keep_blocks = plan.retries.tries().is_none_or(|tries| tries.get() > 1);
        let mut jobs = Jobs {
            source: From::Stdin(Records::new(input::stdin(), RecordSpec::default()).map_err(text)?),
            command: Form::Line { shell: shell.clone().unwrap_or_else(|| b"/bin/sh".to_vec()) },
            names: Vec::new(),
            tag: None,
            results: plan.output.results.clone(),
            keep_blocks,
            number: 0,
            resume,
            gaps: VecDeque::new(),
            total: None,
        };
        let _ = (&mut jobs, &words, &shell, slots);
        todo_marker(&mut jobs);
        Ok(jobs)
    }
}
