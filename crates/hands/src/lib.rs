//! Do many things at once.
mod cgroup;
pub mod command;
pub mod context;
mod cores;
mod init;
mod primitive;
pub mod queue;
pub mod sync;
pub mod thread;

pub use cores::cores;
pub use init::{Guard, init};
