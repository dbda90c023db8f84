//! The promises of a cluster, proved against a real server.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

#[macro_use]
mod conformance;
mod examples;
mod faults;
mod feed;
mod partition;
mod pool;
mod queue;
mod rights;
mod server;
#[path = "../../../hands/tests/it/support.rs"]
#[allow(dead_code, reason = "each crate's tests use a part of it")]
mod support;

hands::entry!();

/// Not a test: the stage on which [`support::Scene`] plays, empty unless one is named.
#[test]
fn scene() {
    support::play(&[faults::SCENES]);
}
