//! Locks around data: no deposit is lost, whichever it is.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use hands::sync::{LazyLock, Mutex, Once, OnceLock, ReentrantMutex, RwLock, Semaphore};

const THREADS: u64 = 100;
const DEPOSITS: u64 = 10_000;

/// With `diagnose`, each lock takes microseconds.
const EACH: u64 = if cfg!(feature = "diagnose") {
    DEPOSITS / 100
} else {
    DEPOSITS
};

fn deposits(deposit: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..EACH).for_each(|_| deposit()));
        }
    });
}

#[test]
fn a_mutex_loses_no_deposit() {
    let account = Mutex::new(0);
    deposits(|| *account.lock() += 1);
    assert_eq!(account.into_inner(), THREADS * EACH);
}

#[test]
fn a_read_write_lock_loses_no_deposit() {
    let account = RwLock::new(0);
    deposits(|| *account.write() += 1);
    assert_eq!(*account.read(), THREADS * EACH);
}

#[test]
fn a_reentrant_mutex_loses_no_deposit() {
    let account = ReentrantMutex::new(Cell::new(0));
    deposits(|| {
        let outer = account.lock();
        let balance = outer.get();
        account.lock().set(balance + 1);
    });
    assert_eq!(account.into_inner().get(), THREADS * EACH);
}

#[test]
fn a_semaphore_of_one_loses_no_deposit() {
    let account = std::sync::atomic::AtomicU64::new(0);
    let turn = Semaphore::bounded(1);
    deposits(|| {
        let _turn = turn.acquire();
        let balance = account.load(std::sync::atomic::Ordering::Relaxed);
        account.store(balance + 1, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(account.into_inner(), THREADS * EACH);
}

#[test]
fn a_lock_has_the_same_type_whether_it_is_watched_or_not() {
    // This test is run with and without the feature `diagnose`.
    let mutex = Mutex::new(1);
    let name = std::any::type_name_of_val(&mutex);
    assert!(name.contains("hands::sync::raw::RawMutex"), "{name}");
    let guard = mutex.lock();
    assert!(mutex.try_lock().is_none());
    drop(guard);
    assert!(mutex.try_lock_for(Duration::ZERO).is_some());
}

#[test]
fn a_panicking_holder_leaves_the_lock_free() {
    let mutex = Mutex::new(1);
    thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let _guard = mutex.lock();
            std::panic::resume_unwind(Box::new(()));
        });
        holder.join().unwrap_err();
    });
    assert_eq!(*mutex.lock(), 1);
}

#[test]
fn locks_can_be_static_and_readers_share() {
    static LOCK: RwLock<u8> = RwLock::new(1);
    static MUTEX: Mutex<u8> = Mutex::new(2);
    let (first, second) = (LOCK.read(), LOCK.read());
    assert_eq!(*first + *second + *MUTEX.lock(), 4);
    assert!(LOCK.try_write().is_none());
    drop((first, second));
    let upgradable = LOCK.upgradable_read();
    let reader = LOCK.read();
    assert!(LOCK.try_upgradable_read().is_none());
    drop(reader);
    let mut writer = parking_lot::lock_api::RwLockUpgradableReadGuard::upgrade(upgradable);
    *writer = 3;
    let reader = parking_lot::lock_api::RwLockWriteGuard::downgrade(writer);
    assert_eq!(*reader, 3);
    assert!(LOCK.try_write_for(Duration::ZERO).is_none());
}

#[test]
fn what_is_made_once_is_made_once() {
    static ONCE: Once = Once::new();
    static VALUE: OnceLock<u8> = OnceLock::new();
    static LAZY: LazyLock<u8> = LazyLock::new(|| 7);
    let runs = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ONCE.call_once(|| *runs.lock() += 1));
        }
    });
    assert_eq!((*runs.lock(), *LAZY, VALUE.get()), (1, 7, None));
}
