//! The values of words and flags that have a meaning of their own.

/// Who wants to be woken by a reply, if anybody does: the pool's own thread, or somebody who waits
/// for an outcome.
pub(in crate::pool::process) const SERVICE: u32 = 1;
pub(in crate::pool::process) const JOINER: u32 = 2;

/// A flag of a reply: the worker wants to be replaced.
pub(in crate::pool::process) const TIRED: u16 = 2;
/// Another: the result is an `Err`, and the task may be tried again.
pub(in crate::pool::process) const UNWELL: u16 = 16;

/// Nanoseconds on the clock that all processes have.
pub(in crate::pool::process) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
