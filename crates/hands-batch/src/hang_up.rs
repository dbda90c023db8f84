//! For tests: a pipe whose other end is closed for certain.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

/// Closes one end of a pipe and waits until the other end has noticed. A child that another test is
/// just starting has a copy of each of our descriptors until it executes its program.
pub(crate) fn hang_up<T>(end: T, other: impl AsFd) {
    drop(end);
    // Without a wish: hang-ups and errors are always told.
    poll(&mut [PollFd::new(&other, PollFlags::empty())], None).expect("poll");
}
