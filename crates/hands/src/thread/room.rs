//! How much of its stack a thread has left.

use std::cell::Cell;

/// A task gets no less than this, or than half of a stack that is smaller than twice of it.
const ENOUGH: usize = 1 << 20;

thread_local! {
    /// What this thread had left when it was first asked: for a worker, nearly all of its stack.
    static FIRST: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Whether the calling thread's stack has room for another task on top of what is there: half of
/// it, or 1 MiB.
pub(crate) fn has_room() -> bool {
    let Some(left) = stacker::remaining_stack() else {
        return false;
    };
    let first = FIRST.get().unwrap_or_else(|| {
        FIRST.set(Some(left));
        left
    });
    left >= ENOUGH.min(first / 2)
}

#[cfg(test)]
mod tests {
    use super::has_room;

    /// Goes as deep as there is room, and returns what is left then.
    #[inline(never)]
    fn deepest() -> usize {
        let frame = [0_u8; 1024];
        std::hint::black_box(&frame);
        match has_room() {
            true => std::hint::black_box(deepest()),
            false => stacker::remaining_stack().unwrap(),
        }
    }

    #[test]
    fn half_of_a_small_stack_is_used() {
        let small = std::thread::Builder::new().stack_size(256 << 10);
        let measured = small.spawn(|| (stacker::remaining_stack().unwrap(), deepest()));
        let (first, left) = measured.unwrap().join().unwrap();
        assert!(first <= 256 << 10, "{first}");
        // As exactly as the frames are small.
        assert!(
            (first / 2 - (16 << 10)..=first / 2).contains(&left),
            "{left} of {first}"
        );
    }
}
