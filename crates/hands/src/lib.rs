//! Do many things at once.
mod cgroup;
pub mod command;
mod cores;

pub use cores::cores;
