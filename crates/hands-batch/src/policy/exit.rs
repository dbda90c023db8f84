//! What a batch exits with.

/// The largest number of failed jobs an exit code says exactly.
pub const MAX_COUNTED_FAILURES: u8 = 100;

/// The exit code of a batch in which `failed` jobs failed: that number up to 100, and 101 for any
/// more.
///
/// ```
/// use hands_batch::policy::exit_code;
/// assert_eq!(exit_code(0), 0);
/// assert_eq!(exit_code(100), 100);
/// assert_eq!(exit_code(70_000), 101);
/// ```
#[must_use]
pub fn exit_code(failed: u64) -> u8 {
    u8::try_from(failed)
        .unwrap_or(u8::MAX)
        .min(MAX_COUNTED_FAILURES + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_to_a_hundred_and_no_further() {
        let codes = [0, 1, 99, 100, 101, 102, 255, 256, u64::MAX].map(exit_code);
        assert_eq!(codes, [0, 1, 99, 100, 101, 101, 101, 101, 101]);
    }
}
