//! What the program exits with.

/// Exit codes that are no number of failed jobs. `101` and below come from the batch.
pub(crate) const INTERRUPTED: u8 = 130;
/// More than 100 jobs have failed.
pub(crate) const MANY_FAILED: u8 = 101;
/// What a shell says of a program that died of SIGPIPE: 128 + 13.
pub(crate) const NOBODY_READS: u8 = 141;
