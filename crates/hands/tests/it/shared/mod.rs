//! What several processes share.

mod locks;
mod memory;
