//! What the program says when it is asked wrongly, and how it says it.
//!
//! Every usage or set-up error is one message on stderr and exit code 255: 1 to 100 are taken by
//! the number of jobs that failed, which is why clap's own 2 will not do. A closed stdout is
//! nobody's error: anyone who closed it had read enough.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use hands::text::is_deceptive;

use crate::flags::Cli;

/// The exit code of wrong usage, and of a batch that cannot be set up.
pub(crate) const USAGE: u8 = 255;

/// Prints `message` (without `error: `) on stderr and gives the exit code to end with.
pub(crate) fn fail(message: &str) -> ExitCode {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(io::stderr(), "error: {message}");
    ExitCode::from(USAGE)
}

/// Prints text on stdout and gives the exit code to end with.
pub(crate) fn print(text: &[u8]) -> ExitCode {
    let mut stdout = io::stdout();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(&format!("stdout cannot be written: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Reports what clap made of `argv`: help and version on stdout with 0, anything else on stderr
/// with 255.
pub(crate) fn report(error: &clap::Error, argv: &[OsString]) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return match error.print() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                fail(&format!("stdout cannot be written: {error}"))
            }
            _ => ExitCode::SUCCESS,
        };
    }
    if let Some(message) = forgotten_run(error, argv) {
        return fail(&message);
    }
    let _ = error.print();
    ExitCode::from(USAGE)
}

/// `hands gzip -k ::: *.log`, `hands -j4 gzip`: the word `run` is missing.
fn forgotten_run(error: &clap::Error, argv: &[OsString]) -> Option<String> {
    let (_program, words) = argv.split_first()?;
    let first = words.first()?.display();
    let message = match error.kind() {
        ErrorKind::InvalidSubcommand => format!("`{first}` is not a command of `hands`"),
        ErrorKind::UnknownArgument if is_first(error, words) => {
            format!("`hands` itself has no option `{first}`")
        }
        _ => return None,
    };
    let meant = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(names)) if !names.is_empty() => {
            format!("\n  hint: did you mean `hands {}`?", names[0])
        }
        _ => String::new(),
    };
    let line: Vec<String> = words.iter().take(6).map(quoted).collect();
    let more = if words.len() > line.len() { " …" } else { "" };
    Some(format!(
        "{message}{meant}\n  hint: to run a command on many inputs: hands run {}{more}\n  hint: `hands --help` lists the commands",
        line.join(" ")
    ))
}

/// Whether the unknown option is the very first word, so that it stands before any subcommand.
fn is_first(error: &clap::Error, words: &[OsString]) -> bool {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return false;
    };
    let first = words.first().map(|word| word.to_string_lossy());
    // clap names the one letter of `-j4` and the name of `--jobs=4`.
    first.is_some_and(|first| first.starts_with('-') && first.starts_with(option.as_str()))
}

/// A word as it can be typed again, also where it has bytes that are no text: bash, zsh and ksh
/// read `$'…'`.
pub(crate) fn quoted(word: &OsString) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=+,@%".contains(c);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Some(text) if !text.contains(is_deceptive) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let mut line = String::from("$'");
            for &byte in word.as_encoded_bytes() {
                match byte {
                    b'\n' => line.push_str(r"\n"),
                    b'\t' => line.push_str(r"\t"),
                    b'\'' | b'\\' => line.extend(['\\', char::from(byte)]),
                    b' '..=b'~' => line.push(char::from(byte)),
                    _ => line.push_str(&format!("\\{byte:03o}")),
                }
            }
            line.push('\'');
            line
        }
    }
}

/// `hands run gzip`, typed at a terminal: the short help of `run`, and what is missing last, where
/// it is seen.
///
/// On stderr, and with the exit code of wrong usage: nothing was run, and a script that ends up
/// here must notice.
pub(crate) fn no_inputs() -> u8 {
    let mut cli = Cli::command();
    cli.build();
    let mut help = String::new();
    if let Some(run) = cli.find_subcommand_mut("run") {
        help = format!("{}\n\n", run.render_usage());
        if let Some(more) = run.get_after_help() {
            help.push_str(&format!("{more}\n\n"));
        }
    }
    let _ = write!(
        io::stderr(),
        "{help}error: there are no inputs, and stdin is a terminal\n  hint: give inputs after `:::`, name a file after `::::`, or pipe lines in\n  hint: to type them, name `-` after `::::`, and end with Ctrl-D\n"
    );
    USAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_the_shell_needs_it() {
        let quoted = |word: &str| quoted(&word.into());
        assert_eq!(quoted("--jobs=4"), "--jobs=4");
        assert_eq!(quoted("gzip {}"), "'gzip {}'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a\n'b\\"), r"$'a\n\'b\\'");
    }

    #[test]
    fn a_word_that_is_no_text_can_be_typed_again() {
        use std::os::unix::ffi::OsStringExt;
        let word = OsString::from_vec(b"caf\xe9 ".to_vec());
        assert_eq!(quoted(&word), r"$'caf\351 '");
    }
}
