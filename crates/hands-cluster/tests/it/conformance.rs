//! The suites of the library, which every backend must pass.
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

#[path = "../../../hands/tests/conformance/pool.rs"]
#[macro_use]
pub(crate) mod pool;
#[path = "../../../hands/tests/conformance/queue.rs"]
#[macro_use]
pub(crate) mod queue;
