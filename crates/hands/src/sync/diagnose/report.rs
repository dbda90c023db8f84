//! What is told of a deadlock or an inversion.

use std::backtrace::Backtrace;
use std::fmt;
use std::sync::Arc;

use super::number::{LockId, LockMode};

/// A ring of locks: threads that wait for each other, or orders that contradict each other.
#[derive(Debug)]
pub struct Report {
    pub(super) kind: ReportKind,
    pub(super) sides: Vec<ReportSide>,
}

/// What kind of ring it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportKind {
    /// Each thread waits for what the next one holds: none will ever go on.
    Deadlock,
    /// Threads have taken the same locks in contradicting orders; with other timing they would have
    /// deadlocked.
    Inversion,
}

/// One thread of the ring: what it held while it locked something else. The next side holds that.
#[derive(Debug)]
pub struct ReportSide {
    pub(super) thread: Arc<str>,
    pub(super) held: LockId,
    pub(super) held_at: Arc<Backtrace>,
    pub(super) wanted: LockId,
    pub(super) mode: LockMode,
    pub(super) wanted_at: Arc<Backtrace>,
}

impl Report {
    /// Whether it is a deadlock or a warning of one.
    pub fn kind(&self) -> ReportKind {
        self.kind
    }

    /// The ring, side by side.
    pub fn sides(&self) -> &[ReportSide] {
        &self.sides
    }
}

impl ReportSide {
    /// The thread's name.
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// What it held.
    pub fn held(&self) -> LockId {
        self.held
    }

    /// Where it had locked that.
    pub fn held_at(&self) -> &Backtrace {
        &self.held_at
    }

    /// What it locked, or tried to lock, meanwhile.
    pub fn wanted(&self) -> LockId {
        self.wanted
    }

    /// In which way.
    pub fn mode(&self) -> LockMode {
        self.mode
    }

    /// Where it did so.
    pub fn wanted_at(&self) -> &Backtrace {
        &self.wanted_at
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, holds, wants) = match self.kind {
            ReportKind::Deadlock => ("deadlock", "holds", "waits for"),
            ReportKind::Inversion => ("lock-order inversion", "held", "then locked"),
        };
        write!(f, "{name}: ")?;
        for (number, side) in self.sides.iter().enumerate() {
            let comma = if number == 0 { "" } else { "; " };
            let ReportSide {
                thread,
                held,
                wanted,
                mode,
                ..
            } = side;
            let how = match mode {
                LockMode::Exclusive => "",
                LockMode::Shared => " for reading",
                LockMode::Upgradable => " for reading that may become writing",
            };
            write!(
                f,
                "{comma}`{thread}` {holds} {held} and {wants} {wanted}{how}"
            )?;
        }
        f.write_str(match self.kind {
            ReportKind::Deadlock => "; lock them in one order everywhere, or hold one at a time",
            ReportKind::Inversion => "; this can deadlock: lock them in one order everywhere",
        })?;
        for side in &self.sides {
            let ReportSide {
                thread,
                held,
                wanted,
                ..
            } = side;
            write!(
                f,
                "\n\n`{thread}` {holds} {held}, locked at:\n{}",
                side.held_at
            )?;
            write!(f, "\n`{thread}` {wants} {wanted} at:\n{}", side.wanted_at)?;
        }
        Ok(())
    }
}
