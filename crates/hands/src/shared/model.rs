//! What is shared, in every order of two threads: with `--cfg hands_loom`, whose words take the
//! place of those in the memory. Nobody dies in a model, and no time passes; so one that is not
//! woken is found, and one that would be, by looking again, is not excused.

use loom::sync::Arc;
use loom::thread;

use super::lock::{self, Had};
use super::queue::Queue;
use super::signals::{Event, Semaphore};
use crate::primitive::{AtomicU32, Ordering};
use crate::queue::Shutdown;

fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.max_branches = 100_000;
    model.check(body);
}

#[test]
fn one_at_a_time_has_the_lock_and_who_waits_is_woken() {
    explore(|| {
        let (word, count) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let add = |word: &AtomicU32, count: &AtomicU32| {
            assert_eq!(lock::lock(word, None), Some(Had::Free));
            // Not one step, so that it shows when two have the lock.
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            lock::unlock(word);
        };
        let other = thread::spawn({
            let (word, count) = (Arc::clone(&word), Arc::clone(&count));
            move || add(&word, &count)
        });
        add(&word, &count);
        other.join().expect("no panic");
        assert_eq!(count.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn no_permit_is_slept_through() {
    explore(|| {
        let semaphore = Semaphore::new(0).expect("memory");
        let taker = thread::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.acquire()
        });
        semaphore.release();
        taker.join().expect("no panic");
        assert_eq!(semaphore.permits(), 0);
    });
}

#[test]
fn no_event_is_slept_through() {
    explore(|| {
        let event = Event::new().expect("memory");
        let waiter = thread::spawn({
            let event = event.clone();
            move || event.wait()
        });
        event.set();
        waiter.join().expect("no panic");
    });
}

#[test]
fn each_item_is_got_once_and_whole_and_nobody_sleeps_through_room_or_an_item() {
    explore(|| {
        let queue = Queue::<u8>::sized(1, 1).expect("memory");
        let producer = thread::spawn({
            let queue = queue.clone();
            move || (7..9).for_each(|n| assert!(queue.put(n).is_ok()))
        });
        assert_eq!((queue.get(), queue.get()), (Ok(7), Ok(8)));
        producer.join().expect("no panic");
    });
}

#[test]
fn a_shutdown_is_not_slept_through() {
    explore(|| {
        let queue = Queue::<u8>::sized(1, 1).expect("memory");
        let consumer = thread::spawn({
            let queue = queue.clone();
            move || queue.get().is_err()
        });
        queue.shutdown(Shutdown::Now);
        assert_eq!(consumer.join().ok(), Some(true));
    });
}
