//! Subprocesses, one or a million.
pub mod batch;
mod builder;
mod child;
mod engine;
pub(crate) mod environ;
mod error;
#[cfg(test)]
mod hang_up;
pub mod input;
pub mod joblog;
mod mark;
mod output;
mod pipeline;
pub mod records;
mod resolve;
mod run;
pub(crate) mod sys;
pub mod template;

pub use self::builder::{Command, Stdin, find_program};
pub use self::child::{Child, ChildStdin, ChildStdout};
pub use self::engine::Stream;
pub use self::error::{CommandError, SpawnReason};
pub use self::output::Output;
pub use self::pipeline::{Pipeline, PipelineOutput};
pub use self::sys::host::{
    keep_exit_codes, keep_file_limit_errors, raise_descriptor_limit, room_for_arguments,
    signal_is_ignored,
};
