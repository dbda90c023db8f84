//! Do many things at once.
mod cgroup;
pub mod command;
mod cores;
pub mod sync;

pub use cores::cores;
