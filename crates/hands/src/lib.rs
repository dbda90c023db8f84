//! Do many things at once, and keep hold of them.
//!
//! ```
//! use hands::prelude::*;
//!
//! fn sum(range: std::ops::Range<u64>) -> u64 {
//!     range.sum()
//! }
//!
//! #[hands::main] // or `hands::entry!();` where `main` is another's: under `#[tokio::main]`, in tests, in libraries
//! fn main() -> hands::Result<()> {
//!     let pool = ProcessPool::new()?; // or `ThreadPool::new()?`: the rest stays as it is
//!     let parts = hands::split(1..1_000_001, 8);
//!     let total: u64 = pool.map(sum, parts).sum::<Result<u64, _>>()?;
//!     assert_eq!(total, 500_000_500_000);
//!     Ok(())
//! }
//! ```
//!
//! [Which pool do I need?](pool#which-pool)
//!
//! | to | see |
//! |---|---|
//! | run programs, one or a million, bounded and accounted for | [`command`] |
//! | run a function in a process of its own | [`process`] |
//! | let processes share memory, values and locks | [`shared`] |
//! | start threads with names and daemons, and know how they ended | [`thread`] |
//! | pass work from producers to consumers, and know when it is done | [`queue`] |
//! | hand tasks to a pool of workers, and get their results | [`pool`], [`task`](mod@task) |
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
#![cfg_attr(docsrs, feature(doc_cfg))]
#[cfg(not(target_os = "linux"))]
compile_error!("`hands` runs on Linux only, 5.4 or later");

/// What these errors are shown as where a program's `main` returns them: their sentence.
#[doc(hidden)]
#[macro_export]
macro_rules! debug_is_sentence {
    ($($error:ty),* $(,)?) => { $(
        impl std::fmt::Debug for $error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    )* };
}

pub mod command;
pub mod context;
pub mod event;
#[cfg(feature = "faults")]
#[doc(hidden)]
pub mod fault;
mod foreign;
mod init;
pub mod machine;
pub mod pool;
mod primitive;
pub mod process;
pub mod queue;
#[cfg(feature = "cluster")]
#[doc(hidden)]
pub mod remote;
pub mod shared;
pub mod sizing;
pub mod sync;
pub mod task;
// For the programs and pages that show what others have written.
#[doc(hidden)]
pub mod text;
pub mod thread;
mod wire;

/// What most programs need, for `use hands::prelude::*;`.
pub mod prelude {
    #[cfg(feature = "async")]
    pub use crate::pool::{AsyncPool, CoroutinePool};
    pub use crate::pool::{Pool, ProcessPool, ThreadPool};
    pub use crate::queue::WorkQueue;
    pub use crate::task::{Handle, TaskError};
}

/// For `fn main() -> hands::Result<()>`: any error may be returned by `?`, and is shown as its
/// sentence.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

#[cfg(feature = "async")]
#[doc(hidden)]
pub use init::block_on_main;

/// Begins `main` with [`init()`], and keeps its guard to the end.
///
/// ```
/// #[hands::main]
/// fn main() {
///     hands::thread::spawn(|| println!("printed, though nobody joins this thread"));
/// }
/// ```
///
/// With the feature `async` it may be `async`: then it runs on a `tokio` runtime, as under
/// `#[tokio::main]`, which is started behind `init()`.
///
/// ```
/// # #[cfg(feature = "async")]
/// #[hands::main]
/// async fn main() -> hands::Result<()> {
///     let process = hands::process::spawn(|n: u64| n * n, 12)?;
///     assert_eq!(process.join_async().await?, 144);
///     Ok(())
/// }
/// # #[cfg(not(feature = "async"))]
/// # fn main() {}
/// ```
///
/// ```compile_fail
/// #[hands::main]
/// fn other() {}
/// ```
pub use hands_macros::main;
/// Lets a function run on other machines: puts it, with its full name and the hash of its
/// signature, on the list of those that a worker may call.
///
/// ```
/// #[hands::task]
/// fn square(n: u64) -> u64 {
///     n * n
/// }
///
/// #[hands::task]
/// async fn length_of(page: String) -> usize {
///     page.len()
/// }
/// ```
///
/// It has one argument (several are a tuple), captures nothing, and takes and returns what can be
/// written down:
///
/// ```compile_fail
/// #[hands::task]
/// fn add(a: u64, b: u64) -> u64 {
///     a + b
/// }
/// ```
#[cfg(feature = "cluster")]
pub use hands_macros::task;
pub use init::{Guard, init};
pub use machine::cores;
pub use pool::split;

/// The code of the pages that a new user reads first is compiled and run.
#[cfg(all(doctest, feature = "async"))]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../README.zh-CN.md")]
    struct ReadmeInChinese;

    #[doc = include_str!("../../../docs/from-python.md")]
    struct FromPython;

    #[doc = include_str!("../../../docs/from-python.zh-CN.md")]
    struct FromPythonInChinese;
}
