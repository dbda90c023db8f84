//! Processes that a finished job has left in its group, in the background, with its output
//! redirected.
//!
//! A batch waits for them at its end, briefly, because a shell's `> >(gzip)` is one, and then ends
//! them. A process that made its own session has said that it means to stay, and is let go.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::tree;

/// How long they may go on by themselves, and then how long after TERM.
const BY_THEMSELVES: Duration = Duration::from_secs(2);
const AFTER_TERM: Duration = Duration::from_millis(500);

/// Ends the processes of `groups` whose environment holds `mark`; returns how many had to be
/// signalled.
pub fn end(mark: &[u8], groups: &[Pid]) -> usize {
    if groups.is_empty() || outlast(mark, groups, BY_THEMSELVES, None) == 0 {
        return 0;
    }
    let count = outlast(mark, groups, AFTER_TERM, Some(Signal::TERM));
    outlast(mark, groups, AFTER_TERM, Some(Signal::KILL));
    count
}

/// Signals the processes, waits for them to end, and returns how many there were.
fn outlast(mark: &[u8], groups: &[Pid], patience: Duration, signal: Option<Signal>) -> usize {
    let mut alive: Vec<OwnedFd> = tree::members(groups, mark)
        .into_iter()
        .filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        .collect();
    let count = alive.len();
    for process in &alive {
        if let Some(signal) = signal {
            // It may have ended by itself; a pidfd never means another process.
            let _ = pidfd_send_signal(process, signal);
        }
    }
    let until = Instant::now() + patience;
    while !alive.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else {
            break;
        };
        let mut polled: Vec<PollFd<'_>> = alive
            .iter()
            .map(|process| PollFd::new(process, PollFlags::IN))
            .collect();
        if matches!(poll(&mut polled, Some(&timeout)), Ok(0)) {
            break;
        }
        let ended: Vec<bool> = polled
            .iter()
            .map(|process| !process.revents().is_empty())
            .collect();
        let mut ended = ended.into_iter();
        alive.retain(|_| !ended.next().unwrap_or(false));
    }
    if signal.is_none() { alive.len() } else { count }
}
