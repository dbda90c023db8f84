//! Do many things at once.
mod cgroup;
pub mod command;
mod cores;
mod primitive;
pub mod queue;
pub mod sync;

pub use cores::cores;
