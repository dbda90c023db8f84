//! What is measured, and what it should come to.

/// What a workload asks of a program, and what is read off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Many `/bin/true`, two at a time: the time for all.
    True,
    /// Many `/bin/echo`, two at a time, output captured and given in the order of the inputs: the
    /// time for all.
    Ordered,
    /// One `/bin/true`: the time from start to exit.
    One,
    /// As [`Kind::True`]: peak memory of the program itself.
    Memory,
    /// Many input lines for few jobs: peak memory of the program itself.
    Lines,
}

/// Input lines that one job of [`Kind::Lines`] takes.
pub(crate) const LINES_A_JOB: u64 = 1000;

/// One part of the benchmark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Input lines, numbered from 1.
    pub(crate) lines: u64,
    /// How often a round repeats it; the round's figure is the median.
    pub(crate) repeats: usize,
}

impl Workload {
    /// All of them, large enough to tell something unless `quick`.
    pub(crate) fn all(quick: bool) -> [Self; 5] {
        let size = |full: u64, small: u64| if quick { small } else { full };
        let workload = |name, kind, lines| Self {
            name,
            kind,
            lines,
            repeats: 1,
        };
        [
            workload("true", Kind::True, size(5000, 20)),
            workload("ordered", Kind::Ordered, size(5000, 20)),
            Self {
                repeats: size(40, 2) as usize,
                ..workload("one", Kind::One, 1)
            },
            workload("memory", Kind::Memory, size(5000, 20)),
            workload("lines", Kind::Lines, size(1_000_000, 5000)),
        ]
    }

    /// The words for a heading.
    pub(crate) fn title(&self) -> String {
        let lines = self.lines;
        match self.kind {
            Kind::True => format!("{lines} × `/bin/true`, two at a time"),
            Kind::Ordered => {
                format!("{lines} × `/bin/echo`, two at a time, output captured, order kept")
            }
            Kind::One => "one `/bin/true`, start to exit".to_owned(),
            Kind::Memory => format!("peak memory, {lines} × `/bin/true`"),
            Kind::Lines => format!("peak memory, {lines} input lines, {LINES_A_JOB} a job"),
        }
    }

    /// Jobs that are started.
    pub(crate) fn jobs(&self) -> u64 {
        match self.kind {
            Kind::Lines => self.lines.div_ceil(LINES_A_JOB),
            _ => self.lines,
        }
    }

    /// Whether figures are bytes of memory; seconds otherwise.
    pub(crate) fn measures_memory(&self) -> bool {
        matches!(self.kind, Kind::Memory | Kind::Lines)
    }

    /// What `program` is there to be compared with: how many times its speed hands must have.
    pub(crate) fn target_ratio(&self, program: &str) -> Option<f64> {
        match (self.kind, program) {
            (Kind::True, "floor") => Some(0.9),
            (Kind::True, "xargs" | "make" | "moreutils parallel") => Some(1.0),
            (Kind::True, "GNU parallel") => Some(9.0),
            (Kind::Ordered, "rust-parallel") => Some(1.3),
            (Kind::Ordered, "make") => Some(1.1),
            (Kind::One, "xargs") => Some(1.0),
            _ => None,
        }
    }

    /// The most memory that hands may use, in bytes.
    pub(crate) fn target_bytes(&self) -> Option<f64> {
        const MIB: f64 = 1024.0 * 1024.0;
        match self.kind {
            Kind::Memory => Some(15.0 * MIB),
            Kind::Lines => Some(20.0 * MIB),
            Kind::True | Kind::Ordered | Kind::One => None,
        }
    }
}
