//! How much of its stack a thread has left.

use std::cell::Cell;

/// A task gets no less than this, or than half of a stack that is smaller than twice of it.
const ENOUGH: usize = 1 << 20;

thread_local! {
    /// The lowest address of this thread's stack, and its size; zeros where that is not known.
    static STACK: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// Whether the calling thread's stack has room for another task on top of what is there: half of it, or 1 MiB.
pub(crate) fn has_room() -> bool {
    let (lowest, size) = STACK.get().unwrap_or_else(|| {
        let stack = bounds().unwrap_or_default();
        STACK.set(Some(stack));
        stack
    });
    let marker = 0_u8;
    let here = std::ptr::from_ref(&marker).addr();
    // Elsewhere than on the stack, as under some sanitizers: then nothing is known.
    let left = here.checked_sub(lowest).filter(|left| *left <= size);
    left.is_some_and(|left| left >= ENOUGH.min(size / 2))
}

/// The lowest address and the size of the calling thread's stack.
fn bounds() -> Option<(usize, usize)> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: `pthread_self` has no preconditions.
    let own = unsafe { libc::pthread_self() };
    // SAFETY: the calling thread lives, and the attributes are written before they are read, if this succeeds.
    if unsafe { libc::pthread_getattr_np(own, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let mut lowest = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: the attributes were initialised by the call above; both out-pointers are to locals of the right types.
    let got = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &mut lowest, &mut size) };
    // SAFETY: they were initialised above, and are not used any more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    (got == 0).then(|| (lowest.addr(), size))
}

#[cfg(test)]
mod tests {
    use super::has_room;

    #[inline(never)]
    fn depth(deep: usize) -> usize {
        let frame = [0_u8; 1024];
        std::hint::black_box(&frame);
        if has_room() { depth(deep + 1) } else { deep }
    }

    #[test]
    fn half_of_a_small_stack_is_used() {
        let small = std::thread::Builder::new().stack_size(256 << 10);
        let deep = small.spawn(|| depth(0)).unwrap().join().unwrap();
        assert!((10..128).contains(&deep), "{deep}");
    }
}
