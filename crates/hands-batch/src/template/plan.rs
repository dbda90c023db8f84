//! The command itself: which way it runs, and the calls of the public interface.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::direct::{self, Word};
use super::line::{self, CommandTemplate};
use super::parts::parts;
use super::placeholder::{InputNames, Placeholder};
use super::rules::Rule;
use super::shell::{self, Script};
use super::{JobArgs, Row, TemplateError, quote};

/// How a command's words are to be read.
#[derive(Clone, Debug)]
pub struct TemplateOptions {
    /// The shell to use when one is needed: a path, or a name to be looked up. `None` is `/bin/sh`.
    /// It must read scripts as POSIX shells do and take `-c`: dash, bash, zsh, ksh, busybox, but
    /// not fish or csh.
    pub shell: Option<Vec<u8>>,
    /// Use the shell even when nothing asks for it; several words are joined by spaces into one
    /// script.
    pub always_shell: bool,
    /// Several words are taken as they are, also those that are operators by themselves.
    pub verbatim: bool,
    /// The names of the columns, in their order, for `{name}`. They win over numbers.
    pub names: Vec<Vec<u8>>,
    /// Further placeholders.
    pub rules: Vec<Rule>,
    /// Add `{}` as the last word of a command that has no placeholder. Not wanted where jobs read
    /// their input from a pipe.
    pub append: bool,
}

impl Default for TemplateOptions {
    /// `/bin/sh` when needed, no names, and `{}` added when there is no placeholder.
    fn default() -> Self {
        Self {
            shell: None,
            always_shell: false,
            verbatim: false,
            names: Vec::new(),
            rules: Vec::new(),
            append: true,
        }
    }
}

/// A command with placeholders, read once and then filled in for every job.
///
/// ```
/// use hands_batch::template::{JobArgs, TemplateOptions, Template};
///
/// # fn main() -> Result<(), hands_batch::template::TemplateError> {
/// let rows = [vec![b"my file.txt".to_vec()]];
/// let args = JobArgs { rows: &rows, seq: 1, slot: 1 };
///
/// let direct = Template::parse(&["cp {} {.}.bak"], TemplateOptions::default())?;
/// assert_eq!(direct.argv(&args)?, [&b"cp"[..], b"my file.txt", b"my file.bak"]);
///
/// let script = Template::parse(&["sort {} | uniq > {/.}.sorted"], TemplateOptions::default())?;
/// assert!(script.needs_shell());
/// assert_eq!(script.argv(&args)?.last().map(Vec::as_slice), Some(&b"my file"[..]));
/// assert_eq!(script.display(&args), b"sort 'my file.txt' | uniq > 'my file'.sorted");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Template {
    plan: TemplatePlan,
    reads_input: bool,
    reads_all: bool,
    names_slot: bool,
}

#[derive(Debug)]
enum TemplatePlan {
    Direct(Vec<Word>),
    Shell(Box<Script>),
}

impl Template {
    /// Reads a command. One word is a command line; several are the arguments themselves (see the
    /// [module](super)).
    ///
    /// # Errors
    ///
    /// There are no words, a quote is not closed, a NUL byte is in it, or the input has to be added
    /// and there is no place for it.
    pub fn parse<W: AsRef<OsStr>>(
        words: &[W],
        options: TemplateOptions,
    ) -> Result<Self, TemplateError> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_ref().as_bytes()).collect();
        if let Some(word) = words.iter().find(|word| word.contains(&0)) {
            return Err(TemplateError::nul(word));
        }
        let names = InputNames::new(&options.names, &options.rules);
        match words.as_slice() {
            [] => Err(TemplateError::Empty),
            // Alone, an empty program name; with others, an argument.
            [line] if is_blank(line) => Err(TemplateError::Empty),
            [line] => Self::from_line(line, options),
            words if options.always_shell => Self::from_line(&words.join(&b' '), options),
            words if shell::has_operator(words) && !options.verbatim => {
                let items = shell::from_words(words, &names);
                Self::from_script(items, options)
            }
            words => Ok(Self::from_words(
                words
                    .iter()
                    .map(|word| Word::new(parts(word, &names), false)),
                &options,
            )),
        }
    }

    fn from_line(line: &[u8], options: TemplateOptions) -> Result<Self, TemplateError> {
        let line = without_newlines(line);
        let names = InputNames::new(&options.names, &options.rules);
        if !options.always_shell
            && let CommandTemplate::Words(words) = line::split(line, &names)?
        {
            return Ok(Self::from_words(words.into_iter(), &options));
        }
        let items = shell::read(line, &names)?;
        Self::from_script(items, options)
    }

    fn from_words(words: impl Iterator<Item = Word>, options: &TemplateOptions) -> Self {
        let mut words: Vec<Word> = words.collect();
        let reads_input = words
            .iter()
            .flat_map(Word::placeholders)
            .any(Placeholder::is_input);
        let reads_all = words
            .iter()
            .flat_map(Word::placeholders)
            .any(Placeholder::is_inputs);
        if options.append
            && words
                .iter()
                .all(|word| word.placeholders().next().is_none())
        {
            words.push(Word::EachInput(Placeholder::INPUTS));
        }
        let names_slot = words
            .iter()
            .flat_map(Word::placeholders)
            .any(Placeholder::is_slot);
        Self {
            plan: TemplatePlan::Direct(words),
            reads_input,
            reads_all,
            names_slot,
        }
    }

    fn from_script(
        mut source: shell::Source,
        options: TemplateOptions,
    ) -> Result<Self, TemplateError> {
        let reads_input = source.placeholders().any(Placeholder::is_input);
        let reads_all = source.placeholders().any(Placeholder::is_inputs);
        let names_slot = source.placeholders().any(Placeholder::is_slot);
        if options.append && source.placeholders().next().is_none() {
            source.append_inputs()?;
        }
        let shell = options.shell.unwrap_or_else(|| b"/bin/sh".to_vec());
        Ok(Self {
            plan: TemplatePlan::Shell(Box::new(Script::new(source, shell))),
            reads_input,
            reads_all,
            names_slot,
        })
    }

    /// What to execute for a job: the program as it was named (`PATH` has not been searched), then
    /// its arguments.
    ///
    /// # Errors
    ///
    /// An argument would hold a NUL byte, an input used in shell arithmetic is not a number, a
    /// script for many rows gets longer than an argument may be, or nothing is left to run because
    /// every word was a number past the last input.
    pub fn argv(&self, args: &JobArgs<'_>) -> Result<Vec<Vec<u8>>, TemplateError> {
        match &self.plan {
            TemplatePlan::Direct(words) => direct::argv(words, args),
            TemplatePlan::Shell(script) => script.argv(args),
        }
    }

    /// The job as one line to paste into bash, zsh or ksh, where it does the same as
    /// [`argv`](Self::argv).
    ///
    /// Inputs are quoted literally; control characters and bytes that are not UTF-8 are spelled out
    /// in `$'…'`. It is shown even when `argv` would refuse it.
    pub fn display(&self, args: &JobArgs<'_>) -> Vec<u8> {
        match &self.plan {
            TemplatePlan::Direct(words) => {
                let mut argv = Vec::with_capacity(words.len());
                words.iter().for_each(|word| word.expand(args, &mut argv));
                quote::command(&argv)
            }
            TemplatePlan::Shell(script) => script.display(args),
        }
    }

    /// Whether a shell runs it.
    pub fn needs_shell(&self) -> bool {
        matches!(self.plan, TemplatePlan::Shell(_))
    }

    /// Whether the command as it was written uses an input. `{#}` and `{%}` are none, but they too
    /// keep `{}` from being added.
    pub fn has_input_placeholder(&self) -> bool {
        self.reads_input
    }

    /// Whether the command as it was written names some inputs by number or name and has no `{}`:
    /// then it uses as many as it names, and any further ones of a job are dropped.
    pub fn names_its_inputs(&self) -> bool {
        self.reads_input && !self.reads_all
    }

    /// The program, as it was named, if it is the same for every job. A script's is its shell.
    pub fn fixed_program(&self) -> Option<&[u8]> {
        match &self.plan {
            TemplatePlan::Direct(words) => match words.first()? {
                Word::Fixed(program) => Some(program),
                _ => None,
            },
            TemplatePlan::Shell(script) => Some(script.shell()),
        }
    }

    /// Whether the command differs with the slot that a job runs in.
    pub fn names_slot(&self) -> bool {
        self.names_slot
    }

    /// Bytes of arguments that do not depend on the inputs, with 9 for the NUL and the pointer of
    /// each.
    pub fn fixed_cost(&self) -> usize {
        match &self.plan {
            TemplatePlan::Direct(words) => words.iter().map(Word::fixed_cost).sum(),
            TemplatePlan::Shell(script) => script.fixed_cost(),
        }
    }

    /// Bytes of arguments that one more row adds, for packing rows into jobs.
    ///
    /// With [`fixed_cost`](Self::fixed_cost) this is never too little for one row or more, but
    /// where one word holds both `{}` and a number: then the numbered input counts as long as the
    /// longest of this row.
    pub fn row_cost(&self, row: &Row) -> usize {
        match &self.plan {
            TemplatePlan::Direct(words) => words.iter().map(|word| word.row_cost(row)).sum(),
            TemplatePlan::Shell(script) => script.row_cost(row),
        }
    }

    /// How many rows of `columns` columns one job can take at most, whatever their size. Only
    /// scripts have a limit: they name every input, and the system bounds the length of one
    /// argument.
    pub fn max_rows(&self, columns: usize) -> usize {
        match &self.plan {
            TemplatePlan::Direct(_) => usize::MAX,
            TemplatePlan::Shell(script) => script.max_rows(columns),
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| b" \t\n".contains(byte))
}

/// A newline at the end says nothing, but an input added after it would be a command of its own.
fn without_newlines(line: &[u8]) -> &[u8] {
    let kept = line
        .iter()
        .rposition(|&byte| byte != b'\n')
        .map_or(0, |last| last + 1);
    // A backslash makes the newline after it part of the text.
    if line[..kept].ends_with(b"\\") {
        line
    } else {
        &line[..kept]
    }
}
