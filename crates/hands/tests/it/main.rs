//! The promises of the library, proved against real processes and real threads.
//!
//! One binary for all of them: [`support`] has what they share, above all *scenes*, by which a test
//! runs a part of itself in a process of its own (to be killed, starved, or counted without the
//! noise of other tests).

#[path = "../conformance/mod.rs"]
#[macro_use]
mod conformance;

mod command;
mod examples;
mod pipeline;
mod pool;
mod process;
mod queue;
mod shared;
#[allow(dead_code, reason = "each crate's tests use a part of it")]
mod support;
mod sync;
mod thread;

hands::entry!();

/// Not a test: the stage on which [`support::Scene`] plays, empty unless one is named.
#[test]
fn scene() {
    support::play(&[
        command::SCENES,
        pool::SCENES[0],
        pool::SCENES[1],
        #[cfg(feature = "diagnose")]
        sync::diagnose::SCENES,
        process::SCENES,
        thread::SCENES,
    ]);
}
