//! What the definitions of our own flags say, and the configuration files.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::fetch::FetchFlags;
use super::run::RunFlags;

/// The words of a configuration file; none, if there is no such file.
pub(super) fn configured(name: &str) -> Result<Vec<OsString>, String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = set("XDG_CONFIG_HOME").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(set("HOME")?).join(".config")));
    let Some(path) = folder.map(|folder| folder.join("hands").join(name)) else {
        return Ok(Vec::new());
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("`{}`: {error}", path.display())),
    };
    options(&text).map_err(|line| {
        format!(
            "`{}`, line {line}: write an option, as on the command line: `--dir out`",
            path.display()
        )
    })
}

/// An option a line, its value behind white space or `=`. `Err`: the number of a line that is none.
pub(super) fn options(text: &str) -> Result<Vec<OsString>, usize> {
    let mut words = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.starts_with('-') {
            return Err(number);
        }
        match line.split_once(char::is_whitespace) {
            Some((name, value)) => {
                words.extend([name.into(), value.trim().trim_matches('"').into()])
            }
            None => words.push(line.into()),
        }
    }
    Ok(words)
}

/// What our flags say of one of our commands.
pub(super) struct Definitions(pub(super) clap::Command);

impl Definitions {
    pub(super) fn of_fetch() -> Definitions {
        Definitions(FetchFlags::augment_args(clap::Command::new("fetch")))
    }

    pub(super) fn of_run() -> Definitions {
        Definitions(RunFlags::augment_args(clap::Command::new("run")))
    }

    fn find(&self, word: &str) -> Option<&clap::Arg> {
        let is_it = |arg: &&clap::Arg| match word.strip_prefix("--") {
            Some(name) => {
                arg.get_long() == Some(name)
                    || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
            }
            None => {
                let letter = word.chars().nth(1);
                word.chars().count() == 2
                    && letter.is_some_and(|letter| {
                        arg.get_short() == Some(letter)
                            || arg
                                .get_all_short_aliases()
                                .is_some_and(|all| all.contains(&letter))
                    })
            }
        };
        self.0.get_arguments().find(is_it)
    }

    pub(super) fn knows(&self, word: &str) -> bool {
        self.find(word).is_some()
    }

    /// Whether its value may be the next word.
    pub(super) fn takes_value(&self, word: &str) -> bool {
        let found = self.find(word);
        found.is_some_and(|arg| arg.get_action().takes_values() && !arg.is_require_equals_set())
    }
}
