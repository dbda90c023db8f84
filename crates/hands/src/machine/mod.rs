//! What this machine offers, and what this process may use of it: cores, memory, idle time, control
//! groups.
//!
//! Everything here is read from the kernel when it is asked for. A limit that a container or a
//! service manager has set counts as the machine's own.

pub mod cgroup;
mod cores;
mod file_limit;
mod idle;
mod memory;
mod spin;

pub use cores::cores;
pub use file_limit::with_file_limit_as_error;
pub use idle::IdleCores;
pub use memory::{Available, AvailableMemory, ByteCount};
pub(crate) use spin::Spin;
