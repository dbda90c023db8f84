//! The suites of the library, which every backend must pass.
#[path = "../../../hands/tests/conformance/pool.rs"]
#[macro_use]
pub(crate) mod pool;
#[path = "../../../hands/tests/conformance/queue.rs"]
#[macro_use]
pub(crate) mod queue;
