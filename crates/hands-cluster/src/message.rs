//! The headers of a task and of its outcome.

use std::time::Instant;

/// The number of arguments that one task may have: what says more is no task.
pub(crate) const MOST_ARGUMENTS: u64 = 1 << 20;

/// Its name in all the cluster.
pub(crate) const ID: &str = "Hands-Id";
/// Its function, for people.
pub(crate) const NAME: &str = "Hands-Function";
/// How many arguments it has.
pub(crate) const COUNT: &str = "Hands-Count";
/// How often it is begun again when it has panicked.
pub(crate) const RETRIES: &str = "Hands-Retries";
/// How often it is begun when its worker ends under it.
pub(crate) const MOST_STARTS: &str = "Hands-Most-Starts";
/// Nanoseconds that it may run.
pub(crate) const TIMEOUT: &str = "Hands-Timeout";
/// Milliseconds since 1970, at which its time is up.
pub(crate) const DEADLINE: &str = "Hands-Deadline";
/// Of an outcome: who ran it.
pub(crate) const WORKER: &str = "Hands-Worker";
/// Of an outcome: nanoseconds that it ran.
pub(crate) const WALL: &str = "Hands-Wall";

/// A number that somebody else has written: of digits alone, and not too many.
pub(crate) fn number(text: &str) -> Option<u64> {
    let is_good = (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_good.then(|| text.parse().ok()).flatten()
}

/// The moment at which time is up, for other machines: they have another clock that starts when it
/// likes, and the same time of day.
pub(crate) fn as_time_of_day(deadline: Instant) -> Option<u128> {
    let left = deadline.saturating_duration_since(Instant::now());
    let at = std::time::SystemTime::now().checked_add(left)?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_none() {
        for bad in ["", "+1", "-1", "1e3", " 1", "99999999999999999999"] {
            assert_eq!(number(bad), None, "{bad}");
        }
        assert_eq!(
            number("9999999999999999999"),
            Some(9_999_999_999_999_999_999)
        );
    }
}
