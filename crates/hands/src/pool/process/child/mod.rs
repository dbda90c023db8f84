//! A worker's life, in its own process. The pool's side knows of it where it begins, and nothing else.
//!
//! | file | what it does |
//! |---|---|
//! | `worker` | takes requests, runs them one at a time, replies |
//! | `coroutines` | the same with many at a time |
//! | `call` | what is called in the place of a task's function |
//! | `state` | what a worker keeps from task to task |
//! | `tokens` | the cancel token of the task that runs |
//! | `capture` | what a task writes to stderr, kept for it |

pub(super) mod call;
pub(super) mod capture;
#[cfg(feature = "async")]
pub(super) mod coroutines;
pub(super) mod state;
mod tokens;
pub(super) mod worker;
