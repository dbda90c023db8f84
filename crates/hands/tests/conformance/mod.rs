//! Suites that every backend must pass, whatever it is made of.

#[macro_use]
pub(crate) mod queue;
