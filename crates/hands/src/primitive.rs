//! The locks, atomics and threads that `queue` and `sync` are built on; with `--cfg hands_loom`,
//! those of the model checker.
//!
//! **Invariant:** whatever a model is to see goes through here. A `std` lock inside a model is a
//! lock it cannot reorder.

#[cfg(not(hands_loom))]
mod real {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    pub(crate) use std::thread::{Thread, current, park, park_timeout};

    pub(crate) use parking_lot::{Mutex, MutexGuard};

    /// Waits behind a lock for what changes under it.
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(parking_lot::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Condvar {
            Condvar::default()
        }

        pub(crate) fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(&mut guard);
            guard
        }

        /// Whether the time was up, too.
        pub(crate) fn wait_until<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            until: std::time::Instant,
        ) -> (MutexGuard<'a, T>, bool) {
            let timed_out = self.0.wait_until(&mut guard, until).timed_out();
            (guard, timed_out)
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    /// What somebody has to themselves by a protocol of their own.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        pub(crate) fn with_mut<R>(&self, run: impl FnOnce(*mut T) -> R) -> R {
            run(self.0.get())
        }

        pub(crate) fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }
}

#[cfg(hands_loom)]
mod model {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, Ordering, fence};
    pub(crate) use loom::thread::{Thread, current, park};

    /// The model checker takes `SeqCst` for `AcqRel`, but knows fences: with one between any two of
    /// them all threads agree on the order of these operations, as they do on that of the real
    /// ones.
    macro_rules! atomic {
        ($name:ident: $number:ty) => {
            #[derive(Debug, Default)]
            pub(crate) struct $name {
                value: loom::sync::atomic::$name,
                sleepers: loom::sync::Mutex<()>,
                woken: loom::sync::Condvar,
            }

            #[allow(dead_code, reason = "not all are used of each")]
            impl $name {
                pub(crate) fn new(value: $number) -> $name {
                    $name {
                        value: loom::sync::atomic::$name::new(value),
                        ..$name::default()
                    }
                }

                pub(crate) fn load(&self, order: Ordering) -> $number {
                    agreed(order, || self.value.load(order))
                }

                pub(crate) fn store(&self, value: $number, order: Ordering) {
                    agreed(order, || self.value.store(value, order));
                }

                pub(crate) fn swap(&self, value: $number, order: Ordering) -> $number {
                    agreed(order, || self.value.swap(value, order))
                }

                pub(crate) fn fetch_add(&self, value: $number, order: Ordering) -> $number {
                    agreed(order, || self.value.fetch_add(value, order))
                }

                pub(crate) fn fetch_sub(&self, value: $number, order: Ordering) -> $number {
                    agreed(order, || self.value.fetch_sub(value, order))
                }

                pub(crate) fn fetch_or(&self, value: $number, order: Ordering) -> $number {
                    agreed(order, || self.value.fetch_or(value, order))
                }

                pub(crate) fn fetch_and(&self, value: $number, order: Ordering) -> $number {
                    agreed(order, || self.value.fetch_and(value, order))
                }

                pub(crate) fn fetch_xor(&self, value: $number, order: Ordering) -> $number {
                    agreed(order, || self.value.fetch_xor(value, order))
                }

                pub(crate) fn fetch_max(&self, value: $number, order: Ordering) -> $number {
                    agreed(order, || self.value.fetch_max(value, order))
                }

                pub(crate) fn compare_exchange(
                    &self,
                    from: $number,
                    to: $number,
                    had: Ordering,
                    not: Ordering,
                ) -> Result<$number, $number> {
                    agreed(had, || self.value.compare_exchange(from, to, had, not))
                }

                pub(crate) fn compare_exchange_weak(
                    &self,
                    from: $number,
                    to: $number,
                    had: Ordering,
                    not: Ordering,
                ) -> Result<$number, $number> {
                    self.compare_exchange(from, to, had, not)
                }

                pub(crate) fn fetch_update(
                    &self,
                    set: Ordering,
                    got: Ordering,
                    update: impl FnMut($number) -> Option<$number>,
                ) -> Result<$number, $number> {
                    agreed(set, || self.value.fetch_update(set, got, update))
                }

                /// As the kernel does for a thread that sleeps at a word: it looks, and puts to
                /// sleep, under a lock of its own, behind a fence.
                pub(crate) fn sleep(&self, seen: $number) {
                    let held = self.sleepers.lock().expect("a panic ends the model anyway");
                    fence(Ordering::SeqCst);
                    if self.value.load(Ordering::SeqCst) == seen {
                        drop(self.woken.wait(held));
                    }
                }

                pub(crate) fn wake(&self) {
                    fence(Ordering::SeqCst);
                    drop(self.sleepers.lock());
                    self.woken.notify_all();
                }
            }
        };
    }

    atomic!(AtomicU32: u32);
    atomic!(AtomicU64: u64);
    atomic!(AtomicUsize: usize);

    /// A fence before it, and none behind: what comes behind and is weaker may be done before it,
    /// as on real processors.
    fn agreed<T>(order: Ordering, run: impl FnOnce() -> T) -> T {
        if order == Ordering::SeqCst {
            loom::sync::atomic::fence(order);
        }
        run()
    }

    /// Without poison, as the real one.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a panic ends the model anyway")
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Condvar {
            Condvar(loom::sync::Condvar::new())
        }

        pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(guard).expect("a panic ends the model anyway")
        }

        /// No time passes in a model.
        pub(crate) fn wait_until<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            _: std::time::Instant,
        ) -> (MutexGuard<'a, T>, bool) {
            (self.wait(guard), false)
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    /// No time passes in a model.
    pub(crate) fn park_timeout(_: std::time::Duration) {
        park();
    }
}

#[cfg(hands_loom)]
pub(crate) use model::*;
#[cfg(not(hands_loom))]
pub(crate) use real::*;

/// On cache lines of its own (two of 64 bytes: they are fetched in pairs), so that writers of
/// neighbours do not disturb.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> std::ops::Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
