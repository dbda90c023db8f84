//! What this machine offers, and what this process may use of it: cores, memory, idle time, control groups.
//!
//! Everything here is read from the kernel when it is asked for. A limit that a container or a service manager has set counts as the
//! machine's own.

pub mod cgroup;
mod cores;
mod idle;
mod memory;
mod spin;

pub use cores::cores;
pub use idle::IdleCores;
pub use memory::{Available, AvailableMemory, Bytes};
pub(crate) use spin::Spin;
