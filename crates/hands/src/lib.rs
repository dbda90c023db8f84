//! Do many things at once.
pub mod command;
