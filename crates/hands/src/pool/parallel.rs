//! Going through a range or a slice with all workers at once.
//!
//! What is left lies behind one lock; each worker, and the caller, cuts a part off again and again,
//! smaller ones towards the end. So a thread that is faster does more, and all are done at about
//! the same time: guided self-scheduling (C. D. Polychronopoulos and D. J. Kuck, *Guided
//! Self-Scheduling*, IEEE Transactions on Computers, 1987). It costs one lock a part, some dozens
//! of parts a worker. Halves on stacks, as in [`join`](super::join), were no faster and are for
//! work whose shape nobody knows.

use parking_lot::Mutex;

use super::crew::Crew;
use super::scope::scope_in;
use super::split::Split;
use std::sync::Arc;

/// Calls `each` for parts of the whole, on all workers, until nothing is left.
pub(super) fn in_parts<S, F>(crew: &Arc<Crew>, whole: S, each: F)
where
    S: Split,
    F: Fn(S) + Sync,
{
    let workers = crew.wanted().max(1);
    let least = 1.max(whole.length() / workers / 64);
    let left = Mutex::new(Some(whole));
    let cut = || {
        let mut left = left.lock();
        let whole = left.take()?;
        let count = whole.length();
        let part = (count / workers / 2).max(least);
        if count <= part {
            return Some(whole).filter(|_| count > 0);
        }
        let (part, others) = whole.split_at(part);
        *left = Some(others);
        Some(part)
    };
    let go = || {
        while let Some(part) = cut() {
            each(part);
        }
    };
    scope_in(crew, |scope| {
        // Borrowed, so that each task is one word.
        let go = &go;
        let own = crew.is_own_thread();
        // One that waits here works as well; one from elsewhere would take a worker's core.
        for _ in usize::from(own)..workers {
            scope.execute(go);
        }
        if own {
            go();
        }
    });
}
