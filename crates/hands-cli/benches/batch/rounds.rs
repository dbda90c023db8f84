//! All programs on one workload, taking turns: what disturbs the machine for a while disturbs them
//! alike.

use std::fs;
use std::io;

use super::floor;
use super::measure::{self, Sample, Streams};
use super::program::{Inputs, Program, Which};
use super::shared::{at_turn, tell};
use super::workload::{Kind, LINES_A_JOB, Workload};

/// One program on one workload.
pub(crate) struct Outcome {
    pub(crate) program: &'static str,
    /// One sample a round; or how it failed, and then it did not go on.
    pub(crate) samples: Result<Vec<Sample>, String>,
}

/// A workload and all who did it.
pub(crate) struct Results {
    pub(crate) workload: Workload,
    pub(crate) outcomes: Vec<Outcome>,
}

/// Runs every program `runs` times, after a trial that shows whether it does what is measured.
pub(crate) fn measure(
    workload: &Workload,
    programs: &[Program],
    runs: usize,
) -> io::Result<Results> {
    let course = Course::new(workload, programs)?;
    let mut outcomes = Vec::new();
    let mut takers = Vec::new();
    for program in programs.iter().filter(|program| course.can_take(program)) {
        tell(&format!("{}: trying {}", workload.name, program.name));
        outcomes.push(Outcome {
            program: program.name,
            samples: course.trial(program)?.map(|()| Vec::new()),
        });
        takers.push(program);
    }
    for round in 0..runs {
        for turn in 0..takers.len() {
            let at = at_turn(turn, round, takers.len());
            let Ok(samples) = &mut outcomes[at].samples else {
                continue;
            };
            tell(&format!(
                "{}: round {} of {runs}, {}",
                workload.name,
                round + 1,
                takers[at].name
            ));
            match course.round(takers[at])? {
                Ok(sample) => samples.push(sample),
                Err(how) => outcomes[at].samples = Err(how),
            }
        }
    }
    tell("");
    Ok(Results {
        workload: *workload,
        outcomes,
    })
}

/// A workload's files.
struct Course {
    workload: Workload,
    inputs: Inputs,
    /// A smaller workload of the same kind, and its files.
    trial: Workload,
    trial_inputs: Inputs,
    streams: Streams,
    _directories: [tempfile::TempDir; 2],
}

impl Course {
    fn new(workload: &Workload, programs: &[Program]) -> io::Result<Self> {
        let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
        let [full, small] = [directories[0].path(), directories[1].path()];
        let few = if workload.kind == Kind::Lines {
            2 * LINES_A_JOB + 1
        } else {
            200
        };
        let trial = Workload {
            lines: workload.lines.min(few),
            ..*workload
        };
        let make = workload.kind != Kind::Lines
            && programs.iter().any(|program| program.which == Which::Make);
        Ok(Self {
            workload: *workload,
            inputs: Inputs::write(full, workload.lines, make)?,
            trial,
            trial_inputs: Inputs::write(small, trial.lines, make)?,
            streams: Streams::in_directory(full),
            _directories: directories,
        })
    }

    fn can_take(&self, program: &Program) -> bool {
        match program.which {
            // It captures nothing, and its memory is that of this process.
            Which::Floor => matches!(self.workload.kind, Kind::True | Kind::One),
            _ => program
                .command(&self.workload, &self.inputs, false)
                .is_some(),
        }
    }

    /// Has the program echo its inputs: nobody is fast by not running the jobs.
    fn trial(&self, program: &Program) -> io::Result<Result<(), String>> {
        let Some(command) = program.command(&self.trial, &self.trial_inputs, true) else {
            return Ok(Ok(()));
        };
        let ran = measure::run(command, &self.trial_inputs.lines, &self.streams, false)?;
        Ok(match ran {
            Ok(_) => self.check_output(program, &self.trial)?,
            Err(how) => Err(how),
        })
    }

    fn round(&self, program: &Program) -> io::Result<Result<Sample, String>> {
        let mut samples = Vec::with_capacity(self.workload.repeats);
        for _ in 0..self.workload.repeats {
            match self.once(program)? {
                Ok(sample) => samples.push(sample),
                Err(how) => return Ok(Err(how)),
            }
        }
        samples.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        Ok(Ok(samples[samples.len() / 2]))
    }

    fn once(&self, program: &Program) -> io::Result<Result<Sample, String>> {
        let Some(command) = program.command(&self.workload, &self.inputs, false) else {
            return measure::timed(|| floor::run(self.workload.jobs()))
                .map(|((), sample)| Ok(sample));
        };
        let memory = self.workload.measures_memory();
        let sample = match measure::run(command, &self.inputs.lines, &self.streams, memory)? {
            Ok(sample) => sample,
            Err(how) => return Ok(Err(how)),
        };
        let checked = if self.workload.kind == Kind::Ordered {
            self.check_output(program, &self.workload)?
        } else {
            Ok(())
        };
        Ok(checked.map(|()| sample))
    }

    /// Each input must have come back once and, where order was asked for, in order.
    fn check_output(
        &self,
        program: &Program,
        workload: &Workload,
    ) -> io::Result<Result<(), String>> {
        let text = fs::read_to_string(&self.streams.stdout)?;
        let mut numbers: Vec<u64> = text
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let found = numbers.len();
        if workload.kind != Kind::Ordered || !program.keeps_order() {
            numbers.sort_unstable();
        }
        if numbers.into_iter().eq(1..=workload.lines) {
            return Ok(Ok(()));
        }
        let wrong = if found as u64 == workload.lines {
            "out of order or mixed up"
        } else {
            "not complete"
        };
        Ok(Err(format!(
            "output {wrong}: {found} of {} inputs",
            workload.lines
        )))
    }
}
