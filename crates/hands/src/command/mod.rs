//! Subprocesses, one or a million.
mod builder;
mod child;
#[doc(hidden)]
pub mod engine;
pub(crate) mod environ;
mod error;
mod mark;
mod output;
mod pipeline;
mod resolve;
mod run;
pub(crate) mod sys;

pub use self::builder::{Command, Stdin, find_program};
pub use self::child::{Child, ChildStdin, ChildStdout};
pub use self::engine::OutputStream;
pub use self::error::{CommandError, SpawnReason};
pub use self::output::Output;
pub use self::pipeline::{Pipeline, PipelineOutput};
pub use self::sys::host::{
    keep_exit_codes, keep_file_limit_errors, raise_descriptor_limit, room_for_arguments,
    signal_is_ignored,
};
