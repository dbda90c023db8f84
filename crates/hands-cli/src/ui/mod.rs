//! What `run`, `fetch`, `sem` and `tune` share in what they show: the bar, colours, times, errors,
//! exit codes.

pub(crate) mod bar;
pub(crate) mod codes;
pub(crate) mod page;
pub(crate) mod paint;
pub(crate) mod time;
pub(crate) mod usage;
