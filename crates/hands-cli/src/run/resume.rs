//! What is said to the user who interrupted a batch: how to go on with it.

use crate::plan::Plan;
use crate::ui::usage;

/// Bytes of a command line that anyone would want to see repeated.
const LONGEST: usize = 2000;

/// The command line that takes the batch up again, if there is one.
#[derive(Debug)]
pub(super) struct Resumption {
    logged: bool,
    resumes: bool,
    stdin: bool,
}

impl Resumption {
    pub(super) fn new(plan: &Plan) -> Resumption {
        let log = plan.log.as_ref();
        Resumption {
            logged: log.is_some(),
            resumes: log.is_some_and(|log| log.resume.is_some()),
            stdin: reads_stdin(plan),
        }
    }

    /// The last words of an interrupted batch, in which `ended` jobs were not left to end by
    /// themselves.
    pub(super) fn told(&self, ended: u64) -> String {
        let ended = match ended {
            0 => String::new(),
            1 => " 1 running job was ended;".into(),
            count => format!(" {count} running jobs were ended;"),
        };
        if !self.logged {
            return format!(
                "hands: interrupted;{ended} with `--joblog FILE` a run can be taken up again with `--resume`\n"
            );
        }
        let same = if self.stdin {
            " (with the same input on stdin)"
        } else {
            ""
        };
        let mut line: Vec<String> = std::env::args_os()
            .map(|word| usage::quoted(&word))
            .collect();
        if !self.resumes {
            // Behind `hands run`: options stand before the command.
            line.insert(2.min(line.len()), "--resume".into());
        }
        let line = line.join(" ");
        if line.len() <= LONGEST {
            return format!(
                "hands: interrupted;{ended} to go on where it stopped{same}:\n  {line}\n"
            );
        }
        let with = if self.resumes { "" } else { " with `--resume`" };
        format!(
            "hands: interrupted;{ended} to go on where it stopped, run the same command again{with}{same}\n"
        )
    }
}

/// Whether the batch takes its inputs, or what it spreads over its jobs, from stdin.
pub(super) fn reads_stdin(plan: &Plan) -> bool {
    let named = plan.words.iter().any(|word| {
        matches!(
            word.as_encoded_bytes(),
            b":::" | b":::+" | b"::::" | b"::::+"
        )
    });
    let files = &plan.inputs.arg_files;
    let dash = files.iter().any(|file| file.as_os_str() == "-") || dash_among_files(plan);
    dash || (!named && files.is_empty())
}

/// `:::: -`
fn dash_among_files(plan: &Plan) -> bool {
    let mut files = false;
    for word in &plan.words {
        match word.as_encoded_bytes() {
            b"::::" | b"::::+" => files = true,
            b":::" | b":::+" => files = false,
            b"-" if files => return true,
            _ => {}
        }
    }
    false
}
