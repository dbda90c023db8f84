//! Threads, their names, their end, and what follows them.

mod context;
mod end;
mod exit;

pub(crate) use exit::SCENES;
