//! A worker's life, in its own process. The pool's side knows of it where it begins, and nothing
//! else.
//!
//! | file | what it does |
//! |---|---|
//! | `worker` | takes requests, runs them one at a time, replies |
//! | `coroutines` | the same with many at a time |
//! | `begin` | how a coroutine is begun |
//! | `call` | what is called in the place of a task's function |
//! | `state` | what a worker keeps from task to task |
//! | `tokens` | the cancel token of the task that runs |
//! | `capture` | what a task writes to stderr, kept for it |

#[cfg(feature = "async")]
mod begin;
pub(super) mod call;
pub(super) mod capture;
#[cfg(feature = "async")]
pub(super) mod coroutines;
pub(super) mod state;
mod tokens;
mod worker;

use super::protocol::message::WorkerStart;

/// A worker's whole life.
pub(super) fn serve(start: WorkerStart) {
    let Some((mut worker, _doorbell)) = worker::begin(start) else {
        return;
    };
    #[cfg(feature = "async")]
    if let Some(doorbell) = _doorbell {
        // The pool sees that it has ended, and how far it has come.
        let _ = coroutines::serve(&mut worker, doorbell.0);
        return;
    }
    worker::serve(&mut worker);
}
