//! The command line of the benchmark.

use std::path::PathBuf;

const USAGE: &str = "\
usage: benches/run [batch] [--quick] [--runs N] [--only WORKLOAD]... [--hands PROGRAM] [--json FILE] [--check]

  --quick          a few jobs each, to see that everything works; the figures mean nothing
  --runs N         rounds of each workload; 5 unless given
  --only WORKLOAD  only this one: true, ordered, one, memory, lines
  --hands PROGRAM  measure this build of hands instead of the one just built
  --json FILE      write all figures there too
  --check          exit with 1 when a target is missed";

/// What to measure, and where to put it.
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) runs: usize,
    pub(crate) only: Vec<String>,
    pub(crate) hands: PathBuf,
    pub(crate) json: Option<PathBuf>,
    pub(crate) check: bool,
}

impl Options {
    /// Understands the command line; the error is what to tell the user.
    pub(crate) fn from_words(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let mut runs = None;
        let mut options = Self {
            quick: false,
            runs: 0,
            only: Vec::new(),
            hands: env!("CARGO_BIN_EXE_hands").into(),
            json: None,
            check: false,
        };
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| format!("`{word}` needs a value\n{USAGE}"))
            };
            match word.as_str() {
                "--quick" => options.quick = true,
                "--check" => options.check = true,
                "--only" => options.only.push(value()?),
                "--hands" => options.hands = value()?.into(),
                "--json" => options.json = Some(value()?.into()),
                "--runs" => {
                    let given = value()?;
                    let wrong = || format!("`--runs {given}` is not a number from 1 up\n{USAGE}");
                    runs = Some(
                        given
                            .parse()
                            .ok()
                            .filter(|&runs| runs > 0)
                            .ok_or_else(wrong)?,
                    );
                }
                // What `cargo bench` adds.
                "--bench" => {}
                "--help" | "-h" => return Err(USAGE.to_owned()),
                _ => return Err(format!("`{word}` is not an option\n{USAGE}")),
            }
        }
        options.runs = runs.unwrap_or(if options.quick { 1 } else { 5 });
        Ok(options)
    }
}
