//! Many commands at once.
pub mod policy;
