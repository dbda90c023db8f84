//! A pool whose workers are elsewhere.
