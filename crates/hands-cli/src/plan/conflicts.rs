//! Which flags cannot stand together.
//!
//! One list, so that a reader sees all of it. A flag that is merely needless (`--group`, `--resume`
//! beside `--resume-failed`) is let be; one that could not be honoured is an error, never ignored.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::PlanError;
use crate::flags::RunFlags;

/// The first contradiction, if there is one.
pub(super) fn check(flags: &RunFlags) -> Result<(), PlanError> {
    output(flags)?;
    inputs(flags)?;
    pipe(flags)?;
    log(flags)
}

/// Both were given.
pub(super) struct GivenFlags(pub(super) bool, pub(super) &'static str);

pub(super) fn clash(
    one: &GivenFlags,
    others: &[GivenFlags],
    hint: &'static str,
) -> Result<(), PlanError> {
    match others.iter().find(|other| one.0 && other.0) {
        None => Ok(()),
        Some(other) => {
            let message = format!("`{}` and `{}` cannot be used together", one.1, other.1);
            Err(PlanError::new(message).hint(hint))
        }
    }
}

pub(super) fn needs(
    one: &GivenFlags,
    other: &GivenFlags,
    hint: &'static str,
) -> Result<(), PlanError> {
    if one.0 && !other.0 {
        return Err(PlanError::new(format!("`{}` needs `{}`", one.1, other.1)).hint(hint));
    }
    Ok(())
}

fn output(flags: &RunFlags) -> Result<(), PlanError> {
    let output = &flags.output;
    let ungroup = || GivenFlags(output.ungroup, "--ungroup");
    let line_buffer = || GivenFlags(output.line_buffer, "--line-buffer");
    let tag = || GivenFlags(output.tag, "--tag");
    let tagstring = || GivenFlags(output.tagstring.is_some(), "--tagstring");
    clash(
        &ungroup(),
        &[
            GivenFlags(output.keep_order, "--keep-order"),
            line_buffer(),
            GivenFlags(output.group, "--group"),
            tag(),
            tagstring(),
            GivenFlags(output.json, "--json"),
            GivenFlags(output.results.is_some(), "--results"),
        ],
        "ungrouped jobs write straight to the terminal or file; `--line-buffer` shows lines as they come and goes with these",
    )?;
    clash(
        &GivenFlags(output.files, "--files"),
        &[
            ungroup(),
            line_buffer(),
            tag(),
            tagstring(),
            GivenFlags(output.json, "--json"),
            GivenFlags(output.results.is_some(), "--results"),
            GivenFlags(output.tty, "--tty"),
        ],
        "what jobs write goes into files, and only their names are printed",
    )?;
    clash(
        &GivenFlags(output.tty, "--tty"),
        &[
            GivenFlags(output.keep_order, "--keep-order"),
            line_buffer(),
            GivenFlags(output.group, "--group"),
            tag(),
            tagstring(),
            GivenFlags(output.json, "--json"),
            GivenFlags(output.results.is_some(), "--results"),
        ],
        "jobs that have the terminal write straight to it",
    )?;
    clash(
        &line_buffer(),
        &[GivenFlags(output.group, "--group")],
        "leave one of them out",
    )?;
    clash(
        &GivenFlags(output.json, "--json"),
        &[line_buffer(), tag(), tagstring()],
        "each JSON object names its job by `seq`, and its `start` event holds the command",
    )?;
    clash(
        &GivenFlags(output.bar, "--bar"),
        &[GivenFlags(output.progress.is_some(), "--progress")],
        "`--bar` is the same as `--progress bar`",
    )?;
    needs(
        &GivenFlags(flags.jobs.retry_delay.is_some(), "--retry-delay"),
        &GivenFlags(flags.jobs.retries.is_some(), "--retries"),
        "say how often to try, such as `--retries 3`",
    )
}

fn inputs(flags: &RunFlags) -> Result<(), PlanError> {
    let inputs = &flags.inputs;
    let null = GivenFlags(inputs.null, "--null");
    let delimiter = GivenFlags(inputs.delimiter.is_some(), "--delimiter");
    clash(
        &null,
        &[delimiter],
        "`--null` is the same as `--delimiter '\\0'`",
    )?;
    clash(
        &GivenFlags(inputs.csv, "--csv"),
        &[null, GivenFlags(inputs.delimiter.is_some(), "--delimiter")],
        "CSV says itself where its records end",
    )?;
    match inputs.header.as_deref() {
        None | Some(":") => {}
        Some(other) => {
            return Err(
                PlanError::new(format!("`--header {other}` is not supported"))
                    .hint("`--header :` takes the first input of each source as names"),
            );
        }
    }
    sources(flags)?;
    clash(
        &GivenFlags(inputs.shuf, "--shuf"),
        &[
            GivenFlags(flags.log.resume, "--resume"),
            GivenFlags(flags.log.resume_failed, "--resume-failed"),
        ],
        "jobs are known by their numbers, which are others in another order",
    )?;
    let max_records = GivenFlags(flags.pipe.max_records.is_some(), "-N");
    clash(
        &GivenFlags(inputs.max_args.is_some(), "--max-args"),
        &[max_records],
        "without `--pipe` they mean the same; leave one of them out",
    )?;
    if inputs.fill && (inputs.max_args == Some(0) || flags.pipe.max_records == Some(0)) {
        return Err(PlanError::new("`-X` inserts many inputs and `-n 0` none")
            .hint("leave one of them out"));
    }
    Ok(())
}

/// Each `::::` names a file, and stdin is read by one source.
fn sources(flags: &RunFlags) -> Result<(), PlanError> {
    let mut from_stdin = flags
        .inputs
        .arg_files
        .iter()
        .filter(|file| *file == Path::new("-"))
        .count();
    let mut files = false;
    let mut words = flags.words.iter().peekable();
    while let Some(word) = words.next() {
        if is_source(word) {
            files = word.as_bytes().starts_with(b"::::");
            if files && words.peek().is_none_or(|next| is_source(next)) {
                return Err(
                    PlanError::new(format!("`{}` names no file", word.display()))
                        .hint("put the names of files with inputs after it, `-` for stdin"),
                );
            }
        } else if files && word == "-" {
            from_stdin += 1;
        }
    }
    if from_stdin > 1 {
        return Err(PlanError::new("stdin (`-`) is named as a source twice")
            .hint("it can be read once: put what comes through it into a file, and name that"));
    }
    Ok(())
}

fn pipe(flags: &RunFlags) -> Result<(), PlanError> {
    let pipe = &flags.pipe;
    if pipe.pipepart && flags.inputs.arg_files.len() != 1 {
        return Err(
            PlanError::new("`--pipepart` spreads one file over the jobs")
                .hint("name it with `-a FILE`"),
        );
    }
    clash(
        &GivenFlags(pipe.round_robin, "--round-robin"),
        &[
            GivenFlags(pipe.cat, "--cat"),
            GivenFlags(flags.jobs.retries.is_some(), "--retries"),
            GivenFlags(flags.log.resume, "--resume"),
            GivenFlags(flags.log.resume_failed, "--resume-failed"),
        ],
        "what a job gets depends on how fast it is, and is there once",
    )?;
    clash(
        &GivenFlags(pipe.tee, "--tee"),
        &[
            GivenFlags(pipe.round_robin, "--round-robin"),
            GivenFlags(pipe.cat, "--cat"),
            GivenFlags(pipe.block.is_some(), "--block"),
            GivenFlags(pipe.recstart.is_some(), "--recstart"),
            GivenFlags(pipe.recend.is_some(), "--recend"),
            GivenFlags(pipe.remove_rec_sep, "--remove-rec-sep"),
        ],
        "each job gets all of stdin, in one piece",
    )?;
    if pipe.tee {
        return tee(flags);
    }
    if pipe.pipepart {
        return Ok(());
    }
    match pipe.pipe {
        true => piped(flags),
        false => not_piped(flags),
    }
}

/// `--tee` needs jobs to give stdin to.
fn tee(flags: &RunFlags) -> Result<(), PlanError> {
    let pipe = &flags.pipe;
    needs(
        &GivenFlags(true, "--tee"),
        &GivenFlags(pipe.pipe && !pipe.pipepart, "--pipe"),
        "`hands run --pipe --tee COMMAND ::: INPUT...`",
    )?;
    if !flags.words.iter().any(is_source) && flags.inputs.arg_files.is_empty() {
        return Err(
            PlanError::new("`--tee` has no inputs, so there is no job to give stdin to")
                .hint("a job is run for each input after `:::`"),
        );
    }
    Ok(())
}

/// Without `--pipe`, nothing that says how stdin is split.
fn not_piped(flags: &RunFlags) -> Result<(), PlanError> {
    let pipe = &flags.pipe;
    let piped = GivenFlags(false, "--pipe");
    let hint = "with `--pipe`, stdin is split between records and given to the jobs";
    let only_with_pipe = [
        GivenFlags(pipe.block.is_some(), "--block"),
        GivenFlags(pipe.recstart.is_some(), "--recstart"),
        GivenFlags(pipe.recend.is_some(), "--recend"),
        GivenFlags(pipe.regexp, "--regexp"),
        GivenFlags(pipe.remove_rec_sep, "--remove-rec-sep"),
        GivenFlags(pipe.round_robin, "--round-robin"),
        GivenFlags(pipe.cat, "--cat"),
    ];
    only_with_pipe
        .iter()
        .try_for_each(|flag| needs(flag, &piped, hint))
}

/// With `--pipe`, nothing that makes a job of each input.
fn piped(flags: &RunFlags) -> Result<(), PlanError> {
    let piped = GivenFlags(true, "--pipe");
    let inputs = &flags.inputs;
    clash(
        &piped,
        &[
            GivenFlags(inputs.max_args.is_some(), "--max-args"),
            GivenFlags(inputs.fill, "-X"),
        ],
        "use `-N` for the number of records each job gets, or `--block` for their size",
    )?;
    clash(
        &piped,
        &[
            GivenFlags(inputs.null, "--null"),
            GivenFlags(inputs.delimiter.is_some(), "--delimiter"),
        ],
        "say where records end with `--recend`, such as `--recend '\\0'`",
    )?;
    clash(
        &piped,
        &[
            GivenFlags(inputs.csv, "--csv"),
            GivenFlags(inputs.colsep.is_some(), "--colsep"),
            GivenFlags(inputs.header.is_some(), "--header"),
            GivenFlags(inputs.no_run_if_empty, "--no-run-if-empty"),
        ],
        "with `--pipe` jobs get pieces of stdin, not inputs in their commands",
    )?;
    clash(
        &piped,
        &[GivenFlags(!inputs.arg_files.is_empty(), "--arg-file")],
        "`--pipe` reads stdin: write `< FILE`",
    )?;
    if let Some(source) = flags.words.iter().find(|word| is_source(word)) {
        let message = format!(
            "`--pipe` and `{}` cannot be used together",
            source.display()
        );
        return Err(PlanError::new(message)
            .hint("`--pipe` reads stdin: write `< FILE`, or leave `--pipe` out to use inputs"));
    }
    if flags.words.is_empty() {
        return Err(
            PlanError::new("`--pipe` needs a command to give the pieces to")
                .hint("for example `hands run --pipe wc -l < FILE`"),
        );
    }
    Ok(())
}

/// A word that begins a source of inputs.
fn is_source(word: &OsString) -> bool {
    [":::", ":::+", "::::", "::::+"]
        .iter()
        .any(|source| word == source)
}

fn log(flags: &RunFlags) -> Result<(), PlanError> {
    let joblog = GivenFlags(flags.log.joblog.is_some(), "--joblog");
    let hint = "the joblog says which jobs are done: give the file the first run wrote";
    needs(&GivenFlags(flags.log.resume, "--resume"), &joblog, hint)?;
    needs(
        &GivenFlags(flags.log.resume_failed, "--resume-failed"),
        &joblog,
        hint,
    )
}
