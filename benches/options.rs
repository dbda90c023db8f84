//! The command line of the benchmark.

use std::path::PathBuf;

/// What to measure, and where to put it.
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) runs: usize,
    pub(crate) only: Vec<String>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) check: bool,
}

impl Options {
    /// Understands the command line of a benchmark that has these workloads; the error is what to tell the user.
    pub(crate) fn from_words(
        words: impl IntoIterator<Item = String>,
        benchmark: &str,
        workloads: &[&str],
    ) -> Result<Self, String> {
        let usage = usage(benchmark, workloads);
        let mut words = words.into_iter();
        let mut runs = None;
        let mut options = Self {
            quick: false,
            runs: 0,
            only: Vec::new(),
            json: None,
            check: false,
        };
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| format!("`{word}` needs a value\n{usage}"))
            };
            match word.as_str() {
                "--quick" => options.quick = true,
                "--check" => options.check = true,
                "--only" => {
                    let name = value()?;
                    if !workloads.contains(&name.as_str()) {
                        return Err(format!("`{name}` is not a workload\n{usage}"));
                    }
                    options.only.push(name);
                }
                "--json" => options.json = Some(value()?.into()),
                "--runs" => {
                    let given = value()?;
                    let wrong = || format!("`--runs {given}` is not a number from 1 up\n{usage}");
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
                "--help" | "-h" => return Err(usage),
                _ => return Err(format!("`{word}` is not an option\n{usage}")),
            }
        }
        options.runs = runs.unwrap_or(if options.quick { 1 } else { 5 });
        Ok(options)
    }
}

fn usage(benchmark: &str, workloads: &[&str]) -> String {
    format!(
        "usage: benches/run {benchmark} [--quick] [--runs N] [--only WORKLOAD]... [--json FILE] [--check]

  --quick          a few items each, to see that everything works; the figures mean nothing
  --runs N         rounds of each workload; 5 unless given
  --only WORKLOAD  only this one: {}
  --json FILE      write all figures there too
  --check          exit with 1 when a target is missed",
        workloads.join(", ")
    )
}
