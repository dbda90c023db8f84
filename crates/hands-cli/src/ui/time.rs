//! Times as people write them.

use std::time::Duration;

/// A length of time as people write it: `0.25s`, `12.3s`, `3m07s`.
pub(crate) fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds >= 60 {
        return format!("{}m{:02}s", seconds / 60, seconds % 60);
    }
    format!("{:.2}s", time.as_secs_f64())
}

/// `7s`, `3m07s`, `2h05m`.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}
