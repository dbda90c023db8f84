//! Waiting for a change of locked data.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use hands::sync::{Condvar, Mutex};

#[test]
fn what_is_made_under_the_lock_is_all_used_up() {
    let store = Mutex::new(VecDeque::new());
    let changed = Condvar::new();
    let sum = thread::scope(|scope| {
        let consumers = [(); 3].map(|()| {
            scope.spawn(|| {
                let mut sum = 0;
                loop {
                    let mut store = store.lock();
                    changed.wait_while(&mut store, |store| store.is_empty());
                    match store.pop_front() {
                        Some(0) | None => return sum,
                        Some(item) => sum += item,
                    }
                }
            })
        });
        for item in (1..=1000).chain([0; 3]) {
            store.lock().push_back(item);
            changed.notify_one();
        }
        consumers.map(|consumer| consumer.join().unwrap())
    });
    assert_eq!(sum.iter().sum::<u64>(), 500_500);
}

#[test]
fn wait_for_returns_what_the_predicate_said_last() {
    let number = Mutex::new(0);
    let changed = Condvar::new();
    let mut guard = number.lock();
    let moment = Some(Duration::from_millis(1));
    assert!(changed.wait_for(&mut guard, |number| *number == 0, None));
    assert!(!changed.wait_for(&mut guard, |number| *number > 0, Some(Duration::ZERO)));
    assert!(!changed.wait_for(&mut guard, |number| *number > 0, moment));
    let mut asked = 0;
    let becomes_true = |_: &mut i32| {
        asked += 1;
        asked == 2
    };
    assert!(changed.wait_for(&mut guard, becomes_true, moment));
    drop(guard);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut guard = number.lock();
            changed.wait_for(&mut guard, |number| *number > 0, Some(Duration::MAX))
        });
        *number.lock() = 1;
        changed.notify_all();
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn a_notice_says_whether_somebody_was_there() {
    let mutex = Mutex::new(0);
    let condvar = Condvar::new();
    assert!(!condvar.notify_one());
    assert_eq!(condvar.notify_all(), 0);
    thread::scope(|scope| {
        let waiters = [(); 3].map(|()| {
            scope.spawn(|| {
                let mut guard = mutex.lock();
                *guard += 1;
                condvar.wait(&mut guard);
            })
        });
        // Under the lock, each that has counted itself is waiting.
        loop {
            let guard = mutex.lock();
            if *guard == 3 {
                break;
            }
            drop(guard);
            thread::yield_now();
        }
        assert!(condvar.notify_one());
        assert_eq!(condvar.notify_all(), 2);
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn a_wait_with_a_time_out_says_whether_there_was_a_notice() {
    let mutex = Mutex::new(());
    let condvar = Condvar::new();
    let mut guard = mutex.lock();
    assert!(!condvar.wait_timeout(&mut guard, Duration::from_millis(1)));
    assert!(mutex.try_lock().is_none(), "locked again");
    thread::scope(|scope| {
        scope.spawn(|| {
            let _guard = mutex.lock();
            condvar.notify_one();
        });
        assert!(condvar.wait_timeout(&mut guard, Duration::MAX));
    });
}
