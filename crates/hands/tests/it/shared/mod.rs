//! What several processes share.

#[cfg(feature = "faults")]
mod faults;
mod locks;
mod memory;
mod queue;
