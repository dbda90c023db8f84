//! A flag that is waited for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use hands::sync::Event;

use super::{Woken, poll};

#[test]
fn everybody_who_waits_goes_on_and_sees_what_was_done_before() {
    let event = Event::new();
    let value = AtomicUsize::new(0);
    thread::scope(|scope| {
        let waiters = [(); 4].map(|()| {
            scope.spawn(|| {
                event.wait();
                value.load(Ordering::Relaxed)
            })
        });
        value.store(7, Ordering::Relaxed);
        event.set();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 7);
        }
    });
}

#[test]
fn a_wait_with_a_time_out_says_whether_it_has_happened() {
    let event = Event::new();
    assert!(!event.wait_timeout(Duration::ZERO));
    assert!(!event.wait_timeout(Duration::from_millis(1)));
    event.set();
    assert!(event.wait_timeout(Duration::ZERO));
    event.clear();
    assert!(!event.is_set());
    assert!(!event.wait_timeout(Duration::ZERO));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| event.wait_timeout(Duration::MAX));
        event.set();
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn whoever_waited_goes_on_though_it_was_cleared_before_he_woke_up() {
    let event = Event::new();
    let (woken, waker) = Woken::waker();
    let mut before = event.wait_async();
    assert!(poll(&mut before, &waker).is_pending());
    event.set();
    event.clear();
    assert_eq!(woken.times(), 1);
    let mut after = event.wait_async();
    assert!(poll(&mut after, &waker).is_pending());
    assert!(poll(&mut before, &waker).is_ready());
    assert!(poll(&mut after, &waker).is_pending());
}

#[test]
fn a_dropped_wait_is_woken_no_more() {
    let event = Event::new();
    let (woken, waker) = Woken::waker();
    let mut wait = event.wait_async();
    assert!(poll(&mut wait, &waker).is_pending());
    drop(wait);
    event.set();
    assert_eq!(woken.times(), 0);
}
