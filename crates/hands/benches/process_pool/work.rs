//! What tasks do, and the pauses between them.

use std::time::{Duration, Instant};

/// Longer than anybody looks for work before it sleeps.
pub(crate) const PAUSE: Duration = Duration::from_millis(2);
/// Longer than anybody looks for a result before it sleeps.
pub(crate) const LONG: Duration = Duration::from_micros(300);

pub(crate) fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// Has a core busy for so long.
pub(crate) fn compute(time: Duration) {
    if time.is_zero() {
        return;
    }
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}
