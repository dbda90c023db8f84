//! The rules of a batch: when to start a job, how long it may run, whether to try again, when to
//! stop, what to exit with.
//!
//! Decisions only. Nothing here waits, starts or kills anything: the engine asks, and acts on the
//! answer. So each rule is one small type that is parsed from the words users of GNU parallel know,
//! and can be tested without a process.
//!
//! | question | rule as given | what the engine asks |
//! |---|---|---|
//! | how many at once? | [`Slots`] | [`Slots::resolve`] once |
//! | may another start now? | [`Load`], a size | [`LoadGate::allows`], [`MemFreeGate::allows`] |
//! | how long may a job run? | [`Timeout`] | [`TimeLimit::limit`] at each start |
//! | try a failed job again? | [`Retries`] | [`Retries::delay_before`] |
//! | stop the batch? | [`Halt`] | [`HaltState::observe`] at each end |
//! | what to exit with? | | [`exit_code`], [`HaltState::exit_code`] |

mod error;
mod exit;
mod halt;
mod load;
mod median;
mod memfree;
mod retries;
mod slots;
mod timeout;
mod units;

pub use error::InvalidRule;
pub use exit::{MAX_COUNTED_FAILURES, exit_code};
pub use halt::{Halt, HaltCount, HaltOn, HaltState, HaltWhen};
pub use load::{Load, LoadGate};
pub use median::Median;
pub use memfree::MemFreeGate;
pub use retries::Retries;
pub use slots::{Room, Slots};
pub use timeout::{TimeLimit, Timeout};
pub use units::{parse_duration, parse_size};

/// May another job start now?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Start it.
    Start,
    /// Not yet; ask again in a moment.
    Wait {
        /// Why not, in words to show a user: `load is 9, limit 8`.
        why: String,
    },
}
