//! Subprocesses, one or a million.
pub mod input;
pub mod joblog;
pub mod records;
pub mod template;
