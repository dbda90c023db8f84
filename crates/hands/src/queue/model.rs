//! Every interleaving of a few threads at a queue, up to a bound on preemptions:
//! `./test` does it after the other tests.
//!
//! What a model proves is in its name. A lost wake-up shows as a deadlock, which the checker
//! reports.

#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the error in hand"
)]

use std::pin::pin;
use std::task::{Context, Waker};

use loom::sync::Arc;
use loom::thread;

use super::{GetError, LifoQueue, Order, OrderedQueue, Queue, Shutdown};

fn explore(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    // With no bound the smallest of these takes hours; nearly all known bugs of this kind show with
    // two or three.
    model.preemption_bound = Some(if cfg!(debug_assertions) { 2 } else { 4 });
    model.check(body);
}

/// A put and a get that wait for each other at a queue with room for one.
fn two_items_pass_through<O>()
where
    O: Order<u64> + 'static,
    OrderedQueue<u64, O>: Send + Sync,
{
    explore(|| {
        let queue = Arc::new(OrderedQueue::<u64, O>::bounded(1));
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.put(1).unwrap();
                queue.put(2).unwrap();
            })
        };
        assert_eq!(queue.get(), Ok(1));
        assert_eq!(queue.get(), Ok(2));
        producer.join().unwrap();
    });
}

#[test]
fn two_items_pass_through_a_fifo_with_room_for_one() {
    two_items_pass_through::<super::Fifo>();
}

#[test]
fn two_items_pass_through_a_lifo_with_room_for_one() {
    two_items_pass_through::<super::Lifo>();
}

#[test]
fn two_consumers_get_one_item_each() {
    explore(|| {
        let queue = Arc::new(Queue::<u64>::bounded(2));
        let consumer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.get().unwrap())
        };
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.put(1).unwrap();
                queue.put(2).unwrap();
            })
        };
        let mine = queue.get().unwrap();
        assert_eq!(mine + consumer.join().unwrap(), 3);
        producer.join().unwrap();
    });
}

#[test]
fn a_dropped_get_passes_its_wake_up_on() {
    explore(|| {
        let queue = Arc::new(Queue::<u64>::bounded(2));
        let consumer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.get().unwrap())
        };
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.put(1).unwrap())
        };
        {
            let mut get = pin!(queue.get_async());
            let mut context = Context::from_waker(Waker::noop());
            if get.as_mut().poll(&mut context).is_ready() {
                // Taken here: one more for the other.
                queue.put(2).unwrap();
            }
        }
        assert!(consumer.join().unwrap() > 0);
        producer.join().unwrap();
    });
}

#[test]
fn a_dropped_put_passes_its_wake_up_on() {
    explore(|| {
        let queue = Arc::new(LifoQueue::<u64>::bounded(1));
        queue.put(1).unwrap();
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.put(2).unwrap())
        };
        let consumer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.get().unwrap())
        };
        {
            let mut put = pin!(queue.put_async(3));
            let mut context = Context::from_waker(Waker::noop());
            if put.as_mut().poll(&mut context).is_ready() {
                queue.get().unwrap();
            }
        }
        producer.join().unwrap();
        consumer.join().unwrap();
    });
}

#[test]
fn a_shutdown_wakes_whoever_waits() {
    explore(|| {
        let queue = Arc::new(Queue::<u64>::bounded(1));
        let consumer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.get())
        };
        let put = queue.put(1).is_ok();
        queue.shutdown(Shutdown::Drain);
        assert!(put);
        assert_eq!(consumer.join().unwrap(), Ok(1));
        assert_eq!(queue.get(), Err(GetError::ShutDown));
    });
}

#[test]
fn a_shutdown_now_lets_a_full_queue_s_producer_go() {
    explore(|| {
        let queue = Arc::new(Queue::<u64>::bounded(1));
        queue.put(1).unwrap();
        let producer = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.put(2).is_err())
        };
        queue.shutdown(Shutdown::Now);
        assert!(producer.join().unwrap());
        queue.join();
    });
}

#[test]
fn join_returns_when_the_last_item_is_done() {
    explore(|| {
        let queue = Arc::new(Queue::<u64>::bounded(2));
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        let workers = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                queue.get().unwrap();
                queue.task_done().unwrap();
            })
        });
        queue.join();
        assert_eq!(queue.unfinished(), 0);
        for worker in workers {
            worker.join().unwrap();
        }
    });
}
