//! The promises of a batch, proved against real processes.
//!
//! [`support`] is that of the library's own tests: scenes, by which a test runs a part of itself in
//! a process of its own.

mod batch;
mod faults;
mod recorder;
#[path = "../../../hands/tests/it/support.rs"]
#[allow(dead_code, reason = "each crate's tests use a part of it")]
mod support;

hands::entry!();

/// Not a test: the stage on which [`support::Scene`] plays, empty unless one is named.
#[test]
fn scene() {
    support::play(&[batch::SCENES, faults::SCENES]);
}
