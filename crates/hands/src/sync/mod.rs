//! Locks and signals between threads and between coroutines.
