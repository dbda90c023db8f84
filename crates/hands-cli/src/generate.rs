//! Completions and the man page, made from the same definitions as the flags.

use std::io::{self, IsTerminal, Write};
use std::process::{Command, ExitCode, Stdio};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::flags::Cli;
use crate::flags::manual::{FETCH_SECTIONS, PARALLEL_SECTIONS, SECTIONS};
use crate::ui::usage;

/// Prints a completion script.
pub(crate) fn completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hands", &mut script);
    usage::print(&script)
}

/// Prints the man page; on a terminal as `man` shows it, where there is one.
pub(crate) fn show_man() -> ExitCode {
    match page() {
        Ok(page) if io::stdout().is_terminal() => match shown(&page) {
            Ok(code) => code,
            Err(_) => usage::print(&page),
        },
        Ok(page) => usage::print(&page),
        Err(error) => usage::fail(&format!("the man page could not be made: {error}")),
    }
}

fn shown(page: &[u8]) -> io::Result<ExitCode> {
    let mut man = Command::new("man");
    let mut man = man.args(["-l", "-"]).stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = man.stdin.take() {
        // Anyone who has seen enough reads no more.
        let _ = stdin.write_all(page);
    }
    let code = man.wait()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// As a plain `troff` reads it: other characters by their names.
fn in_ascii(page: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(page);
    let named = text.chars().map(|letter| match letter {
        letter if letter.is_ascii() => letter.to_string(),
        letter => format!("\\[u{:04X}]", u32::from(letter)),
    });
    named.collect::<String>().into_bytes()
}

/// One page for the whole program: what it is, and all of `run`, which is what people look up.
fn page() -> io::Result<Vec<u8>> {
    let mut cli = Cli::command();
    cli.build();
    let run = cli.find_subcommand("run").cloned().unwrap_or_default();
    let cli_again = cli.clone();
    let whole = Man::new(cli).manual("User Commands");
    let run = Man::new(run);
    let mut page = Vec::new();
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    run.render_synopsis_section(&mut page)?;
    run.render_description_section(&mut page)?;
    run.render_options_section(&mut page)?;
    for (heading, text) in SECTIONS {
        section(&mut page, heading, text)?;
    }
    for (heading, text) in PARALLEL_SECTIONS {
        section(&mut page, heading, text)?;
    }
    section(&mut page, "Other commands", OTHERS)?;
    page.extend(options_of("fetch", &cli_again)?);
    for (heading, text) in FETCH_SECTIONS {
        section(&mut page, &format!("hands fetch: {heading}"), text)?;
    }
    page.extend(options_of("sem", &cli_again)?);
    whole.render_version_section(&mut page)?;
    Ok(in_ascii(&page))
}

/// The options of another command, under a heading of their own.
fn options_of(name: &str, cli: &clap::Command) -> io::Result<Vec<u8>> {
    let command = cli.find_subcommand(name).cloned().unwrap_or_default();
    let mut options = Vec::new();
    Man::new(command).render_options_section(&mut options)?;
    let text = String::from_utf8_lossy(&options).into_owned();
    let name = name.to_uppercase();
    Ok(text
        .replacen(".SH OPTIONS", &format!(".SH OPTIONS OF {name}"), 1)
        .into_bytes())
}

const OTHERS: &str = "\
hands fetch [OPTIONS] URL...      fetch many URLs to files; its options are below
hands sem [OPTIONS] COMMAND...    run a command when fewer than N of its name run
hands tune [OPTIONS] COMMAND...   find out how many jobs at once are worth while
hands completions bash|zsh|fish   print a completion script for a shell
hands man                         print this page";

/// A section whose lines stay as they are.
fn section(page: &mut Vec<u8>, heading: &str, text: &str) -> io::Result<()> {
    writeln!(page, ".SH {}\n.nf", heading.to_uppercase())?;
    for line in text.lines() {
        // `\&` keeps a first dot or quote from being a request; `\-` is the hyphen one can copy and
        // type.
        let line = line
            .replace('\\', r"\e")
            .replace('-', r"\-")
            .replace('\'', r"\(aq")
            .replace('`', r"\(ga");
        writeln!(page, r"\&{line}")?;
    }
    writeln!(page, ".fi")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        String::from_utf8(page().expect("a page")).expect("text")
    }

    #[test]
    fn the_page_has_every_flag_and_every_section() {
        let page = text();
        let mut cli = Cli::command();
        cli.build();
        let named = |name| cli.find_subcommand(name).expect("a command");
        let commands = ["run", "fetch"].map(named);
        let all = commands.iter().flat_map(|command| command.get_arguments());
        let shown = all.filter(|arg| !arg.is_hide_set());
        for name in shown.filter_map(clap::Arg::get_long) {
            let written = format!(r"\-\-{}", name.replace('-', r"\-"));
            assert!(page.contains(&written), "{name}");
        }
        for (heading, _) in SECTIONS {
            assert!(
                page.contains(&format!(".SH {}\n", heading.to_uppercase())),
                "{heading}"
            );
        }
    }

    #[test]
    fn no_line_of_a_section_is_taken_for_a_request() {
        let mut page = Vec::new();
        section(&mut page, "X", ".dot\n'quote\n\\n -k `a`").expect("a section");
        let page = String::from_utf8(page).expect("text");
        assert_eq!(
            page,
            ".SH X\n.nf\n\\&.dot\n\\&\\(aqquote\n\\&\\en \\-k \\(gaa\\(ga\n.fi\n"
        );
    }
}
