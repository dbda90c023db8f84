//! Many commands at once: one event loop, no thread, any number of jobs.
//!
//! [`Batch`] holds the rules, [`Work`] says what there is to do, an [`Observer`] hears what
//! happens, a [`Control`] stops it from outside. `hands run` is a thin program over these.
//!
//! | file | what it does |
//! |---|---|
//! | `builder` | [`Batch`] and its [`Summary`] |
//! | `work` | [`Work`], [`Job`]: what to run |
//! | `schedule` | the loop: who starts when, what becomes of who has ended |
//! | `collate`, `hold`, `sink` | outputs kept apart, kept waiting, and written without blocking |
//! | `observer`, `control` | the two ways between a batch and its owner |
//! | `sizer` | how many at once are of use |
//! | `elsewhere` | [`Elsewhere`]: jobs on other machines |
//! | [`policy`] | decisions without side effects: slots, load, time-outs, retries, halting |
#![forbid(unsafe_code)]

mod builder;
mod collate;
mod control;
mod elsewhere;
mod error;
#[cfg(test)]
mod hang_up;
mod hold;
pub mod input;
pub mod joblog;
mod observer;
pub mod policy;
pub mod records;
mod results;
mod schedule;
mod sink;
mod sizer;
pub mod template;
mod work;

pub use self::builder::{Batch, Grouping, Summary, TerminalUse};
pub use self::control::{Control, Stop};
pub use self::elsewhere::{Elsewhere, ElsewhereEnd, ElsewhereError, ElsewhereEvent, ElsewhereJob};
pub use self::error::BatchError;
pub use self::observer::{
    BatchProgress, Finished, Notice, Observer, Outcome, RunningView, Started,
};
pub use self::sink::Sink;
pub use self::sizer::BatchSizer;
pub use self::work::{Commands, Job, JobPlace, Work, WorkError};
