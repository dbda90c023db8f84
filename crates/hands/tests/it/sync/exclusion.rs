//! Every lock, of one process and of several, passes the same suite.

use std::time::Duration;

use hands::{shared, sync};

use crate::conformance::lock::Lock;

/// A permit of a shared semaphore has no guard.
pub(crate) struct Returned<'a>(&'a shared::Semaphore);

impl Drop for Returned<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// The suite for a type: what its guard is, how one is made, and the three ways to lock.
macro_rules! lock {
    ($name:ident: $lock:ty, $held:ty, $make:expr, $wait:expr, $attempt:expr, $timed:expr) => {
        impl Lock for $lock {
            type Held<'a> = $held;

            fn make() -> Self {
                $make
            }

            fn lock(&self) -> Self::Held<'_> {
                let wait: fn(&Self) -> Self::Held<'_> = $wait;
                wait(self)
            }

            fn try_lock(&self) -> Option<Self::Held<'_>> {
                let attempt: fn(&Self) -> Option<Self::Held<'_>> = $attempt;
                attempt(self)
            }

            fn lock_timeout(&self, timeout: Duration) -> Option<Self::Held<'_>> {
                let timed: fn(&Self, Duration) -> Option<Self::Held<'_>> = $timed;
                timed(self, timeout)
            }
        }

        lock_conformance!($name, $lock);
    };
}

lock!(
    mutex: sync::Mutex<u8>,
    sync::MutexGuard<'a, u8>,
    sync::Mutex::new(0),
    |lock| lock.lock(),
    |lock| lock.try_lock(),
    |lock, timeout| lock.try_lock_for(timeout)
);
lock!(
    read_write_lock: sync::RwLock<u8>,
    sync::RwLockWriteGuard<'a, u8>,
    sync::RwLock::new(0),
    |lock| lock.write(),
    |lock| lock.try_write(),
    |lock, timeout| lock.try_write_for(timeout)
);
lock!(
    reentrant_mutex: sync::ReentrantMutex<u8>,
    sync::ReentrantMutexGuard<'a, u8>,
    sync::ReentrantMutex::new(0),
    |lock| lock.lock(),
    |lock| lock.try_lock(),
    |lock, timeout| lock.try_lock_for(timeout)
);
lock!(
    semaphore: sync::Semaphore,
    sync::Permit<'a>,
    sync::Semaphore::bounded(1),
    |lock| lock.acquire(),
    |lock| lock.try_acquire(),
    |lock, timeout| lock.acquire_timeout(timeout)
);
lock!(
    shared_mutex: shared::Mutex<u8>,
    shared::SharedMutexGuard<'a, u8>,
    shared::Mutex::new(0).expect("memory"),
    |lock| lock.lock().expect("nobody was killed"),
    |lock| lock.try_lock().ok(),
    |lock, timeout| lock.lock_timeout(timeout).ok()
);
lock!(
    shared_reentrant_mutex: shared::ReentrantMutex,
    shared::ReentrantGuard<'a>,
    shared::ReentrantMutex::new().expect("memory"),
    |lock| lock.lock().expect("nobody was killed"),
    |lock| lock.try_lock().ok(),
    |lock, timeout| lock.lock_timeout(timeout).ok()
);
lock!(
    shared_semaphore: shared::Semaphore,
    Returned<'a>,
    shared::Semaphore::new(1).expect("memory"),
    |lock| {
        lock.acquire();
        Returned(lock)
    },
    |lock| lock.try_acquire().then(|| Returned(lock)),
    |lock, timeout| lock.acquire_timeout(timeout).then(|| Returned(lock))
);
