//! The pool's side: which worker gets which task, what comes back, and what becomes of workers.
//!
//! | file | what it does |
//! |---|---|
//! | `plan` | what the pool was asked to be |
//! | `job` | a task on its way, and what comes of it |
//! | `crew` | the queue, the workers, and how many tasks each is given at once |
//! | `worker_handle` | one worker, as the pool sees it |
//! | `inner` | the pool itself: what is submitted, given up and counted |
//! | `lead`, `tell` | who takes in replies; tasks are told of their outcomes |
//! | `end` | the pool takes nothing more, and ends |
//! | `service`, `death` | the pool's own thread: time-outs; deaths and replacements |
//! | `start` | how workers come to be |
//! | `deadlines`, `turns` | when tasks are no longer wanted; outcomes are told of in the order they were taken in |
//! | `tail`, `interrupt` | what workers write to stderr; Ctrl-C |

pub(super) mod crew;
pub(super) mod deadlines;
mod death;
mod end;
pub(super) mod inner;
pub(super) mod interrupt;
pub(super) mod job;
mod lead;
pub(super) mod plan;
pub(super) mod service;
mod start;
pub(super) mod tail;
mod tell;
mod turns;
mod worker_handle;
