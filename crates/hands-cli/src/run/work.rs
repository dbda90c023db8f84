//! What `hands run` gives its batch to do: inputs put into the command, or blocks of stdin fed to
//! it.

use std::collections::hash_map::{DefaultHasher, RandomState};
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hands_batch::input::{self, InputSource, Pull, Row};
use hands_batch::joblog::{Resume, ResumeDecision};
use hands_batch::records::Records;
use hands_batch::template::{JobArgs, Template, TemplateOptions, TemplateText};
use hands_batch::{Job, JobPlace, Work, WorkError};

use super::item::RunItem;
use super::robin::Robin;
use super::{advice, sources, table};
use crate::plan::parts::{self, GivenParts, OutputGrouping, Trim};
use crate::plan::{MachinesPlan, Plan};

/// All jobs of the batch, made as they are needed.
pub(crate) struct Jobs {
    feed: JobFeed,
    command: CommandForm,
    tag: Option<TemplateText>,
    /// `--send` and `--return`.
    send: Vec<TemplateText>,
    fetch: Vec<TemplateText>,
    results: Option<ResultsFlags>,
    /// Jobs that may be tried again need their block more than once.
    keep_blocks: bool,
    given: GivenParts,
    /// `--tee`: all of stdin.
    stdin: Option<File>,
    number: u64,
    resuming: Option<Resuming>,
    total: Option<u64>,
    /// For who writes them into a table.
    inputs: Option<table::Inputs>,
    trim: Trim,
    /// What has been read so far, where all is to be read before anything runs.
    shuffled: Option<Vec<RunItem>>,
}

enum JobFeed {
    Inputs(input::JobsSpec),
    Stdin(Records),
    RoundRobin(Robin),
}

/// How a job's inputs become its command.
enum CommandForm {
    Template(Template),
    /// The input itself is the command line.
    Line {
        shell: Vec<u8>,
    },
    /// `-n 0`: the command as it is, whatever the input.
    Fixed(Template),
}

/// Where `--results` go.
struct ResultsFlags {
    kind: JobKind,
    /// Which job has which path, by a hash of it: another gets another.
    taken: HashMap<u64, u64>,
}

enum JobKind {
    /// A folder for each input column, in a folder named after the column.
    Folder {
        folder: PathBuf,
        names: Vec<Vec<u8>>,
    },
    Template(TemplateText),
}

impl ResultsFlags {
    fn of(&mut self, args: &JobArgs<'_>) -> (PathBuf, bool) {
        let (path, is_file) = match &self.kind {
            JobKind::Folder { folder, names } => (sources::results(folder, names, args), false),
            JobKind::Template(text) => {
                let path = text.expand(args);
                let is_file = !path.ends_with(b"/");
                (PathBuf::from(OsString::from_vec(path)), is_file)
            }
        };
        let mut hash = DefaultHasher::new();
        path.hash(&mut hash);
        match *self.taken.entry(hash.finish()).or_insert(args.seq) {
            first if first == args.seq => (path, is_file),
            _ => (sources::told_apart(&path, args.seq), is_file),
        }
    }
}

/// Names of files that travel with a job.
fn travelling(
    plan: &Plan,
    known: &TemplateOptions,
    which: impl Fn(&MachinesPlan) -> &Vec<Vec<u8>>,
) -> Vec<TemplateText> {
    let texts = plan.machines.as_ref().map(which).into_iter().flatten();
    texts.map(|text| TemplateText::parse(text, known)).collect()
}

/// What is left of an earlier run.
struct Resuming {
    log: Resume,
    /// Jobs before the last one that the log has, which are to run all the same. They are found
    /// before any is started, so that inputs that have changed are refused while nothing has
    /// happened yet.
    gaps: VecDeque<(u64, RunItem)>,
    compared: bool,
}

/// What the words of the command are, where it takes inputs.
fn command_of(
    plan: &Plan,
    words: &[OsString],
    shell: Option<Vec<u8>>,
    options: TemplateOptions,
) -> Result<CommandForm, String> {
    if words.is_empty() {
        let shell = shell.unwrap_or_else(|| b"/bin/sh".to_vec());
        return Ok(CommandForm::Line { shell });
    }
    let is_fixed = plan.inputs.grouping == OutputGrouping::Uninserted;
    let options = TemplateOptions {
        append: options.append && !is_fixed,
        ..options
    };
    let template = Template::parse(words, options).map_err(|error| error.to_string())?;
    if is_fixed {
        return Ok(CommandForm::Fixed(template));
    }
    if plan.inputs.grouping == OutputGrouping::Fill(None) && template.names_its_inputs() {
        return Err("with `-X` a job gets as many inputs as fit, and this command uses only those it names\n  hint: `{}` stands for all of them; with `-n N` a job gets N, and {1} to {N} are each of them".into());
    }
    Ok(CommandForm::Template(template))
}

/// Where `--results` go, or the files of `--files`.
fn results_of(
    plan: &Plan,
    files: Option<&Path>,
    names: Vec<Vec<u8>>,
    known: &TemplateOptions,
) -> Option<ResultsFlags> {
    let kind = match &plan.output.results {
        Some(parts::ResultsPlan::Folder(folder)) => JobKind::Folder {
            folder: folder.clone(),
            names,
        },
        Some(parts::ResultsPlan::Template(text)) => {
            JobKind::Template(TemplateText::parse(text, known))
        }
        Some(parts::ResultsPlan::Table(..)) | None => {
            let text = files?.join("{#}");
            let text = text.as_os_str().as_bytes();
            JobKind::Template(TemplateText::parse(text, &TemplateOptions::default()))
        }
    };
    Some(ResultsFlags {
        kind,
        taken: HashMap::new(),
    })
}

impl Jobs {
    /// Opens the inputs and reads the command.
    pub(crate) fn new(
        plan: &Plan,
        slots: NonZeroUsize,
        resume: Option<Resume>,
        inputs: Option<table::Inputs>,
        files: Option<&Path>,
    ) -> Result<Jobs, String> {
        let (words, mut listed) = input::split_args(plan.words.clone());
        if plan.inputs.cycles {
            listed.iter_mut().for_each(|source| source.linked = true);
        }
        let shell = plan
            .limits
            .shell
            .as_ref()
            .map(|path| path.as_os_str().as_bytes().to_vec());
        // `{}` alone: each input is a command, as without one.
        let words = match words.as_slice() {
            [only] if only == "{}" && plan.pipe.is_none() => Vec::new(),
            _ => words,
        };
        let given = plan.pipe.as_ref().map(|pipe| pipe.given);
        let calls_function = words.first().is_some_and(|word| advice::is_function(word));
        let options = |names: &[Vec<u8>]| TemplateOptions {
            shell: shell.clone(),
            names: names.to_vec(),
            rules: plan.inputs.rules.clone(),
            append: given.is_none_or(|given| given == GivenParts::File),
            verbatim: plan.verbatim,
            always_shell: calls_function && shell.is_some(),
        };
        let parse = |names: &[Vec<u8>]| {
            Template::parse(&words, options(names)).map_err(|error| error.to_string())
        };
        let (feed, names, command) = match &plan.pipe {
            Some(pipe) => {
                if !listed.is_empty() {
                    return Err("`--pipe` reads stdin and takes no inputs after `:::` or `::::`\n  hint: `hands run --pipe COMMAND < FILE`".into());
                }
                let records = sources::records(pipe)?;
                let feed = match pipe.given {
                    GivenParts::RoundRobin if !plan.dry_run => {
                        let wrong = |error| format!("stdin cannot be dealt out: {error}");
                        JobFeed::RoundRobin(Robin::start(records, slots.get()).map_err(wrong)?)
                    }
                    _ => JobFeed::Stdin(records),
                };
                (feed, Vec::new(), CommandForm::Template(parse(&[])?))
            }
            None => {
                let inputs = sources::open(plan, listed, slots, &words, &parse)?;
                let names = inputs.names().to_vec();
                if let Some(why) =
                    advice::unknown_column(&words, &names).filter(|_| !names.is_empty())
                {
                    return Err(why);
                }
                let command = command_of(plan, &words, shell.clone(), options(&names))?;
                (JobFeed::Inputs(inputs), names, command)
            }
        };
        let total = match &feed {
            JobFeed::Inputs(inputs) => inputs.total(),
            JobFeed::Stdin(_) | JobFeed::RoundRobin(_) => None,
        };
        let known = options(&names);
        let jobs = Jobs {
            feed,
            command,
            tag: plan
                .output
                .tag
                .as_ref()
                .map(|tag| TemplateText::parse(tag, &known)),
            send: travelling(plan, &known, |machines| &machines.send),
            fetch: travelling(plan, &known, |machines| &machines.fetch),
            results: results_of(plan, files, names, &known),
            inputs,
            trim: plan.inputs.trim,
            shuffled: plan.inputs.shuffled.then(Vec::new),
            given: given.unwrap_or(GivenParts::Stdin),
            stdin: plan.tee.then(|| sources::all_of_stdin(plan)).transpose()?,
            keep_blocks: plan.retries.tries().is_none_or(|tries| tries.get() > 1),
            number: 0,
            resuming: resume.map(|log| Resuming {
                log,
                gaps: VecDeque::new(),
                compared: false,
            }),
            total,
        };
        jobs.check_program(plan)?;
        Ok(jobs)
    }

    /// A program that is the same for every job and that is not there is one mistake, not a
    /// thousand failed jobs.
    fn check_program(&self, plan: &Plan) -> Result<(), String> {
        let (CommandForm::Template(template) | CommandForm::Fixed(template)) = &self.command else {
            return Ok(());
        };
        let Some(program) = template.fixed_program() else {
            return Ok(());
        };
        let program = std::ffi::OsStr::from_bytes(program);
        let elsewhere = program.as_bytes().contains(&b'/') && plan.limits.workdir.is_some();
        let other_path = plan.limits.env.iter().any(|(name, _)| name == "PATH");
        if elsewhere || other_path {
            return Ok(());
        }
        let Err(error) = hands::command::find_program(program) else {
            return Ok(());
        };
        let mut message = error.to_string();
        if program.as_bytes().contains(&b' ') && plan.words.len() > 1 {
            message.push_str("\n  hint: several words are taken as they are; give the whole command as one word, or each part as its own");
        }
        Err(message)
    }

    /// The next item, numbered.
    fn pull(&mut self) -> Result<Pull<(u64, RunItem)>, WorkError> {
        let item = match self.shuffled.take() {
            None => self.read()?,
            Some(mut read) => loop {
                match self.read()? {
                    Pull::Item(item) => read.push(item),
                    Pull::Pending => {
                        self.shuffled = Some(read);
                        return Ok(Pull::Pending);
                    }
                    Pull::End if read.is_empty() => {
                        self.shuffled = Some(read);
                        return Ok(Pull::End);
                    }
                    Pull::End => {
                        // Any of them, with the same chance for each: a hash with new keys is
                        // random.
                        let random = RandomState::new().hash_one(read.len());
                        let at = usize::try_from(random % read.len() as u64).unwrap_or(0);
                        let item = read.swap_remove(at);
                        self.shuffled = Some(read);
                        break Pull::Item(item);
                    }
                }
            },
        };
        Ok(match item {
            Pull::Item(item) => {
                self.number += 1;
                Pull::Item((self.number, item))
            }
            Pull::Pending => Pull::Pending,
            Pull::End => Pull::End,
        })
    }

    /// The next item as it comes.
    fn read(&mut self) -> Result<Pull<RunItem>, WorkError> {
        let Trim { left, right } = self.trim;
        let trimmed = |mut rows: Vec<Row>| {
            for value in rows.iter_mut().flatten().filter(|_| left || right) {
                let kept: &[u8] = if left {
                    value.trim_ascii_start()
                } else {
                    value
                };
                let kept = if right { kept.trim_ascii_end() } else { kept };
                *value = kept.to_vec();
            }
            rows
        };
        let item = match &mut self.feed {
            JobFeed::Inputs(inputs) => match inputs.pull()? {
                Pull::Item(rows) => RunItem::Rows(trimmed(rows)),
                Pull::Pending => return Ok(Pull::Pending),
                Pull::End => return Ok(Pull::End),
            },
            JobFeed::Stdin(records) => match records.pull()? {
                Pull::Item(block) if self.given == GivenParts::File => sources::as_file(&block)?,
                Pull::Item(block) => RunItem::Block(block),
                Pull::Pending => return Ok(Pull::Pending),
                Pull::End => return Ok(Pull::End),
            },
            JobFeed::RoundRobin(robin) => match robin.pull()? {
                Pull::Item(stdin) => RunItem::Stdin(Some(Arc::new(stdin))),
                Pull::Pending => return Ok(Pull::Pending),
                Pull::End => return Ok(Pull::End),
            },
        };
        Ok(Pull::Item(item))
    }

    /// Reads on until all that the log has has been compared with what the inputs are now.
    fn compare(&mut self) -> Result<Pull<()>, WorkError> {
        loop {
            let Some(resuming) = &self.resuming else {
                return Ok(Pull::End);
            };
            if self.number >= resuming.log.highest_seq() {
                break;
            }
            match self.pull()? {
                Pull::Pending => return Ok(Pull::Pending),
                Pull::End => {
                    let Some(resuming) = &self.resuming else {
                        return Ok(Pull::End);
                    };
                    resuming.log.check_end(self.number)?;
                    break;
                }
                Pull::Item((number, item)) => {
                    if let Some(item) = self.unlogged(number, item)?
                        && let Some(resuming) = &mut self.resuming
                    {
                        resuming.gaps.push_back((number, item));
                    }
                }
            }
        }
        if let Some(resuming) = &mut self.resuming {
            resuming.compared = true;
        }
        Ok(Pull::End)
    }

    /// The item, unless the log says that it is done.
    fn unlogged(&self, number: u64, item: RunItem) -> Result<Option<RunItem>, WorkError> {
        let Some(Resuming { log, .. }) = &self.resuming else {
            return Ok(Some(item));
        };
        // A command that names its slot differs from run to run; any slot will do for the
        // comparison.
        let mut mismatch = None;
        for slot in 1..=self.slots_named() {
            let display = self.display(
                &item,
                JobPlace {
                    number,
                    slot,
                    attempt: 1,
                },
            );
            match log.decide(number, &display) {
                ResumeDecision::Skip => return Ok(None),
                ResumeDecision::Run => return Ok(Some(item)),
                ResumeDecision::Mismatch { logged } => {
                    mismatch.get_or_insert((logged, display));
                }
            }
        }
        match mismatch {
            Some((logged, display)) => Err(log.mismatch(number, logged, &display).into()),
            None => Ok(Some(item)),
        }
    }

    fn slots_named(&self) -> usize {
        let (CommandForm::Template(template) | CommandForm::Fixed(template)) = &self.command else {
            return 1;
        };
        if template.names_slot() { 4096 } else { 1 }
    }

    fn display(&self, item: &RunItem, place: JobPlace) -> Vec<u8> {
        let args = JobArgs {
            rows: rows(item),
            seq: place.number,
            slot: place.slot,
        };
        match &self.command {
            CommandForm::Template(template) => template.display(&args),
            CommandForm::Fixed(template) => template.display(&JobArgs { rows: &[], ..args }),
            CommandForm::Line { .. } => args.rows.concat().join(&b' '),
        }
    }
}

/// What an item has for the placeholders: nothing, if it is a block.
fn rows(item: &RunItem) -> &[Row] {
    match item {
        RunItem::Rows(rows) | RunItem::File { name: rows, .. } => rows,
        RunItem::Block(_) | RunItem::Stdin(_) => &[],
    }
}

impl Work for Jobs {
    type Item = RunItem;

    fn next(&mut self) -> Result<Pull<(u64, RunItem)>, WorkError> {
        if self
            .resuming
            .as_ref()
            .is_some_and(|resuming| !resuming.compared)
            && let Pull::Pending = self.compare()?
        {
            return Ok(Pull::Pending);
        }
        let gap = self
            .resuming
            .as_mut()
            .and_then(|resuming| resuming.gaps.pop_front());
        match gap {
            Some(gap) => Ok(Pull::Item(gap)),
            None => self.pull(),
        }
    }

    fn ready_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.feed {
            JobFeed::Inputs(inputs) => inputs.ready_fd(),
            JobFeed::Stdin(records) => records.ready_fd(),
            JobFeed::RoundRobin(robin) => Some(robin.ready_fd()),
        }
    }

    fn job(&mut self, item: &mut RunItem, place: JobPlace) -> Result<Job, WorkError> {
        let display = self.display(item, place);
        let args = JobArgs {
            rows: rows(item),
            seq: place.number,
            slot: place.slot,
        };
        let argv = match &self.command {
            CommandForm::Template(template) => template.argv(&args)?,
            CommandForm::Fixed(template) => template.argv(&JobArgs { rows: &[], ..args })?,
            CommandForm::Line { shell } => {
                let line = args.rows.concat().join(&b' ');
                vec![shell.clone(), b"-c".to_vec(), line]
            }
        };
        let mut tag = self
            .tag
            .as_ref()
            .map(|tag| tag.expand(&args))
            .unwrap_or_default();
        if self.tag.is_some() {
            tag.push(b'\t');
        }
        if let Some(inputs) = &self.inputs {
            inputs.lock().insert(args.seq, args.rows.concat());
        }
        let files = |texts: &[TemplateText]| texts.iter().map(|text| text.expand(&args)).collect();
        let (send, fetch) = (files(&self.send), files(&self.fetch));
        let results = self.results.as_mut().map(|results| results.of(&args));
        let (results, results_are_files) = results.unzip();
        let stdin = match item {
            RunItem::Block(block) if self.keep_blocks => Some(block.clone()),
            RunItem::Block(block) => Some(std::mem::take(block)),
            RunItem::Rows(_) | RunItem::File { .. } | RunItem::Stdin(_) => None,
        };
        let stdin_file = match (item, &self.stdin) {
            (RunItem::Stdin(stdin), _) => stdin.take(),
            (_, Some(all)) => Some(Arc::new(sources::again(all)?)),
            _ => None,
        };
        Ok(Job {
            argv,
            display,
            stdin,
            stdin_file,
            tag,
            results,
            results_are_files: results_are_files.unwrap_or(false),
            send,
            fetch,
        })
    }

    fn total(&self) -> Option<u64> {
        self.total
    }
}
