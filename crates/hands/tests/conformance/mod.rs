//! Suites that every backend must pass, whatever it is made of.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

#[macro_use]
pub(crate) mod lock;
#[cfg(feature = "async")]
#[macro_use]
pub(crate) mod coroutine_pool;
#[macro_use]
pub(crate) mod pool;
#[macro_use]
pub(crate) mod queue;
