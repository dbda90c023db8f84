//! Do many things at once, and keep hold of them.
//!
//! | to | see |
//! |---|---|
//! | run programs, one or a million, bounded and accounted for | [`command`] |
//! | run a function in a process of its own | [`process`] |
//! | let processes share memory, values and locks | [`shared`] |
//! | start threads with names and daemons, and know how they ended | [`thread`] |
//! | pass work from producers to consumers, and know when it is done | [`queue`] |
//! | hand tasks to a pool of workers, and get their results | [`pool`], [`task`] |
//! | lock, signal, meet and cancel, in threads and coroutines alike | [`sync`] |
//! | let values follow work into its worker | [`context`] |
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `async` | coroutines, on `tokio`: `AsyncPool`, `ProcessPool::submit_async` |
//! | `diagnose` | `sync::diagnose`: who holds which lock, deadlocks and lock-order inversions with stacks |
//! | `tracing` | work runs in the `tracing` span in which it was started |
//!
//! # Platforms
//!
//! Linux 5.4 or later.
#[cfg(not(target_os = "linux"))]
compile_error!("`hands` runs on Linux only, 5.4 or later");

mod cgroup;
pub mod command;
pub mod context;
mod cores;
#[cfg(feature = "faults")]
#[doc(hidden)]
pub mod fault;
mod foreign;
mod idle;
mod init;
pub mod pool;
mod primitive;
pub mod process;
pub mod queue;
pub mod shared;
mod spin;
pub mod sync;
pub mod task;
pub mod thread;

pub use cores::cores;
/// Begins `main` with [`init()`], and keeps its guard to the end.
///
/// ```
/// #[hands::main]
/// fn main() {
///     hands::thread::spawn(|| println!("printed, though nobody joins this thread"));
/// }
/// ```
///
/// ```compile_fail
/// #[hands::main]
/// fn other() {}
/// ```
pub use hands_macros::main;
pub use init::{Guard, init};
pub use pool::split;
